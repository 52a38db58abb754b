#include "sandbox/namespaces.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/syscall.h>

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

Result<Identity> choose_identity(const SandboxPlan& plan) {
  Identity identity;
  identity.uid = plan.uid;
  identity.gid = plan.gid;
  if (::geteuid() == 0 && has_whole_uid_map()) {
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

Result<std::optional<Pid>> clone_init(const InitClone& options) {
  int pidfd = -1;
  clone_args args{};
  args.flags =
      CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  if (options.mode == Mode::user) args.flags |= CLONE_NEWUSER;
  if (options.cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(options.cgroup);
  }
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
  if (pid == 0) return std::nullopt;
  if (pid < 0) {
    const int number = errno;
    Error error = Error::from_errno("make the sandbox's namespaces", number);
    if (number != EPERM && number != EACCES && number != ENOSPC) return std::unexpected(std::move(error));
    return std::unexpected(std::move(error)
                               .kind(ErrorKind::unavailable)
                               .hint(options.mode == Mode::user
                                         ? "unprivileged user namespaces are switched off here: run 'stockade doctor'"
                                         : "root without CAP_SYS_ADMIN here (a container?): run 'stockade doctor'"));
  }
  return Pid(static_cast<pid_t>(pid), Fd(pidfd));
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
