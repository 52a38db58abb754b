#include "sandbox/workspace_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/view_fixture.h"

namespace stockade::sandbox {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(WorkspaceGuard, NamesWhatIsTooBroad) {
  FakeHost host;
  const Surroundings surroundings = host.surroundings();
  for (const char* path : {"/", "/home", "/home/ada", "/etc", "/etc/ssh", "/home/ada/.local/state/stockade",
                           "/home/ada/.local/state/stockade/x", "/root", "/var"}) {
    EXPECT_NE(why_broad(surroundings, path), "") << path;
  }
  for (const char* path : {"/home/ada/work", "/srv/x", "/tmp/x", "/var/lib/x", "/home/adam"}) {
    EXPECT_EQ(why_broad(surroundings, path), "") << path;
  }
}

TEST(WorkspaceGuard, FindsWhatRunsByItselfInNestedRepositoriesToo) {
  FakeHost host;
  const std::string work = "/home/ada/work/";
  for (const char* path :
       {".git/hooks/pre-commit.sample", ".envrc", ".husky/pre-push", ".vscode/tasks.json", ".vscode/settings.json",
        ".mcp.json", "a/b/.git/hooks/x", "a/b/.envrc", ".git/modules/sub/hooks/y", ".git/modules/deep/er/hooks/z",
        "node_modules/p/.envrc", "package.json"}) {
    host.file(work + path);
  }
  const Protections found = protections_of(host.tree(), "/home/ada/work");
  EXPECT_THAT(found.read_only,
              ElementsAre(".envrc", ".git/hooks", ".git/modules/deep/er/hooks", ".git/modules/sub/hooks", ".husky",
                          ".mcp.json", ".vscode/tasks.json", "a/b/.envrc", "a/b/.git/hooks"));
  EXPECT_TRUE(found.complete);
}

TEST(WorkspaceGuard, StopsAtItsBoundsAndSaysSo) {
  FakeHost host;
  host.file("/home/ada/work/1/2/3/4/.envrc");
  EXPECT_FALSE(protections_of(host.tree(), "/home/ada/work").complete);
  FakeHost wide;
  for (int i = 0; i < 600; ++i) wide.make_directory("/home/ada/work/d" + std::to_string(i));
  EXPECT_FALSE(protections_of(wide.tree(), "/home/ada/work").complete);
}

TEST(WorkspaceGuard, LeavesLinksAlone) {
  FakeHost host;
  host.link("/home/ada/work/.envrc", "/home/ada/elsewhere");
  host.link("/home/ada/work/.husky", "/home/ada");
  EXPECT_THAT(protections_of(host.tree(), "/home/ada/work").read_only, IsEmpty());
}

TEST(WorkspaceGuard, FindsOurOwnStateBelowATree) {
  FakeHost host;
  host.make_directory("/home/ada/.local/state/stockade/runtime");
  host.make_directory("/home/ada/.config/stockade");
  EXPECT_THAT(own_state_below(host.tree(), host.surroundings(), "/home/ada"),
              ElementsAre(".config/stockade", ".local/state/stockade"));
  EXPECT_THAT(own_state_below(host.tree(), host.surroundings(), "/home/ada/work"), IsEmpty());
}

}  // namespace
}  // namespace stockade::sandbox
