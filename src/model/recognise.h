// Which model API a request speaks, under any host and path prefix: by the path's end and by the first keys of its
// body, both of which must fit. Unsure means none: the request is then HTTP like any other. No names of hosts here: a
// gateway on localhost speaks the same.
//
// Recognised: OpenAI's own paths, Azure's deployments, OpenRouter and other prefixes, Vertex (rawPredict and
// generateContent), Bedrock's invoke with an Anthropic body. Not read: Bedrock's converse, and its streams, which are
// binary event-stream frames (`streams_binary`).
#pragma once

#include <string_view>

#include "model/event_splitter.h"
#include "model/happening.h"

namespace stockade::model {

struct RequestShape {
  std::string_view method;
  std::string_view path;     // normalised (net/path.h); a query may follow
  std::string_view upgrade;  // "websocket" for a WebSocket's handshake
  std::string_view body;     // as much of it as is there: keys may come late, so the whole is surest
};

struct Recognised {
  Api api = Api::none;
  bool streams = false;         // the request asks for a stream
  bool websocket = false;       // each client message is a request, each server message an event
  bool counts_only = false;     // count_tokens and the like: the same body, no answer of the model
  bool streams_binary = false;  // a stream that this module can't read
  bool operator==(const Recognised&) const = default;
};

Recognised recognise(const RequestShape& request);

// How the response to it comes; `body` for everything that is no stream, also for errors.
Framing response_framing(const Recognised& request, std::string_view content_type);

}  // namespace stockade::model
