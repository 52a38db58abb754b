// What the readers of the five APIs share: a walk through one body or event that collects happenings, and what a
// response remembers between its events. Internal to src/model.
//
// Servers differ in how they match keys: Go's (Ollama) ignore case, protobuf's (Gemini) take two spellings, the others
// want the exact one. A key that only some of them would take for one that we read is refused, never guessed.
#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "model/event_splitter.h"
#include "model/happening.h"
#include "model/json_value.h"

namespace stockade::model {

enum class Spelling : uint8_t { exact, any_case, protobuf };
Spelling spelling_of(Api api);

// True if some server takes `key` for `name`; `name` is ASCII.
bool is_spelling_of(JsonString key, std::string_view name, Spelling spelling);

class Walk {
 public:
  Walk(const JsonDocument& document, Spelling spelling, uint64_t event, std::vector<Happening>& out)
      : document_(document), spelling_(spelling), event_(event), out_(out) {}

  JsonValue root() const { return document_.root(); }
  JsonValue member(JsonValue object, std::string_view name);
  // Decoded; empty if it is no text. A lone surrogate is a problem.
  std::string string(JsonValue value);
  std::string string(JsonValue object, std::string_view name) { return string(member(object, name)); }
  uint32_t number(JsonValue object, std::string_view name, uint32_t otherwise = 0);

  void require_number(JsonValue object, std::string_view name);

  Happening& add(HappeningKind kind, JsonValue where, Phase phase = Phase::whole);
  // A happening for a text that is not empty, else nothing.
  Happening* text(HappeningKind kind, JsonValue value, Origin origin, Phase phase = Phase::whole);
  // Every text in `value` but those that are not read by a model (types, ids, base64).
  void texts_below(HappeningKind kind, JsonValue value, Origin origin, std::string_view id = {},
                   std::string_view name = {});
  // A URL that the provider fetches, or data in it.
  void url(JsonValue value, Origin origin, std::string_view type);
  void media(JsonValue where, Origin origin, std::string name, std::string_view type);
  void error(JsonValue where, JsonValue message, std::string type);

  // Pointers, names and ids are copied into each happening: so many bytes of them that hostile bytes made them long are
  // refused before they fill the memory.
  void charge(size_t bytes);
  size_t told() const { return out_.size(); }
  void refuse(std::string sentence);
  Result<void> result() const;

 private:
  const JsonDocument& document_;
  Spelling spelling_;
  uint64_t event_;
  std::vector<Happening>& out_;
  std::optional<std::string> problem_;
  size_t charged_ = 0;
  Happening untold_;
};

// Chat: the index of the older "function_call", which has none.
inline constexpr uint32_t kOldFunctionCall = 0xfffe;

struct OpenCall {
  std::string name, id, type;
  bool hosted = false;
  bool ended = false;
  bool has_pieces = false;
  std::string arguments;
};

// Of one response; bounded.
class ResponseState {
 public:
  static constexpr size_t kCallLimit = 4096;
  static constexpr size_t kArgumentLimit = size_t{16} << 20;

  // The call of that item, null if there is none.
  OpenCall* find(const Item& item);
  // Starts a call and tells of it.
  OpenCall* begin(Walk& walk, const Item& item, JsonValue where, OpenCall call);
  // More of its arguments.
  void piece(Walk& walk, const Item& item, JsonValue where);
  // A sign that it goes on, without more of it.
  void empty_piece(Walk& walk, const Item& item, JsonValue where);
  // All of it is known: `whole` replaces the pieces where the API says them again, and must agree with them.
  void end(Walk& walk, const Item& item, JsonValue where, std::optional<std::string> whole = std::nullopt);
  // A call that comes all at once.
  void whole(Walk& walk, const Item& item, JsonValue where, OpenCall call, std::string arguments);
  // Ends each open call of that choice.
  void end_choice(Walk& walk, uint32_t choice, JsonValue where);
  void end_all(Walk& walk, JsonValue where);

  std::map<Item, OpenCall> calls;
  std::vector<std::string> blocks;  // Anthropic: the type of each content block so far
  bool block_open = false;
  uint32_t ordinal = 0;         // calls so far that have no index of their own
  std::optional<Item> partial;  // Gemini: the call whose arguments go on
  uint64_t last_sequence = 0;   // Responses
  std::string response_id, response_model;
  bool started = false, finished = false;

 private:
  size_t argument_bytes_ = 0;
};

// Each API: what a request offers, what a body answers, what one event of a stream says.
void read_responses_request(Walk& walk);
void read_responses_body(Walk& walk, ResponseState& state);
void read_responses_event(Walk& walk, ResponseState& state);
void read_chat_request(Walk& walk);
void read_chat_body(Walk& walk, ResponseState& state);
void read_chat_event(Walk& walk, ResponseState& state);
void read_anthropic_request(Walk& walk);
void read_anthropic_body(Walk& walk, ResponseState& state);
void read_anthropic_event(Walk& walk, ResponseState& state);
void read_gemini_request(Walk& walk);
void read_gemini_response(Walk& walk, ResponseState& state);  // a body and an event are the same
void read_ollama_request(Walk& walk);
void read_ollama_response(Walk& walk, ResponseState& state);

// A text or a list of parts of either OpenAI API, and one part.
void openai_content(Walk& walk, JsonValue content, HappeningKind kind, Origin origin, std::string_view id = {},
                    std::string_view name = {});

// Whether a call item or tool of that type runs at the provider.
bool is_hosted_call(Api api, std::string_view type);
bool is_hosted_tool(Api api, std::string_view type);

}  // namespace stockade::model
