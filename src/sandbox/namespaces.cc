#include "sandbox/namespaces.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stockade::sandbox {

namespace {

// 1879048192 … 2147352575: the one large range that no distribution, container engine or service manager hands out
// (systemd's UIDS-GIDS document). Two ids a run, chosen at random: 134 million runs before a likely clash at 16,000 at
// once.
constexpr uint32_t kFirstId = 0x70000000;
constexpr uint32_t kIdCount = 0x0ffe0000;

Result<uint32_t> choose_id_block() {
  uint32_t random = 0;
  if (::getrandom(&random, sizeof(random), 0) != sizeof(random)) return fail_errno("choose user ids for the run");
  return kFirstId + (random % (kIdCount / 2)) * 2;
}

bool has_whole_uid_map() {
  auto map = read_file("/proc/self/uid_map", 4096);
  if (!map) return false;
  unsigned inside = 1, outside = 1, count = 0;
  return std::sscanf(map->c_str(), "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 && outside == 0 &&
         count == 4294967295U;
}

Result<void> write_proc(const std::string& path, std::string_view text) {
  auto fd = open_at(AT_FDCWD, path, O_WRONLY);
  if (!fd) return std::unexpected(std::move(fd).error());
  if (::write(fd->get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail_errno("write {}", path);
  return {};
}

}  // namespace

Mode choose_mode() { return ::geteuid() == 0 && has_whole_uid_map() ? Mode::root : Mode::user; }

Result<Identity> choose_identity(const SandboxPlan& plan, Mode mode) {
  Identity identity;
  identity.uid = plan.uid;
  identity.gid = plan.gid;
  if (mode == Mode::root) {
    STOCKADE_ASSIGN(const uint32_t block, choose_id_block());
    identity.mode = Mode::root;
    identity.init_kuid = identity.init_kgid = block;
    identity.agent_kuid = identity.agent_kgid = block + 1;
  } else {
    identity.mode = Mode::user;
    identity.init_kuid = identity.agent_kuid = ::geteuid();
    identity.init_kgid = identity.agent_kgid = ::getegid();
  }
  return identity;
}

namespace {

// The new process's id, 0 in it, or -errno. `parent`: whose child it is to be, ours (0) or our parent's (CLONE_PARENT).
long clone_into_namespaces(int cgroup, uint64_t parent) {
  clone_args args{};
  args.flags =
      CLONE_CLEAR_SIGHAND | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | parent;
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup);
  }
  args.exit_signal = parent ? 0 : SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
  return pid < 0 ? -errno : pid;
}

// Only a process inside the user namespace may make the others, and we must stay outside: a passing child goes in and
// makes init as its sibling. It borrows our memory and holds us until it is gone (vfork(2)); init gets a copy.
// NOLINTBEGIN(bugprone-unsafe-functions,clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork)
long clone_inside(int user_namespace, int cgroup) {
  volatile long pid = -EINVAL;
  const pid_t passing = ::vfork();
  if (passing < 0) return -errno;
  if (passing == 0) {
    if (::setns(user_namespace, CLONE_NEWUSER) < 0)
      pid = -errno;
    else
      pid = clone_into_namespaces(cgroup, CLONE_PARENT);
    if (pid == 0) return 0;
    ::_exit(0);
  }
  while (::waitpid(passing, nullptr, 0) < 0 && errno == EINTR) {
  }
  return pid;
}
// NOLINTEND(bugprone-unsafe-functions,clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork)

}  // namespace

Result<std::optional<Pid>> clone_init(const InitClone& options) {
  const long pid = options.user_namespace < 0 ? clone_into_namespaces(options.cgroup, 0)
                                              : clone_inside(options.user_namespace, options.cgroup);
  if (pid == 0) return std::nullopt;
  if (pid < 0) return std::unexpected(Error::from_errno("make the sandbox's namespaces", static_cast<int>(-pid)));
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
  if (!pidfd) return fail_errno("hold on to init");
  return Pid(static_cast<pid_t>(pid), std::move(pidfd));
}

Result<void> map_own_ids(const Identity& identity, uid_t outer_uid, gid_t outer_gid) {
  STOCKADE_TRY(write_proc("/proc/self/setgroups", "deny"));
  STOCKADE_TRY(write_proc("/proc/self/uid_map", fmt::format("{} {} 1\n", identity.uid, outer_uid)));
  return write_proc("/proc/self/gid_map", fmt::format("{} {} 1\n", identity.gid, outer_gid));
}

Result<void> map_ids_of(pid_t pid, const Identity& identity) {
  STOCKADE_TRY(
      write_proc(fmt::format("/proc/{}/uid_map", pid), fmt::format("{} {} 1\n", identity.uid, identity.agent_kuid)));
  return write_proc(fmt::format("/proc/{}/gid_map", pid), fmt::format("{} {} 1\n", identity.gid, identity.agent_kgid));
}

}  // namespace stockade::sandbox
