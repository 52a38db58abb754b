#include "net/socket_diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sys/sysmacros.h>

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
    size_t at = NLMSG_ALIGN(sizeof(unix_diag_msg));
    while (at + sizeof(nlattr) <= payload.size()) {
      nlattr attribute;
      std::memcpy(&attribute, payload.data() + at, sizeof(attribute));
      if (attribute.nla_len < NLA_HDRLEN || at + attribute.nla_len > payload.size()) return;
      if (attribute.nla_type == UNIX_DIAG_VFS && attribute.nla_len >= NLA_HDRLEN + sizeof(unix_diag_vfs)) {
        unix_diag_vfs file;
        std::memcpy(&file, payload.data() + at + NLA_HDRLEN, sizeof(file));
        sockets.push_back({from_kernel_device(file.udiag_vfs_dev), file.udiag_vfs_ino});
      }
      at += NLA_ALIGN(attribute.nla_len);
    }
  });
  if (!done) return std::unexpected(std::move(done).error().context("list the unix sockets inside"));
  return sockets;
}

}  // namespace stockade::net
