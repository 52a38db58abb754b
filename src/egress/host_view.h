// HostView: what the dialer needs to know of the host, read before it confines itself: its resolvers, /etc/hosts, and
// the host's own addresses and gateways (which no name may resolve to, unless the rule names exactly that address).
// Addresses that the host gains later are not known; they lie in private ranges or are public ones of this machine, and
// docs/egress.md says so. Sources: resolv.conf(5), hosts(5), getifaddrs(3), proc(5) "net/route".
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ip_address.h"

namespace stockade::egress {

struct HostView {
  std::vector<Endpoint> resolvers;                                   // at most three
  std::map<std::string, std::vector<IpAddress>, std::less<>> hosts;  // canonical names
  std::set<IpAddress> own;
  std::set<IpAddress> gateways;
};

// `resolver` stands in for resolv.conf. `hosts_file` and the like are parameters for tests.
struct HostPaths {
  std::string resolv_conf = "/etc/resolv.conf";
  std::string hosts = "/etc/hosts";
  std::string routes4 = "/proc/net/route";
  std::string routes6 = "/proc/net/ipv6_route";
};
Result<HostView> read_host_view(const std::optional<Endpoint>& resolver, const HostPaths& paths = {});

std::vector<Endpoint> parse_resolv_conf(std::string_view text);
std::map<std::string, std::vector<IpAddress>, std::less<>> parse_hosts(std::string_view text);
std::set<IpAddress> parse_routes4(std::string_view text);
std::set<IpAddress> parse_routes6(std::string_view text);

}  // namespace stockade::egress
