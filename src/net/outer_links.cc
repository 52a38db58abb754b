#include "net/outer_links.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>

#include "net/netlink.h"

namespace stockade::net {

namespace {

constexpr int kLoopbackIndex = 1;

// Since 5.16; the headers of the floor have ingress only in some versions.
constexpr uint32_t kIngress = 0;
constexpr uint32_t kEgress = 1;

struct Link {
  int index = 0;
  std::string name;
  std::string kind;
  int peer = 0;                // its index
  std::optional<int> network;  // of the peer, as this namespace numbers others; absent: this one
};

int read_int(std::string_view value) {
  int number = 0;
  if (value.size() == sizeof(number)) std::memcpy(&number, value.data(), sizeof(number));
  return number;
}

std::string read_text(std::string_view value) { return std::string(value.substr(0, value.find('\0'))); }

Result<std::vector<Link>> list_links(int socket) {
  NetlinkBatch request;
  request.begin(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP);
  request.header(ifinfomsg{});
  request.finish();
  std::vector<Link> links;
  auto done = netlink_query(socket, request, [&](uint16_t, std::string_view payload) {
    ifinfomsg message;
    if (payload.size() < sizeof(message)) return;
    std::memcpy(&message, payload.data(), sizeof(message));
    Link link;
    link.index = message.ifi_index;
    visit_attributes(payload, sizeof(message), [&](uint16_t type, std::string_view value) {
      if (type == IFLA_IFNAME) link.name = read_text(value);
      if (type == IFLA_LINK) link.peer = read_int(value);
      if (type == IFLA_LINK_NETNSID) link.network = read_int(value);
      if (type != IFLA_LINKINFO) return;
      visit_attributes(value, 0, [&](uint16_t info, std::string_view text) {
        if (info == IFLA_INFO_KIND) link.kind = read_text(text);
      });
    });
    links.push_back(std::move(link));
  });
  if (!done) return std::unexpected(std::move(done).error().context("list network devices"));
  return links;
}

// The number by which our namespace knows `network`; negative: it has none, so no link of ours leads there.
Result<int> number_of(int socket, int network) {
  NetlinkBatch request;
  request.begin(RTM_GETNSID, NLM_F_REQUEST);
  request.header(rtgenmsg{});
  request.attribute_u32(NETNSA_FD, static_cast<uint32_t>(network));
  request.finish();
  int number = -1;
  auto done = netlink_query(socket, request, [&](uint16_t, std::string_view payload) {
    visit_attributes(payload, sizeof(rtgenmsg), [&](uint16_t type, std::string_view value) {
      if (type == NETNSA_NSID) number = read_int(value);
    });
  });
  if (!done) return std::unexpected(std::move(done).error().context("ask which links lead into the target"));
  return number;
}

uint16_t message(uint16_t type) { return static_cast<uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | type); }

void add_closed_chain(NetlinkBatch& batch, const std::string& table, const std::string& link, uint32_t hook,
                      bool last) {
  batch.begin(message(NFT_MSG_NEWCHAIN), static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_CREATE | (last ? NLM_F_ACK : 0)));
  batch.header(nfgenmsg{NFPROTO_NETDEV, NFNETLINK_V0, 0});
  batch.attribute_text(NFTA_CHAIN_TABLE, table.c_str());
  batch.attribute_text(NFTA_CHAIN_NAME, fmt::format("{}-{}", link, hook == kIngress ? "in" : "out").c_str());
  batch.nest(NFTA_CHAIN_HOOK);
  batch.attribute_be32(NFTA_HOOK_HOOKNUM, hook);
  batch.attribute_be32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(-500));
  batch.attribute_text(NFTA_HOOK_DEV, link.c_str());
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

}  // namespace

Result<std::optional<std::vector<std::string>>> find_outer_links(int network, int inside) {
  STOCKADE_ASSIGN(const auto theirs, list_links(inside));
  STOCKADE_ASSIGN(NetlinkSocket here, NetlinkSocket::open(NETLINK_ROUTE));
  STOCKADE_ASSIGN(const auto ours, list_links(here.fd()));
  STOCKADE_ASSIGN(const int number, number_of(here.fd(), network));
  std::vector<std::string> found;
  for (const Link& link : theirs) {
    if (link.index == kLoopbackIndex) continue;
    const auto outer = std::ranges::find_if(ours, [&](const Link& candidate) {
      return number >= 0 && candidate.kind == "veth" && candidate.network == number && candidate.peer == link.index &&
             candidate.index == link.peer;
    });
    if (link.kind != "veth" || outer == ours.end()) return std::nullopt;
    found.push_back(outer->name);
  }
  return found;
}

Result<Fd> close_outer_links(const std::vector<std::string>& links, const std::string& table) {
  if (links.empty()) return Fd();
  STOCKADE_ASSIGN(NetlinkSocket socket, NetlinkSocket::open(NETLINK_NETFILTER));
  NetlinkBatch batch;
  batch_marker(batch, NFNL_MSG_BATCH_BEGIN);
  batch.begin(message(NFT_MSG_NEWTABLE), NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
  batch.header(nfgenmsg{NFPROTO_NETDEV, NFNETLINK_V0, 0});
  batch.attribute_text(NFTA_TABLE_NAME, table.c_str());
  batch.attribute_be32(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
  batch.finish();
  for (const std::string& link : links) {
    add_closed_chain(batch, table, link, kIngress, false);
    add_closed_chain(batch, table, link, kEgress, &link == &links.back());
  }
  batch_marker(batch, NFNL_MSG_BATCH_END);
  if (auto done = socket.request(batch, 1); !done)
    return std::unexpected(std::move(done)
                               .error()
                               .context("close the target's links outside")
                               .hint("needs the nft egress hook (Linux 5.16, CONFIG_NETFILTER_EGRESS)"));
  return socket.release();
}

}  // namespace stockade::net
