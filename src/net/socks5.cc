#include "net/socks5.h"

#include <algorithm>
#include <array>

namespace stockade::net {

namespace {

constexpr char kVersion = 5;
constexpr uint8_t kConnect = 1;
enum AddressType : uint8_t { kIpv4 = 1, kDomain = 3, kIpv6 = 4 };

SocksRequest refuse(SocksReply reply, std::string_view reason) {
  SocksRequest request;
  request.state = SocksState::malformed;
  request.refusal = reply;
  request.reason = reason;
  return request;
}

IpAddress to_address(std::string_view bytes) {
  if (bytes.size() == 4) {
    uint32_t bits = 0;
    for (char c : bytes) bits = bits << 8 | static_cast<uint8_t>(c);
    return IpAddress::v4(bits);
  }
  std::array<uint8_t, 16> six{};
  std::copy(bytes.begin(), bytes.end(), six.begin());
  return IpAddress::v6(six);
}

}  // namespace

SocksGreeting parse_socks_greeting(std::string_view bytes) {
  SocksGreeting greeting;
  const auto refuse_greeting = [&](std::string_view reason) {
    greeting.state = SocksState::malformed;
    greeting.reason = reason;
    return greeting;
  };
  if (bytes.empty()) return greeting;
  if (bytes[0] == 4) return refuse_greeting("SOCKS 4 can't carry names; use socks5h");
  if (bytes[0] != kVersion) return refuse_greeting("not SOCKS 5");
  if (bytes.size() < 2) return greeting;
  const size_t count = static_cast<uint8_t>(bytes[1]);
  if (count == 0) return refuse_greeting("a greeting without methods");
  if (bytes.size() < 2 + count) return greeting;
  greeting.state = SocksState::done;
  greeting.consumed = 2 + count;
  greeting.accepts_no_authentication = bytes.substr(2, count).find('\0') != std::string_view::npos;
  return greeting;
}

SocksRequest parse_socks_request(std::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  if (!bytes.empty() && bytes[0] != kVersion) return refuse(SocksReply::general_failure, "not a SOCKS 5 request");
  if (bytes.size() > 1 && byte(1) != kConnect)
    return refuse(SocksReply::command_not_supported, "only CONNECT is offered, neither BIND nor UDP ASSOCIATE");
  if (bytes.size() > 2 && bytes[2] != 0) return refuse(SocksReply::general_failure, "a reserved byte that is not zero");
  if (bytes.size() < 5) return {};
  size_t size = 0;
  size_t at = 4;
  switch (byte(3)) {
    case kIpv4:
      size = 4;
      break;
    case kIpv6:
      size = 16;
      break;
    case kDomain:
      size = byte(4);
      at = 5;
      if (size == 0) return refuse(SocksReply::general_failure, "an empty name");
      break;
    default:
      return refuse(SocksReply::address_type_not_supported, "an unknown type of address");
  }
#ifdef STOCKADE_PLANTED_BUG
  // Forgets the port's second byte.
  if (bytes.size() < at + size + 1) return {};
#else
  if (bytes.size() < at + size + 2) return {};
#endif
  SocksRequest request;
  const auto host = bytes.substr(at, size);
  if (byte(3) == kDomain) {
    if (std::any_of(host.begin(), host.end(), [](char c) { return c <= ' ' || c == 0x7f; }))
      return refuse(SocksReply::general_failure, "a name with bytes that no host name has");
    request.name = host;
  } else {
    request.address = to_address(host);
  }
  const char* port = bytes.data() + at + size;
  request.port = static_cast<uint16_t>(static_cast<uint8_t>(port[0]) << 8 | static_cast<uint8_t>(port[1]));
  if (request.port == 0) return refuse(SocksReply::general_failure, "port 0");
  request.state = SocksState::done;
  request.consumed = at + size + 2;
  return request;
}

std::string socks_method_reply(bool accepted) { return {kVersion, accepted ? '\0' : '\xff'}; }

std::string socks_reply(SocksReply reply) { return {kVersion, static_cast<char>(reply), 0, kIpv4, 0, 0, 0, 0, 0, 0}; }

}  // namespace stockade::net
