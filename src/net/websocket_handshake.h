// The opening handshake of WebSocket over HTTP/1.1 (RFC 6455, section 4) and HTTP/2 (RFC 8441), both sides, and its
// conversion from either to either. Only version 13. A server's answer is judged against what was offered: an Accept
// that does not belong to the key, a subprotocol or an extension that nobody asked for fail.
//
// Pure; the key's randomness is the caller's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/http1.h"
#include "net/http2_head.h"
#include "net/websocket_deflate.h"

namespace stockade::net {

// What a client asks for.
struct WebSocketOffer {
  std::string key;  // empty over HTTP/2
  std::vector<std::string> subprotocols;
  std::vector<WebSocketExtension> extensions;
};
// What a server agreed to.
struct WebSocketAgreement {
  std::string subprotocol;  // empty: none
  std::optional<WebSocketDeflateParameters> deflate;
};

// Does this head ask for a WebSocket? (What it asks may still be malformed.)
bool asks_for_websocket(const RequestHead& head);
bool asks_for_websocket(const H2RequestHead& head);
Result<WebSocketOffer> read_websocket_offer(const RequestHead& head);
Result<WebSocketOffer> read_websocket_offer(const H2RequestHead& head);

// `deflate`: what the offer said of permessage-deflate, if anything. Only for a 101, or a 200 over HTTP/2; every other
// status is an ordinary response.
Result<WebSocketAgreement> read_websocket_answer(const ResponseHead& head, const WebSocketOffer& offer,
                                                 const std::optional<WebSocketDeflateParameters>& deflate);
Result<WebSocketAgreement> read_websocket_answer(const H2ResponseHead& head, const WebSocketOffer& offer,
                                                 const std::optional<WebSocketDeflateParameters>& deflate);

// Sec-WebSocket-Key for 16 random bytes, and the Sec-WebSocket-Accept that belongs to a key.
std::string websocket_key(const std::array<uint8_t, 16>& random);
std::string websocket_accept(std::string_view key);

// The fields that a client adds to its own; of the HTTP/1 ones Upgrade, Connection and the key. `deflate` is offered if
// there is one, and no other extension.
std::vector<HttpField> websocket_offer_fields(const WebSocketOffer& offer,
                                              const std::optional<WebSocketDeflateParameters>& deflate);
// The fields that a server adds. `key`: the client's; empty over HTTP/2.
std::vector<HttpField> websocket_answer_fields(const WebSocketAgreement& agreement, std::string_view key);

// Heads from one version to the other, without the fields of the handshake, which the caller adds anew: it decides
// which extensions it speaks on each side.
std::vector<HttpField> without_websocket_fields(const std::vector<HttpField>& fields);

}  // namespace stockade::net
