// The sandbox's network: every packet for any address comes back in through `lo`, and one nft ruleset hands every TCP
// connection and every UDP packet to listeners of ours (TPROXY; design, section 6). Called inside the new network
// namespace while its CAP_NET_ADMIN is held. Nothing here needs a library: rtnetlink and one nfnetlink batch.
// Facts: Linux Documentation/networking/tproxy.rst, net/netfilter/nft_tproxy.c.
#pragma once

#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace stockade::net {

// Listeners on ports below 1024 (the agent can't bind those), all non-blocking. The accepted TCP socket's own address
// is the original destination; UDP sockets deliver IP_RECVORIGDSTADDR, DNS sockets IP_PKTINFO.
struct TransparentListeners {
  Fd tcp4, tcp6;  // every TCP connection except port 53
  Fd udp4, udp6;  // every UDP packet except port 53
  Fd dns4, dns6;  // UDP port 53 of any address
  Fd dns_tcp4, dns_tcp6;
  Fd icmp4, icmp6;  // raw sockets to answer refused UDP with port-unreachable
  Fd proxy_http;    // 127.0.0.1: explicit proxy (HTTP and CONNECT), only with env.proxy
  Fd proxy_socks;   // 127.0.0.1: SOCKS5, only with env.proxy

  // Those that become readable when somebody inside wants something.
  std::vector<int> requests() const;
  // In a fixed order for SCM_RIGHTS; absent proxies are left out.
  std::vector<int> descriptors() const;
  static Result<TransparentListeners> from_descriptors(std::vector<Fd> fds);
};

inline constexpr uint16_t kTcpListenerPort = 2;
inline constexpr uint16_t kUdpListenerPort = 2;
inline constexpr uint16_t kProxyHttpPort = 3;
inline constexpr uint16_t kProxySocksPort = 4;

Result<void> bring_up_loopback();  // lo up, nothing else (a run without network)
Result<void> route_everything_to_loopback();
Result<TransparentListeners> open_transparent_listeners(bool explicit_proxy);

// An NETLINK_SOCK_DIAG socket of the current network namespace, usable from outside of it.
Result<Fd> open_socket_diag();

}  // namespace stockade::net
