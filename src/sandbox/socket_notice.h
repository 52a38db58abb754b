// Answers one connect(2) that the agent's seccomp filter handed out: reads the address once, takes a duplicate of the
// socket, decides, and connects the duplicate itself. The kernel never reads the agent's memory for this call, so
// nothing that another thread changes meanwhile (the address, the descriptor, a link, a name) is used: what was judged
// is what is connected.
//
// A path is opened as the agent sees it (its root, its working directory, its ids) and the file behind the descriptor
// is compared by device and inode, so links, renames, /proc/self/root and relative names are all the same file. It
// passes when it was bound inside (unix_diag of the sandbox's network namespace) or is a host socket that the plan
// names. Other addresses pass as they are: they stay in the socket's network namespace, which must be the sandbox's.
//
// Runs in the observer's threads, each with a working directory of its own; see observer.h. Not seen: sendto on unix
// datagram sockets (the filter refuses to make them, but one that was inherited as standard input could name a path),
// and files whose inode number needs more than 32 bits (refused: unix_diag has no more).
// Facts: seccomp_unotify(2), pidfd_getfd(2), sock_diag(7), unix(7).
#pragma once

#include <linux/seccomp.h>
#include <sys/socket.h>

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"

namespace stockade::sandbox {

// One file, by what the kernel calls it.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  bool operator==(const FileIdentity&) const = default;
};

class SocketNotices {
 public:
  struct Sources {
    int notify = -1;                    // the filter's listener
    int diag = -1;                      // NETLINK_SOCK_DIAG of the sandbox's network namespace
    int host_proc = -1;                 // /proc of our own pid namespace, opened before joining the sandbox
    std::vector<FileIdentity> allowed;  // host sockets that the plan lets out
    // Returns when the refusal is in the log. Called from any thread.
    std::function<void(std::string_view path, std::string_view reason)> refused;
  };
  static Result<SocketNotices*> create(Sources sources) = delete;
  explicit SocketNotices(Sources sources);

  // Reads what is needed before the first notification: the network namespace's identity.
  Result<void> prepare();
  // Once in each thread.
  Result<void> enter_thread();
  // Waits for a notification; false when the filter has no process left.
  enum class Next { notification, nothing, finished };
  Next receive(seccomp_notif& notification) const;
  // Decides, acts and answers.
  void answer(const seccomp_notif& notification);

 private:
  int decide(const seccomp_notif& notification);
  int connect_until_gone(uint64_t id, int socket, const sockaddr* address, unsigned size) const;
  int connect_path(const seccomp_notif& notification, int socket, const std::string& path);
  bool is_still_waiting(uint64_t id) const;
  Result<Fd> open_as_caller(uint32_t thread, const std::string& path) const;
  // `stale`: it was bound inside earlier, and its server is gone.
  enum class Verdict { allowed, stale, refused };
  Verdict judge(int file, const FileIdentity& identity, std::string& reason);
  Verdict bound_inside(int file, const FileIdentity& identity);
  std::optional<uint64_t> filesystem_device(int file) const;

  Sources sources_;
  uint64_t network_cookie_ = 0;
  std::mutex mutex_;                 // diag answers one at a time, and what follows
  std::vector<FileIdentity> known_;  // sockets seen bound inside, the oldest overwritten
  size_t next_known_ = 0;
};

}  // namespace stockade::sandbox
