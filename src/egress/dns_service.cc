#include "egress/dns_service.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "egress/refusals.h"
#include "net/dns.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

constexpr uint32_t kTtl = 60;  // the binding lasts as long as the run
constexpr Duration kStreamIdle = std::chrono::seconds(10);
constexpr size_t kStreamQueries = 1000;

bool is_localhost(std::string_view name) { return name == "localhost" || name.ends_with(".localhost"); }

struct Asked {
  sockaddr_storage from{};
  socklen_t from_size = sizeof(sockaddr_storage);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo))] = {};
  size_t control_size = 0;
};

// One datagram with the address that it was sent to; as receive_into: the buffers must not live in a coroutine.
ssize_t receive_query(int socket, std::string& query, Asked& asked) {
  query.resize(net::kDnsQueryLimit + 1);
  iovec part{query.data(), query.size()};
  alignas(cmsghdr) char control[256];
  msghdr header{};
  header.msg_name = &asked.from;
  header.msg_namelen = sizeof(asked.from);
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t count = ::recvmsg(socket, &header, 0);
  if (count < 0) return count;
  asked.from_size = header.msg_namelen;
  asked.control_size = 0;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item; item = CMSG_NXTHDR(&header, item)) {
    auto* reply = reinterpret_cast<cmsghdr*>(asked.control);
    if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(item), sizeof(info));
      // The source of the reply is the address that was asked, whatever interface it came by.
      info.ipi_spec_dst = info.ipi_addr;
      info.ipi_ifindex = 0;
      reply->cmsg_level = IPPROTO_IP;
      reply->cmsg_type = IP_PKTINFO;
      reply->cmsg_len = CMSG_LEN(sizeof(info));
      std::memcpy(CMSG_DATA(reply), &info, sizeof(info));
      asked.control_size = CMSG_SPACE(sizeof(info));
    } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(item), sizeof(info));
      info.ipi6_ifindex = 0;
      reply->cmsg_level = IPPROTO_IPV6;
      reply->cmsg_type = IPV6_PKTINFO;
      reply->cmsg_len = CMSG_LEN(sizeof(info));
      std::memcpy(CMSG_DATA(reply), &info, sizeof(info));
      asked.control_size = CMSG_SPACE(sizeof(info));
    }
  }
  return count;
}

void send_reply(int socket, const std::string& bytes, Asked& asked) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_name = &asked.from;
  header.msg_namelen = asked.from_size;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (asked.control_size > 0) {
    header.msg_control = asked.control;
    header.msg_controllen = asked.control_size;
  }
  // A lost reply is asked for again.
  (void)::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

DnsAnswer answer_dns(NameTable& names, std::string_view message, bool over_udp) {
  const auto query = net::parse_dns_query(message);
  if (!query) return {query.error().response(), std::nullopt};
  DnsAnswer answer;
  net::DnsReply reply;
  reply.ttl = kTtl;
  const bool address_asked =
      query->type == static_cast<uint16_t>(net::DnsType::a) || query->type == static_cast<uint16_t>(net::DnsType::aaaa);
  if (is_localhost(query->name)) {
    if (address_asked) reply.addresses = {IpAddress::v4(INADDR_LOOPBACK), *IpAddress::parse("::1")};
  } else if (const auto name = policy::canonical_host(query->name); !name) {
    reply.code = address_asked ? net::DnsCode::no_name : net::DnsCode::no_error;
  } else if (address_asked) {
    if (const auto synthetic = names.bind(*name)) {
      reply.addresses = {synthetic->v4, synthetic->v6};
    } else {
      reply.code = net::DnsCode::server_failure;
      Notice notice;
      notice.kind = NoticeKind::name;
      notice.host = *name;
      // One subject for all: which names an agent makes up is not worth a line each.
      notice.subject = "names";
      notice.reason = fmt::format("more than {} different names were looked up in this run", names.size());
      answer.notice = std::move(notice);
    }
  }
  answer.bytes = net::build_dns_reply(*query, reply, over_udp ? net::udp_limit(*query) : 65535);
  return answer;
}

loop::Task<void> serve_dns_datagrams(Inspector& inspector, loop::AsyncFd socket) {
  inspector.add_listener();
  std::string query;
  Asked asked;
  for (unsigned turn = 1;; ++turn) {
    if (turn % 32 == 0) co_await inspector.loop().yield();
    const ssize_t count = receive_query(socket.get(), query, asked);
    if (count < 0 && errno == EAGAIN) {
      socket.exhausted_read();
      inspector.listener_waits();
      co_await socket.readable();
      inspector.listener_goes_on();
      continue;
    }
    if (count < 0) continue;  // an ICMP error of an earlier reply
    DnsAnswer answer =
        answer_dns(inspector.names(), std::string_view(query).substr(0, static_cast<size_t>(count)), true);
    if (answer.notice) co_await inspector.notices().written(std::move(*answer.notice));
    if (!answer.bytes.empty()) send_reply(socket.get(), answer.bytes, asked);
  }
}

loop::Task<void> serve_dns_stream(Inspector& inspector, Fd client) {
  const bool room = inspector.has_room();
  const Inspector::SessionSlot slot(inspector);
  auto socket = loop::AsyncFd::adopt(inspector.loop(), std::move(client));
  if (!socket || !room) co_return;
  net::DnsTcpReader reader;
  Wire wire(std::move(*socket));
  InBuffer in(inspector);
  for (size_t queries = 0; queries < kStreamQueries;) {
    auto taken = reader.feed(in.bytes());
    if (!taken) co_return;
    in.consume(*taken);
    if (reader.has_message()) {
      ++queries;
      DnsAnswer answer = answer_dns(inspector.names(), reader.take_message(), false);
      if (answer.notice) co_await inspector.notices().written(std::move(*answer.notice));
      if (answer.bytes.empty()) co_return;
      const std::string framed = net::dns_tcp_frame(answer.bytes);
      auto written = co_await wire.write(framed, inspector.loop().now() + kStreamIdle);
      if (!written) co_return;
      continue;
    }
    auto count = co_await in.read_more(wire, inspector.loop().now() + kStreamIdle);
    if (!count || *count == 0) co_return;
  }
}

}  // namespace stockade::egress
