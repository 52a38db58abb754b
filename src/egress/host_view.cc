#include "egress/host_view.h"

#include <ifaddrs.h>

#include <charconv>
#include <cstring>
#include <memory>

#include "base/fd.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

constexpr size_t kFileLimit = 4 * 1024 * 1024;
constexpr size_t kResolverLimit = 3;  // as MAXNS of resolv.conf(5)

std::string_view next_line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

std::string_view next_word(std::string_view& line) {
  const size_t start = line.find_first_not_of(" \t\r");
  if (start == std::string_view::npos) {
    line = {};
    return {};
  }
  line.remove_prefix(start);
  const size_t end = std::min(line.find_first_of(" \t\r"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

template <typename T>
std::optional<T> parse_hex(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<std::string> read_if_there(const std::string& path) {
  auto text = read_file(path, kFileLimit);
  if (!text && text.error().error_number() == ENOENT) return std::string();
  return text;
}

Result<std::set<IpAddress>> own_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) < 0) return fail_errno("list the host's addresses");
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, ::freeifaddrs);
  std::set<IpAddress> own;
  for (const ifaddrs* entry = list; entry; entry = entry->ifa_next) {
    if (!entry->ifa_addr) continue;
    sockaddr_storage address{};
    if (entry->ifa_addr->sa_family == AF_INET)
      std::memcpy(&address, entry->ifa_addr, sizeof(sockaddr_in));
    else if (entry->ifa_addr->sa_family == AF_INET6)
      std::memcpy(&address, entry->ifa_addr, sizeof(sockaddr_in6));
    const auto known = IpAddress::from_sockaddr(address);
    // Loopback is forbidden by its class, and a rule may name it by that.
    if (known && !(known->is_v4() && known->bytes()[0] == 127) && *known != IpAddress::parse("::1")) own.insert(*known);
  }
  return own;
}

}  // namespace

std::vector<Endpoint> parse_resolv_conf(std::string_view text) {
  std::vector<Endpoint> resolvers;
  while (!text.empty() && resolvers.size() < kResolverLimit) {
    std::string_view line = next_line(text);
    if (next_word(line) != "nameserver") continue;
    if (const auto address = IpAddress::parse(next_word(line))) resolvers.push_back({*address, 53});
  }
  return resolvers;
}

std::map<std::string, std::vector<IpAddress>, std::less<>> parse_hosts(std::string_view text) {
  std::map<std::string, std::vector<IpAddress>, std::less<>> hosts;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    line = line.substr(0, line.find('#'));
    const auto address = IpAddress::parse(next_word(line));
    if (!address) continue;
    for (std::string_view word = next_word(line); !word.empty(); word = next_word(line))
      if (const auto name = policy::canonical_host(word)) hosts[*name].push_back(*address);
  }
  return hosts;
}

// Iface Destination Gateway Flags …, addresses as the kernel keeps them (network order) printed as one host-order word.
std::set<IpAddress> parse_routes4(std::string_view text) {
  std::set<IpAddress> gateways;
  next_line(text);
  while (!text.empty()) {
    std::string_view line = next_line(text);
    next_word(line);
    next_word(line);
    const auto word = parse_hex<uint32_t>(next_word(line));
    if (word && *word != 0) gateways.insert(IpAddress::v4(ntohl(*word)));
  }
  return gateways;
}

// destination, its prefix, source, its prefix, next hop, …: 32 hex digits an address.
std::set<IpAddress> parse_routes6(std::string_view text) {
  std::set<IpAddress> gateways;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    for (int i = 0; i < 4; ++i) next_word(line);
    const std::string_view hop = next_word(line);
    if (hop.size() != 32) continue;
    std::array<uint8_t, 16> bytes{};
    bool nonzero = false;
    for (size_t i = 0; i < 16; ++i) {
      bytes[i] = parse_hex<uint8_t>(hop.substr(2 * i, 2)).value_or(0);
      nonzero = nonzero || bytes[i] != 0;
    }
    if (nonzero) gateways.insert(IpAddress::v6(bytes));
  }
  return gateways;
}

Result<HostView> read_host_view(const std::optional<Endpoint>& resolver, const HostPaths& paths) {
  HostView view;
  if (resolver) {
    view.resolvers.push_back(*resolver);
  } else {
    STOCKADE_ASSIGN(const std::string text, read_if_there(paths.resolv_conf));
    view.resolvers = parse_resolv_conf(text);
    // As libc does without a nameserver line.
    if (view.resolvers.empty()) view.resolvers.push_back({IpAddress::v4(INADDR_LOOPBACK), 53});
  }
  STOCKADE_ASSIGN(const std::string hosts, read_if_there(paths.hosts));
  view.hosts = parse_hosts(hosts);
  STOCKADE_ASSIGN(view.own, own_addresses());
  STOCKADE_ASSIGN(const std::string routes4, read_if_there(paths.routes4));
  STOCKADE_ASSIGN(const std::string routes6, read_if_there(paths.routes6));
  view.gateways = parse_routes4(routes4);
  view.gateways.merge(parse_routes6(routes6));
  return view;
}

}  // namespace stockade::egress
