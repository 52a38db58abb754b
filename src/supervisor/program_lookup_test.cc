#include "supervisor/program_lookup.h"

#include <gtest/gtest.h>

namespace stockade::supervisor {
namespace {

TEST(NpmPackage, IsWhatFollowsTheLastNodeModules) {
  EXPECT_EQ(npm_package_of("/usr/lib/node_modules/npm/bin/npm-cli.js"), "/usr/lib/node_modules/npm");
  EXPECT_EQ(npm_package_of("/n/node_modules/@openai/codex/bin/codex.js"), "/n/node_modules/@openai/codex");
  EXPECT_EQ(npm_package_of("/n/node_modules/a/node_modules/b/x"), "/n/node_modules/a/node_modules/b");
  for (const char* path :
       {"/usr/bin/curl", "/n/node_modules/file.js", "/n/node_modules/@scope/file", "/n/node_modules/", ""})
    EXPECT_EQ(npm_package_of(path), "") << path;
}

TEST(NpmPackage, HoldsItsFilesAndThoseOfItsPlatformPackages) {
  const char* package = "/n/node_modules/@openai/codex";
  EXPECT_TRUE(is_in_npm_package("/n/node_modules/@openai/codex/vendor/codex", package));
  EXPECT_TRUE(is_in_npm_package("/n/node_modules/@openai/codex-linux-x64/vendor/codex", package));
  for (const char* path : {"/n/node_modules/@openai/codex-linux-x64", "/n/node_modules/@openai/codexes/x",
                           "/n/node_modules/@openai/other/x", "/usr/bin/curl", ""})
    EXPECT_FALSE(is_in_npm_package(path, package)) << path;
  EXPECT_FALSE(is_in_npm_package("/usr/bin/curl", ""));
}

}  // namespace
}  // namespace stockade::supervisor
