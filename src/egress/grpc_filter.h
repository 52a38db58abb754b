// gRPC, message by message (net/grpc_message.h), unary and streams: each is judged when it is whole, and passes as it
// came. Compressed messages are decoded by the coding that the head names. A refusal in the midst of a response is its
// trailers: PERMISSION_DENIED. One thread, one direction of one call.
#pragma once

#include "egress/message_judge.h"

namespace stockade::egress {

bool is_grpc(const std::vector<net::HttpField>& fields);
std::unique_ptr<BodyFilter> grpc_filter(const std::vector<net::HttpField>& fields, MessageJudge::Means means);

// A whole response ("Trailers-Only"): PERMISSION_DENIED, or UNAVAILABLE where a server can't be reached.
net::ResponseHead grpc_refusal(const net::Refusal& refusal);

}  // namespace stockade::egress
