// Which filters stand on an exchange's bodies, by the policy and by what the heads say: secrets in requests, orders to the
// model in responses; content codings are undone for them, gRPC and WebSocket are read as messages. One thread.
#pragma once

#include "egress/body_filter.h"
#include "egress/inspector.h"
#include "egress/model_filter.h"
#include "egress/websocket_filter.h"

namespace stockade::egress {

struct Filtering {
  std::unique_ptr<BodyFilter> filter;     // null: the body passes
  std::vector<ContentFinding> findings;  // at once: what can't be read
};

// `call` is set when the request turns out to be one to a model.
Filtering request_filtering(Inspector& inspector, const Destination& to, net::RequestHead& head,
                            std::shared_ptr<ModelCall> call);
// May take a content coding out of the head.
Filtering response_filtering(Inspector& inspector, const ModelCall& call, net::ResponseHead& head);

// Of a request that asks for a WebSocket. An Error: its handshake can be read in two ways.
Result<void> prepare_upgrade(net::RequestHead& head);
// What the server's 101 opened.
Result<WebSocketFilters> tunnel_filtering(Inspector& inspector, const net::RequestHead& request,
                                          const net::ResponseHead& response);

// Asks for no content coding that could not be undone.
void limit_accepted_codings(std::vector<net::HttpField>& fields);

// A filter that writes other bytes than it reads: no length can be promised, no digest holds.
void prepare_for_edits(std::vector<net::HttpField>& fields, net::BodyFraming& body, int minor_version);

}  // namespace stockade::egress
