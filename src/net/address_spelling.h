// Every spelling of an IP address that some resolver, library or browser accepts, brought to one form before it is
// judged: decimal, octal and hex parts, one to four of them, percent-encoding (also repeated), full-width and other
// compatibility digits and dots, invisible characters, a trailing dot, brackets, an IPv6 zone.
//
// inet_aton(3) reads a leading 0 as octal; readers that take it as decimal exist, so a caller that connects uses the
// address returned here and never the text. Sources: inet_aton(3), WHATWG URL "IPv4 parser", UTS #46. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "base/ip_address.h"

namespace stockade::net {

std::optional<IpAddress> spelled_address(std::string_view text);

// The last label is a number in some base: such a text is an address or an error, never a name (WHATWG URL, "ends in a
// number checker"). True for "256.1.1.1", "1.2.3.4.5" and "foo.0x1".
bool ends_in_number(std::string_view text);

}  // namespace stockade::net
