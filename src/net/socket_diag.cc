#include "net/socket_diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sys/sysmacros.h>

#include <array>
#include <cstring>

#include "net/netlink.h"

namespace stockade::net {

namespace {

void copy_address(const IpAddress& from, __be32 (&to)[4]) {
  std::memcpy(to, from.bytes().data(), from.is_v4() ? 4 : 16);
}

// The kernel keeps a device number as (major << 20 | minor).
uint64_t from_kernel_device(uint32_t device) { return makedev(device >> 20, device & 0xfffff); }

}  // namespace

Result<std::optional<SocketOwner>> find_inet_socket(int diag, bool tcp, const Endpoint& local, const Endpoint& remote) {
  if (local.address.is_v4() != remote.address.is_v4())
    return fail(ErrorKind::internal, "a connection has one address family");
  inet_diag_req_v2 query{};
  query.sdiag_family = local.address.is_v4() ? AF_INET : AF_INET6;
  query.sdiag_protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP;
  query.idiag_states = ~0U;
  query.id.idiag_sport = htons(local.port);
  query.id.idiag_dport = htons(remote.port);
  copy_address(local.address, query.id.idiag_src);
  copy_address(remote.address, query.id.idiag_dst);
  query.id.idiag_cookie[0] = query.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;

  NetlinkBatch request;
  request.begin(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST);
  request.header(query);
  request.finish();

  std::optional<SocketOwner> owner;
  auto done = netlink_query(diag, request, [&](uint16_t, std::string_view payload) {
    inet_diag_msg message;
    if (payload.size() < sizeof(message)) return;
    std::memcpy(&message, payload.data(), sizeof(message));
    owner = SocketOwner{message.idiag_inode, message.idiag_uid};
  });
  if (!done) {
    if (done.error().error_number() == ENOENT) return std::nullopt;
    return std::unexpected(std::move(done).error().context("ask who holds a connection"));
  }
  return owner;
}

Result<std::vector<BoundUnixSocket>> list_bound_unix_sockets(int diag) {
  unix_diag_req query{};
  query.sdiag_family = AF_UNIX;
  query.udiag_states = ~0U;
  query.udiag_show = UDIAG_SHOW_VFS;

  NetlinkBatch request;
  request.begin(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP);
  request.header(query);
  request.finish();

  std::vector<BoundUnixSocket> sockets;
  auto done = netlink_query(diag, request, [&](uint16_t, std::string_view payload) {
    visit_attributes(payload, sizeof(unix_diag_msg), [&](uint16_t type, std::string_view value) {
      unix_diag_vfs file;
      if (type != UNIX_DIAG_VFS || value.size() < sizeof(file)) return;
      std::memcpy(&file, value.data(), sizeof(file));
      sockets.push_back({from_kernel_device(file.udiag_vfs_dev), file.udiag_vfs_ino});
    });
  });
  if (!done) return std::unexpected(std::move(done).error().context("list the unix sockets inside"));
  return sockets;
}

namespace {

// A v4-mapped address is the IPv4 address that packets carry.
IpAddress address_of(uint8_t family, const __be32 (&bytes)[4]) {
  if (family == AF_INET) return IpAddress::v4(ntohl(bytes[0]));
  if (bytes[0] == 0 && bytes[1] == 0 && bytes[2] == htonl(0xffff)) return IpAddress::v4(ntohl(bytes[3]));
  std::array<uint8_t, 16> v6;
  std::memcpy(v6.data(), bytes, v6.size());
  return IpAddress::v6(v6);
}

inet_diag_req_v2 inet_query(uint8_t family, uint8_t protocol) {
  inet_diag_req_v2 query{};
  query.sdiag_family = family;
  query.sdiag_protocol = protocol;
  query.idiag_states = ~0U;
  return query;
}

}  // namespace

Result<std::vector<InetSocket>> list_inet_sockets(int diag) {
  std::vector<InetSocket> sockets;
  for (const uint8_t protocol : {uint8_t{IPPROTO_TCP}, uint8_t{IPPROTO_UDP}}) {
    for (const uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
      NetlinkBatch request;
      request.begin(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP);
      request.header(inet_query(family, protocol));
      request.finish();
      auto done = netlink_query(diag, request, [&](uint16_t, std::string_view payload) {
        inet_diag_msg message;
        if (payload.size() < sizeof(message)) return;
        std::memcpy(&message, payload.data(), sizeof(message));
        InetSocket socket{protocol, message.idiag_state, message.idiag_inode, {}, {}, {}};
        socket.local = {address_of(family, message.id.idiag_src), ntohs(message.id.idiag_sport)};
        socket.remote = {address_of(family, message.id.idiag_dst), ntohs(message.id.idiag_dport)};
        std::memcpy(socket.identity.data(), &message.id, sizeof(message.id));
        socket.identity_family = family;
        sockets.push_back(socket);
      });
      // Without a module that a family or protocol needs, the kernel knows none of its sockets by this question.
      if (!done && done.error().error_number() != ENOENT)
        return std::unexpected(std::move(done).error().context("list the sockets of a network namespace"));
    }
  }
  return sockets;
}

Result<bool> destroy_socket(int diag, const InetSocket& socket) {
  inet_diag_req_v2 query = inet_query(socket.identity_family, socket.protocol);
  std::memcpy(&query.id, socket.identity.data(), sizeof(query.id));
  NetlinkBatch request;
  request.begin(SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK);
  request.header(query);
  request.finish();
  if (auto done = netlink_query(diag, request, [](uint16_t, std::string_view) {}); !done) {
    if (done.error().error_number() == ENOENT) return false;  // gone meanwhile
    return std::unexpected(std::move(done).error().context("cut a connection"));
  }
  return true;
}

}  // namespace stockade::net
