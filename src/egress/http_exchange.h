// One exchange of HTTP, whichever version both sides speak: the request is judged (its destination, Host, method and
// path, then its content), and reaches the server only as far as it is known to be clean; the response comes back the
// same way. What is refused gets an answer as long as none was begun; what has begun is broken off, so that neither
// side takes a part for the whole.
//
// Request and response are a coroutine each, for a server may answer before it has read everything. One thread.
#pragma once

#include "egress/http_stream.h"
#include "egress/refusals.h"
#include "egress/upstream_pool.h"

namespace stockade::egress {

// Whom the agent speaks to: the server itself, or an explicit proxy, where each request names its destination.
enum class HttpRole { origin, proxy };

// What all exchanges of one connection of the agent share.
struct HttpSession {
  Inspector& inspector;
  Route route;
  HttpRole role = HttpRole::origin;
};

loop::Task<void> serve_exchange(std::shared_ptr<HttpSession> session, net::RequestHead head,
                                std::shared_ptr<AgentStream> agent);

// A request that could not be read is refused, and logged. `agent` null: its version has no answer for that.
loop::Task<void> refuse_malformed(std::shared_ptr<HttpSession> session, std::shared_ptr<AgentStream> agent,
                                  std::string reason);

}  // namespace stockade::egress
