#include "sandbox/install_roots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/credential_names.h"
#include "sandbox/view_fixture.h"

namespace stockade::sandbox {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const auto kNothingElse = [](const std::string&) { return false; };

TEST(InstallRoots, KnowWhereToolchainsLive) {
  FakeHost host;
  host.program("/home/ada/.cargo/bin/cargo");
  host.file("/home/ada/.cargo/credentials.toml", "token");
  host.file("/home/ada/.rustup/toolchains/stable/bin/cargo");
  host.file("/home/ada/.rustup/settings.toml");
  host.program("/home/ada/.nvm/versions/node/v22/bin/node");
  host.make_directory("/home/ada/.pyenv/shims");
  host.make_directory("/home/ada/go/bin");
  host.make_directory("/home/ada/miniconda3/bin");
  host.make_directory("/opt/tool/1.0/bin");
  host.make_directory("/nix/store/abc/bin");
  host.link("/home/ada/.nix-profile", "/nix/store/abc");
  struct Case {
    const char* entry;
    std::vector<std::string> roots;
  };
  const Case cases[] = {
      {"/home/ada/.cargo/bin",
       {"/home/ada/.cargo/bin", "/home/ada/.rustup/toolchains", "/home/ada/.rustup/settings.toml"}},
      {"/home/ada/.nvm/versions/node/v22/bin", {"/home/ada/.nvm/versions/node/v22"}},
      {"/home/ada/.pyenv/shims", {"/home/ada/.pyenv"}},
      {"/home/ada/go/bin", {"/home/ada/go/bin"}},
      {"/home/ada/miniconda3/bin", {"/home/ada/miniconda3"}},
      {"/opt/tool/1.0/bin", {"/opt/tool"}},
      {"/home/ada/.nix-profile/bin", {"/nix/store"}},
      {"/usr/bin", {}},
  };
  for (const Case& test : cases) {
    const HostTree tree = host.tree();
    const Surroundings surroundings = host.surroundings(test.entry);
    InstallRoots roots(tree, surroundings);
    roots.add_path_entries(PathRoots::all, kNothingElse);
    EXPECT_THAT(roots.roots(), testing::UnorderedElementsAreArray(test.roots)) << test.entry;
    EXPECT_EQ(roots.path_inside(kNothingElse).size(), 1u) << test.entry;
  }
}

TEST(InstallRoots, NeverShowTheHomeTheSystemsStateOrWhatAnyoneMayWrite) {
  FakeHost host;
  host.make_directory("/var/bin");
  host.make_directory("/srv/open");
  ::chmod((host.root() + "/srv/open").c_str(), 01777);
  host.make_directory("/home/ada/.local/state/stockade/bin");
  const HostTree tree = host.tree();
  const Surroundings surroundings = host.surroundings(
      "/home/ada:/home:/:/var/bin:/srv/open:/home/ada/.local/state/stockade/bin:.::relative:/usr/bin");
  InstallRoots roots(tree, surroundings);
  roots.add_path_entries(PathRoots::all, kNothingElse);
  EXPECT_THAT(roots.roots(), IsEmpty());
  EXPECT_THAT(roots.path_inside(kNothingElse), ElementsAre("/usr/bin"));
  EXPECT_EQ(roots.notes().size(), 6u);
}

TEST(InstallRoots, FollowTheLinksOfTheHomesBin) {
  FakeHost host;
  host.program("/home/ada/.local/share/claude/versions/1.0.3");
  host.link("/home/ada/.local/bin/claude", "/home/ada/.local/share/claude/versions/1.0.3");
  host.program("/home/ada/.local/share/pipx/venvs/aider/bin/aider",
               "#!/home/ada/.local/share/pipx/venvs/aider/bin/python\n");
  host.file("/home/ada/.local/share/pipx/venvs/aider/pyvenv.cfg");
  host.program("/home/ada/.local/share/uv/python/cpython-3.12/bin/python3.12");
  host.link("/home/ada/.local/share/pipx/venvs/aider/bin/python",
            "/home/ada/.local/share/uv/python/cpython-3.12/bin/python3.12");
  host.link("/home/ada/.local/bin/aider", "../share/pipx/venvs/aider/bin/aider");
  host.program("/home/ada/mine/build/tool");
  host.file("/home/ada/mine/secret");
  host.link("/home/ada/.local/bin/tool", "/home/ada/mine/build/tool");
  host.file("/home/ada/.local/share/keyrings/login.keyring");
  const HostTree tree = host.tree();
  const Surroundings surroundings = host.surroundings("/home/ada/.local/bin");
  InstallRoots roots(tree, surroundings);
  roots.add_path_entries(PathRoots::all, kNothingElse);
  EXPECT_THAT(roots.roots(),
              UnorderedElementsAre("/home/ada/.local/bin", "/home/ada/.local/share/claude/versions",
                                   "/home/ada/.local/share/pipx/venvs/aider",
                                   "/home/ada/.local/share/uv/python/cpython-3.12", "/home/ada/mine/build/tool"));
}

TEST(InstallRoots, TakeAPrefixByEvidenceButNotSomebodysProject) {
  FakeHost host;
  host.make_directory("/home/ada/tools/lib");
  host.make_directory("/home/ada/tools/bin");
  host.make_directory("/home/ada/project/lib");
  host.make_directory("/home/ada/project/bin");
  host.make_directory("/home/ada/project/.git");
  const HostTree tree = host.tree();
  const Surroundings surroundings = host.surroundings("/home/ada/tools/bin:/home/ada/project/bin");
  InstallRoots roots(tree, surroundings);
  roots.add_path_entries(PathRoots::all, kNothingElse);
  EXPECT_THAT(roots.roots(), UnorderedElementsAre("/home/ada/tools", "/home/ada/project/bin"));
}

TEST(InstallRoots, ShowAGlobalNodePackageWithItsNeighbours) {
  FakeHost host;
  host.program("/home/ada/.npm-global/lib/node_modules/@openai/codex/bin/codex.js", "#!/usr/bin/env node\n");
  host.link("/home/ada/.npm-global/bin/codex", "../lib/node_modules/@openai/codex/bin/codex.js");
  host.file("/home/ada/.npm-global/etc/npmrc", "//registry/:_authToken=x");
  const HostTree tree = host.tree();
  const Surroundings surroundings = host.surroundings("/home/ada/.npm-global/bin");
  InstallRoots roots(tree, surroundings);
  roots.add_path_entries(PathRoots::all, kNothingElse);
  EXPECT_THAT(roots.roots(), ElementsAre("/home/ada/.npm-global"));
  EXPECT_THAT(roots.mounts().front().hidden, ElementsAre("etc/npmrc"));
}

TEST(InstallRoots, HideCredentialsAmongTheirFiles) {
  FakeHost host;
  for (const char* name : {".npmrc", "auth.json", ".git/config", "lib/x", "cacert.pem", "etc/pip.conf", ".env.local"}) {
    host.file("/opt/tool/" + std::string(name));
  }
  EXPECT_THAT(credentials_below(host.tree(), "/opt/tool"),
              ElementsAre(".env.local", ".git/config", ".npmrc", "auth.json", "etc/pip.conf"));
}

TEST(InstallRoots, AppearBelowTheHomeAsThePersonSpellsIt) {
  FakeHost host;
  host.remove("/home/ada");
  host.program("/data/ada/.cargo/bin/cargo");
  host.make_directory("/data/ada/work");
  host.link("/home/ada", "/data/ada");
  const HostTree tree = host.tree();
  const Surroundings surroundings = host.surroundings("/home/ada/.cargo/bin");
  InstallRoots roots(tree, surroundings);
  roots.add_path_entries(PathRoots::all, kNothingElse);
  EXPECT_THAT(roots.path_inside(kNothingElse), ElementsAre("/home/ada/.cargo/bin"));
  const auto mounts = roots.mounts();
  ASSERT_EQ(mounts.size(), 1u);
  EXPECT_EQ(mounts[0].source, "/data/ada/.cargo/bin");
  EXPECT_EQ(mounts[0].target, "/home/ada/.cargo/bin");
}

// A run may have planted it all: scripts, links, directories on PATH.
TEST(InstallRoots, FollowNothingThatARunCouldHaveWrittenButIntoKnownInstallations) {
  FakeHost host;
  host.program("/home/ada/private/bin/tool");
  host.file("/home/ada/private/lib/secret");
  host.file("/home/ada/key");
  host.program("/home/ada/.pyenv/versions/3.12/bin/python");
  host.program("/home/ada/work/script", "#!/home/ada/private/bin/tool\n");
  host.program("/home/ada/work/absent", "#!/home/ada/private/absent\n");
  host.program("/home/ada/work/honest", "#!/home/ada/work/.venv/bin/python\n");
  host.link("/home/ada/work/.venv/bin/python", "/home/ada/.pyenv/versions/3.12/bin/python");
  host.link("/home/ada/work/link", "../private/bin/tool");
  host.file("/home/ada/mixed/pyvenv.cfg");
  host.program("/home/ada/mixed/bin/python");
  host.file("/home/ada/mixed/notes");
  host.program("/home/ada/work/mixed", "#!/home/ada/mixed/bin/python\n");
  host.link("/home/ada/bin/chained", "/home/ada/work/link");
  host.link("/home/ada/work/bin/key", "/home/ada/key");
  host.link("/home/ada/linked", "/home/ada/work/elsewhere");
  host.link("/home/ada/work/elsewhere", "/home/ada/private/bin");
  const HostTree tree = host.tree();
  Surroundings surroundings = host.surroundings("/home/ada/work/bin:/home/ada/linked:/home/ada/bin");
  surroundings.written_places = {"/home/ada/work"};
  InstallRoots roots(tree, surroundings);
  roots.add_path_entries(PathRoots::all, kNothingElse);
  roots.add_interpreter("/home/ada/work/script");
  roots.add_interpreter("/home/ada/work/absent");
  roots.add_interpreter("/home/ada/work/mixed");
  roots.add_program("/home/ada/work/link", true);
  EXPECT_THAT(roots.roots(), ElementsAre("/home/ada/bin"));
  EXPECT_THAT(roots.search_path(), ElementsAre("/home/ada/bin"));
  roots.add_interpreter("/home/ada/work/honest");
  EXPECT_THAT(roots.roots(), ElementsAre("/home/ada/bin", "/home/ada/.pyenv"));
  surroundings.written_places.clear();
  InstallRoots mounted(tree, surroundings,
                       [](const std::string& path) { return is_at_or_below(path, "/home/ada/work"); });
  mounted.add_interpreter("/home/ada/work/script");
  mounted.add_program("/home/ada/work/link", false);
  EXPECT_THAT(mounted.roots(), IsEmpty());
}

TEST(Interpreter, IsReadFromTheFirstLine) {
  FakeHost host;
  host.file("/a", "#!/usr/bin/env -S FOO=1 node --flag\nx");
  host.file("/b", "#! /bin/sh -e\n");
  host.file("/c", "#!relative\n");
  host.file("/d",
            "\x7f"
            "ELF");
  EXPECT_EQ(interpreter_of(host.tree(), "/a")->path, "/usr/bin/env");
  EXPECT_EQ(interpreter_of(host.tree(), "/a")->searched, "node");
  EXPECT_EQ(interpreter_of(host.tree(), "/b")->path, "/bin/sh");
  EXPECT_FALSE(interpreter_of(host.tree(), "/c"));
  EXPECT_FALSE(interpreter_of(host.tree(), "/d"));
}

TEST(InstallRoots, NameMovedToolchainsByTheirVariables) {
  FakeHost host;
  host.make_directory("/home/ada/.rust/toolchains");
  host.file("/home/ada/.rust/settings.toml");
  host.make_directory("/home/ada/private");
  Surroundings surroundings = host.surroundings();
  surroundings.environment["RUSTUP_HOME"] = "/home/ada/.rust";
  surroundings.environment["JAVA_HOME"] = "/home/ada/private";
  const HostTree tree = host.tree();
  InstallRoots roots(tree, surroundings);
  roots.add_path_entries(PathRoots::all, kNothingElse);
  EXPECT_THAT(roots.roots(), UnorderedElementsAre("/home/ada/.rust/toolchains", "/home/ada/.rust/settings.toml"));
  EXPECT_THAT(roots.variables(kNothingElse),
              ElementsAre(std::pair<std::string, std::string>("RUSTUP_HOME", "/home/ada/.rust")));
}

}  // namespace
}  // namespace stockade::sandbox
