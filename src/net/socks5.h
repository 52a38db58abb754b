// SOCKS 5 (RFC 1928), the server's side: no authentication, CONNECT only. Each parser looks at everything that arrived
// so far and says how many bytes were its message. A name is handed on as it was sent; it may be any spelling of an
// address (address_spelling.h). Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip_address.h"

namespace stockade::net {

enum class SocksState { need_more, done, malformed };

enum class SocksReply : uint8_t {
  succeeded = 0,
  general_failure = 1,
  not_allowed = 2,
  network_unreachable = 3,
  host_unreachable = 4,
  connection_refused = 5,
  command_not_supported = 7,
  address_type_not_supported = 8,
};

struct SocksGreeting {
  SocksState state = SocksState::need_more;
  size_t consumed = 0;
  bool accepts_no_authentication = false;
  std::string_view reason;  // a constant, for `malformed`
};
SocksGreeting parse_socks_greeting(std::string_view bytes);

struct SocksRequest {
  SocksState state = SocksState::need_more;
  size_t consumed = 0;
  std::string name;                  // a domain name, or
  std::optional<IpAddress> address;  // an address
  uint16_t port = 0;
  SocksReply refusal = SocksReply::general_failure;  // what to answer when `malformed`
  std::string_view reason;
};
SocksRequest parse_socks_request(std::string_view bytes);

// The answer to a greeting: no authentication, or none acceptable.
std::string socks_method_reply(bool accepted);
std::string socks_reply(SocksReply reply);

}  // namespace stockade::net
