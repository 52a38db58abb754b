// Runs the victims behind the process walls alone (inherited state, Landlock, capabilities, no_new_privs, seccomp), as
// root and as an ordinary user, and without them, to see that a victim can succeed at all. What only namespaces, mounts
// and masks hold is left to the system tests, and named here.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/pid.h"
#include "sandbox/landlock.h"
#include "sandbox/privileges.h"
#include "sandbox/process_state.h"
#include "sandbox/seccomp_filter.h"

namespace stockade::sandbox {
namespace {

constexpr uid_t kOrdinaryUser = 12345;

// Held by the view (mounts, masks, pid namespace), not by process walls.
const std::set<std::string> kHeldByTheView = {"cgroup_write",  "core_pattern",     "devices",       "init_descriptors",
                                              "init_environ",  "init_root",        "kallsyms",      "kcore",
                                              "kernel_config", "modprobe_path",    "nosuid_mounts", "proc_keys",
                                              "ptrace_init",   "read_init_memory", "shadow",        "sysrq",
                                              "timer_list"};
// Refused on many machines without us: the kernel lacks it, or gives it to nobody.
const std::set<std::string> kMayBeHeldAnyway = {"af_alg",
                                                "bpf_map",
                                                "chroot_dir",
                                                "clone3_user",
                                                "clone_user",
                                                "core_dump",
                                                "fanotify",
                                                "inherited_descriptors",
                                                "inherited_signals",
                                                "int80",
                                                "io_uring",
                                                "iopl",
                                                "kexec",
                                                "load_module",
                                                "modify_ldt",
                                                "mptcp",
                                                "netlink_audit",
                                                "open_by_handle",
                                                "perf_event",
                                                "ping_socket",
                                                "process_madvise",
                                                "sctp",
                                                "setuid_fchmodat2",
                                                "tiocsti",
                                                "tiocsti_dirty",
                                                "tipc_pair",
                                                "unshare_net",
                                                "unshare_user",
                                                "userfaultfd",
                                                "vmsplice",
                                                "vsock",
                                                "x32"};

std::vector<std::string> all_victims() {
  std::vector<std::string> names;
  DIR* directory = ::opendir(STOCKADE_VICTIMS);
  if (!directory) return names;
  while (const dirent* entry = ::readdir(directory))
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  ::closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

struct Outcome {
  int code = -1;
  std::string line;
};

enum class Walls { none, process };

bool raise_walls(bool program_list) {
  const LandlockRules rules{.paths = {{"/", LandlockAccess::read_execute},
                                      {"/proc", LandlockAccess::process},
                                      {"/dev", LandlockAccess::device},
                                      {"/tmp", LandlockAccess::write}}};
  return reset_process_state({}) && set_no_new_privileges() && restrict_with_landlock(rules) && drop_capabilities() &&
         install_seccomp_filter(FilterChoice{.program_list = program_list});
}

Outcome run(const std::string& name, Walls walls, uid_t user = ::geteuid()) {
  auto output = make_pipe();
  if (!output) return {};
  auto child = fork_child([&] {
    ::dup2(output->write.get(), 1);
    ::dup2(output->write.get(), 2);
    if (user != ::geteuid()) {
      if (walls == Walls::process && !keep_capabilities_across_ids()) return 90;
      if (::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0) return 91;
    }
    if (walls == Walls::process && !raise_walls(name == "memfd_exec")) return 92;
    close_all_except({});
    ::execl((std::string(STOCKADE_VICTIMS "/") + name).c_str(), name.c_str(), nullptr);
    return 93;
  });
  output->write.reset();
  Outcome outcome;
  if (auto text = read_file(output->read.get(), 4096)) outcome.line = *text;
  if (const auto status = child->wait()) outcome.code = status->signalled ? 1000 + status->code : status->code;
  return outcome;
}

void expect_held(uid_t user) {
  int tried = 0;
  for (const std::string& name : all_victims()) {
    if (kHeldByTheView.contains(name)) continue;
    const Outcome outcome = run(name, Walls::process, user);
    EXPECT_EQ(outcome.code, 0) << name << ": " << outcome.line;
    EXPECT_TRUE(outcome.line.starts_with("held: ")) << name << ": " << outcome.line;
    ++tried;
  }
  EXPECT_GE(tried, 40);
}

TEST(Victims, AreHeldByTheProcessWallsAsRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  expect_held(0);
}

TEST(Victims, AreHeldByTheProcessWallsAsAnOrdinaryUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  expect_held(kOrdinaryUser);
}

TEST(Victims, SucceedWhereNothingHoldsThem) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  for (const std::string& name : all_victims()) {
    if (kHeldByTheView.contains(name) || kMayBeHeldAnyway.contains(name)) continue;
    const Outcome outcome = run(name, Walls::none);
    EXPECT_EQ(outcome.code, 1) << name << ": " << outcome.line;
    EXPECT_TRUE(outcome.line.starts_with("broken: ")) << name << ": " << outcome.line;
  }
}

}  // namespace
}  // namespace stockade::sandbox
