// DNS messages: queries as the agent sends them, responses as any resolver may, and the TCP framing of both.
// covers: src/net/dns.cc src/net/dns_name.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "net/dns.h"

namespace {

using namespace stockade;
using namespace stockade::net;

void require(bool condition) {
  if (!condition) std::abort();
}

// What we accept, we can answer, and our own resolver's side accepts that answer.
void fuzz_query(std::string_view bytes) {
  const std::string exact(bytes);  // on the heap, so that a read past the end is seen
  const auto query = parse_dns_query(exact);
  if (!query) {
    const auto response = query.error().response();
    require(response.empty() || response.size() == kDnsHeaderSize);
    return;
  }
  require(!query->name.empty());
  const bool six = query->type == static_cast<uint16_t>(DnsType::aaaa);
  DnsReply reply{.ttl = 60};
  for (size_t i = 0; i < 40; ++i)
    reply.addresses.push_back(six ? *IpAddress::parse("fd00::1")
                                  : IpAddress::v4(0xc6120000u + static_cast<uint32_t>(i)));
  const size_t limit = udp_limit(*query);
  const std::string answer = build_dns_reply(*query, reply, limit);
  require(answer.size() <= limit);
  if (!six && query->type != static_cast<uint16_t>(DnsType::a)) return;
  const auto response = parse_dns_response(answer, exact);
  require(response.has_value());
  if (!response->truncated) require(response->addresses == reply.addresses && response->ttl == reply.ttl);
  const auto over_tcp = parse_dns_response(build_dns_reply(*query, reply, 65535), exact);
  require(over_tcp && over_tcp->addresses == reply.addresses);
}

// Flags, counts and records are the fuzzer's; id and question are right, or nothing would get past them.
void fuzz_response(std::string_view bytes) {
  for (const auto type : {DnsType::a, DnsType::aaaa}) {
    const std::string query = build_dns_query("www.example.com", type, 0x1234, "\x5a").value();
    const auto question = parse_dns_query(query)->question;
    if (bytes.size() < 8) continue;
    const std::string message = query.substr(0, 2) + std::string(bytes.substr(0, 2)) + std::string("\0\1", 2) +
                                std::string(bytes.substr(2, 6)) + question + std::string(bytes.substr(8));
    const auto response = parse_dns_response(message, query);
    if (!response) continue;
    require(response->truncated || !response->canonical_name.empty());
    for (const IpAddress& address : response->addresses) require(address.is_v4() == (type == DnsType::a));
  }
  (void)parse_dns_response(std::string(bytes), std::string(bytes));
}

std::vector<std::string> cut_stream(std::string_view bytes, size_t piece) {
  DnsTcpReader reader;
  std::vector<std::string> messages;
  for (size_t at = 0; at < bytes.size();) {
    const auto taken = reader.feed(bytes.substr(at, piece));
    if (!taken) {
      messages.push_back("refused");
      break;
    }
    require(*taken > 0);
    at += *taken;
    if (reader.has_message()) messages.push_back(reader.take_message());
  }
  return messages;
}

void fuzz_name(std::string_view bytes) {
  const auto query = build_dns_query(bytes, DnsType::a, 1, "\xa5");
  if (!query) return;
  const auto parsed = parse_dns_query(*query);
  require(parsed && parsed->question.size() <= kDnsNameLimit + 4);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      fuzz_query(bytes);
      break;
    case 1:
      fuzz_response(bytes);
      break;
    case 2: {
      const auto whole = cut_stream(bytes, bytes.size() + 1);
      require(whole == cut_stream(bytes, 1) && whole == cut_stream(bytes, 3));
      for (const std::string& message : whole) fuzz_query(message);
      break;
    }
    case 3:
      fuzz_name(bytes);
      break;
  }
  return 0;
}
