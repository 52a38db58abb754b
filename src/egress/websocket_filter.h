// WebSocket, message by message (net/websocket.h): each is judged when it is whole, its frames pass as they came. With
// permessage-deflate, where both ends agreed on it, messages are inflated to be judged. A refusal ends the connection
// with a close frame that says why (1008). One thread, one direction of one connection.
#pragma once

#include "egress/message_judge.h"
#include "net/websocket_handshake.h"

namespace stockade::egress {

// Before the request leaves: of the extensions that it offers only what we can read stays. An Error: a handshake that
// can be read in two ways.
Result<void> limit_websocket_offer(net::RequestHead& request);

// The two directions of what a 101 opened.
struct WebSocketFilters {
  std::unique_ptr<BodyFilter> to_server, to_agent;
};
Result<WebSocketFilters> websocket_filters(const net::RequestHead& request, const net::ResponseHead& response,
                                           MessageJudge::Means out, MessageJudge::Means in);

}  // namespace stockade::egress
