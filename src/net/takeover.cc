#include "net/takeover.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "net/netlink.h"
#include "net/socket_diag.h"

namespace stockade::net {

namespace {

constexpr char kLink[] = "stockade0";
constexpr char kOtherEnd[] = "anchor";
constexpr size_t kPrefixLimit = 4096;
// Any address that no namespace has a route of its own for: the synthetic addresses of names lie here (RFC 2544).
constexpr uint32_t kSomewhere = 0xc6120001;

template <typename T>
std::string_view as_bytes(const T& value) {
  return std::string_view(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string_view as_bytes(const IpAddress& address) {
  return std::string_view(reinterpret_cast<const char*>(address.bytes().data()), address.is_v4() ? 4 : 16);
}

Result<void> require_loopback() {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) < 0) return fail_errno("look at lo inside");
  if (request.ifr_flags & IFF_UP) return {};
  return std::unexpected(Error(ErrorKind::unavailable, "lo is down inside, and the firewall is reached through it")
                             .hint("bring it up first: nsenter -t PID -n ip link set lo up"));
}

std::optional<IpAddress> to_address(uint8_t family, std::string_view bytes) {
  if (family == AF_INET && bytes.size() == 4) {
    uint32_t wire;
    std::memcpy(&wire, bytes.data(), sizeof(wire));
    return IpAddress::v4(ntohl(wire));
  }
  if (family == AF_INET6 && bytes.size() == 16) {
    std::array<uint8_t, 16> v6;
    std::memcpy(v6.data(), bytes.data(), v6.size());
    return IpAddress::v6(v6);
  }
  return std::nullopt;
}

Result<std::vector<IpAddress>> own_addresses(int socket) {
  NetlinkBatch request;
  request.begin(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP);
  request.header(ifaddrmsg{});
  request.finish();
  std::set<IpAddress> found;
  auto done = netlink_query(socket, request, [&](uint16_t, std::string_view payload) {
    ifaddrmsg message;
    if (payload.size() < sizeof(message)) return;
    std::memcpy(&message, payload.data(), sizeof(message));
    std::optional<IpAddress> address;
    visit_attributes(payload, sizeof(message), [&](uint16_t type, std::string_view value) {
      // IFA_ADDRESS is the peer's on a point-to-point link.
      if (type == IFA_LOCAL || (type == IFA_ADDRESS && !address)) address = to_address(message.ifa_family, value);
    });
    if (address) found.insert(*address);
  });
  if (!done) return std::unexpected(std::move(done).error().context("list the addresses inside"));
  return std::vector<IpAddress>(found.begin(), found.end());
}

// Of unicast routes that a local 0.0.0.0/0 would lose against.
Result<std::vector<Cidr>> routed_prefixes(int socket) {
  NetlinkBatch request;
  request.begin(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP);
  rtmsg filter{};
  filter.rtm_family = AF_INET;
  request.header(filter);
  request.finish();
  std::set<std::pair<IpAddress, int>> found;
  auto done = netlink_query(socket, request, [&](uint16_t, std::string_view payload) {
    rtmsg route;
    if (payload.size() < sizeof(route)) return;
    std::memcpy(&route, payload.data(), sizeof(route));
    if (route.rtm_type != RTN_UNICAST || route.rtm_dst_len == 0) return;
    visit_attributes(payload, sizeof(route), [&](uint16_t type, std::string_view value) {
      const auto address = type == RTA_DST ? to_address(AF_INET, value) : std::nullopt;
      if (address) found.emplace(*address, route.rtm_dst_len);
    });
  });
  if (!done) return std::unexpected(std::move(done).error().context("list the routes inside"));
  if (found.size() > kPrefixLimit)
    return fail(ErrorKind::unavailable, "there are {} routes inside, and {} can be taken over", found.size(),
                kPrefixLimit);
  std::vector<Cidr> prefixes;
  for (const auto& [address, length] : found) prefixes.push_back({address, length});
  return prefixes;
}

Error held_already() {
  return Error(ErrorKind::unavailable, "another Stockade is attached to this network already")
      .hint("'stockade ps' shows which; stop it first, or wait a moment if it was just stopped");
}

// The link, up at this end, its other end inside `network`.
Result<void> make_link(NetlinkSocket& here, int network) {
  NetlinkBatch batch;
  batch.begin(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  ifinfomsg link{};
  link.ifi_flags = link.ifi_change = IFF_UP;
  batch.header(link);
  batch.attribute_text(IFLA_IFNAME, kOtherEnd);
  batch.nest(IFLA_LINKINFO);
  batch.attribute_text(IFLA_INFO_KIND, "veth");
  batch.nest(IFLA_INFO_DATA);
  batch.nest(VETH_INFO_PEER);
  batch.header(ifinfomsg{});
  batch.attribute_text(IFLA_IFNAME, kLink);
  batch.attribute_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(network));
  batch.end();
  batch.end();
  batch.end();
  batch.finish();
  auto done = here.request(batch, 1);
  if (done) return {};
  if (done.error().error_number() == EEXIST) return std::unexpected(held_already());
  return std::unexpected(
      std::move(done).error().context("make a link into the target").hint("needs veth in the kernel: modprobe veth"));
}

// Up, without a link-local address of its own.
Result<void> set_link_up(NetlinkSocket& inside, uint32_t index, bool v6) {
  NetlinkBatch batch;
  if (v6) {
    batch.begin(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK);
    ifinfomsg quiet{};
    quiet.ifi_index = static_cast<int>(index);
    batch.header(quiet);
    batch.nest(IFLA_AF_SPEC);
    batch.nest(AF_INET6);
    const uint8_t none = IN6_ADDR_GEN_MODE_NONE;
    batch.attribute(IFLA_INET6_ADDR_GEN_MODE, as_bytes(none));
    batch.end();
    batch.end();
    batch.finish();
  }
  batch.begin(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK);
  ifinfomsg up{};
  up.ifi_index = static_cast<int>(index);
  up.ifi_flags = up.ifi_change = IFF_UP;
  batch.header(up);
  batch.finish();
  if (auto done = inside.request(batch, v6 ? 2 : 1); !done)
    return std::unexpected(std::move(done).error().context("bring up the link into the target"));
  return {};
}

// `ip route add local PREFIX dev stockade0 table local`
Result<void> add_local_route(NetlinkSocket& inside, uint32_t index, uint8_t family, const Cidr* prefix) {
  NetlinkBatch batch;
  batch.begin(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  rtmsg route{};
  route.rtm_family = family;
  route.rtm_table = RT_TABLE_LOCAL;
  route.rtm_protocol = RTPROT_STATIC;
  route.rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  route.rtm_type = RTN_LOCAL;
  if (prefix) route.rtm_dst_len = static_cast<uint8_t>(prefix->prefix);
  batch.header(route);
  if (prefix) batch.attribute(RTA_DST, as_bytes(prefix->address));
  batch.attribute_u32(RTA_OIF, index);
  batch.finish();
  return inside.request(batch, 1);
}

// Is it lo that a packet to anywhere goes to now?
Result<void> require_redirection(int inside) {
  NetlinkBatch request;
  request.begin(RTM_GETROUTE, NLM_F_REQUEST);
  rtmsg question{};
  question.rtm_family = AF_INET;
  question.rtm_dst_len = 32;
  request.header(question);
  request.attribute_u32(RTA_DST, htonl(kSomewhere));
  request.finish();
  bool local = false;
  STOCKADE_TRY(netlink_query(inside, request, [&](uint16_t, std::string_view payload) {
    rtmsg answer;
    if (payload.size() < sizeof(answer)) return;
    std::memcpy(&answer, payload.data(), sizeof(answer));
    local = answer.rtm_type == RTN_LOCAL;
  }));
  if (local) return {};
  return std::unexpected(Error(ErrorKind::unavailable, "a routing rule inside comes before the local table")
                             .hint("see: nsenter -t PID -n ip rule; the first must be '0: from all lookup local'"));
}

Result<void> route_everything_over(NetlinkSocket& inside) {
  const uint32_t index = ::if_nametoindex(kLink);
  if (index == 0) return fail_errno("find the link into the target");
  const Fd probe(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const bool v6 = static_cast<bool>(probe);
  STOCKADE_ASSIGN(const auto prefixes, routed_prefixes(inside.fd()));
  STOCKADE_TRY(set_link_up(inside, index, v6));
  auto done = add_local_route(inside, index, AF_INET, nullptr);
  for (size_t i = 0; done && i < prefixes.size(); ++i) done = add_local_route(inside, index, AF_INET, &prefixes[i]);
  if (!done) return std::unexpected(std::move(done).error().context("route everything inside to the firewall"));
  // EACCES: IPv6 is switched off inside (disable_ipv6), and nothing of it can leave.
  if (v6) done = add_local_route(inside, index, AF_INET6, nullptr);
  if (!done && done.error().error_number() != EACCES)
    return std::unexpected(std::move(done).error().context("route IPv6 inside to the firewall"));
  return require_redirection(inside.fd());
}

bool stays_inside(const IpAddress& address, const std::vector<IpAddress>& own) {
  static const Cidr kLoopback4 = *Cidr::parse("127.0.0.0/8"), kLoopback6 = *Cidr::parse("::1");
  return kLoopback4.contains(address) || kLoopback6.contains(address) ||
         std::binary_search(own.begin(), own.end(), address);
}

// Every TCP connection with somebody outside; UDP sockets keep nothing but an address, and that leads to us now.
Result<uint32_t> cut_connections(int diag, const std::vector<IpAddress>& own) {
  STOCKADE_ASSIGN(const auto sockets, list_inet_sockets(diag));
  uint32_t count = 0;
  for (const InetSocket& socket : sockets) {
    const bool connected = socket.state != TCP_LISTEN && socket.state != TCP_CLOSE && socket.state != TCP_TIME_WAIT;
    if (socket.protocol != IPPROTO_TCP || !connected || stays_inside(socket.remote.address, own)) continue;
    auto cut = destroy_socket(diag, socket);
    // A kernel that can't: what the connection sends next comes to a listener that does not know it, and is reset.
    if (!cut && cut.error().error_number() == EOPNOTSUPP) return count;
    if (!cut) return std::unexpected(std::move(cut).error());
    count += *cut ? 1 : 0;
  }
  return count;
}

Result<TransparentListeners> open_listeners() {
  auto listeners = open_transparent_listeners(false);
  if (listeners || listeners.error().error_number() != EADDRINUSE) return listeners;
  if (::if_nametoindex(kLink) != 0) return std::unexpected(held_already());
  return std::unexpected(
      std::move(listeners)
          .error()
          .kind(ErrorKind::unavailable)
          .hint("the firewall listens on ports 2 and 53 inside: end what uses them there, a resolver "
                "perhaps; a sandbox of 'stockade run' has its firewall already"));
}

}  // namespace

std::vector<int> Takeover::descriptors() const {
  std::vector<int> fds = {tables.get(), anchor.get(), links.get(), diag.get()};
  const std::vector<int> more = listeners.descriptors();
  fds.insert(fds.end(), more.begin(), more.end());
  return fds;
}

Result<Takeover> Takeover::from_descriptors(std::vector<Fd> fds) {
  Takeover out;
  const std::array ours = {&out.tables, &out.anchor, &out.links, &out.diag};
  if (fds.size() < ours.size()) return fail(ErrorKind::protocol, "{} descriptors are no takeover", fds.size());
  for (size_t i = 0; i < ours.size(); ++i) *ours[i] = std::move(fds[i]);
  fds.erase(fds.begin(), fds.begin() + ours.size());
  STOCKADE_ASSIGN(out.listeners, TransparentListeners::from_descriptors(std::move(fds)));
  return out;
}

Result<EnteredNetwork> enter_network(int network) {
  EnteredNetwork entered;
  entered.network = network;
  if (::unshare(CLONE_NEWNET) < 0) return fail_errno("make a network namespace");
  STOCKADE_ASSIGN(entered.anchor, open_at(AT_FDCWD, "/proc/thread-self/ns/net", O_RDONLY));
  STOCKADE_ASSIGN(NetlinkSocket links, NetlinkSocket::open(NETLINK_ROUTE));
  entered.anchor_links = links.release();
  if (::setns(network, CLONE_NEWNET) < 0) return fail_errno("enter the target's network namespace");
  STOCKADE_ASSIGN(entered.diag, open_socket_diag());
  STOCKADE_ASSIGN(NetlinkSocket inside, NetlinkSocket::open(NETLINK_ROUTE));
  entered.links = inside.release();
  return entered;
}

Result<Takeover> take_over(EnteredNetwork entered, std::vector<LocalPort> closed_ports) {
  Takeover taken;
  taken.anchor = std::move(entered.anchor);
  taken.diag = std::move(entered.diag);
  STOCKADE_TRY(require_loopback());
  NetlinkSocket inside(std::move(entered.links));
  NetlinkSocket outside(std::move(entered.anchor_links));
  LocalTraffic local{{}, std::move(closed_ports)};
  STOCKADE_ASSIGN(local.own_addresses, own_addresses(inside.fd()));
  STOCKADE_ASSIGN(taken.listeners, open_listeners());
  // While resets can still go out, so that servers hear of it.
  STOCKADE_ASSIGN(taken.connections_cut, cut_connections(taken.diag.get(), local.own_addresses));
  STOCKADE_ASSIGN(taken.tables, install_owned_redirect_rules(local));
  STOCKADE_TRY(make_link(outside, entered.network));
  STOCKADE_TRY(route_everything_over(inside));
  STOCKADE_ASSIGN(const uint32_t more, cut_connections(taken.diag.get(), local.own_addresses));
  taken.connections_cut += more;
  taken.links = inside.release();
  return taken;
}

void remove_anchor(const Takeover& takeover) {
  NetlinkBatch batch;
  batch.begin(RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK);
  batch.header(ifinfomsg{});
  batch.attribute_text(IFLA_IFNAME, kLink);
  batch.finish();
  // What is not removed now goes with the anchor.
  (void)netlink_query(takeover.links.get(), batch, [](uint16_t, std::string_view) {});
}

}  // namespace stockade::net
