// DNS messages (RFC 1035, 6891): the server's side towards the agent (strict queries in, small answers out) and the
// resolver's side towards the world (a query out, its response in). Bytes in, values out; no sockets, any thread.
//
// A query that this accepts has exactly one question of class IN, no compression, at most one OPT and nothing after it.
// A response is accepted only for the very query that was sent: same id and the same question, byte for byte, so that
// the case of the letters (0x20) is checked as well. It does not validate DNSSEC.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ip_address.h"

namespace stockade::net {

inline constexpr size_t kDnsHeaderSize = 12;
inline constexpr size_t kDnsNameLimit = 255;      // on the wire, with the root's zero
inline constexpr size_t kDnsQueryLimit = 4096;    // a query longer than this is refused
inline constexpr uint16_t kDnsUdpPayload = 1232;  // what we announce and never exceed over UDP (DNS flag day 2020)

enum class DnsType : uint16_t { a = 1, ns = 2, cname = 5, soa = 6, ptr = 12, txt = 16, aaaa = 28, opt = 41, any = 255 };

enum class DnsCode : uint8_t {
  no_error = 0,
  form_error = 1,
  server_failure = 2,
  no_name = 3,
  not_implemented = 4,
  refused = 5
};

struct DnsQuery {
  uint16_t id = 0;
  bool recursion_desired = false;
  bool checking_disabled = false;
  std::string
      name;  // lower case, no trailing dot ("." is the root); bytes that are not printable as \DDD, as in zone files
  std::string question;  // the question section as it was asked, echoed in answers
  uint16_t type = 0;     // any value; compare with DnsType
  bool edns = false;
  uint16_t udp_size = 512;  // what the client can take over UDP, at least 512
};

// Why a query was refused, and with what to answer it.
struct DnsRefusal {
  std::optional<DnsCode> code;  // none: answer nothing (not a query, or no header to answer to)
  uint16_t id = 0;
  bool recursion_desired = false;
  uint8_t opcode = 0;
  std::string reason;

  std::string response() const;  // empty when nothing should be answered
};

std::expected<DnsQuery, DnsRefusal> parse_dns_query(std::string_view message);

struct DnsReply {
  DnsCode code = DnsCode::no_error;
  std::vector<IpAddress> addresses;  // those of the query's type are answered, others left out
  uint32_t ttl = 60;
};
// At most `size_limit` bytes: answers that do not fit are left out and TC is set. Over UDP pass udp_limit(query).
std::string build_dns_reply(const DnsQuery& query, const DnsReply& reply, size_t size_limit);
size_t udp_limit(const DnsQuery& query);

// ---- resolver
// ---------------------------------------------------------------------------------------------------------

// A query for `name` (labels of 1 to 63 bytes, at most 253 in all, a trailing dot allowed) with EDNS. `id` and
// `case_bits` come from a source that an attacker can't guess: each letter's case follows one bit (0x20, empty: off).
Result<std::string> build_dns_query(std::string_view name, DnsType type, uint16_t id, std::string_view case_bits = {});

struct DnsResponse {
  DnsCode code = DnsCode::no_error;
  bool truncated = false;            // ask again over TCP; nothing else is set
  std::vector<IpAddress> addresses;  // of the name itself or the end of its CNAME chain, in the message's order
  uint32_t ttl = 0;                  // the least along the chain
  std::string canonical_name;        // the chain's end, lower case
};
// The response to `query` (as build_dns_query made it). Records that do not belong to the chain are ignored.
Result<DnsResponse> parse_dns_response(std::string_view message, std::string_view query);

// ---- TCP
// --------------------------------------------------------------------------------------------------------------

std::string dns_tcp_frame(std::string_view message);

// Cuts a TCP stream into messages (RFC 1035, 4.2.2). A message of length zero or over the limit ends the stream.
class DnsTcpReader {
 public:
  explicit DnsTcpReader(size_t limit = kDnsQueryLimit) : limit_(limit) {}
  // Takes what it needs of `bytes` and returns how much; when has_message() is true it takes nothing more.
  Result<size_t> feed(std::string_view bytes);
  bool has_message() const { return length_ && buffer_.size() == *length_; }
  std::string take_message();

 private:
  size_t limit_;
  std::optional<size_t> length_;
  std::string buffer_;
};

}  // namespace stockade::net
