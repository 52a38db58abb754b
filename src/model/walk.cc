#include "model/walk.h"

namespace stockade::model {

namespace {

constexpr size_t kHappeningLimit = size_t{1} << 20;
constexpr size_t kLabelLimit = size_t{1} << 20;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// As encoding/json of Go folds, which also takes ſ for s and the Kelvin sign for k.
std::string folded(JsonString key, bool drop_underscores) {
  std::string text;
  if (!key.escaped) {
    text = key.raw;
  } else {
    (void)decode_json_string(key.raw, text);
  }
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "\xc5\xbf") == 0) {
      out.push_back('s');
      i += 1;
    } else if (text.compare(i, 3, "\xe2\x84\xaa") == 0) {
      out.push_back('k');
      i += 2;
    } else if (text[i] != '_' || !drop_underscores) {
      out.push_back(lower(text[i]));
    }
  }
  return out;
}

// Members whose text no model reads: what they hold is named elsewhere, or is not text.
bool is_silent(JsonString key) {
  static constexpr std::string_view kSilent[] = {"type",
                                                 "id",
                                                 "role",
                                                 "status",
                                                 "call_id",
                                                 "tool_use_id",
                                                 "data",
                                                 "encrypted_content",
                                                 "encrypted_index",
                                                 "signature",
                                                 "thoughtSignature",
                                                 "thought_signature",
                                                 "media_type",
                                                 "mime_type",
                                                 "mimeType",
                                                 "cache_control",
                                                 "file_id",
                                                 "file_data",
                                                 "detail"};
  for (const std::string_view silent : kSilent)
    if (key.equals(silent)) return true;
  return false;
}

}  // namespace

Spelling spelling_of(Api api) {
  switch (api) {
    case Api::gemini:
      return Spelling::protobuf;
    case Api::ollama_chat:
    case Api::ollama_generate:
      return Spelling::any_case;
    default:
      return Spelling::exact;
  }
}

bool is_spelling_of(JsonString key, std::string_view name, Spelling spelling) {
  if (!key.escaped && key.raw == name) return true;
  // Nearly every other key ends here.
  if (key.raw.empty() || name.empty()) return false;
  const char first = key.raw[0];
  const bool may_fold = first == '\\' || static_cast<unsigned char>(first) >= 0x80 || first == '_';
  if (!may_fold && lower(first) != lower(name[0])) return false;
  const bool drop = spelling == Spelling::protobuf;
  return folded(key, drop) == folded({name, false}, drop);
}

JsonValue Walk::member(JsonValue object, std::string_view name) {
  if (!object.is_object()) return {};
  JsonValue found;
  for (JsonValue member = object.first(); member; member = member.next()) {
    const JsonString key = member.key();
    if (!is_spelling_of(key, name, spelling_)) continue;
    if (found || (spelling_ == Spelling::exact && !key.equals(name)))
      refuse(fmt::format("a key that only some servers read as \"{}\"", name));
    found = member;
  }
  return found;
}

std::string Walk::string(JsonValue value) {
  if (!value.is_string()) return {};
  auto decoded = value.text().decode();
  if (!decoded) {
    refuse(decoded.error().sentence());
    return {};
  }
  return std::move(*decoded);
}

uint32_t Walk::number(JsonValue object, std::string_view name, uint32_t otherwise) {
  const JsonValue found = member(object, name);
  const auto value = found.number();
  if (!value) {
    if (found && !found.is_null()) refuse(fmt::format("a \"{}\" that is no whole number", name));
    return otherwise;
  }
  if (*value > 0xffff) refuse(fmt::format("a \"{}\" beyond all bounds", name));
  return static_cast<uint32_t>(std::min<uint64_t>(*value, 0xffff));
}

void Walk::require_number(JsonValue object, std::string_view name) {
  if (!member(object, name).number()) refuse(fmt::format("an event without its \"{}\"", name));
}

Happening& Walk::add(HappeningKind kind, JsonValue where, Phase phase) {
  if (out_.size() >= kHappeningLimit) refuse("more happenings than one body may have");
  // What comes after a refusal is not told, and may cost nothing.
  Happening& made = problem_ ? (untold_ = {}) : out_.emplace_back();
  made.kind = kind;
  made.phase = phase;
  made.event = event_;
  made.range = where.range();
  if (problem_) return made;
  made.pointer = where.pointer();
  charge(made.pointer.size());
  return made;
}

Happening* Walk::text(HappeningKind kind, JsonValue value, Origin origin, Phase phase) {
  if (problem_ || !value.is_string() || value.text().empty()) return nullptr;
  Happening& made = add(kind, value, phase);
  made.text = value.text();
  made.origin = origin;
  return &made;
}

void Walk::texts_below(HappeningKind kind, JsonValue value, Origin origin, std::string_view id, std::string_view name) {
  if (value.is_string()) {
    charge(id.size() + name.size());
    if (Happening* made = text(kind, value, origin)) {
      made->id = id;
      made->name = name;
    }
    return;
  }
  for (JsonValue child = value.first(); child; child = child.next())
    if (!(child.is_string() && is_silent(child.key()))) texts_below(kind, child, origin, id, name);
}

void Walk::url(JsonValue value, Origin origin, std::string_view type) {
  if (!value.is_string() || value.text().empty()) return;
  std::string decoded = string(value);
  if (decoded.size() > 5 && folded({std::string_view(decoded).substr(0, 5), false}, false) == "data:") {
    media(value, origin, decoded.substr(5, std::min(decoded.find_first_of(";,"), decoded.size()) - 5), type);
    return;
  }
  Happening& made = add(HappeningKind::fetched_url, value);
  made.origin = origin;
  made.type = type;
  made.url = std::move(decoded);
}

void Walk::media(JsonValue where, Origin origin, std::string name, std::string_view type) {
  Happening& made = add(HappeningKind::media, where);
  made.origin = origin;
  made.name = std::move(name);
  made.type = type;
}

void Walk::error(JsonValue where, JsonValue message, std::string type) {
  Happening& made = add(HappeningKind::error, where);
  made.origin = Origin::model;
  made.text = message.text();
  made.reason = std::move(type);
}

void Walk::charge(size_t bytes) {
  charged_ += bytes;
  if (charged_ > kLabelLimit + 16 * document_.text().size()) refuse("names and paths longer than any honest ones");
}

void Walk::refuse(std::string sentence) {
  if (!problem_) problem_ = std::move(sentence);
}

Result<void> Walk::result() const {
  if (problem_) return fail(ErrorKind::protocol, "{}", *problem_);
  return {};
}

// ---- what a response remembers

OpenCall* ResponseState::find(const Item& item) {
  const auto found = calls.find(item);
  return found == calls.end() ? nullptr : &found->second;
}

namespace {

Happening& tell(Walk& walk, const Item& item, const OpenCall& call, JsonValue where, Phase phase) {
  Happening& made = walk.add(HappeningKind::tool_call, where, phase);
  made.origin = Origin::model;
  made.item = item;
  walk.charge(call.name.size() + call.id.size());
  made.name = call.name;
  made.id = call.id;
  made.type = call.type;
  made.hosted = call.hosted;
  return made;
}

}  // namespace

OpenCall* ResponseState::begin(Walk& walk, const Item& item, JsonValue where, OpenCall call) {
  if (calls.size() >= kCallLimit) {
    walk.refuse("more tool calls than one response may have");
    return nullptr;
  }
  const auto [place, is_new] = calls.emplace(item, std::move(call));
  if (!is_new) {
    walk.refuse("a tool call that begins twice");
    return nullptr;
  }
  tell(walk, item, place->second, where, Phase::begin);
  return &place->second;
}

void ResponseState::piece(Walk& walk, const Item& item, JsonValue where) {
  OpenCall* call = find(item);
  if (!call || call->ended) {
    walk.refuse(call ? "arguments for a tool call that has ended" : "arguments for a tool call that has not begun");
    return;
  }
  call->has_pieces = true;
  Happening& made = tell(walk, item, *call, where, Phase::piece);
  made.text = where.text();
  // A pair of surrogates may be cut between two pieces only in what the pieces mean together, never in one JSON text.
  std::string more = where.is_string() ? walk.string(where) : std::string(where.raw());
  argument_bytes_ += more.size();
  if (argument_bytes_ > kArgumentLimit) {
    walk.refuse("more bytes of tool arguments than one response may have");
    return;
  }
  call->arguments += more;
}

void ResponseState::empty_piece(Walk& walk, const Item& item, JsonValue where) {
  if (const OpenCall* call = find(item)) tell(walk, item, *call, where, Phase::piece);
}

void ResponseState::end(Walk& walk, const Item& item, JsonValue where, std::optional<std::string> whole) {
  OpenCall* call = find(item);
  if (!call) {
    walk.refuse("the end of a tool call that has not begun");
    return;
  }
  if (whole && (call->has_pieces || call->ended) && *whole != call->arguments)
    walk.refuse("a tool call whose end says other arguments than its pieces");
  if (whole) {
    if (!call->has_pieces && !call->ended) argument_bytes_ += whole->size();
    if (argument_bytes_ > kArgumentLimit) walk.refuse("more bytes of tool arguments than one response may have");
    call->arguments = std::move(*whole);
  }
  Happening& made = tell(walk, item, *call, where, call->ended ? Phase::repeat : Phase::end);
  made.arguments = call->arguments;
  call->ended = true;
}

void ResponseState::whole(Walk& walk, const Item& item, JsonValue where, OpenCall call, std::string arguments) {
  argument_bytes_ += arguments.size();
  if (calls.size() >= kCallLimit || argument_bytes_ > kArgumentLimit) {
    walk.refuse("more tool calls than one response may have");
    return;
  }
  call.ended = true;
  call.arguments = std::move(arguments);
  const auto [place, is_new] = calls.emplace(item, std::move(call));
  if (!is_new) {
    walk.refuse("two tool calls with one index");
    return;
  }
  tell(walk, item, place->second, where, Phase::whole).arguments = place->second.arguments;
}

void ResponseState::end_choice(Walk& walk, uint32_t choice, JsonValue where) {
  for (auto& [item, call] : calls)
    if (item.choice == choice && !call.ended) end(walk, item, where);
}

void ResponseState::end_all(Walk& walk, JsonValue where) {
  for (auto& [item, call] : calls)
    if (!call.ended) end(walk, item, where);
}

bool is_hosted_call(Api api, std::string_view type) {
  if (api == Api::anthropic_messages) return type == "server_tool_use" || type == "mcp_tool_use";
  if (api == Api::openai_responses)
    return type == "web_search_call" || type == "file_search_call" || type == "code_interpreter_call" ||
           type == "image_generation_call" || type == "mcp_call" || type == "tool_search_call" || type == "program";
  return false;
}

bool is_hosted_tool(Api api, std::string_view type) {
  static constexpr std::string_view kAnthropic[] = {"web_search",  "web_fetch",   "code_execution",
                                                    "tool_search", "mcp_toolset", "advisor"};
  static constexpr std::string_view kOpenai[] = {
      "web_search", "file_search", "code_interpreter",         "image_generation",
      "mcp",        "tool_search", "programmatic_tool_calling"};
  if (api == Api::anthropic_messages) {
    for (const auto name : kAnthropic)
      if (type.starts_with(name)) return true;
  } else if (api == Api::openai_responses || api == Api::openai_chat) {
    for (const auto name : kOpenai)
      if (type == name || (name == "web_search" && type.starts_with(name))) return true;
  }
  return false;
}

}  // namespace stockade::model
