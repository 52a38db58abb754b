#include "sandbox/idmap.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace stockade::sandbox {

namespace {

// A namespace lives as long as a process or a descriptor holds it: a child makes it, we open it. The child goes with
// the entry, when nobody has to wait for its end any more.
Result<IdMaps::Entry> make_mapped_namespace(const std::string& uid_map, const std::string& gid_map) {
  const pid_t self = ::getpid();
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD | CLONE_NEWUSER;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
  if (pid < 0) return fail_errno("make a user namespace for an id map");
  if (pid == 0) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || ::getppid() != self) ::_exit(1);
    while (true) ::pause();
  }
  IdMaps::Entry entry{.holder = Pid(static_cast<pid_t>(pid), Fd(pidfd))};
  const std::string proc = fmt::format("/proc/{}/", pid);
  for (const auto& [file, map] : {std::pair("uid_map", &uid_map), std::pair("gid_map", &gid_map)}) {
    STOCKADE_ASSIGN(const Fd out, open_at(AT_FDCWD, proc + file, O_WRONLY));
    STOCKADE_TRY(write_all(out.get(), *map));
  }
  STOCKADE_ASSIGN(entry.userns, open_at(AT_FDCWD, proc + "ns/user", O_RDONLY));
  return entry;
}

}  // namespace

Result<int> IdMaps::for_owner(uid_t uid, gid_t gid, const Identity& identity) {
  for (const Entry& entry : entries_) {
    if (entry.uid == uid && entry.gid == gid) return entry.userns.get();
  }
  STOCKADE_ASSIGN(Entry entry, make_mapped_namespace(fmt::format("{} {} 1\n", uid, identity.agent_kuid),
                                                     fmt::format("{} {} 1\n", gid, identity.agent_kgid)));
  entry.uid = uid;
  entry.gid = gid;
  entries_.push_back(std::move(entry));
  return entries_.back().userns.get();
}

std::vector<int> IdMaps::descriptors() const {
  std::vector<int> out;
  for (const Entry& entry : entries_) out.push_back(entry.userns.get());
  return out;
}

}  // namespace stockade::sandbox
