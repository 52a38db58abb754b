// The nft ruleset that hands every TCP connection and every UDP packet of a network namespace to the transparent
// listeners (transparent.h), and lets nothing in or out but through `lo`. Called inside the namespace, with its
// CAP_NET_ADMIN. One nfnetlink batch: all of it stands, or nothing does.
//
// A sandbox's namespace dies with the sandbox. In one that was there before, the tables belong to a socket
// (NFT_TABLE_F_OWNER, Linux 5.12): nobody else can change them, and they are gone in the moment in which the last
// descriptor of that socket is, however its holder ended. Not covered: what needs CAP_NET_RAW (AF_PACKET, AF_XDP) to
// send past IP, and what CAP_NET_ADMIN could change beside nft.
// Facts: net/netfilter/nf_tables_api.c, nft_tproxy.c; nft(8).
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ip_address.h"

namespace stockade::net {

struct LocalPort {
  uint8_t protocol = 0;  // IPPROTO_TCP or IPPROTO_UDP
  uint16_t port = 0;
  auto operator<=>(const LocalPort&) const = default;
};

// Of a namespace that has more than `lo`.
struct LocalTraffic {
  std::vector<IpAddress> own_addresses;  // what is sent to them stays inside, as to loopback
  std::vector<LocalPort> closed_ports;   // except to these: somebody outside listens there
};

Result<void> install_redirect_rules();
// The socket that the tables live with.
Result<Fd> install_owned_redirect_rules(const LocalTraffic& local);

}  // namespace stockade::net
