// Who holds a socket inside a sandbox: questions to a NETLINK_SOCK_DIAG socket that was opened in the sandbox's
// network namespace (open_socket_diag()). Answers are a snapshot: a descriptor can be passed on, so nothing here is
// more than evidence. Single-threaded; one question at a time on one descriptor.
// Facts: sock_diag(7), net/ipv4/inet_diag.c, net/unix/diag.c.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/ip_address.h"

namespace stockade::net {

struct SocketOwner {
  uint32_t inode = 0;  // as in /proc/PID/fd: "socket:[INODE]"
  uint32_t uid = 0;
};

// The agent's end of a connection: `local` is its own address and port (our peer), `remote` is where it meant to go
// (the accepted socket's own address). Absent: no such socket any more.
Result<std::optional<SocketOwner>> find_inet_socket(int diag, bool tcp, const Endpoint& local, const Endpoint& remote);

// A unix socket that was bound to a file from inside the namespace.
struct BoundUnixSocket {
  uint64_t device = 0;  // as stat(2) has it
  uint32_t inode = 0;   // the low 32 bits: unix_diag has no more
};

Result<std::vector<BoundUnixSocket>> list_bound_unix_sockets(int diag);

}  // namespace stockade::net
