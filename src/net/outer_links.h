// The other ends of the links that lead into somebody's network namespace, where they lie in ours (the veth of a
// container): closed, nothing crosses them in either direction, however it was sent inside, also not by packet sockets
// (AF_PACKET, AF_XDP), which pass every rule in the namespace itself. In our own namespace an nft table of its own,
// which lives with its socket: gone with the last descriptor. Needs CAP_NET_ADMIN here.
// Facts: rtnetlink(7) (IFLA_LINK, IFLA_LINK_NETNSID, RTM_GETNSID), nft(8) netdev hooks (egress: Linux 5.16).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace stockade::net {

// Their names here. Absent: a link inside leads elsewhere, or is no veth, so that this would not close all.
// `inside` is an rtnetlink socket of the namespace `network`.
Result<std::optional<std::vector<std::string>>> find_outer_links(int network, int inside);

// The socket that the table lives with; none for no links.
Result<Fd> close_outer_links(const std::vector<std::string>& links, const std::string& table);

}  // namespace stockade::net
