#include "net/transparent.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
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

template <typename T>
std::string_view as_bytes(const T& value) {
  return std::string_view(reinterpret_cast<const char*>(&value), sizeof(value));
}

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

// ---- the ruleset ------------------------------------------------------------------------------------------------

constexpr char kTable[] = "stockade";
constexpr char kChain[] = "redirect";

// Writes the expressions of one rule after another into a batch.
class RuleWriter {
 public:
  explicit RuleWriter(NetlinkBatch& batch) : batch_(batch) {}

  RuleWriter& rule(bool acknowledge = false) {
    batch_.begin((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWRULE,
                 static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_CREATE | NLM_F_APPEND | (acknowledge ? NLM_F_ACK : 0)));
    batch_.header(nfgenmsg{NFPROTO_INET, NFNETLINK_V0, 0});
    batch_.attribute_text(NFTA_RULE_TABLE, kTable);
    batch_.attribute_text(NFTA_RULE_CHAIN, kChain);
    batch_.nest(NFTA_RULE_EXPRESSIONS);
    return *this;
  }
  void close() {
    batch_.end();
    batch_.finish();
  }

  RuleWriter& family(uint8_t nfproto) { return meta(NFT_META_NFPROTO).equals(as_bytes(nfproto)); }
  RuleWriter& protocol(uint8_t ipproto) { return meta(NFT_META_L4PROTO).equals(as_bytes(ipproto)); }
  RuleWriter& not_from_loopback() {
    const uint32_t index = kLoopbackIndex;
    return meta(NFT_META_IIF).compare(NFT_CMP_NEQ, as_bytes(index));
  }
  // dport is at offset 2 of the transport header, sport at 0.
  RuleWriter& port(uint32_t offset, uint16_t number) {
    const uint16_t wire = htons(number);
    return payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, sizeof(wire)).equals(as_bytes(wire));
  }
  RuleWriter& network_bytes(uint32_t offset, std::string_view value) {
    return payload(NFT_PAYLOAD_NETWORK_HEADER, offset, static_cast<uint32_t>(value.size())).equals(value);
  }
  RuleWriter& tproxy(uint32_t nfproto, std::string_view address, uint16_t port) {
    const uint16_t wire = htons(port);
    immediate(NFT_REG_1, address);
    immediate(NFT_REG_2, as_bytes(wire));
    begin_expression("tproxy");
    batch_.attribute_be32(NFTA_TPROXY_FAMILY, nfproto);
    batch_.attribute_be32(NFTA_TPROXY_REG_ADDR, NFT_REG_1);
    batch_.attribute_be32(NFTA_TPROXY_REG_PORT, NFT_REG_2);
    return end_expression();
  }
  void accept() { verdict(NF_ACCEPT); }
  void drop() { verdict(NF_DROP); }

 private:
  void begin_expression(const char* name) {
    batch_.nest(NFTA_LIST_ELEM);
    batch_.attribute_text(NFTA_EXPR_NAME, name);
    batch_.nest(NFTA_EXPR_DATA);
  }
  RuleWriter& end_expression() {
    batch_.end();
    batch_.end();
    return *this;
  }
  RuleWriter& meta(uint32_t key) {
    begin_expression("meta");
    batch_.attribute_be32(NFTA_META_DREG, NFT_REG_1);
    batch_.attribute_be32(NFTA_META_KEY, key);
    return end_expression();
  }
  RuleWriter& payload(uint32_t base, uint32_t offset, uint32_t length) {
    begin_expression("payload");
    batch_.attribute_be32(NFTA_PAYLOAD_DREG, NFT_REG_1);
    batch_.attribute_be32(NFTA_PAYLOAD_BASE, base);
    batch_.attribute_be32(NFTA_PAYLOAD_OFFSET, offset);
    batch_.attribute_be32(NFTA_PAYLOAD_LEN, length);
    return end_expression();
  }
  RuleWriter& equals(std::string_view value) { return compare(NFT_CMP_EQ, value); }
  RuleWriter& compare(uint32_t operation, std::string_view value) {
    begin_expression("cmp");
    batch_.attribute_be32(NFTA_CMP_SREG, NFT_REG_1);
    batch_.attribute_be32(NFTA_CMP_OP, operation);
    batch_.nest(NFTA_CMP_DATA);
    batch_.attribute(NFTA_DATA_VALUE, value);
    batch_.end();
    return end_expression();
  }
  void immediate(uint32_t reg, std::string_view value) {
    begin_expression("immediate");
    batch_.attribute_be32(NFTA_IMMEDIATE_DREG, reg);
    batch_.nest(NFTA_IMMEDIATE_DATA);
    batch_.attribute(NFTA_DATA_VALUE, value);
    batch_.end();
    end_expression();
  }
  void verdict(uint32_t code) {
    begin_expression("immediate");
    batch_.attribute_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    batch_.nest(NFTA_IMMEDIATE_DATA);
    batch_.nest(NFTA_DATA_VERDICT);
    batch_.attribute_be32(NFTA_VERDICT_CODE, code);
    batch_.end();
    batch_.end();
    end_expression();
    close();
  }

  NetlinkBatch& batch_;
};

void add_table_and_chain(NetlinkBatch& batch) {
  batch.begin((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWTABLE, NLM_F_REQUEST | NLM_F_CREATE);
  batch.header(nfgenmsg{NFPROTO_INET, NFNETLINK_V0, 0});
  batch.attribute_text(NFTA_TABLE_NAME, kTable);
  batch.finish();

  batch.begin((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWCHAIN, NLM_F_REQUEST | NLM_F_CREATE);
  batch.header(nfgenmsg{NFPROTO_INET, NFNETLINK_V0, 0});
  batch.attribute_text(NFTA_CHAIN_TABLE, kTable);
  batch.attribute_text(NFTA_CHAIN_NAME, kChain);
  batch.nest(NFTA_CHAIN_HOOK);
  batch.attribute_be32(NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
  batch.attribute_be32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(NF_IP_PRI_MANGLE));
  batch.end();
  batch.attribute_be32(NFTA_CHAIN_POLICY, NF_DROP);
  batch.attribute_text(NFTA_CHAIN_TYPE, "filter");
  batch.finish();
}

void batch_marker(NetlinkBatch& batch, uint16_t type) {
  batch.begin(type, NLM_F_REQUEST);
  batch.header(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)});
  batch.finish();
}

void add_rules(NetlinkBatch& batch) {
  RuleWriter rules(batch);
  const uint8_t loopback_net = 127;
  const in6_addr loopback6 = IN6ADDR_LOOPBACK_INIT;
  const uint32_t loopback4 = htonl(INADDR_LOOPBACK);

  rules.rule().not_from_loopback().drop();
  // Destination address: at offset 16 of an IPv4 header, 24 of an IPv6 header.
  rules.rule().family(NFPROTO_IPV4).network_bytes(16, as_bytes(loopback_net)).accept();
  rules.rule().family(NFPROTO_IPV6).network_bytes(24, as_bytes(loopback6)).accept();
  rules.rule().protocol(IPPROTO_UDP).port(2, 53).accept();
  rules.rule().protocol(IPPROTO_UDP).port(0, 53).accept();
  rules.rule().protocol(IPPROTO_TCP).port(2, 53).accept();
  for (const uint8_t protocol : {uint8_t{IPPROTO_TCP}, uint8_t{IPPROTO_UDP}}) {
    const uint16_t port = protocol == IPPROTO_TCP ? kTcpListenerPort : kUdpListenerPort;
    rules.rule().family(NFPROTO_IPV4).protocol(protocol).tproxy(NFPROTO_IPV4, as_bytes(loopback4), port).accept();
    rules.rule().family(NFPROTO_IPV6).protocol(protocol).tproxy(NFPROTO_IPV6, as_bytes(loopback6), port).accept();
  }
  // Replies from our listeners: tproxy breaks on them, because the socket it finds is the agent's own.
  rules.rule().protocol(IPPROTO_TCP).accept();
  // Port-unreachable for refused UDP. Nothing inside can make an ICMP packet of its own (no raw or ping sockets).
  rules.rule().protocol(IPPROTO_ICMP).accept();
  rules.rule(true).protocol(IPPROTO_ICMPV6).accept();
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

Result<void> install_redirect_rules() {
  STOCKADE_ASSIGN(NetlinkSocket socket, NetlinkSocket::open(NETLINK_NETFILTER));
  NetlinkBatch batch;
  batch_marker(batch, NFNL_MSG_BATCH_BEGIN);
  add_table_and_chain(batch);
  add_rules(batch);
  batch_marker(batch, NFNL_MSG_BATCH_END);
  if (auto done = socket.request(batch, 1); !done)
    return std::unexpected(std::move(done)
                               .error()
                               .context("install the redirect")
                               .hint("needs nf_tables and nft_tproxy in the kernel: run 'stockade doctor'"));
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
