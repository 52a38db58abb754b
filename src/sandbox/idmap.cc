#include "sandbox/idmap.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include "base/pid.h"

namespace stockade::sandbox {

namespace {

// A namespace lives as long as a process or a descriptor holds it: a child makes it, we open it, the child goes.
Result<Fd> make_mapped_namespace(const std::string& uid_map, const std::string& gid_map) {
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD | CLONE_NEWUSER;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
  if (pid < 0) return fail_errno("make a user namespace for an id map");
  if (pid == 0) {
    while (true) ::pause();
  }
  const Pid child(static_cast<pid_t>(pid), Fd(pidfd));
  const std::string proc = fmt::format("/proc/{}/", pid);
  for (const auto& [file, map] : {std::pair("uid_map", &uid_map), std::pair("gid_map", &gid_map)}) {
    STOCKADE_ASSIGN(const Fd out, open_at(AT_FDCWD, proc + file, O_WRONLY));
    STOCKADE_TRY(write_all(out.get(), *map));
  }
  return open_at(AT_FDCWD, proc + "ns/user", O_RDONLY);
}

}  // namespace

Result<int> IdMaps::for_owner(uid_t uid, gid_t gid, const Identity& identity) {
  for (const Entry& entry : entries_) {
    if (entry.uid == uid && entry.gid == gid) return entry.userns.get();
  }
  STOCKADE_ASSIGN(Fd userns, make_mapped_namespace(fmt::format("{} {} 1\n", uid, identity.agent_kuid),
                                                   fmt::format("{} {} 1\n", gid, identity.agent_kgid)));
  entries_.push_back({uid, gid, std::move(userns)});
  return entries_.back().userns.get();
}

std::vector<int> IdMaps::descriptors() const {
  std::vector<int> out;
  for (const Entry& entry : entries_) out.push_back(entry.userns.get());
  return out;
}

}  // namespace stockade::sandbox
