// HTTP on one connection of the agent: HTTP/1 request after request, HTTP/2 stream beside stream; each is an exchange
// (http_exchange.h) that is judged on its own. The session ends with the agent's connection; those to servers belong to
// the process (upstream_pool.h).
#pragma once

#include "egress/http_exchange.h"

namespace stockade::egress {

enum class HttpVersion { http1, http2 };

struct HttpSessionOptions {
  HttpVersion version = HttpVersion::http1;
  HttpRole role = HttpRole::origin;
  bool sealed = false;        // towards servers: TLS, that the sealer speaks
  bool offers_http2 = false;  // there
};

loop::Task<void> serve_http(Inspector& inspector, Connection connection, Destination to, InBuffer in,
                            HttpSessionOptions options);

}  // namespace stockade::egress
