#include "sandbox/idmap.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stockade::sandbox {

namespace {

// Reaps a child that has already ended.
class Ended {
 public:
  explicit Ended(pid_t pid) : pid_(pid) {}
  Ended(const Ended&) = delete;
  ~Ended() { (void)reap(); }
  bool reap() {
    int status = 1;
    while (pid_ > 0 && ::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status == 0;
  }

 private:
  pid_t pid_;
};

// A namespace lives as long as a process or a descriptor holds it: a child makes it and ends; until it is reaped its
// /proc entry still leads there. The child borrows our memory and holds us until it has ended (vfork(2)).
// NOLINTBEGIN(bugprone-unsafe-functions,clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork)
Result<Fd> make_mapped_namespace(const std::string& uid_map, const std::string& gid_map) {
  const pid_t pid = ::vfork();
  if (pid < 0) return fail_errno("make a user namespace for an id map");
  if (pid == 0) ::_exit(::unshare(CLONE_NEWUSER) == 0 ? 0 : errno);
  Ended child(pid);
  const std::string proc = fmt::format("/proc/{}/", pid);
  for (const auto& [file, map] : {std::pair("uid_map", &uid_map), std::pair("gid_map", &gid_map)}) {
    STOCKADE_ASSIGN(const Fd out, open_at(AT_FDCWD, proc + file, O_WRONLY));
    STOCKADE_TRY(write_all(out.get(), *map));
  }
  STOCKADE_ASSIGN(Fd made, open_at(AT_FDCWD, proc + "ns/user", O_RDONLY));
  // Where it made none, all of this was our own.
  if (!child.reap()) return fail(ErrorKind::unavailable, "make a user namespace for an id map: it can't be made here");
  return made;
}
// NOLINTEND(bugprone-unsafe-functions,clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork)

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
