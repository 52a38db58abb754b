// A refusal in the words of each API, so that its client library raises an error that shows the message, does not try
// again, and the agent can act on it. What Stockade adds for machines (reason, rule, event, hint) stands beside what
// the API has. For a stream that has begun there is no status any more: an error event ends it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/event_splitter.h"
#include "model/happening.h"
#include "model/reader.h"

namespace stockade::model {

struct Refusal {
  std::string message;  // a sentence for the person
  std::string reason;   // what was found, in a word
  std::string rule;
  std::string event;  // the event that `stockade why` explains
  std::string hint;
};

struct RefusalResponse {
  int status = 403;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> fields;  // beside content type and length
  std::string body;
};

RefusalResponse write_refusal(Api api, const Refusal& refusal);

// What ends a stream of which `reader` has read all that was sent: bytes to send, in order; for a WebSocket each is one
// text message.
std::vector<std::string> write_stream_refusal(Api api, Framing framing, const ResponseReader& reader,
                                              const Refusal& refusal);

}  // namespace stockade::model
