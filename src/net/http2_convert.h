// Heads from HTTP/1 to HTTP/2 and back, so that an agent and a server may each speak what they like. What is about one
// connection is dropped (RFC 9110, section 7.6.1), Host becomes :authority and back, crumbs of Cookie are joined, TE
// says "trailers" or nothing, and Transfer-Encoding exists in HTTP/1 only.
//
// The downgrade is where request smuggling lives. So a head for HTTP/1 is written, read again by parse_*_head (and by
// llhttp, its second reading), and handed out only if both say that it is the one request that was meant. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/http1.h"
#include "net/http2_head.h"
#include "net/websocket_handshake.h"

namespace stockade::net {

// `scheme` of the connection that the request goes out on. Not for an upgrade: see websocket_to_h2.
Result<H2RequestHead> to_h2(const RequestHead& head, std::string_view scheme);
// `ends`: no body follows. A body without Content-Length is chunked.
Result<RequestHead> to_h1(const H2RequestHead& head, bool ends);

Result<H2ResponseHead> to_h2(const ResponseHead& head);
// `minor_version` of the client: with 0 a body without Content-Length lasts until the connection closes.
Result<ResponseHead> to_h1(const H2ResponseHead& head, std::string_view request_method, bool ends, int minor_version);

// Trailers of HTTP/1 as HTTP/2 has them; what may not be in one is dropped (RFC 9110, section 6.5.1).
std::vector<HttpField> trailers_to_h2(const std::vector<HttpField>& fields);

// A WebSocket's handshake: `offer` and `agreement` are what this program asks of the next server, or answers its
// client.
Result<H2RequestHead> websocket_to_h2(const RequestHead& head, std::string_view scheme, const WebSocketOffer& offer,
                                      const std::optional<WebSocketDeflateParameters>& deflate);
Result<RequestHead> websocket_to_h1(const H2RequestHead& head, const WebSocketOffer& offer,
                                    const std::optional<WebSocketDeflateParameters>& deflate);
Result<H2ResponseHead> websocket_answer_to_h2(const ResponseHead& head, const WebSocketAgreement& agreement);
Result<ResponseHead> websocket_answer_to_h1(const H2ResponseHead& head, const WebSocketAgreement& agreement,
                                            std::string_view key);

std::string_view reason_phrase(int status);

}  // namespace stockade::net
