#include "sandbox/hide_match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/view_fixture.h"

namespace stockade::sandbox {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> hidden(const FakeHost& host, std::vector<std::string> globs,
                                const std::string& source = "/home/ada/work", bool masks_links = true) {
  std::vector<HideTree> trees{{.source = source, .masks_links = masks_links, .hidden = {}}};
  const auto found = find_hidden(host.tree(), globs, trees);
  EXPECT_TRUE(found) << (found ? "" : found.error().render());
  return trees[0].hidden;
}

TEST(HideMatch, FindsAGlobAtEveryDepth) {
  FakeHost host;
  for (const char* path : {".env", "a/.env", "a/b/c/d/e/f/.env", "a/.env.example", "a/xenv", ".environment"}) {
    host.file("/home/ada/work/" + std::string(path));
  }
  EXPECT_THAT(hidden(host, {"**/.env"}), ElementsAre(".env", "a/.env", "a/b/c/d/e/f/.env"));
  EXPECT_THAT(hidden(host, {"/home/ada/work/a/**/.env"}), ElementsAre("a/.env", "a/b/c/d/e/f/.env"));
  EXPECT_THAT(hidden(host, {"/home/ada/work/a/.env*"}), ElementsAre("a/.env", "a/.env.example"));
  EXPECT_THAT(hidden(host, {"/srv/**"}), IsEmpty());
}

TEST(HideMatch, HidesADirectoryAsAWhole) {
  FakeHost host;
  host.file("/home/ada/work/secrets/a");
  host.file("/home/ada/work/secrets/b/.env");
  EXPECT_THAT(hidden(host, {"**/secrets", "**/.env"}), ElementsAre("secrets"));
}

TEST(HideMatch, LooksUpAPathWithoutWildcards) {
  FakeHost host;
  host.file("/home/ada/work/a/key");
  host.link("/var/alias", "/home/ada/work/a");
  EXPECT_THAT(hidden(host, {"/home/ada/work/a/key"}), ElementsAre("a/key"));
  EXPECT_THAT(hidden(host, {"/var/alias/key"}), ElementsAre("a/key"));
  EXPECT_THAT(hidden(host, {"/home/ada/work/absent"}), IsEmpty());
}

TEST(HideMatch, FindsHardLinksWithOtherNames) {
  FakeHost host;
  host.file("/home/ada/work/.env", "x");
  host.make_directory("/home/ada/work/deep/er");
  host.hard_link("/home/ada/work/deep/er/innocent.txt", "/home/ada/work/.env");
  host.file("/home/ada/work/secrets/inner");
  host.hard_link("/home/ada/work/copy", "/home/ada/work/secrets/inner");
  EXPECT_THAT(hidden(host, {"**/.env"}), ElementsAre(".env", "deep/er/innocent.txt"));
  EXPECT_THAT(hidden(host, {"**/secrets"}), ElementsAre("copy", "secrets"));
}

TEST(HideMatch, HidesWhatALinkLeadsTo) {
  FakeHost host;
  host.file("/home/ada/work/prod.txt");
  host.link("/home/ada/work/.env", "prod.txt");
  host.link("/home/ada/work/a/.env", "/home/eve/outside");
  EXPECT_THAT(hidden(host, {"**/.env"}), ElementsAre(".env", "a/.env", "prod.txt"));
  EXPECT_THAT(hidden(host, {"**/.env"}, "/home/ada/work", false), ElementsAre("prod.txt"));
}

TEST(HideMatch, DoesNotFollowLinksWhileSearching) {
  FakeHost host;
  host.link("/home/ada/work/loop", ".");
  host.file("/home/eve/.env");
  host.link("/home/ada/work/out", "/home/eve");
  EXPECT_THAT(hidden(host, {"**/.env"}), IsEmpty());
}

TEST(HideMatch, RefusesToHideAWholeMount) {
  FakeHost host;
  std::vector<HideTree> trees{{.source = "/home/ada/work", .masks_links = true, .hidden = {}}};
  for (const char* glob : {"/home/ada/work", "/home/**", "**/work", "/home/*"}) {
    const auto refused = find_hidden(host.tree(), {glob}, trees);
    ASSERT_FALSE(refused) << glob;
    EXPECT_EQ(refused.error().kind(), ErrorKind::invalid_input);
  }
}

TEST(HideMatch, FailsRatherThanSearchHalfATree) {
  FakeHost host;
  for (int i = 0; i < 100; ++i) host.file("/home/ada/work/" + std::to_string(i));
  std::vector<HideTree> trees{{.source = "/home/ada/work", .masks_links = true, .hidden = {}}};
  const auto refused = find_hidden(host.tree(), {"**/.env"}, trees, 50);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().render(), HasSubstr("more than 50 entries"));
}

}  // namespace
}  // namespace stockade::sandbox
