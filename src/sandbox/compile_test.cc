#include "sandbox/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "base/pid.h"
#include "sandbox/view_fixture.h"

namespace stockade::sandbox {
namespace {

using policy::Access;
using policy::FileRule;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// As the default preset says it.
FileRule default_workspace(const std::string& cwd = "/home/ada/work") {
  return {.host = cwd, .at = cwd, .access = Access::write, .where = {"preset:default", 6, 5}};
}

// Without a policy: the default preset's.
Result<Compiled> compile_on(const FakeHost& host, const std::optional<policy::Policy>& policy,
                            std::vector<std::string> command = {"true"}, const std::string& cwd = "/home/ada/work",
                            const std::string& path = "/usr/local/bin:/usr/bin:/bin") {
  policy::Policy standard;
  standard.files = {default_workspace(cwd)};
  return compile(policy.value_or(standard), host.surroundings(path, cwd), host.tree(), {.command = std::move(command)});
}

policy::Policy with(std::vector<FileRule> files) {
  policy::Policy policy;
  policy.files = std::move(files);
  return policy;
}

TEST(Compile, GivesTheCurrentDirectoryByDefaultAndNothingElseOfTheHome) {
  FakeHost host;
  host.file("/home/ada/.ssh/id_ed25519", "key");
  host.file("/home/ada/work/.git/hooks/pre-commit", "x");
  const auto made = compile_on(host, {});
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_TRUE(made->default_workspace);
  const SandboxPlan& plan = made->plan;
  EXPECT_EQ(plan.workdir, "/home/ada/work");
  const Mount* work = find_mount(plan.mounts, "/home/ada/work");
  ASSERT_TRUE(work);
  EXPECT_TRUE(work->writable);
  EXPECT_THAT(work->read_only, ElementsAre(".git/hooks"));
  EXPECT_TRUE(plan.notify_sockets);
  EXPECT_THAT(made->writable_trees, ElementsAre("/home/ada/work"));
  EXPECT_EQ(find_mount(plan.mounts, "/home/ada")->kind, MountKind::scratch);
  for (const Mount& mount : plan.mounts) {
    EXPECT_THAT(mount.source, Not(HasSubstr(".ssh")));
    EXPECT_NE(mount.source, "/home/ada");
    for (const char* place : {"/root", "/var", "/run", "/etc/shadow"})
      EXPECT_FALSE(is_at_or_below(mount.source, place)) << mount.source;
  }
  EXPECT_THAT(plan.environment, Contains("HOME=/home/ada"));
  EXPECT_THAT(plan.environment, Not(Contains(StartsWith("SECRET_TOKEN"))));
}

TEST(Compile, GivesNoFileToAPolicyThatMountsNone) {
  FakeHost host;
  for (const auto& policy : {policy::Policy{}, with({{.host = "**/.env", .access = Access::hide}})}) {
    const auto made = compile_on(host, policy);
    ASSERT_TRUE(made) << made.error().render();
    EXPECT_FALSE(made->default_workspace);
    EXPECT_THAT(made->writable_trees, IsEmpty());
    EXPECT_EQ(made->plan.workdir, "/home/ada");
    EXPECT_TRUE(made->plan.network);  // no rule, and still each refusal is ours
    for (const Mount& mount : made->plan.mounts) EXPECT_FALSE(mount.source.starts_with("/home")) << mount.source;
  }
  EXPECT_TRUE(compile_on(host, policy::Policy{}, {"true"}, "/home/ada"));  // nothing broad is given
}

TEST(Compile, SaysThatTheDefaultIsWritableOnlyWhenItIs) {
  FakeHost host;
  auto rule = default_workspace();
  rule.access = Access::read;  // as a ceiling makes it
  const auto made = compile_on(host, with({rule}));
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_FALSE(made->default_workspace);
  EXPECT_FALSE(find_mount(made->plan.mounts, "/home/ada/work")->writable);
}

TEST(Compile, OrdersParentsFirstAndGivesTheSamePlanTwice) {
  FakeHost host;
  const auto first = compile_on(host, {});
  const auto second = compile_on(host, {});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(to_text(first->plan), to_text(second->plan));
  EXPECT_TRUE(std::ranges::is_sorted(first->plan.mounts, {}, &Mount::target));
  for (size_t i = 1; i < first->plan.mounts.size(); ++i)
    EXPECT_NE(first->plan.mounts[i - 1].target, first->plan.mounts[i].target);
}

TEST(Compile, RefusesBroadPlacesUnlessThePolicyNamesThemWithAReason) {
  FakeHost host;
  for (const char* cwd : {"/home/ada", "/home", "/", "/etc"}) {
    const auto refused = compile_on(host, {}, {"true"}, cwd);
    ASSERT_FALSE(refused) << cwd;
    EXPECT_EQ(refused.error().kind(), ErrorKind::invalid_input);
    EXPECT_NE(refused.error().hint(), "");
  }
  EXPECT_FALSE(compile_on(host, with({{.host = "/home/ada", .at = "/home/ada", .access = Access::read}})));
  const auto allowed =
      compile_on(host, with({{.host = "/home/ada", .at = "/home/ada", .access = Access::read, .reason = "a backup"}}));
  ASSERT_TRUE(allowed) << allowed.error().render();
  EXPECT_EQ(find_mount(allowed->plan.mounts, "/home/ada")->kind, MountKind::overlay_read);
}

TEST(Compile, PutsNoMountBelowALinkOfOurs) {
  FakeHost host;
  host.make_directory("/var/tmp/work");
  const auto made = compile_on(host, {}, {"true"}, "/var/tmp/work");
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_EQ(find_mount(made->plan.mounts, "/var/tmp")->kind, MountKind::scratch);
  host.program("/var/tmp/tools/bin/tool");
  const auto with_tools = compile_on(host, {}, {"tool"}, "/home/ada/work", "/var/tmp/tools/bin:/usr/bin");
  ASSERT_TRUE(with_tools) << with_tools.error().render();
  EXPECT_EQ(find_mount(with_tools->plan.mounts, "/var/tmp")->kind, MountKind::scratch);
  EXPECT_TRUE(find_mount(with_tools->plan.mounts, "/var/tmp/tools/bin"));
}

TEST(Compile, HidesOurOwnStateInABroadMount) {
  FakeHost host;
  host.make_directory("/home/ada/.local/state/stockade");
  const auto made =
      compile_on(host, with({{.host = "/home/ada", .at = "/home/ada", .access = Access::write, .reason = "all"}}));
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_THAT(find_mount(made->plan.mounts, "/home/ada")->hidden, ElementsAre(".local/state/stockade"));
}

TEST(Compile, MountsFilesAsThePolicySays) {
  FakeHost host;
  host.file("/data/inbox/mail");
  host.file("/data/one.txt");
  host.make_directory("/data/out");
  host.link("/data/alias", "inbox");
  const auto made = compile_on(host, with({{.host = "/data/alias", .at = "/inbox", .access = Access::read},
                                           {.host = "/data/one.txt", .at = "/one.txt", .access = Access::read},
                                           {.host = "/data/out", .at = "/out", .access = Access::write_only}}));
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_EQ(find_mount(made->plan.mounts, "/inbox")->kind, MountKind::overlay_read);
  EXPECT_EQ(find_mount(made->plan.mounts, "/inbox")->source, "/data/inbox");
  EXPECT_EQ(find_mount(made->plan.mounts, "/one.txt")->kind, MountKind::bind);
  EXPECT_FALSE(find_mount(made->plan.mounts, "/one.txt")->writable);
  EXPECT_EQ(find_mount(made->plan.mounts, "/out")->kind, MountKind::staging);
  EXPECT_EQ(find_mount(made->plan.mounts, "/home/ada/work"), nullptr);
  EXPECT_FALSE(made->plan.notify_sockets);
  EXPECT_EQ(made->plan.workdir, "/inbox");
  EXPECT_THAT(made->notes, Contains(HasSubstr("/data/alias is a link")));
}

struct Refusal {
  const char* name;
  std::vector<FileRule> files;
  const char* says;
};

TEST(Compile, RefusesMountsThatCannotBe) {
  FakeHost host;
  host.file("/data/in/file");
  host.make_directory("/data/out");
  ASSERT_EQ(::mkfifo((host.root() + "/data/fifo").c_str(), 0644), 0);
  const FileRule in{.host = "/data/in", .at = "/work", .access = Access::read};
  const Refusal refusals[] = {
      {"absent source", {{.host = "/data/none", .at = "/x", .access = Access::read}}, "does not exist"},
      {"fifo", {{.host = "/data/fifo", .at = "/x", .access = Access::read}}, "neither a directory nor a regular file"},
      {"write-only file", {{.host = "/data/in/file", .at = "/x", .access = Access::write_only}}, "is a file"},
      {"two at one place", {in, {.host = "/data/out", .at = "/work", .access = Access::write}}, "both stand at /work"},
      {"over /usr", {{.host = "/data/in", .at = "/usr/share/x", .access = Access::read}}, "belongs to the system"},
      {"over /proc", {{.host = "/data/in", .at = "/proc", .access = Access::read}}, "belongs to the system"},
      {"over our passwd", {{.host = "/data/in/file", .at = "/etc/passwd", .access = Access::read}}, "makes this part"},
      {"as /", {{.host = "/data/in", .at = "/", .access = Access::read}}, "the whole of what"},
      {"nested in a tree without the place",
       {in, {.host = "/data/out", .at = "/work/new", .access = Access::write}},
       "makes nothing in your trees"},
      {"directory on a file",
       {in, {.host = "/data/out", .at = "/work/file", .access = Access::write}},
       "makes nothing in your trees"},
      {"nested in write-only",
       {{.host = "/data/out", .at = "/o", .access = Access::write_only},
        {.host = "/data/in", .at = "/o/in", .access = Access::read}},
       "empty write-only"},
      {"hidden as a whole", {in, {.host = "/data/**", .access = Access::hide}}, "hidden as a whole"},
      {"hidden file",
       {in, {.host = "/data/in/file", .at = "/f", .access = Access::read}, {.host = "**/file", .access = Access::hide}},
       "hidden by"},
  };
  for (const Refusal& refusal : refusals) {
    const auto refused = compile_on(host, with(refusal.files));
    ASSERT_FALSE(refused) << refusal.name;
    EXPECT_EQ(refused.error().kind(), ErrorKind::invalid_input) << refusal.name;
    EXPECT_THAT(refused.error().render(), HasSubstr(refusal.says)) << refusal.name;
  }
}

TEST(Compile, NestsAMountWhereThePlaceExists) {
  FakeHost host;
  host.make_directory("/data/in/out");
  host.make_directory("/data/out");
  const auto made = compile_on(host, with({{.host = "/data/in", .at = "/work", .access = Access::read},
                                           {.host = "/data/out", .at = "/work/out", .access = Access::write}}));
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_LT(find_mount(made->plan.mounts, "/work"), find_mount(made->plan.mounts, "/work/out"));
}

TEST(Compile, HidesMatchesAndDropsTheirProtections) {
  FakeHost host;
  host.file("/home/ada/work/.env");
  host.file("/home/ada/work/.envrc");
  host.file("/home/ada/work/sub/.env");
  auto policy = with(
      {{.host = "/home/ada/work", .at = "/w", .access = Access::write}, {.host = "**/.env*", .access = Access::hide}});
  const auto made = compile_on(host, policy);
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_THAT(find_mount(made->plan.mounts, "/w")->hidden, ElementsAre(".env", ".envrc", "sub/.env"));
  EXPECT_THAT(find_mount(made->plan.mounts, "/w")->read_only, IsEmpty());
  policy.sandbox.strictness = policy::Strictness::hard;
  policy.sandbox.disk = 1 << 20;
  EXPECT_THAT(compile_on(host, policy).error().render(), HasSubstr("can't be guaranteed"));
}

TEST(Compile, SaysWhyACommandCannotStart) {
  FakeHost host;
  host.file("/home/ada/work/plain.txt", "x");
  host.program("/home/ada/work/run.sh", "#!/bin/sh\n");
  host.program("/home/ada/work/bad.sh", "#!/srv/odd/sh\n");
  host.program("/srv/odd/sh");
  host.program("/srv/odd/agent");
  struct Case {
    const char* command;
    int number;  // 0: it starts
  };
  for (const Case& test : {Case{"ghost", ENOENT}, Case{"./ghost", ENOENT}, Case{"./plain.txt", EACCES},
                           Case{"/srv/odd/agent", ENOENT}, Case{"", ENOENT}, Case{"./run.sh", 0},
                           Case{"/home/ada/work/run.sh", 0}, Case{"/usr/bin/true", 0}, Case{".", EACCES}}) {
    const auto made = compile_on(host, {}, {test.command});
    EXPECT_EQ(made ? 0 : made.error().error_number(), test.number)
        << test.command << (made ? "" : made.error().render());
    if (!made) {
      EXPECT_NE(made.error().hint(), "") << test.command;
    }
  }
  EXPECT_FALSE(compile_on(host, {}, {}));
  EXPECT_THAT(compile_on(host, {}, {"/srv/odd/agent"}).error().hint(), HasSubstr("host: /srv/odd"));
}

TEST(Compile, FindsAScriptsInterpreterInAVirtualEnvironment) {
  FakeHost host;
  host.program("/home/ada/work/agent.py", "#!/home/ada/venvs/a/bin/python\n");
  host.file("/home/ada/venvs/a/pyvenv.cfg");
  host.link("/home/ada/venvs/a/bin/python", "/usr/bin/true");
  const auto made = compile_on(host, {}, {"./agent.py"});
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_TRUE(find_mount(made->plan.mounts, "/home/ada/venvs/a"));
}

TEST(Compile, ShowsTheInstallationOfTheCommand) {
  FakeHost host;
  host.program("/home/ada/.local/share/claude/versions/2.0");
  host.link("/home/ada/.local/bin/claude", "/home/ada/.local/share/claude/versions/2.0");
  const auto made = compile_on(host, {}, {"claude"}, "/home/ada/work", "/home/ada/.local/bin:/usr/bin");
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_TRUE(find_mount(made->plan.mounts, "/home/ada/.local/bin"));
  EXPECT_TRUE(find_mount(made->plan.mounts, "/home/ada/.local/share/claude/versions"));
  EXPECT_EQ(find_mount(made->plan.mounts, "/home/ada/.local/share"), nullptr);
  const auto by_path = compile_on(host, {}, {"/home/ada/.local/bin/claude"}, "/home/ada/work", "/usr/bin");
  ASSERT_TRUE(by_path) << by_path.error().render();
  EXPECT_TRUE(find_mount(by_path->plan.mounts, "/home/ada/.local/bin"));
}

TEST(Compile, MakesEverythingWritableNoexecWithAListOfPrograms) {
  FakeHost host;
  host.program("/usr/bin/curl");
  host.program("/home/ada/.cargo/bin/cargo");
  policy::Policy policy = with({default_workspace()});
  policy.programs.allow = std::vector<std::string>{"sh"};
  const auto made = compile_on(host, policy, {"true"}, "/home/ada/work", "/home/ada/.cargo/bin:/usr/bin");
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_TRUE(made->plan.program_list);
  EXPECT_THAT(made->plan.environment, Contains("PATH=/usr/bin"));
  EXPECT_TRUE(find_mount(made->plan.mounts, "/usr/bin/sh"));
  EXPECT_TRUE(find_mount(made->plan.mounts, "/usr/bin/true"));  // the command itself
  EXPECT_FALSE(find_mount(made->plan.mounts, "/usr/bin/curl"));
  for (const Mount& mount : made->plan.mounts) {
    if (mount.writable || mount.kind == MountKind::scratch) {
      EXPECT_FALSE(mount.exec) << mount.target;
    }
  }
}

TEST(Compile, ChoosesTheWorkdirInside) {
  FakeHost host;
  host.make_directory("/home/ada/work/sub");
  auto policy = with({{.host = "/home/ada/work", .at = "/w", .access = Access::read}});
  EXPECT_EQ(compile_on(host, policy, {"true"}, "/home/ada/work/sub")->plan.workdir, "/w/sub");
  EXPECT_EQ(compile_on(host, policy, {"true"}, "/tmp")->plan.workdir, "/w");
  policy.run.workdir = "/w/sub";
  EXPECT_EQ(compile_on(host, policy)->plan.workdir, "/w/sub");
  policy.run.workdir = "/w/none";
  EXPECT_THAT(compile_on(host, policy).error().render(), HasSubstr("no directory inside"));
}

TEST(Compile, HoldsLimitsByWhatTheMachineOffers) {
  FakeHost host;
  policy::Policy policy;
  policy.sandbox.memory = 512 << 20;
  policy.sandbox.cpus = 1.5;
  policy.sandbox.disk = 2ull << 30;
  CompileOptions options{.command = {"true"}};
  options.support.memory = {Strength::hard, "cgroup v2"};
  const auto compiled = [&] { return compile(policy, host.surroundings(), host.tree(), options); };
  auto made = compiled();
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_EQ(made->plan.limits.memory, (Limit{512 << 20, Strength::hard, "cgroup v2"}));
  EXPECT_EQ(made->plan.limits.cpus, (Limit{1500, Strength::polled, "supervisor"}));
  EXPECT_EQ(made->plan.limits.pids->value, 4096u);
  EXPECT_EQ(made->plan.limits.disk->strength, Strength::polled);
  EXPECT_EQ(made->plan.limits.inodes->value, (2ull << 30) / (16 << 10));

  policy.sandbox.strictness = policy::Strictness::hard;
  EXPECT_EQ(compiled().error().kind(), ErrorKind::unavailable);
  EXPECT_THAT(compiled().error().render(), HasSubstr("cpus, disk, inodes"));
  options.support.cpus = {Strength::hard, "cgroup v2"};
  policy.sandbox.disk = 100 << 20;
  made = compiled();
  ASSERT_TRUE(made) << made.error().render();
  EXPECT_EQ(made->plan.limits.disk, (Limit{100 << 20, Strength::hard, "tmpfs size"}));
  options.support.pids = {Strength::refused, ""};
  EXPECT_THAT(compiled().error().render(), HasSubstr("can hold the limit on pids"));
}

TEST(Compile, LendsMemoryToFilesOnlyWhereItIsHeldOrAskedFor) {
  FakeHost host;
  policy::Policy policy;
  policy.sandbox.memory = 16ull << 30;
  CompileOptions options{.command = {"true"}};
  const auto disk = [&] { return compile(policy, host.surroundings(), host.tree(), options)->plan.limits.disk; };
  options.support.memory = {Strength::polled, "supervisor"};
  EXPECT_EQ(disk()->strength, Strength::polled);  // 10 GiB in the run's state
  options.support.memory = {Strength::hard, "cgroup v2"};
  EXPECT_EQ(disk()->by, "tmpfs size");
  options.support.memory = {Strength::polled, "supervisor"};
  policy.sandbox.disk = 1 << 30;
  EXPECT_EQ(disk()->by, "tmpfs size");
  policy.sandbox.disk = 17ull << 30;
  EXPECT_EQ(disk()->strength, Strength::polled);
}

TEST(Compile, MeasuresWhatIsStagedWithWhatIsPrivate) {
  FakeHost host;
  host.make_directory("/data/out");
  auto policy = with({{.host = "/data/out", .at = "/out", .access = Access::write_only}});
  policy.sandbox.memory = 1 << 30;
  policy.sandbox.disk = 1 << 20;
  CompileOptions options{.command = {"true"}};
  options.support.memory = options.support.cpus = {Strength::hard, "cgroup v2"};
  const auto compiled = [&] { return compile(policy, host.surroundings(), host.tree(), options); };
  EXPECT_EQ(compiled()->plan.limits.disk, (Limit{1 << 20, Strength::polled, "supervisor"}));
  EXPECT_EQ(compiled()->plan.limits.inodes->strength, Strength::polled);
  policy.sandbox.strictness = policy::Strictness::hard;
  EXPECT_THAT(compiled().error().render(), HasSubstr("does not hold disk, inodes"));
}

TEST(Compile, NamesSocketsBelowTheirMount) {
  FakeHost host;
  FileRule rule{.host = "/home/ada/work", .at = "/w", .access = Access::write};
  rule.sockets = {"/home/ada/work/run/db.sock"};
  EXPECT_THAT(find_mount(compile_on(host, with({rule}))->plan.mounts, "/w")->sockets, ElementsAre("run/db.sock"));
  rule.access = Access::read;
  EXPECT_FALSE(compile_on(host, with({rule})));
}

TEST(Compile, EscapesControlCharactersInItsText) {
  FakeHost host;
  const auto made = compile_on(host, {}, {"true", "a\nmount bind /"});
  ASSERT_TRUE(made);
  EXPECT_THAT(to_text(made->plan), HasSubstr("[a\\x0amount bind /]"));
}

TEST(Compile, DescribesTheViewInSentences) {
  FakeHost host;
  host.file("/home/ada/work/.envrc");
  const auto lines = describe_view(compile_on(host, {})->plan);
  EXPECT_THAT(lines, Contains(HasSubstr("/home/ada/work is writable, at once")));
  EXPECT_THAT(lines, Contains(HasSubstr("/home/ada/work/.envrc is read-only")));
}

// On this very machine, as whoever runs the tests and as somebody without any rights.
int compile_here(uid_t uid, const std::string& cwd) {
  if (uid != ::getuid() && (::setgid(uid) != 0 || ::setuid(uid) != 0)) return 10;
  auto tree = HostTree::open("/");
  if (!tree) return 11;
  auto surroundings = survey_host(
      *tree, {.uid = uid, .gid = uid, .cwd = cwd, .environment = {{"PATH", "/root/.cargo/bin:/usr/bin:/bin"}}});
  if (!surroundings) return 12;
  policy::Policy policy;
  policy.files = {default_workspace(cwd)};
  const auto made = compile(policy, *surroundings, *tree, {.command = {"true"}});
  if (!made) return 13;
  if (!find_mount(made->plan.mounts, "/usr") || !find_mount(made->plan.mounts, cwd)) return 14;
  for (const Mount& mount : made->plan.mounts) {
    if (mount.source == surroundings->home || mount.source == "/etc" || mount.source == "/etc/passwd") return 15;
    if (uid == 12345 && is_at_or_below(mount.source, "/root")) return 16;
  }
  return 0;
}

TEST(Compile, WorksOnThisMachineAlsoForAnOrdinaryUser) {
  FakeHost host;  // for its directory only
  host.make_directory("/cwd");
  const std::string cwd = host.root() + "/cwd";
  EXPECT_EQ(compile_here(::getuid(), cwd), 0);
  if (::getuid() != 0) GTEST_SKIP() << "only root can become another user";
  auto child = fork_child([&] { return compile_here(12345, cwd); });
  ASSERT_TRUE(child);
  const auto status = child->wait();
  ASSERT_TRUE(status);
  EXPECT_FALSE(status->signalled);
  EXPECT_EQ(status->code, 0);
}

}  // namespace
}  // namespace stockade::sandbox
