#include "net/redirect_rules.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_arp.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>

#include <cstring>

#include "net/netlink.h"
#include "net/transparent.h"

namespace stockade::net {

namespace {

// The loopback device of a network namespace is its first, always.
constexpr uint32_t kLoopbackIndex = 1;
constexpr char kTable[] = "stockade";
constexpr char kRedirect[] = "redirect";
constexpr char kLocal[] = "local";

template <typename T>
std::string_view as_bytes(const T& value) {
  return std::string_view(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string_view as_bytes(const IpAddress& address) {
  return std::string_view(reinterpret_cast<const char*>(address.bytes().data()), address.is_v4() ? 4 : 16);
}

uint16_t message(uint16_t type) { return static_cast<uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | type); }

// Writes the expressions of one rule after another into a batch.
class RuleWriter {
 public:
  RuleWriter(NetlinkBatch& batch, const char* chain) : batch_(batch), chain_(chain) {}

  RuleWriter& rule(bool acknowledge = false) {
    batch_.begin(message(NFT_MSG_NEWRULE),
                 static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_CREATE | NLM_F_APPEND | (acknowledge ? NLM_F_ACK : 0)));
    batch_.header(nfgenmsg{NFPROTO_INET, NFNETLINK_V0, 0});
    batch_.attribute_text(NFTA_RULE_TABLE, kTable);
    batch_.attribute_text(NFTA_RULE_CHAIN, chain_);
    batch_.nest(NFTA_RULE_EXPRESSIONS);
    return *this;
  }

  RuleWriter& family(uint8_t nfproto) { return meta(NFT_META_NFPROTO).equals(as_bytes(nfproto)); }
  RuleWriter& protocol(uint8_t ipproto) { return meta(NFT_META_L4PROTO).equals(as_bytes(ipproto)); }
  RuleWriter& not_from_loopback() { return meta(NFT_META_IIF).compare(NFT_CMP_NEQ, as_bytes(kLoopbackIndex)); }
  RuleWriter& not_to_loopback() { return meta(NFT_META_OIF).compare(NFT_CMP_NEQ, as_bytes(kLoopbackIndex)); }
  RuleWriter& to_port(uint16_t number) { return port(2, number); }
  RuleWriter& from_port(uint16_t number) { return port(0, number); }
  RuleWriter& icmp_type(uint8_t type) {
    return payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(type)).equals(as_bytes(type));
  }
  // Destination address: at offset 16 of an IPv4 header, 24 of an IPv6 header. A prefix of it, or all.
  RuleWriter& to_address(uint8_t nfproto, std::string_view bytes) {
    return family(nfproto)
        .payload(NFT_PAYLOAD_NETWORK_HEADER, nfproto == NFPROTO_IPV4 ? 16 : 24, static_cast<uint32_t>(bytes.size()))
        .equals(bytes);
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
  void go_to(const char* chain) { verdict(static_cast<uint32_t>(NFT_GOTO), chain); }
  void untracked() {
    begin_expression("notrack");
    end_expression();
    close();
  }

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
  // dport is at offset 2 of the transport header, sport at 0.
  RuleWriter& port(uint32_t offset, uint16_t number) {
    const uint16_t wire = htons(number);
    return payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, sizeof(wire)).equals(as_bytes(wire));
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
  void verdict(uint32_t code, const char* chain = nullptr) {
    begin_expression("immediate");
    batch_.attribute_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    batch_.nest(NFTA_IMMEDIATE_DATA);
    batch_.nest(NFTA_DATA_VERDICT);
    batch_.attribute_be32(NFTA_VERDICT_CODE, code);
    if (chain) batch_.attribute_text(NFTA_VERDICT_CHAIN, chain);
    batch_.end();
    batch_.end();
    end_expression();
    close();
  }
  void close() {
    batch_.end();
    batch_.finish();
  }

  NetlinkBatch& batch_;
  const char* chain_;
};

enum class Life { of_the_namespace, of_the_socket };

void add_table(NetlinkBatch& batch, uint8_t family, Life life) {
  const bool owned = life == Life::of_the_socket;
  batch.begin(message(NFT_MSG_NEWTABLE),
              static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_CREATE | (owned ? NLM_F_EXCL : 0)));
  batch.header(nfgenmsg{family, NFNETLINK_V0, 0});
  batch.attribute_text(NFTA_TABLE_NAME, kTable);
  if (owned) batch.attribute_be32(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
  batch.finish();
}

struct Hook {
  uint32_t number;
  int priority;
  uint32_t policy;  // NF_ACCEPT, NF_DROP
};

// Without a hook: reached by go_to() only.
void add_chain(NetlinkBatch& batch, uint8_t family, const char* name, const Hook* hook) {
  batch.begin(message(NFT_MSG_NEWCHAIN), NLM_F_REQUEST | NLM_F_CREATE);
  batch.header(nfgenmsg{family, NFNETLINK_V0, 0});
  batch.attribute_text(NFTA_CHAIN_TABLE, kTable);
  batch.attribute_text(NFTA_CHAIN_NAME, name);
  if (hook) {
    batch.nest(NFTA_CHAIN_HOOK);
    batch.attribute_be32(NFTA_HOOK_HOOKNUM, hook->number);
    batch.attribute_be32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(hook->priority));
    batch.end();
    batch.attribute_be32(NFTA_CHAIN_POLICY, hook->policy);
    batch.attribute_text(NFTA_CHAIN_TYPE, "filter");
  }
  batch.finish();
}

void batch_marker(NetlinkBatch& batch, uint16_t type) {
  batch.begin(type, NLM_F_REQUEST);
  batch.header(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)});
  batch.finish();
}

// What stays inside: all that is sent to loopback, and to the namespace's own addresses.
void add_local_rules(NetlinkBatch& batch, const LocalTraffic& local) {
  add_chain(batch, NFPROTO_INET, kLocal, nullptr);
  RuleWriter inside(batch, kLocal);
  for (const LocalPort& closed : local.closed_ports)
    inside.rule().protocol(closed.protocol).to_port(closed.port).drop();
  inside.rule().accept();

  const uint8_t loopback_net = 127;
  const in6_addr loopback6 = IN6ADDR_LOOPBACK_INIT;
  RuleWriter rules(batch, kRedirect);
  rules.rule().to_address(NFPROTO_IPV4, as_bytes(loopback_net)).go_to(kLocal);
  rules.rule().to_address(NFPROTO_IPV6, as_bytes(loopback6)).go_to(kLocal);
  for (const IpAddress& address : local.own_addresses)
    rules.rule().to_address(address.is_v4() ? NFPROTO_IPV4 : NFPROTO_IPV6, as_bytes(address)).go_to(kLocal);
}

void add_redirect_rules(NetlinkBatch& batch, const LocalTraffic& local) {
  const Hook prerouting{NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE, NF_DROP};
  add_chain(batch, NFPROTO_INET, kRedirect, &prerouting);
  RuleWriter rules(batch, kRedirect);
  const in6_addr loopback6 = IN6ADDR_LOOPBACK_INIT;
  const uint32_t loopback4 = htonl(INADDR_LOOPBACK);

  rules.rule().not_from_loopback().drop();
  add_local_rules(batch, local);
  rules.rule().protocol(IPPROTO_UDP).to_port(53).accept();
  rules.rule().protocol(IPPROTO_UDP).from_port(53).accept();
  rules.rule().protocol(IPPROTO_TCP).to_port(53).accept();
  for (const uint8_t protocol : {uint8_t{IPPROTO_TCP}, uint8_t{IPPROTO_UDP}}) {
    const uint16_t port = protocol == IPPROTO_TCP ? kTcpListenerPort : kUdpListenerPort;
    rules.rule().family(NFPROTO_IPV4).protocol(protocol).tproxy(NFPROTO_IPV4, as_bytes(loopback4), port).accept();
    rules.rule().family(NFPROTO_IPV6).protocol(protocol).tproxy(NFPROTO_IPV6, as_bytes(loopback6), port).accept();
  }
  // Replies from our listeners: tproxy breaks on them, because the socket it finds is the agent's own.
  rules.rule().protocol(IPPROTO_TCP).accept();
  // Port-unreachable for refused UDP. Nobody inside gets an answer to a ping that left for nowhere.
  rules.rule().protocol(IPPROTO_ICMP).icmp_type(3).accept();
  rules.rule(true).protocol(IPPROTO_ICMPV6).icmp_type(1).accept();
}

// Whatever a route or a bound device says: no packet leaves by another device than lo, and no ARP passes, since the
// route that makes every address ours would answer for all of them.
void add_exit_rules(NetlinkBatch& batch) {
  const Hook output{NF_INET_LOCAL_OUT, NF_IP_PRI_RAW_BEFORE_DEFRAG, NF_ACCEPT};
  const Hook postrouting{NF_INET_POST_ROUTING, NF_IP_PRI_LAST, NF_ACCEPT};
  add_chain(batch, NFPROTO_INET, "output", &output);
  RuleWriter leaving(batch, "output");
  leaving.rule().not_to_loopback().drop();
  // No rule of the namespace may lead DNS elsewhere first (Docker's do), and what isn't tracked is not translated.
  leaving.rule().protocol(IPPROTO_UDP).to_port(53).untracked();
  leaving.rule().protocol(IPPROTO_TCP).to_port(53).untracked();
  add_chain(batch, NFPROTO_INET, "postrouting", &postrouting);
  RuleWriter(batch, "postrouting").rule().not_to_loopback().drop();

  const Hook arp_in{NF_ARP_IN, 0, NF_DROP};
  const Hook arp_out{NF_ARP_OUT, 0, NF_DROP};
  add_table(batch, NFPROTO_ARP, Life::of_the_socket);
  add_chain(batch, NFPROTO_ARP, "input", &arp_in);
  add_chain(batch, NFPROTO_ARP, "output", &arp_out);
}

Error refused(Error error) {
  return std::move(error)
      .context("install the redirect")
      .hint("needs nf_tables and nft_tproxy in the kernel: run 'stockade doctor'");
}

}  // namespace

Result<void> install_redirect_rules() {
  STOCKADE_ASSIGN(NetlinkSocket socket, NetlinkSocket::open(NETLINK_NETFILTER));
  NetlinkBatch batch;
  batch_marker(batch, NFNL_MSG_BATCH_BEGIN);
  add_table(batch, NFPROTO_INET, Life::of_the_namespace);
  add_redirect_rules(batch, {});
  batch_marker(batch, NFNL_MSG_BATCH_END);
  if (auto done = socket.request(batch, 1); !done) return std::unexpected(refused(std::move(done).error()));
  return {};
}

Result<Fd> install_owned_redirect_rules(const LocalTraffic& local) {
  STOCKADE_ASSIGN(NetlinkSocket socket, NetlinkSocket::open(NETLINK_NETFILTER));
  NetlinkBatch batch;
  batch_marker(batch, NFNL_MSG_BATCH_BEGIN);
  add_table(batch, NFPROTO_INET, Life::of_the_socket);
  add_exit_rules(batch);
  add_redirect_rules(batch, local);
  batch_marker(batch, NFNL_MSG_BATCH_END);
  if (auto done = socket.request(batch, 1); !done) {
    const int number = done.error().error_number();
    if (number != EEXIST && number != EPERM) return std::unexpected(refused(std::move(done).error()));
    return std::unexpected(Error(ErrorKind::unavailable, "there are nft tables called stockade inside already")
                               .hint("'stockade ps' shows who holds them; a sandbox's network can't be attached to"));
  }
  return socket.release();
}

}  // namespace stockade::net
