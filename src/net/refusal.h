// What the agent gets to read when something is refused over HTTP: a status, the header `stockade-decision` and a JSON
// body that a model can act on. Every text is escaped: nothing that the agent chose can add a header line or leave its
// JSON string. Pure, any thread.
#pragma once

#include <string>
#include <string_view>

#include "net/http1.h"

namespace stockade::net {

enum class RefusalStatus {
  forbidden = 403,    // a rule or a wall said no
  bad_request = 400,  // not HTTP that two parsers read alike
  bad_gateway = 502,  // the destination can't be reached or speaks nonsense
  gateway_timeout = 504,
  loop_detected = 508,
};

struct Refusal {
  RefusalStatus status = RefusalStatus::forbidden;
  std::string decision = "deny";  // a word of the policy's vocabulary
  std::string message;            // one sentence for the model
  std::string reason;
  std::string rule;   // "network.allow[2]", empty when no rule matched
  std::string event;  // the event's number in the log
  std::string hint;   // what a person can do
};

// The response, as a head and its body.
struct RefusalResponse {
  ResponseHead head;
  std::string body;
};
RefusalResponse refusal_response(const Refusal& refusal);

// The same as a whole HTTP/1.1 response that closes the connection. `with_body` is false for an answer to HEAD: the length is
// stated, the body left out.
std::string http_refusal(const Refusal& refusal, bool with_body = true);

// `text` as the inside of a JSON string: control characters, quotes and everything outside of ASCII escaped; bytes that
// are not UTF-8 become U+FFFD.
std::string json_escaped(std::string_view text);

}  // namespace stockade::net
