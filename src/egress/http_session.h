// Plain HTTP/1.1 on one connection: every request is judged, also on a kept or pipelined connection. Host must be the
// name that the agent connected to, method and path must satisfy the rules, and where a rule limits them, headers that
// override them are refused. Heads are written again from what was parsed; bodies are framed byte by byte, so that what
// we take for the next request is what the server takes for it. Responses are read for the same reason.
//
// Upgrades: only to WebSocket, and only where no rule for the host limits methods or paths, for what follows a 101 is
// not judged any more. As an explicit proxy (HttpRole::proxy) each request names its destination, and is judged like a
// connection to it. The request side and the response side are a task each; the session ends with the request side.
#pragma once

#include "egress/refusals.h"

namespace stockade::egress {

enum class HttpRole { origin, proxy };

loop::Task<void> serve_http(Inspector& inspector, Connection connection, Destination to, InBuffer in,
                            std::optional<Upstream> ready, HttpRole role);

}  // namespace stockade::egress
