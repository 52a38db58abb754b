// Where a URL leads, in every reading that some parser in use has: WHATWG (browsers, Node), RFC 3986 (curl, Go, Java),
// and older ones that end the host at "/" only or take the first "@". A URL that readers disagree about gives several
// destinations; whoever judges, judges all. The host is percent-decoded, in lower case, without a trailing dot; any
// spelling of an address (net/address_spelling.h) becomes the address. Pure, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"

namespace stockade::net {

inline constexpr size_t kAuthorityLimit = 1024;  // a longer authority is not readable

struct UrlDestination {
  std::string scheme;  // lower case; empty for "//host/path", where the reader's own counts
  std::string host;    // an address in its canonical form, a name, or empty ("file:///x")
  std::optional<IpAddress> address;
  std::optional<uint16_t> port;  // as written
  bool readable = true;          // false: no reader should accept such a host, but one may
  bool operator==(const UrlDestination&) const = default;
};

// Empty: not a URL with an authority. At most a handful otherwise.
std::vector<UrlDestination> url_destinations(std::string_view url);

// "host[:port][/path]" without a scheme, as fetchers complete it. None where it can't be a host.
std::optional<UrlDestination> bare_destination(std::string_view text);

}  // namespace stockade::net
