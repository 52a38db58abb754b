// The one reading of a request's path that rules are matched against. Servers disagree about encoded slashes, dot
// segments, double encoding, backslashes, empty segments, ";" parameters and bytes outside of ASCII; a path with any of
// these is refused with the reason, so that what a rule saw is what every server sees. Also: the headers and query
// fields by which a request asks to be read as another method, path or host. RFC 3986; pure, any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/http1.h"

namespace stockade::net {

inline constexpr size_t kPathLimit = 16 * 1024;

// `raw` begins with "/" and has no query. In the result every printable ASCII character that may stand for itself does
// ("%7E" is "~", "%3A" is ":"), what may not is percent-encoded in capitals ("%20", "%3F", "%25"), and percent-encoded
// UTF-8 stays encoded.
Result<std::string> normalise_path(std::string_view raw);

// The first header or query field that overrides method, path or host, as "header X-HTTP-Method-Override"; none if
// there is none. To be asked where a rule limits methods or paths.
std::optional<std::string> find_override(const RequestHead& head);

}  // namespace stockade::net
