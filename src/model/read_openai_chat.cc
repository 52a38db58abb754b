// OpenAI Chat Completions and what speaks it (Azure, OpenRouter, vLLM, DeepSeek, …), with its older functions. Facts:
// openai 6.49 (npm), resources/chat/completions/completions.d.ts and lib/ChatCompletionStream.
#include "model/walk.h"

namespace stockade::model {

namespace {

constexpr Api kApi = Api::openai_chat;

void offer_tool(Walk& walk, JsonValue tool, JsonValue inner, std::string type) {
  Happening& made = walk.add(HappeningKind::offered_tool, tool);
  made.hosted = is_hosted_tool(kApi, type);
  made.name = walk.string(inner, "name");
  if (made.name.empty()) made.name = type;
  made.type = std::move(type);
  if (const JsonValue description = walk.member(inner, "description"); description.is_string())
    made.description = description.range();
  const JsonValue schema = walk.member(inner, "parameters");
  made.schema = (schema ? schema : walk.member(inner, "format")).range();
}

struct CallParts {
  OpenCall call;
  JsonValue arguments;
};

CallParts parts_of(Walk& walk, JsonValue call) {
  CallParts parts;
  parts.call.type = walk.string(call, "type");
  JsonValue inner = walk.member(call, "function");
  parts.arguments = walk.member(inner, "arguments");
  if (const JsonValue custom = walk.member(call, "custom")) {
    inner = custom;
    parts.arguments = walk.member(inner, "input");
    if (parts.call.type.empty()) parts.call.type = "custom";
  }
  if (parts.call.type.empty()) parts.call.type = "function";
  parts.call.id = walk.string(call, "id");
  parts.call.name = walk.string(inner, "name");
  return parts;
}

void whole_call(Walk& walk, ResponseState* state, JsonValue where, const Item& item, CallParts parts) {
  std::string arguments =
      parts.arguments.is_string() ? walk.string(parts.arguments) : std::string(parts.arguments.raw());
  if (state) {
    state->whole(walk, item, where, std::move(parts.call), std::move(arguments));
    return;
  }
  Happening& made = walk.add(HappeningKind::tool_call, where);
  made.origin = Origin::model;
  made.item = item;
  made.name = parts.call.name;
  made.id = parts.call.id;
  made.type = parts.call.type;
  made.arguments = std::move(arguments);
}

CallParts old_call(Walk& walk, JsonValue call) {
  CallParts parts;
  parts.call.type = "function_call";
  parts.call.name = walk.string(call, "name");
  parts.arguments = walk.member(call, "arguments");
  return parts;
}

// A message of the assistant, in a request (no state) or a body.
void assistant_message(Walk& walk, ResponseState* state, JsonValue message, uint32_t choice) {
  openai_content(walk, walk.member(message, "content"), HappeningKind::model_text, Origin::model);
  walk.text(HappeningKind::model_text, walk.member(message, "refusal"), Origin::model);
  for (const std::string_view name : {"reasoning_content", "reasoning"})
    walk.text(HappeningKind::reasoning_text, walk.member(message, name), Origin::model);
  walk.texts_below(HappeningKind::reasoning_text, walk.member(message, "reasoning_details"), Origin::model);
  walk.text(HappeningKind::model_text, walk.member(walk.member(message, "audio"), "transcript"), Origin::model);
  uint32_t index = 0;
  for (JsonValue call = walk.member(message, "tool_calls").first(); call; call = call.next(), ++index)
    whole_call(walk, state, call, {choice, index, 0}, parts_of(walk, call));
  if (const JsonValue call = walk.member(message, "function_call"); call.is_object())
    whole_call(walk, state, call, {choice, kOldFunctionCall, 0}, old_call(walk, call));
}

void usage(Walk& walk, JsonValue root) {
  const JsonValue usage = walk.member(root, "usage");
  if (!usage.is_object()) return;
  Happening& made = walk.add(HappeningKind::usage, usage);
  made.origin = Origin::model;
  made.usage = {walk.member(usage, "prompt_tokens").number(), walk.member(usage, "completion_tokens").number(),
                walk.member(walk.member(usage, "prompt_tokens_details"), "cached_tokens").number()};
}

bool error(Walk& walk, JsonValue root) {
  const JsonValue error = walk.member(root, "error");
  if (!error.is_object() && !error.is_string()) return false;
  walk.error(error, error.is_string() ? error : walk.member(error, "message"), walk.string(error, "type"));
  return true;
}

void finish(Walk& walk, JsonValue reason, uint32_t choice) {
  if (!reason.is_string()) return;
  Happening& made = walk.add(HappeningKind::finish, reason);
  made.origin = Origin::model;
  made.item.choice = choice;
  made.reason = walk.string(reason);
}

void call_piece(Walk& walk, ResponseState& state, JsonValue where, const Item& item, const CallParts& parts) {
  OpenCall* open = state.find(item);
  if (!open) {
    open = state.begin(walk, item, where, parts.call);
    if (!open) return;
  } else {
    // Clients differ: some take the last name, some the first, some join them.
    if (!parts.call.name.empty() && parts.call.name != open->name) walk.refuse("a tool call that changes its name");
    if (!parts.call.id.empty() && parts.call.id != open->id) walk.refuse("a tool call that changes its id");
  }
  if (parts.arguments && !parts.arguments.is_null() && !(parts.arguments.is_string() && parts.arguments.text().empty()))
    state.piece(walk, item, parts.arguments);
}

void delta_of(Walk& walk, ResponseState& state, JsonValue delta, uint32_t choice) {
  const auto say = [&](HappeningKind kind, JsonValue value) {
    if (Happening* made = walk.text(kind, value, Origin::model, Phase::piece)) made->item.choice = choice;
  };
  const JsonValue content = walk.member(delta, "content");
  if (content.is_string()) {
    say(HappeningKind::model_text, content);
  } else {
    openai_content(walk, content, HappeningKind::model_text, Origin::model);
  }
  say(HappeningKind::model_text, walk.member(delta, "refusal"));
  say(HappeningKind::reasoning_text, walk.member(delta, "reasoning_content"));
  say(HappeningKind::reasoning_text, walk.member(delta, "reasoning"));
  walk.texts_below(HappeningKind::reasoning_text, walk.member(delta, "reasoning_details"), Origin::model);
  say(HappeningKind::model_text, walk.member(walk.member(delta, "audio"), "transcript"));
  for (JsonValue call = walk.member(delta, "tool_calls").first(); call; call = call.next()) {
    const CallParts parts = parts_of(walk, call);
    uint32_t index = walk.number(call, "index");
    if (!walk.member(call, "index").number()) {
      // Some gateways leave the index out and send each call at once; then its id tells it.
      if (parts.call.id.empty()) return walk.refuse("a piece of a tool call without an index or id");
      bool known = false;
      for (const auto& [item, open] : state.calls) {
        if (item.choice != choice || item.index == kOldFunctionCall || known) continue;
        known = open.id == parts.call.id;
        index = item.index + (known ? 0 : 1);
      }
    }
    call_piece(walk, state, call, {choice, index, 0}, parts);
  }
  if (const JsonValue call = walk.member(delta, "function_call"); call.is_object())
    call_piece(walk, state, call, {choice, kOldFunctionCall, 0}, old_call(walk, call));
}

}  // namespace

void read_chat_request(Walk& walk) {
  const JsonValue root = walk.root();
  for (JsonValue message = walk.member(root, "messages").first(); message; message = message.next()) {
    const std::string role = walk.string(message, "role");
    const JsonValue content = walk.member(message, "content");
    if (role == "system" || role == "developer") {
      openai_content(walk, content, HappeningKind::system_text, Origin::system);
    } else if (role == "user") {
      openai_content(walk, content, HappeningKind::user_text, Origin::user);
    } else if (role == "tool" || role == "function") {
      openai_content(walk, content, HappeningKind::tool_result, Origin::tool, walk.string(message, "tool_call_id"),
                     walk.string(message, "name"));
    } else if (role == "assistant") {
      assistant_message(walk, nullptr, message, 0);
    } else {
      walk.texts_below(HappeningKind::other_text, message, Origin::user);
    }
  }
  openai_content(walk, walk.member(walk.member(root, "prediction"), "content"), HappeningKind::user_text, Origin::user);
  for (JsonValue tool = walk.member(root, "tools").first(); tool; tool = tool.next()) {
    std::string type = walk.string(tool, "type");
    JsonValue inner = walk.member(tool, "function");
    if (!inner) inner = walk.member(tool, "custom");
    offer_tool(walk, tool, inner ? inner : tool, std::move(type));
    walk.url(walk.member(tool, "server_url"), Origin::user, "mcp");
  }
  for (JsonValue function = walk.member(root, "functions").first(); function; function = function.next())
    offer_tool(walk, function, function, "function");
  if (const JsonValue search = walk.member(root, "web_search_options"); search.is_object()) {
    Happening& made = walk.add(HappeningKind::offered_tool, search);
    made.name = made.type = "web_search";
    made.hosted = true;
  }
}

void read_chat_body(Walk& walk, ResponseState& state) {
  const JsonValue root = walk.root();
  if (error(walk, root)) return;
  uint32_t ordinal = 0;
  for (JsonValue choice = walk.member(root, "choices").first(); choice; choice = choice.next(), ++ordinal) {
    const uint32_t index = walk.number(choice, "index", ordinal);
    assistant_message(walk, &state, walk.member(choice, "message"), index);
    finish(walk, walk.member(choice, "finish_reason"), index);
  }
  usage(walk, root);
}

void read_chat_event(Walk& walk, ResponseState& state) {
  const JsonValue root = walk.root();
  if (error(walk, root)) return;
  state.started = true;
  uint32_t ordinal = 0;
  for (JsonValue choice = walk.member(root, "choices").first(); choice; choice = choice.next(), ++ordinal) {
    const uint32_t index = walk.number(choice, "index", ordinal);
    delta_of(walk, state, walk.member(choice, "delta"), index);
    const JsonValue reason = walk.member(choice, "finish_reason");
    if (!reason.is_string()) continue;
    state.end_choice(walk, index, choice);
    finish(walk, reason, index);
  }
  usage(walk, root);
}

}  // namespace stockade::model
