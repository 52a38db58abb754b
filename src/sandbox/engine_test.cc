// The engine in the kernel: each test runs real programs in real sandboxes, as root and as an ordinary user.
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <fstream>

#include "base/ip_address.h"
#include "sandbox/engine_fixture.h"

namespace stockade::sandbox {
namespace {

using testing::Outcome;
using testing::run_plan;
using testing::shell_plan;
using testing::TempTree;

class Engine : public testing::EngineTest {
 protected:
  static bool is_root() { return GetParam() == 0; }
  static Outcome run(const SandboxPlan& plan, const testing::During& during = nullptr) {
    return run_plan(plan, GetParam(), during);
  }
  static Outcome sh(const std::string& script) { return run(shell_plan(script)); }
};

INSTANTIATE_TEST_SUITE_P(AsRootAndUser, Engine, ::testing::Values(0U, testing::kOrdinaryUser), testing::user_name);

#define EXPECT_RUNS(outcome, wanted_code)                         \
  do {                                                            \
    EXPECT_EQ((outcome).error, "");                               \
    EXPECT_EQ((outcome).code, (wanted_code)) << (outcome).output; \
  } while (false)

TEST_P(Engine, ReportsTheAgentsExitStatus) {
  const Outcome outcome = sh("exit 42");
  EXPECT_RUNS(outcome, 42);
  EXPECT_FALSE(outcome.signalled);
}

TEST_P(Engine, ReportsTheSignalThatEndedTheAgent) {
  const Outcome outcome = sh("kill -TERM $$");
  EXPECT_RUNS(outcome, SIGTERM);
  EXPECT_TRUE(outcome.signalled);
}

TEST_P(Engine, NamesAProgramThatIsNotThere) {
  SandboxPlan plan = shell_plan("");
  plan.command = {"no-such-program"};
  const Outcome outcome = run(plan);
  EXPECT_EQ(outcome.code, 127);
  EXPECT_NE(outcome.error.find("run no-such-program: no such file"), std::string::npos) << outcome.error;
}

TEST_P(Engine, NamesAProgramThatCannotBeRun) {
  SandboxPlan plan = shell_plan("");
  plan.command = {"/usr/share"};
  const Outcome outcome = run(plan);
  EXPECT_EQ(outcome.code, 126);
  EXPECT_NE(outcome.error.find("EACCES"), std::string::npos) << outcome.error;
}

TEST_P(Engine, ShowsThePlansIdsHostNameAndEnvironmentAndNothingElse) {
  SandboxPlan plan = shell_plan(
      "id -u; id -g; hostname; env | sort; umask; pwd; domainname 2>/dev/null || cat /proc/sys/kernel/domainname");
  plan.uid = 1001;
  plan.gid = 1002;
  plan.hostname = "cell";
  const Outcome outcome = run(plan);
  EXPECT_RUNS(outcome, 0);
  EXPECT_TRUE(
      outcome.output.starts_with("1001\n1002\ncell\nHOME=/home/agent\nPATH=/usr/bin:/bin\nPWD=/tmp\n0022\n/tmp\n"))
      << outcome.output;
}

TEST_P(Engine, LeavesNoCapabilityInAnySet) {
  const Outcome outcome = sh("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(
      outcome.output,
      "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
      "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
}

TEST_P(Engine, ShowsOnlyTheSandboxesProcesses) {
  const Outcome outcome = sh("echo $$; cd /proc; ls -d [0-9]* | wc -l");
  EXPECT_RUNS(outcome, 0);
  EXPECT_TRUE(outcome.output == "2\n3\n" || outcome.output == "2\n4\n") << outcome.output;
}

TEST_P(Engine, KeepsInitOutOfTheAgentsReach) {
  const Outcome outcome =
      sh("kill -9 1 2>/dev/null; kill -STOP 1 2>/dev/null; ls /proc/1/fd 2>/dev/null; cat /proc/1/environ /proc/1/maps "
         "/proc/1/mem 2>/dev/null;"
         "readlink /proc/1/exe /proc/1/root /proc/1/cwd; tr '\\0' ' ' < /proc/1/cmdline; echo; grep -E "
         "'^(CapPrm|CapBnd|NoNewPrivs|Seccomp:)' /proc/1/status");
  EXPECT_RUNS(outcome, 0);
  EXPECT_TRUE(outcome.output.starts_with("stockade-init ")) << outcome.output;
  EXPECT_NE(outcome.output.find("CapPrm:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"),
            std::string::npos)
      << outcome.output;
}

TEST_P(Engine, LetsNothingInheritedThrough) {
  const Fd open_elsewhere(::open("/", O_RDONLY | O_DIRECTORY));  // without O_CLOEXEC
  const Outcome outcome =
      sh("ls /proc/self/fd; grep -E '^(SigBlk|SigIgn)' /proc/self/status; cat /proc/self/oom_score_adj; ps -o "
         "sid=,pgid= -p $$ | tr -s ' '");
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(outcome.output, "0\n1\n2\n3\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n1000\n 1 2\n")
      << "in init's session, in a group of its own";
}

TEST_P(Engine, MakesTheRootAndItsFilesReadOnly) {
  SandboxPlan plan = shell_plan(
      "cat /etc/greeting; for p in /x /etc/greeting /etc/x /dev/x /usr/x /proc/sys/kernel/hostname; do "
      "(echo > $p) 2>/dev/null && echo wrote $p; done; echo ok > /tmp/x && cat /tmp/x; echo ok > /home/agent/x; echo "
      "ok > /dev/shm/x; "
      "mkdir -p /home/agent/.cache/y && echo made");
  plan.mounts.push_back({.kind = MountKind::content, .target = "/etc/greeting", .content = "hello\n", .mode = 0444});
  const Outcome outcome = run(plan);
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(outcome.output, "hello\nok\nmade\n");
}

TEST_P(Engine, KeepsAFileOfOursInTheAgentsHomeReadOnly) {
  SandboxPlan plan = shell_plan(
      "cat ~/.gitconfig; rm -f ~/.gitconfig 2>/dev/null; echo x 2>/dev/null > ~/.gitconfig; mv ~/.gitconfig ~/y "
      "2>/dev/null; cat ~/.gitconfig");
  plan.mounts.push_back(
      {.kind = MountKind::content, .target = "/home/agent/.gitconfig", .content = "[user]\n", .mode = 0444});
  const Outcome outcome = run(plan);
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(outcome.output, "[user]\n[user]\n");
}

TEST_P(Engine, MasksWhatProcTellsAboutTheMachine) {
  const Outcome outcome = sh(
      "for f in keys key-users timer_list kallsyms kmsg config.gz modules slabinfo vmallocinfo pagetypeinfo interrupts "
      "sysrq-trigger sys/kernel/random/boot_id kcore; do [ -e /proc/$f ] && [ -n \"$(head -c1 /proc/$f 2>/dev/null | "
      "tr -d '\\0')\" ] && echo shown $f; done;"
      "ls /proc/acpi /proc/scsi /proc/pressure 2>/dev/null | grep -v '^/proc\\|^$'; for d in sys bus fs irq; do grep "
      "-q \" /proc/$d ro,\" /proc/self/mountinfo || echo $d; done; ls /sys 2>/dev/null; echo end");
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(outcome.output, "end\n");
}

TEST_P(Engine, HidesAllOfProcButProcessesInAMinimalOne) {
  SandboxPlan plan = shell_plan("ls /proc | grep -v '[0-9]'");
  plan.minimal_proc = true;
  const Outcome outcome = run(plan);
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(outcome.output, "self\nthread-self\n");
}

TEST_P(Engine, HasNothingButLoopbackAndNoOldRoot) {
  const Outcome outcome =
      sh("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; grep -c ' / / ' /proc/self/mountinfo; grep -c shared: "
         "/proc/self/mountinfo; grep -c master: /proc/self/mountinfo; ls -a / | tr '\\n' ' '");
  EXPECT_EQ(outcome.output, "lo\n0\n0\n0\n. .. bin dev home lib lib64 proc sbin tmp usr ");
}

TEST_P(Engine, RefusesNewNamespacesMountsAndForeignFamilies) {
  const Outcome outcome =
      sh("unshare -U true 2>&1; unshare -n true 2>/dev/null || echo no; mount -t tmpfs x /tmp 2>/dev/null || echo no; "
         "chroot / true 2>/dev/null || echo no; cat /proc/sys/user/max_user_namespaces");
  EXPECT_NE(outcome.output.find("no\nno\nno\n0\n"), std::string::npos) << outcome.output;
}

TEST_P(Engine, MountsAWritableTreeAsTheOwnersAndAReadOnlyOne) {
  const TempTree tree(GetParam());
  TempTree mutable_tree(GetParam());
  const std::string rw = mutable_tree.directory("rw"), ro = mutable_tree.directory("ro");
  mutable_tree.write("rw/old", "old\n");
  mutable_tree.write("ro/old", "read\n");
  SandboxPlan plan = shell_plan(
      "stat -c %u /rw /rw/old; cat /rw/old /ro/old; echo new > /rw/new; mkdir /rw/dir; mv /rw/old /rw/dir/moved; (echo "
      "x > /ro/x) 2>/dev/null || echo refused");
  plan.mounts.push_back(
      {.kind = MountKind::bind, .source = rw, .target = "/rw", .writable = true, .persons_tree = true});
  plan.mounts.push_back({.kind = MountKind::bind, .source = ro, .target = "/ro", .persons_tree = true});
  const Outcome outcome = run(plan);
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(outcome.output, "1000\n1000\nold\nread\nrefused\n");
  struct stat info{};
  ASSERT_EQ(::stat((rw + "/new").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, GetParam()) << "what the agent made belongs to the tree's owner outside";
  EXPECT_EQ(info.st_gid, GetParam());
  EXPECT_EQ(::stat((rw + "/dir/moved").c_str(), &info), 0);
}

TEST_P(Engine, ShowsATreeOfSomebodyElseThroughTheOwnersEyes) {
  if (!is_root()) GTEST_SKIP() << "only root can mount another person's tree as the agent's";
  TempTree tree(4242);
  tree.write("secret", "x");
  ::chmod((tree.path() + "/secret").c_str(), 0600);
  SandboxPlan plan = shell_plan("cat /t/secret && echo y > /t/made && stat -c %u /t/made");
  plan.mounts.push_back(
      {.kind = MountKind::bind, .source = tree.path(), .target = "/t", .writable = true, .persons_tree = true});
  const Outcome outcome = run(plan);
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(outcome.output, "x1000\n");
  struct stat info{};
  ASSERT_EQ(::stat((tree.path() + "/made").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 4242U);
}

TEST_P(Engine, RefusesASourceWithASymbolicLinkInItsPath) {
  TempTree tree(GetParam());
  tree.write("real/inner/file", "x");
  ASSERT_EQ(::symlink("real", (tree.path() + "/link").c_str()), 0);
  SandboxPlan plan = shell_plan("true");
  plan.mounts.push_back({.kind = MountKind::bind, .source = tree.path() + "/link/inner", .target = "/t"});
  const Outcome outcome = run(plan);
  EXPECT_FALSE(outcome.launched);
  EXPECT_NE(outcome.error.find("ELOOP"), std::string::npos) << outcome.error;
}

TEST_P(Engine, MakesNoMountPointInATreeOfTheHost) {
  TempTree tree(GetParam());
  SandboxPlan plan = shell_plan("true");
  plan.mounts.push_back(
      {.kind = MountKind::bind, .source = tree.path(), .target = "/t", .writable = true, .persons_tree = true});
  plan.mounts.push_back({.kind = MountKind::bind, .source = "/usr", .target = "/t/usr"});
  const Outcome outcome = run(plan);
  EXPECT_FALSE(outcome.launched);
  EXPECT_NE(outcome.error.find("mount /t/usr: there is no usr in the mounted tree"), std::string::npos)
      << outcome.error;
  EXPECT_NE(::access((tree.path() + "/usr").c_str(), F_OK), 0);
}

TEST_P(Engine, LeavesOutAnOptionalSourceThatIsNotThere) {
  SandboxPlan plan = shell_plan("ls /opt 2>/dev/null | wc -l");
  plan.mounts.push_back({.kind = MountKind::bind, .source = "/no/such/place", .target = "/opt/x", .optional = true});
  EXPECT_RUNS(run(plan), 0);
  plan.mounts.back().optional = false;
  EXPECT_NE(run(plan).error.find("open /no/such/place: no such file"), std::string::npos);
}

TEST_P(Engine, HidesNamesInAReadOnlyOverlay) {
  TempTree tree(GetParam());
  tree.write(".env", "SECRET");
  tree.write("a/b/.env", "SECRET");
  tree.write("a/b/open", "open\n");
  tree.write("a/keys/one", "SECRET");
  ::chmod((tree.path() + "/a/b").c_str(), 0750);
  ASSERT_EQ(::symlink("a/b/.env", (tree.path() + "/link").c_str()), 0);
  SandboxPlan plan = shell_plan(
      "cd /t; grep -rs SECRET . ; cat .env a/b/.env link a/keys/one 2>&1 | grep -vc 'No such file'; ls -A . a a/b; cat "
      "a/b/open; stat -c '%a %u' a/b;"
      "(echo x > a/b/x) 2>/dev/null || echo refused; rm -f a/b/open 2>/dev/null; cat /proc/self/cwd/a/b/.env "
      "2>/dev/null; ls -d a/b/.env 2>/dev/null; true");
  plan.mounts.push_back({.kind = MountKind::overlay_read,
                         .source = tree.path(),
                         .target = "/t",
                         .persons_tree = true,
                         .hidden = {".env", "a/b/.env", "a/keys"}});
  const Outcome outcome = run(plan);
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(outcome.output, "0\n.:\na\nlink\n\na:\nb\n\na/b:\nopen\nopen\n750 1000\nrefused\n");
}

TEST_P(Engine, KeepsAClosedDirectoryClosedWhenSomethingInItIsHidden) {
  if (!is_root()) GTEST_SKIP() << "an ordinary user's closed directories are its own";
  TempTree tree(0);
  tree.write("closed/.env", "SECRET");
  tree.write("closed/other", "SECRET");
  ::chmod((tree.path() + "/closed").c_str(), 0700);
  SandboxPlan plan = shell_plan("ls /t/closed 2>&1; cat /t/closed/other 2>&1");
  plan.mounts.push_back(
      {.kind = MountKind::overlay_read, .source = tree.path(), .target = "/t", .hidden = {"closed/.env"}});
  const Outcome outcome = run(plan);
  EXPECT_EQ(outcome.output.find("SECRET"), std::string::npos) << outcome.output;
  EXPECT_EQ(outcome.output.find("other\n"), std::string::npos) << outcome.output;
}

TEST_P(Engine, RefusesHostSocketsInAReadOnlyTree) {
  TempTree tree(GetParam());
  const Fd server(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = tree.path() + "/s";
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(server.get(), 1), 0);
  ::chmod(path.c_str(), 0777);
  SandboxPlan plan = shell_plan(
      "python3 -c \"import socket; s=socket.socket(socket.AF_UNIX)\ntry: s.connect('/t/s'); print('connected')\nexcept "
      "OSError as e: print(type(e).__name__)\"");
  plan.mounts.push_back({.kind = MountKind::overlay_read, .source = tree.path(), .target = "/t", .persons_tree = true});
  const Outcome outcome = run(plan);
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(outcome.output, "ConnectionRefusedError\n");
}

// Mounts a tmpfs inside a tree, in a mount namespace of the test's own, and runs `body` there.
bool with_submount(const std::string& place, uid_t uid, const std::function<bool()>& body) {
  return testing::as_user(::geteuid(), [&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
    if (::mount("tmpfs", place.c_str(), "tmpfs", 0, "mode=0755") != 0) return false;
    std::ofstream(place + "/secret") << "SECRET";
    std::ofstream(place + "/open") << "open";
    for (const char* name : {"", "/secret", "/open"}) (void)!::chown((place + name).c_str(), uid, uid);
    return body();
  });
}

TEST_P(Engine, HidesNamesInAFilesystemMountedBelowAReadOnlyTree) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  TempTree tree(GetParam());
  const std::string inner = tree.directory("a/inner");
  SandboxPlan plan = shell_plan(
      "ls /t/a/inner; cat /t/a/inner/secret 2>/dev/null; cat /t/a/inner/open; (echo x > /t/a/inner/x) 2>/dev/null || "
      "echo ro");
  plan.mounts.push_back({.kind = MountKind::overlay_read,
                         .source = tree.path(),
                         .target = "/t",
                         .persons_tree = true,
                         .hidden = {"a/inner/secret"}});
  const uid_t uid = GetParam();
  EXPECT_TRUE(with_submount(inner, uid, [&] {
    const Outcome outcome = run_plan(plan, uid);
    // An ordinary user can't take the tree apart: there the name stays, behind a mask.
    const std::string wanted = uid == 0 ? "open\nopenro\n" : "open\nsecret\nopenro\n";
    if (outcome.output != wanted) std::fprintf(stderr, "%s%s", outcome.error.c_str(), outcome.output.c_str());
    return outcome.output == wanted;
  }));
}

TEST_P(Engine, AsksAboutSocketsWhereAnOverlayCantStack) {
  if (::geteuid() != 0 || GetParam() == 0) GTEST_SKIP() << "only an ordinary user's mounts are locked";
  TempTree tree(GetParam());
  const std::string inner = tree.directory("inner");
  SandboxPlan plan = shell_plan("true");
  plan.mounts.push_back({.kind = MountKind::overlay_read, .source = tree.path(), .target = "/t", .persons_tree = true});
  EXPECT_TRUE(with_submount(inner, GetParam(), [&] {
    return testing::as_user(GetParam(), [&] {
      auto sandbox = NativeSandbox::launch(plan, {.run_id = fmt::format("test-stack-{}", ::getpid())});
      return sandbox && sandbox->handles().notify;
    });
  }));
}

TEST_P(Engine, DoesWithoutAUserNamespaceOfItsOwnForAMaskedProcOrRefuses) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mask /proc";
  const uid_t uid = GetParam();
  EXPECT_TRUE(testing::as_user(::geteuid(), [&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
    if (::mount("/proc/sys", "/proc/sys", nullptr, MS_BIND, nullptr) != 0) return false;
    const Outcome outcome = run_plan(shell_plan("exit 7"), uid);
    if (uid == 0) return outcome.code == 7;
    return !outcome.launched && outcome.error.find("stockade doctor") != std::string::npos;
  }));
}

TEST_P(Engine, MasksAndProtectsPathsInAWritableTree) {
  TempTree tree(GetParam());
  tree.write(".env", "SECRET");
  tree.write("keys/one", "SECRET");
  tree.write(".git/hooks/pre-commit", "hook");
  tree.write(".envrc", "rc");
  tree.write("code", "code\n");
  SandboxPlan plan = shell_plan(
      "cd /t; cat .env; ls keys; grep -rs SECRET .; rm -f .env 2>/dev/null || echo busy; mv .git/hooks g 2>/dev/null "
      "|| echo busy; (echo x > .git/hooks/new) 2>/dev/null || echo ro;"
      "(echo x >> .envrc) 2>/dev/null || echo ro; echo x >> code; cat code; echo y > .git/config && echo config");
  plan.mounts.push_back({.kind = MountKind::bind,
                         .source = tree.path(),
                         .target = "/t",
                         .writable = true,
                         .persons_tree = true,
                         .hidden = {".env", "keys", "gone"},
                         .read_only = {".git/hooks", ".envrc", ".husky"}});
  const Outcome outcome = run(plan);
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(outcome.output, "busy\nbusy\nro\nro\ncode\nx\nconfig\n");
}

TEST_P(Engine, LeavesWhatWasMadeInAStagingDirectoryInTheRunsState) {
  TempTree tree(GetParam());
  const std::string output = tree.directory("output"), state = tree.directory("state");
  tree.write("output/old", "old");
  SandboxPlan plan = shell_plan("ls -A /output; echo made > /output/file; cat /output/file");
  plan.staging_root = state;
  plan.mounts.push_back({.kind = MountKind::staging, .source = output, .target = "/output", .writable = true});
  const Outcome outcome = run(plan);
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(outcome.output, "made\n");
  struct stat info{};
  ASSERT_EQ(::stat(fmt::format("{}/staging-{}/file", state, plan.mounts.size() - 1).c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, GetParam());
}

TEST_P(Engine, KeepsScratchOnDiskWhenItIsTooLargeForMemoryAndRemovesIt) {
  TempTree tree(GetParam());
  const std::string state = tree.directory("state");
  SandboxPlan plan = shell_plan(
      "echo x > /tmp/y; mkdir -p ~/d/e; echo z > ~/d/e/f; chmod 0 ~/d/e; stat -c '%a %u' /tmp /home/agent; grep ' /tmp "
      "' /proc/self/mountinfo | grep -c tmpfs");
  plan.staging_root = state;
  plan.limits.disk = Limit{1ULL << 40, Strength::polled, "supervisor"};
  const Outcome outcome = run(plan);
  EXPECT_EQ(outcome.output, "1777 1000\n700 1000\n0\n") << outcome.error;
  EXPECT_EQ(::rmdir(state.c_str()), 0) << "scratch directories were left in the run's state";
}

TEST_P(Engine, RemovesADeepClosedScratchTree) {
  TempTree tree(GetParam());
  const std::string state = tree.directory("state");
  SandboxPlan plan = shell_plan("");
  plan.staging_root = state;
  plan.limits.disk = Limit{1ULL << 40, Strength::polled, "supervisor"};
  plan.command = {"python3", "-c",
                  "import os\nos.mkdir('.stockade-removing-0')\nfor i in range(3000):\n  os.mkdir('d'); "
                  "os.symlink('/etc','l'); os.chdir('d')\n"
                  "for i in range(2): os.chdir('..'); os.chmod('d',0)\nos.chmod('/tmp',0)\nprint('deep')"};
  const Outcome outcome = run(plan);
  EXPECT_EQ(outcome.output, "deep\n") << outcome.error;
  EXPECT_EQ(::rmdir(state.c_str()), 0) << "scratch directories were left in the run's state";
}

TEST_P(Engine, NoticesADiskLimitThatNobodyElseHolds) {
  TempTree tree(GetParam());
  const std::string state = tree.directory("state");
  for (const bool by_count : {false, true}) {
    SandboxPlan plan = shell_plan("");
    plan.staging_root = state;
    plan.limits.disk = Limit{32U << 20, Strength::polled, "supervisor"};
    plan.limits.inodes = Limit{100, Strength::polled, "supervisor"};
    plan.command = {
        "python3", "-c",
        by_count ? "import time\nfor i in range(300): open('/tmp/%d'%i,'w')\ntime.sleep(60)"
                 : "import time\nf=open('/tmp/f','wb',0)\nfor i in range(64): f.write(bytes(1<<20))\ntime.sleep(60)"};
    EXPECT_TRUE(testing::as_user(GetParam(), [&] {
      auto sandbox = NativeSandbox::launch(plan, {.run_id = fmt::format("test-disk-{}", ::getpid())});
      if (!sandbox || !sandbox->release()) return false;
      for (int i = 0; i < 4000; ++i) {
        if (sandbox->exceeded_limit() == (by_count ? "inodes" : "disk")) return true;
        pollfd fd{sandbox->status_fd(), POLLIN, 0};
        ::poll(&fd, 1, 5);
      }
      return false;
    }));
  }
  EXPECT_EQ(::rmdir(state.c_str()), 0);
}

TEST_P(Engine, HoldsTheDiskLimitByBytesAndInodes) {
  SandboxPlan plan = shell_plan("");
  plan.command = {"python3", "-c",
                  "n=0\ntry:\n f=open('/tmp/big','wb',0)\n while True: n+=f.write(bytes(1<<16))\nexcept OSError as e: "
                  "print(e.strerror, n)\n"
                  "import os; f.close(); os.unlink('/tmp/big')\nn=0\ntry:\n while True: open('/dev/shm/%d'%n,'w'); "
                  "n+=1\nexcept OSError as e: print(e.strerror, n)"};
  plan.limits.disk = Limit{16U << 20, Strength::hard, "tmpfs size"};
  plan.limits.inodes = Limit{1000, Strength::hard, "tmpfs inodes"};
  const Outcome outcome = run(plan);
  EXPECT_EQ(outcome.output, "No space left on device 16777216\nNo space left on device 1000\n") << outcome.error;
}

TEST_P(Engine, BoundsAForkBomb) {
  SandboxPlan plan = shell_plan("i=0; while [ $i -lt 200 ]; do sleep 60 & i=$((i+1)); done 2>/dev/null; true");
  plan.command = {"python3", "-c",
                  "import os,time\nn=0\nfor i in range(200):\n  try:\n    if os.fork()==0: time.sleep(60)\n    n+=1\n  "
                  "except OSError as e: pass\nprint(n)"};
  const Outcome outcome = run(plan);
  EXPECT_RUNS(outcome, 0);
  EXPECT_EQ(outcome.output, "63\n") << "64 processes, the first included";
}

TEST_P(Engine, GivesATerminalOfItsOwn) {
  SandboxPlan plan = shell_plan("tty; stty size; ps -o tty= -p $$ | tr -d ' '; stat -c %u $(tty); ls -1 /dev/pts");
  plan.terminal = true;
  std::string shown;
  const bool held = testing::as_user(GetParam(), [&] {
    auto sandbox = NativeSandbox::launch(plan, {.run_id = fmt::format("test-pty-{}", ::getpid())});
    if (!sandbox || !sandbox->release()) return false;
    char buffer[4096];
    ssize_t count;
    while ((count = ::read(sandbox->handles().pty_master.get(), buffer, sizeof(buffer))) > 0)
      shown.append(buffer, static_cast<size_t>(count));
    if (shown != "/dev/pts/0\r\n0 0\r\npts/0\r\n1000\r\n0\r\nptmx\r\n") std::fprintf(stderr, "%s", shown.c_str());
    return shown == "/dev/pts/0\r\n0 0\r\npts/0\r\n1000\r\n0\r\nptmx\r\n";
  });
  EXPECT_TRUE(held);
}

TEST_P(Engine, HandsOutANotifyListenerWhereAWritableTreeIsMounted) {
  SandboxPlan plan = shell_plan("true");
  plan.notify_sockets = true;
  const bool held = testing::as_user(GetParam(), [&] {
    auto sandbox = NativeSandbox::launch(plan, {.run_id = fmt::format("test-notify-{}", ::getpid())});
    return sandbox && sandbox->handles().notify && sandbox->release();
  });
  EXPECT_TRUE(held);
}

TEST_P(Engine, RedirectsEveryConnectionToTheListener) {
  SandboxPlan plan = shell_plan("");
  plan.network = true;
  plan.command = {
      "python3", "-c",
      "import socket\nfor f,a in ((socket.AF_INET,('203.0.113.7',443)),(socket.AF_INET6,('2001:db8::7',8443))):\n "
      "s=socket.socket(f); s.settimeout(5); s.connect(a); print(s.recv(100).decode())"};
  const bool held = testing::as_user(GetParam(), [&] {
    auto sandbox = NativeSandbox::launch(plan, {.run_id = fmt::format("test-net-{}", ::getpid())});
    if (!sandbox || !sandbox->handles().listeners || !sandbox->release()) return false;
    auto& listeners = *sandbox->handles().listeners;
    for (const auto& [fd, port] : {std::pair(listeners.tcp4.get(), 443), std::pair(listeners.tcp6.get(), 8443)}) {
      pollfd waiting{fd, POLLIN, 0};
      if (::poll(&waiting, 1, 10'000) != 1) return false;
      const Fd connection(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
      sockaddr_storage meant{};
      socklen_t size = sizeof(meant);
      ::getsockname(connection.get(), reinterpret_cast<sockaddr*>(&meant), &size);
      const auto endpoint = Endpoint::from_sockaddr(meant);
      if (!endpoint || endpoint->port != port) return false;
      (void)!::write(connection.get(), "hi", 2);
    }
    pollfd ended{sandbox->status_fd(), POLLIN, 0};
    ::poll(&ended, 1, 10'000);
    const auto status = sandbox->poll_status();
    return status && status->kind == EventKind::exited && status->agent.code == 0;
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace stockade::sandbox
