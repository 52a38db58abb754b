// A second opinion on a head: llhttp, the parser of Node.js, has to read the same method, target, version, fields and
// framing as we did. What it refuses or reads differently is refused. Only http1.cc calls this.
#pragma once

#include <string_view>

#include "base/error.h"

namespace stockade::net {

struct RequestHead;
struct ResponseHead;

Result<void> confirm_request(std::string_view text, const RequestHead& head);
Result<void> confirm_response(std::string_view text, const ResponseHead& head);

}  // namespace stockade::net
