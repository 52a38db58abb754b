#include "net/transparent.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "net/netlink.h"

namespace stockade::net {

namespace {

// The loopback device of a network namespace is its first, always.
constexpr int kLoopbackIndex = 1;
constexpr int kBacklog = 1024;

void add_link_up(NetlinkBatch& batch) {
  batch.begin(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK);
  ifinfomsg link{};
  link.ifi_index = kLoopbackIndex;
  link.ifi_flags = IFF_UP;
  link.ifi_change = IFF_UP;
  batch.header(link);
  batch.finish();
}

// `ip route add local 0.0.0.0/0 dev lo table local`
void add_local_route(NetlinkBatch& batch, uint8_t family) {
  batch.begin(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  rtmsg route{};
  route.rtm_family = family;
  route.rtm_table = RT_TABLE_LOCAL;
  route.rtm_protocol = RTPROT_STATIC;
  route.rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  route.rtm_type = RTN_LOCAL;
  batch.header(route);
  batch.attribute_u32(RTA_OIF, kLoopbackIndex);
  batch.finish();
}

bool has_ipv6() {
  const Fd probe(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return static_cast<bool>(probe);
}

// ---- listeners ----------------------------------------------------------------------------------------------------

Result<void> set_option(int fd, int level, int name, const char* label) {
  const int on = 1;
  if (::setsockopt(fd, level, name, &on, sizeof(on)) < 0) return fail_errno("set {} on a listener", label);
  return {};
}

struct ListenerKind {
  int family;
  int type;
  bool any_address;  // else loopback
  bool transparent;
  uint16_t port;
};

Result<Fd> open_listener(const ListenerKind& kind) {
  Fd fd(::socket(kind.family, kind.type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("open a listener");
  const bool v6 = kind.family == AF_INET6;
  STOCKADE_TRY(set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR"));
  if (v6) STOCKADE_TRY(set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY"));
  if (kind.transparent) {
    STOCKADE_TRY(v6 ? set_option(fd.get(), IPPROTO_IPV6, IPV6_TRANSPARENT, "IPV6_TRANSPARENT")
                    : set_option(fd.get(), IPPROTO_IP, IP_TRANSPARENT, "IP_TRANSPARENT"));
  }
  if (kind.type == SOCK_DGRAM && kind.any_address) {
    STOCKADE_TRY(v6 ? set_option(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO")
                    : set_option(fd.get(), IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO"));
  } else if (kind.type == SOCK_DGRAM) {
    STOCKADE_TRY(v6 ? set_option(fd.get(), IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, "IPV6_RECVORIGDSTADDR")
                    : set_option(fd.get(), IPPROTO_IP, IP_RECVORIGDSTADDR, "IP_RECVORIGDSTADDR"));
  }
  sockaddr_storage address{};
  socklen_t size;
  if (v6) {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(address);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(kind.port);
    in6.sin6_addr = kind.any_address ? in6addr_any : in6addr_loopback;
    size = sizeof(in6);
  } else {
    auto& in4 = reinterpret_cast<sockaddr_in&>(address);
    in4.sin_family = AF_INET;
    in4.sin_port = htons(kind.port);
    in4.sin_addr.s_addr = htonl(kind.any_address ? INADDR_ANY : INADDR_LOOPBACK);
    size = sizeof(in4);
  }
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) < 0)
    return fail_errno("bind port {} inside", kind.port);
  if (kind.type == SOCK_STREAM && ::listen(fd.get(), kBacklog) < 0)
    return fail_errno("listen on port {} inside", kind.port);
  return fd;
}

// A raw socket that answers refused UDP in the name of any address. It never receives.
Result<Fd> open_icmp_sender(int family) {
  const bool v6 = family == AF_INET6;
  Fd fd(
      ::socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, v6 ? static_cast<int>(IPPROTO_ICMPV6) : IPPROTO_ICMP));
  if (!fd) return fail_errno("open a raw socket for ICMP");
  STOCKADE_TRY(v6 ? set_option(fd.get(), IPPROTO_IPV6, IPV6_TRANSPARENT, "IPV6_TRANSPARENT")
                  : set_option(fd.get(), IPPROTO_IP, IP_TRANSPARENT, "IP_TRANSPARENT"));
  const int none = 0;
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &none, sizeof(none));
  return fd;
}

Result<void> open_family(int family, Fd& tcp, Fd& udp, Fd& dns, Fd& dns_tcp, Fd& icmp) {
  STOCKADE_ASSIGN(tcp, open_listener({family, SOCK_STREAM, false, true, kTcpListenerPort}));
  STOCKADE_ASSIGN(udp, open_listener({family, SOCK_DGRAM, false, true, kUdpListenerPort}));
  STOCKADE_ASSIGN(dns, open_listener({family, SOCK_DGRAM, true, true, 53}));
  STOCKADE_ASSIGN(dns_tcp, open_listener({family, SOCK_STREAM, true, true, 53}));
  STOCKADE_ASSIGN(icmp, open_icmp_sender(family));
  return {};
}

}  // namespace

std::vector<int> TransparentListeners::requests() const {
  std::vector<int> list;
  for (const Fd* fd : {&tcp4, &udp4, &dns4, &dns_tcp4, &tcp6, &udp6, &dns6, &dns_tcp6, &proxy_http, &proxy_socks}) {
    if (*fd) list.push_back(fd->get());
  }
  return list;
}

std::vector<int> TransparentListeners::descriptors() const {
  std::vector<int> list;
  for (const Fd* fd :
       {&tcp4, &udp4, &dns4, &dns_tcp4, &icmp4, &tcp6, &udp6, &dns6, &dns_tcp6, &icmp6, &proxy_http, &proxy_socks}) {
    if (*fd) list.push_back(fd->get());
  }
  return list;
}

Result<TransparentListeners> TransparentListeners::from_descriptors(std::vector<Fd> fds) {
  // Five without IPv6, ten with it; two more with the explicit proxy.
  const size_t count = fds.size();
  if (count != 5 && count != 7 && count != 10 && count != 12)
    return fail(ErrorKind::protocol, "{} descriptors are no set of transparent listeners", count);
  TransparentListeners out;
  size_t next = 0;
  for (Fd* fd : {&out.tcp4, &out.udp4, &out.dns4, &out.dns_tcp4, &out.icmp4}) *fd = std::move(fds[next++]);
  if (count >= 10) {
    for (Fd* fd : {&out.tcp6, &out.udp6, &out.dns6, &out.dns_tcp6, &out.icmp6}) *fd = std::move(fds[next++]);
  }
  if (count == 7 || count == 12) {
    out.proxy_http = std::move(fds[next++]);
    out.proxy_socks = std::move(fds[next++]);
  }
  return out;
}

Result<void> bring_up_loopback() {
  STOCKADE_ASSIGN(NetlinkSocket socket, NetlinkSocket::open(NETLINK_ROUTE));
  NetlinkBatch batch;
  add_link_up(batch);
  if (auto done = socket.request(batch, 1); !done)
    return std::unexpected(std::move(done).error().context("bring up lo"));
  return {};
}

Result<void> route_everything_to_loopback() {
  STOCKADE_ASSIGN(NetlinkSocket socket, NetlinkSocket::open(NETLINK_ROUTE));
  NetlinkBatch batch;
  add_link_up(batch);
  add_local_route(batch, AF_INET);
  const bool v6 = has_ipv6();
  if (v6) add_local_route(batch, AF_INET6);
  if (auto done = socket.request(batch, v6 ? 3 : 2); !done)
    return std::unexpected(std::move(done).error().context("route everything to lo"));
  return {};
}

Result<TransparentListeners> open_transparent_listeners(bool explicit_proxy) {
  TransparentListeners out;
  STOCKADE_TRY(open_family(AF_INET, out.tcp4, out.udp4, out.dns4, out.dns_tcp4, out.icmp4));
  if (has_ipv6()) STOCKADE_TRY(open_family(AF_INET6, out.tcp6, out.udp6, out.dns6, out.dns_tcp6, out.icmp6));
  if (explicit_proxy) {
    STOCKADE_ASSIGN(out.proxy_http, open_listener({AF_INET, SOCK_STREAM, false, false, kProxyHttpPort}));
    STOCKADE_ASSIGN(out.proxy_socks, open_listener({AF_INET, SOCK_STREAM, false, false, kProxySocksPort}));
  }
  return out;
}

Result<Fd> open_socket_diag() {
  STOCKADE_ASSIGN(NetlinkSocket socket, NetlinkSocket::open(NETLINK_SOCK_DIAG));
  return socket.release();
}

}  // namespace stockade::net
