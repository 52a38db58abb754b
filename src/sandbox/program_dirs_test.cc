#include "sandbox/program_dirs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/view_fixture.h"

namespace stockade::sandbox {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Made {
  std::vector<Mount> mounts;
  std::vector<std::string> notes;
  const Mount* at(std::string_view target) const { return find_mount(mounts, target); }
  bool shows(std::string_view path) const {
    for (const Mount& mount : mounts) {
      const auto below = relative_to(path, mount.target);
      if (!below) continue;
      const bool hidden =
          std::ranges::any_of(mount.hidden, [&](const std::string& name) { return is_at_or_below(*below, name); });
      if (!hidden) return true;
    }
    return false;
  }
};

Made list(const FakeHost& host, std::vector<std::string> allow, const std::string& path = "/usr/local/bin:/usr/bin",
          const std::string& command = "") {
  Made made;
  const HostTree tree = host.tree();
  const Surroundings surroundings = host.surroundings(path);
  InstallRoots roots(tree, surroundings);
  roots.add_path_entries(PathRoots::none, [](const std::string&) { return false; });
  const auto added =
      add_listed_programs(tree, {.allow = std::move(allow), .command = command}, roots, made.mounts, made.notes);
  EXPECT_TRUE(added) << (added ? "" : added.error().render());
  return made;
}

TEST(ProgramList, ShowsTheListedProgramsAndNoOther) {
  FakeHost host;
  for (const char* name : {"bash", "curl", "git"}) host.program("/usr/bin/" + std::string(name));
  host.program("/usr/sbin/nft");
  host.program("/usr/local/bin/tool");
  const Made made = list(host, {"bash", "/usr/bin/git"});
  EXPECT_TRUE(made.shows("/usr/bin/bash"));
  EXPECT_TRUE(made.shows("/usr/bin/git"));
  EXPECT_FALSE(made.shows("/usr/bin/curl"));
  EXPECT_FALSE(made.shows("/usr/sbin/nft"));
  EXPECT_FALSE(made.shows("/usr/local/bin/tool"));
  EXPECT_EQ(made.at("/usr"), nullptr);
  EXPECT_EQ(made.at("/bin")->kind, MountKind::symlink);
}

TEST(ProgramList, KeepsThePartsOfAPackageThatNpmInstallsBesideIt) {
  FakeHost host;
  const std::string modules = "/home/ada/.npm-global/lib/node_modules";
  host.program("/usr/bin/env");
  host.program("/usr/bin/node");
  host.program(modules + "/@openai/codex/bin/codex.js", "#!/usr/bin/env node\n");
  host.file(modules + "/@openai/codex/package.json",
            R"({"name": "@openai/codex", "optionalDependencies": {"@openai/codex-linux-x64": "1",
            "not-here": "1", "linked": "1", "../../../../../opt/other": "1", "..": "1"}, "dependencies": {"helper": "1"}})");
  host.program(modules + "/@openai/codex-linux-x64/vendor/bin/codex");
  host.program(modules + "/helper/bin/helper");
  host.program("/home/ada/.npm-global/opt/other/bin/other");
  host.program("/home/ada/.npm-global/pnpm/node_modules/linked/bin/tool");
  host.link(modules + "/linked", "../../pnpm/node_modules/linked");
  host.link("/home/ada/.npm-global/bin/codex", "../lib/node_modules/@openai/codex/bin/codex.js");
  const Made made = list(host, {"codex"}, "/home/ada/.npm-global/bin:/usr/bin");
  EXPECT_TRUE(made.shows(modules + "/@openai/codex/bin/codex.js"));
  EXPECT_TRUE(made.shows(modules + "/@openai/codex-linux-x64/vendor/bin/codex"));
  EXPECT_TRUE(made.shows("/home/ada/.npm-global/pnpm/node_modules/linked/bin/tool"));
  EXPECT_FALSE(made.shows(modules + "/helper/bin/helper"));
  EXPECT_FALSE(made.shows("/home/ada/.npm-global/opt/other/bin/other"));
  EXPECT_THAT(made.notes, Contains(HasSubstr("codex-linux-x64 comes with codex")));
  // Damaged, it keeps nothing.
  host.file(modules + "/@openai/codex/package.json", R"({"optionalDependencies": ["@openai/codex-linux-x64"]})");
  EXPECT_FALSE(list(host, {"codex"}, "/home/ada/.npm-global/bin:/usr/bin")
                   .shows(modules + "/@openai/codex-linux-x64/vendor/bin/codex"));
}

TEST(ProgramList, KeepsLibrariesWithoutTheProgramsAmongThem) {
  FakeHost host;
  host.program("/usr/bin/git");
  host.program("/usr/lib/git-core/git-remote-https");
  host.program("/usr/lib/x86_64-linux-gnu/libc.so.6");
  host.program("/usr/lib/x86_64-linux-gnu/helper");
  host.program("/usr/lib/llvm/bin/clang");
  host.program("/usr/lib/openssh/ssh-keysign");
  host.program("/usr/libexec/anything");
  host.file("/usr/lib/data");
  const Made made = list(host, {"git"});
  EXPECT_TRUE(made.shows("/usr/lib/x86_64-linux-gnu/libc.so.6"));
  EXPECT_TRUE(made.shows("/usr/lib/git-core/git-remote-https"));
  EXPECT_TRUE(made.shows("/usr/lib/data"));
  EXPECT_FALSE(made.shows("/usr/lib/x86_64-linux-gnu/helper"));
  EXPECT_FALSE(made.shows("/usr/lib/llvm/bin/clang"));
  EXPECT_FALSE(made.shows("/usr/lib/openssh/ssh-keysign"));
  EXPECT_FALSE(made.shows("/usr/libexec/anything"));
  EXPECT_FALSE(list(host, {"true"}).shows("/usr/lib/git-core/git-remote-https"));
}

TEST(ProgramList, FollowsAChainOfLinksToTheProgram) {
  FakeHost host;
  host.link("/usr/bin/java", "/etc/alternatives/java");
  host.link("/etc/alternatives/java", "/usr/lib/jvm/17/bin/java");
  host.program("/usr/lib/jvm/17/bin/java");
  host.program("/usr/lib/jvm/17/bin/jshell");
  host.program("/usr/lib/jvm/17/lib/jspawnhelper");
  host.link("/usr/bin/python3", "python3.11");
  host.program("/usr/bin/python3.11");
  const Made made = list(host, {"java", "python3"});
  EXPECT_EQ(made.at("/usr/bin/java")->content, "/etc/alternatives/java");
  EXPECT_TRUE(made.shows("/usr/lib/jvm/17/bin/java"));
  EXPECT_TRUE(made.shows("/usr/lib/jvm/17/lib/jspawnhelper"));
  EXPECT_FALSE(made.shows("/usr/lib/jvm/17/bin/jshell"));
  EXPECT_EQ(made.at("/usr/bin/python3")->content, "python3.11");
  EXPECT_EQ(made.at("/usr/bin/python3.11")->kind, MountKind::bind);
}

TEST(ProgramList, BringsAScriptsInterpreterAlong) {
  FakeHost host;
  host.link("/usr/bin/npm", "../lib/node_modules/npm/bin/npm-cli.js");
  host.program("/usr/lib/node_modules/npm/bin/npm-cli.js", "#!/usr/bin/env node\n");
  host.program("/usr/lib/node_modules/corepack/shims/yarn");
  host.program("/usr/bin/node");
  const Made made = list(host, {"npm"});
  EXPECT_TRUE(made.shows("/usr/bin/env"));
  EXPECT_TRUE(made.shows("/usr/bin/node"));
  EXPECT_TRUE(made.shows("/usr/lib/node_modules/npm/bin/npm-cli.js"));
  EXPECT_FALSE(made.shows("/usr/lib/node_modules/corepack/shims/yarn"));
  EXPECT_THAT(made.notes, Contains(HasSubstr("node come with npm")));
}

TEST(ProgramList, MakesDataNoexecAndLeavesGamesOut) {
  FakeHost host;
  host.program("/usr/share/tool/run");
  host.program("/usr/games/nethack");
  const Made made = list(host, {"true"});
  EXPECT_FALSE(made.at("/usr/share")->exec);
  EXPECT_FALSE(made.shows("/usr/games/nethack"));
}

TEST(ProgramList, RestrictsInstallationsInTheHomeToo) {
  FakeHost host;
  host.program("/home/ada/.nvm/versions/node/v22/bin/node");
  host.program("/home/ada/.nvm/versions/node/v22/bin/other");
  host.program("/home/ada/.cargo/bin/cargo");
  const Made made = list(host, {"node"}, "/home/ada/.cargo/bin:/home/ada/.nvm/versions/node/v22/bin:/usr/bin");
  EXPECT_TRUE(made.shows("/home/ada/.nvm/versions/node/v22/bin/node"));
  EXPECT_FALSE(made.shows("/home/ada/.nvm/versions/node/v22/bin/other"));
  EXPECT_FALSE(made.shows("/home/ada/.cargo/bin/cargo"));
}

TEST(ProgramList, PrefersAProgramToAShimThatChoosesOne) {
  FakeHost host;
  host.program("/home/ada/.pyenv/shims/python3", "#!/usr/bin/env bash\n");
  host.program("/usr/bin/python3");
  const Made made = list(host, {"python3"}, "/home/ada/.pyenv/shims:/usr/bin");
  EXPECT_TRUE(made.shows("/usr/bin/python3"));
  EXPECT_FALSE(made.shows("/home/ada/.pyenv/shims/python3"));
  host.remove("/usr/bin/python3");
  EXPECT_THAT(list(host, {"python3"}, "/home/ada/.pyenv/shims:/usr/bin").notes,
              Contains(HasSubstr("only chooses among versions")));
}

TEST(ProgramList, SaysWhichProgramIsNotThere) {
  FakeHost host;
  EXPECT_THAT(list(host, {"ghost"}).notes, ElementsAre("programs.allow: ghost is not on this machine"));
}

}  // namespace
}  // namespace stockade::sandbox
