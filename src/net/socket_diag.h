// Who holds a socket inside a sandbox: questions to a NETLINK_SOCK_DIAG socket that was opened in the sandbox's
// network namespace (open_socket_diag()). Answers are a snapshot: a descriptor can be passed on, so nothing here is
// more than evidence. Single-threaded; one question at a time on one descriptor.
// Facts: sock_diag(7), net/ipv4/inet_diag.c, net/unix/diag.c.
#pragma once

#include <array>
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

// A TCP or UDP socket of the namespace.
struct InetSocket {
  uint8_t protocol = 0;  // IPPROTO_TCP, IPPROTO_UDP
  uint8_t state = 0;     // TCP_ESTABLISHED … (netinet/tcp.h)
  uint32_t inode = 0;    // 0: no process holds it any more
  Endpoint local;
  Endpoint remote;                     // a v4-mapped address as the IPv4 address that it is
  std::array<uint8_t, 48> identity{};  // the kernel's inet_diag_sockid
  uint8_t identity_family = 0;
};

Result<std::vector<InetSocket>> list_inet_sockets(int diag);
// Both ends hear of it: a reset goes out, whoever holds the socket gets ECONNABORTED. Needs CAP_NET_ADMIN over the
// namespace, and CONFIG_INET_DIAG_DESTROY (else EOPNOTSUPP). False: it was gone.
Result<bool> destroy_socket(int diag, const InetSocket& socket);

}  // namespace stockade::net
