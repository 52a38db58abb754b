// What happens in a model API's traffic, whichever API: tools are offered, texts go to the model and come back, tools
// are called and answered, tokens are counted. Each happening knows where it stands: the byte range in the body (or in
// the data of one event of a stream) that an edit would replace, and the JSON pointer of it.
//
// In streams a call or a text comes in pieces: `begin` (its name is known), `piece` (more of its text), `end` (all of
// it is known). Some APIs then say the same again, whole: `repeat`, which an edit must reach too. What comes at once is
// `whole`. The pieces of one call or text have the same item. Views point into the body or the event's data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/json_value.h"

namespace stockade::model {

enum class Api : uint8_t {
  none,
  openai_responses,
  openai_chat,
  anthropic_messages,
  gemini,
  ollama_chat,
  ollama_generate
};

enum class HappeningKind : uint8_t {
  offered_tool,    // name, type, hosted; description and schema where it has them
  system_text,     // text
  user_text,       // text
  tool_result,     // text; id or name of the call
  tool_call,       // name, id, type, hosted; arguments at end, whole and repeat, text of a piece
  model_text,      // text
  reasoning_text,  // text
  other_text,      // text in an item of a type that we do not know
  media,           // an image, sound or file: inline, or by an id of the provider's (name: its media type)
  fetched_url,     // url: the provider (or a tool of its) will fetch it
  usage,           // usage
  finish,          // reason: why the model stopped, in the API's words
  error,           // text: the message; reason: its type
};

enum class Phase : uint8_t { whole, begin, piece, end, repeat };

// Whose it is, for text, media and URLs.
enum class Origin : uint8_t { system, user, tool, model };

struct Usage {
  std::optional<uint64_t> input;   // as the API counts it: Anthropic's is without the cached
  std::optional<uint64_t> output;  // with reasoning where the API says so
  std::optional<uint64_t> cached;  // input read from a cache
  bool operator==(const Usage&) const = default;
};

// Which call or text of a response: choice or candidate, and its place there as the API counts (content block, output
// item, tool call index). Part tells a text within an item (Responses).
struct Item {
  uint32_t choice = 0;
  uint32_t index = 0;
  uint32_t part = 0;
  auto operator<=>(const Item&) const = default;
};

struct Happening {
  HappeningKind kind = HappeningKind::other_text;
  Phase phase = Phase::whole;
  Origin origin = Origin::user;
  Item item;
  uint64_t event = 0;   // of a stream; 0 in a body
  ByteRange range;      // of the value: a text with its quotes, a tool or call as a whole
  std::string pointer;  // to that value

  JsonString text;
  std::string name;       // of the tool, decoded
  std::string id;         // of the call, decoded
  std::string type;       // of the tool, call or item, as the API names it ("function", "web_search", …)
  bool hosted = false;    // the provider carries it out; the agent only learns of it
  ByteRange description;  // offered_tool: its text with quotes; empty when there is none
  ByteRange schema;       // offered_tool: its parameters
  std::string arguments;  // tool_call: JSON (or free text for custom tools), assembled
  std::string url;        // decoded
  Usage usage;
  std::string reason;
};

const char* name_of(Api api);
const char* name_of(HappeningKind kind);
const char* name_of(Phase phase);

}  // namespace stockade::model
