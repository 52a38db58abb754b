// OpenAI Responses: POST /v1/responses, its events, and its WebSocket form, whose client messages are requests with
// "type": "response.create" and whose server messages are the same events. Facts: openai 6.49 (npm),
// resources/responses/responses.d.ts and lib/responses/ResponseAccumulator.
#include "model/walk.h"

namespace stockade::model {

namespace {

constexpr Api kApi = Api::openai_responses;

void offer_tools(Walk& walk, JsonValue tools, Origin origin);

void offer_tool(Walk& walk, JsonValue tool, Origin origin) {
  if (!tool.is_object()) return;
  const std::string type = walk.string(tool, "type");
  Happening& made = walk.add(HappeningKind::offered_tool, tool);
  made.origin = origin;
  made.type = type;
  made.hosted = is_hosted_tool(kApi, type);
  made.name = walk.string(tool, "name");
  JsonValue description = walk.member(tool, "description");
  if (type == "mcp") {
    made.name = walk.string(tool, "server_label");
    description = walk.member(tool, "server_description");
  }
  if (made.name.empty()) made.name = type;
  if (description.is_string()) made.description = description.range();
  JsonValue schema = walk.member(tool, "parameters");
  if (!schema) schema = walk.member(tool, "input_schema");  // mcp_list_tools
  if (!schema) schema = walk.member(tool, "format");
  made.schema = schema.range();
  walk.url(walk.member(tool, "server_url"), Origin::user, "mcp");
  walk.url(walk.member(walk.member(tool, "input_image_mask"), "image_url"), Origin::user, "image");
  if (type == "namespace") offer_tools(walk, walk.member(tool, "tools"), origin);
}

void offer_tools(Walk& walk, JsonValue tools, Origin origin) {
  for (JsonValue tool = tools.first(); tool; tool = tool.next()) offer_tool(walk, tool, origin);
}

// The member that holds what a call of that type asks for.
JsonValue call_arguments(Walk& walk, JsonValue item, std::string_view type) {
  static constexpr std::pair<std::string_view, std::string_view> kMembers[] = {
      {"custom_tool_call", "input"},     {"code_interpreter_call", "code"},
      {"file_search_call", "queries"},   {"web_search_call", "action"},
      {"local_shell_call", "action"},    {"shell_call", "action"},
      {"apply_patch_call", "operation"}, {"program", "code"}};
  for (const auto& [name, member] : kMembers)
    if (type == name) return walk.member(item, member);
  if (type == "computer_call") {
    const JsonValue actions = walk.member(item, "actions");
    return actions ? actions : walk.member(item, "action");
  }
  return walk.member(item, "arguments");
}

std::string arguments_text(Walk& walk, JsonValue value) {
  return value.is_string() ? walk.string(value) : std::string(value.raw());
}

constexpr uint32_t kUnnumbered = 0x10000;  // above every index that an event can name

bool is_call(std::string_view type) {
  return type.ends_with("_call") || type == "mcp_approval_request" || type == "program";
}

OpenCall call_of(Walk& walk, JsonValue item, std::string_view type) {
  OpenCall call;
  call.type = type;
  call.name = walk.string(item, "name");
  if (call.name.empty()) {
    call.name = type;
    if (call.name.ends_with("_call")) call.name.resize(call.name.size() - 5);
  }
  call.id = walk.string(item, "call_id");
  if (call.id.empty()) call.id = walk.string(item, "id");
  call.hosted = is_hosted_call(kApi, type);
  return call;
}

// What a hosted call brought back.
void hosted_results(Walk& walk, JsonValue item, std::string_view type, std::string_view id, std::string_view name) {
  if (type != "mcp_call" && type != "code_interpreter_call" && type != "file_search_call") return;
  for (const std::string_view member : {"output", "error", "outputs", "results"})
    walk.texts_below(HappeningKind::tool_result, walk.member(item, member), Origin::tool, id, name);
}

void reasoning(Walk& walk, JsonValue item, Phase phase, const Item& place) {
  for (const std::string_view list : {"summary", "content"})
    for (JsonValue part = walk.member(item, list).first(); part; part = part.next())
      if (Happening* made = walk.text(HappeningKind::reasoning_text, walk.member(part, "text"), Origin::model, phase))
        made->item = place;
}

// An item of a request's input, or of a conversation so far.
void input_item(Walk& walk, JsonValue item) {
  if (item.is_string()) {
    walk.text(HappeningKind::user_text, item, Origin::user);
    return;
  }
  if (!item.is_object()) return;
  const std::string type = walk.string(item, "type");
  const std::string role = walk.string(item, "role");
  if (type == "additional_tools" || type == "tool_search_output" || type == "mcp_list_tools") {
    offer_tools(walk, walk.member(item, "tools"), type == "additional_tools" ? Origin::user : Origin::tool);
  } else if (type == "message" || (type.empty() && !role.empty())) {
    const bool system = role == "system" || role == "developer";
    const HappeningKind kind = system                ? HappeningKind::system_text
                               : role == "assistant" ? HappeningKind::model_text
                               : role == "user"      ? HappeningKind::user_text
                                                     : HappeningKind::other_text;
    openai_content(walk, walk.member(item, "content"), kind,
                   system                ? Origin::system
                   : role == "assistant" ? Origin::model
                                         : Origin::user);
  } else if (type == "reasoning") {
    reasoning(walk, item, Phase::whole, {});
  } else if (is_call(type)) {
    const OpenCall call = call_of(walk, item, type);
    Happening& made = walk.add(HappeningKind::tool_call, item);
    made.origin = Origin::model;
    made.name = call.name;
    made.id = call.id;
    made.type = type;
    made.hosted = call.hosted;
    made.arguments = arguments_text(walk, call_arguments(walk, item, type));
    hosted_results(walk, item, type, call.id, call.name);
  } else if (type.ends_with("_output")) {
    const std::string id = walk.string(item, "call_id");
    openai_content(walk, walk.member(item, "output"), HappeningKind::tool_result, Origin::tool, id);
    walk.texts_below(HappeningKind::tool_result, walk.member(item, "result"), Origin::tool, id);
  } else if (type == "item_reference" || type == "compaction" || type == "compaction_trigger") {
    return;
  } else {
    walk.texts_below(HappeningKind::other_text, item, Origin::user);
  }
}

// An item of a response, complete: in output_item.done, in response.completed, or in a body.
void output_item(Walk& walk, ResponseState& state, JsonValue item, uint32_t index, bool whole) {
  const std::string type = walk.string(item, "type");
  const Item place{0, index, 0};
  if (is_call(type)) {
    const OpenCall call = call_of(walk, item, type);
    const std::string arguments = arguments_text(walk, call_arguments(walk, item, type));
    if (OpenCall* open = state.find(place)) {
      if (open->name != call.name || open->type != type || open->id != call.id)
        walk.refuse("a tool call that changes its name or id");
      state.end(walk, place, item, arguments);
    } else if (whole) {
      state.whole(walk, place, item, call, arguments);
    }
    hosted_results(walk, item, type, call.id, call.name);
    return;
  }
  const Phase phase = whole && !state.started ? Phase::whole : Phase::repeat;
  if (type == "message") {
    uint32_t part_index = 0;
    for (JsonValue part = walk.member(item, "content").first(); part; part = part.next(), ++part_index)
      for (const std::string_view member : {"text", "refusal", "transcript"})
        if (Happening* made = walk.text(HappeningKind::model_text, walk.member(part, member), Origin::model, phase))
          made->item = {0, index, part_index};
  } else if (type == "reasoning") {
    reasoning(walk, item, phase, place);
  } else if (type == "mcp_list_tools" || type == "tool_search_output") {
    offer_tools(walk, walk.member(item, "tools"), Origin::tool);
  } else if (type.ends_with("_output")) {
    openai_content(walk, walk.member(item, "output"), HappeningKind::tool_result, Origin::tool,
                   walk.string(item, "call_id"));
  } else if (type != "compaction") {
    walk.texts_below(HappeningKind::other_text, item, Origin::model);
  }
}

void output_end(Walk& walk, ResponseState& state, JsonValue response) {
  uint32_t index = 0;
  for (JsonValue item = walk.member(response, "output").first(); item; item = item.next(), ++index)
    output_item(walk, state, item, index, true);
  if (const JsonValue usage = walk.member(response, "usage"); usage.is_object()) {
    Happening& made = walk.add(HappeningKind::usage, usage);
    made.origin = Origin::model;
    made.usage = {walk.member(usage, "input_tokens").number(), walk.member(usage, "output_tokens").number(),
                  walk.member(walk.member(usage, "input_tokens_details"), "cached_tokens").number()};
  }
  if (const JsonValue error = walk.member(response, "error"); error.is_object())
    walk.error(error, walk.member(error, "message"), walk.string(error, "code"));
  const JsonValue status = walk.member(response, "status");
  if (!status.is_string() || status.equals("in_progress") || status.equals("queued")) return;
  state.end_all(walk, response);
  const JsonValue reason = walk.member(walk.member(response, "incomplete_details"), "reason");
  Happening& made = walk.add(HappeningKind::finish, reason.is_string() ? reason : status);
  made.origin = Origin::model;
  made.reason = walk.string(reason.is_string() ? reason : status);
  state.finished = true;
}

}  // namespace

void openai_content(Walk& walk, JsonValue content, HappeningKind kind, Origin origin, std::string_view id,
                    std::string_view name) {
  const auto text = [&](JsonValue value) {
    walk.charge(id.size() + name.size());
    if (Happening* made = walk.text(kind, value, origin)) {
      made->id = id;
      made->name = name;
    }
  };
  const auto part_of = [&](JsonValue part) {
    const std::string type = walk.string(part, "type");
    if (type == "image_url" || type == "input_image" || type == "video_url" || type == "computer_screenshot" ||
        type == "input_video") {
      JsonValue place = walk.member(part, type == "video_url" || type == "input_video" ? "video_url" : "image_url");
      if (place.is_object()) place = walk.member(place, "url");
      walk.url(place, origin, type);
      if (const JsonValue file = walk.member(part, "file_id"); file.is_string()) walk.media(file, origin, "", type);
    } else if (type == "input_file" || type == "file") {
      const JsonValue inner = walk.member(part, "file");
      const JsonValue file = inner ? inner : part;
      walk.url(walk.member(file, "file_url"), origin, type);
      for (const std::string_view member : {"file_data", "file_id"})
        if (const JsonValue value = walk.member(file, member); value.is_string()) walk.media(value, origin, "", type);
      text(walk.member(file, "filename"));
    } else if (type == "input_audio" || type == "audio") {
      const JsonValue inner = walk.member(part, "input_audio");
      walk.media(inner ? inner : part, origin, walk.string(inner, "format"), type);
    } else if (type == "text" || type == "input_text" || type == "output_text" || type == "refusal" ||
               type == "summary_text" || type == "reasoning_text" || (type.empty() && walk.member(part, "text"))) {
      text(walk.member(part, "text"));
      text(walk.member(part, "refusal"));
    } else {
      walk.texts_below(kind, part, origin, id, name);
    }
  };
  if (content.is_string()) return text(content);
  if (content.is_object()) return part_of(content);
  for (JsonValue part = content.first(); part; part = part.next()) {
    if (part.is_string()) {
      text(part);
    } else {
      part_of(part);
    }
  }
}

void read_responses_request(Walk& walk) {
  JsonValue root = walk.root();
  // Some clients of the WebSocket form wrap the request.
  if (const JsonValue inner = walk.member(root, "response"); inner.is_object() && walk.member(root, "type"))
    root = inner;
  openai_content(walk, walk.member(root, "instructions"), HappeningKind::system_text, Origin::system);
  const JsonValue input = walk.member(root, "input");
  if (input.is_string() || input.is_object()) {
    input_item(walk, input);
  } else {
    for (JsonValue item = input.first(); item; item = item.next()) input_item(walk, item);
  }
  walk.texts_below(HappeningKind::user_text, walk.member(walk.member(root, "prompt"), "variables"), Origin::user);
  offer_tools(walk, walk.member(root, "tools"), Origin::user);
}

void read_responses_body(Walk& walk, ResponseState& state) {
  if (const JsonValue error = walk.member(walk.root(), "error");
      error.is_object() && !walk.member(walk.root(), "object")) {
    walk.error(error, walk.member(error, "message"), walk.string(error, "type"));
    return;
  }
  output_end(walk, state, walk.root());
}

void read_responses_event(Walk& walk, ResponseState& state) {
  const JsonValue root = walk.root();
  const std::string type = walk.string(root, "type");
  const Item place{0, walk.number(root, "output_index"), 0};
  const Item part{0, place.index, walk.number(root, "content_index", walk.number(root, "summary_index"))};
  const bool numbered = walk.member(root, "output_index").number().has_value();
  // Gateways exist that send each item whole and leave its index out; clients take it. A call that comes in pieces needs
  // one, or nobody knows which pieces are its own.
  const bool stands_alone = type == "response.output_item.done" && !numbered;
  if (!stands_alone && (type.starts_with("response.output_item.") || type.find("_call") != std::string::npos))
    walk.require_number(root, "output_index");
  if (const auto sequence = walk.member(root, "sequence_number").number()) state.last_sequence = *sequence;
  const JsonValue delta = walk.member(root, "delta");
  const auto say = [&](HappeningKind kind, JsonValue value, Phase phase) {
    if (Happening* made = walk.text(kind, value, Origin::model, phase)) made->item = part;
  };
  if (type == "response.output_text.delta" || type == "response.refusal.delta" ||
      type == "response.audio.transcript.delta" || type == "response.output_audio_transcript.delta") {
    say(HappeningKind::model_text, delta, Phase::piece);
  } else if (type == "response.reasoning_text.delta" || type == "response.reasoning_summary_text.delta") {
    say(HappeningKind::reasoning_text, delta, Phase::piece);
  } else if (type == "response.output_text.done" || type == "response.refusal.done") {
    for (const std::string_view member : {"text", "refusal"})
      say(HappeningKind::model_text, walk.member(root, member), Phase::end);
  } else if (type == "response.reasoning_text.done" || type == "response.reasoning_summary_text.done") {
    say(HappeningKind::reasoning_text, walk.member(root, "text"), Phase::end);
  } else if (type == "response.content_part.added" || type == "response.content_part.done" ||
             type == "response.reasoning_summary_part.done" || type == "response.reasoning_summary_part.added") {
    const JsonValue inner = walk.member(root, "part");
    const bool reasons = type.starts_with("response.reasoning") || walk.string(inner, "type") == "reasoning_text";
    for (const std::string_view member : {"text", "refusal"})
      say(reasons ? HappeningKind::reasoning_text : HappeningKind::model_text, walk.member(inner, member),
          type.ends_with("added") ? Phase::piece : Phase::repeat);
  } else if (type == "response.function_call_arguments.delta" || type == "response.mcp_call_arguments.delta" ||
             type == "response.mcp_call.arguments.delta" || type == "response.custom_tool_call_input.delta" ||
             type == "response.code_interpreter_call_code.delta") {
    state.piece(walk, place, delta);
  } else if (type == "response.function_call_arguments.done" || type == "response.mcp_call_arguments.done" ||
             type == "response.mcp_call.arguments.done") {
    state.end(walk, place, root, walk.string(root, "arguments"));
  } else if (type == "response.custom_tool_call_input.done") {
    state.end(walk, place, root, walk.string(root, "input"));
  } else if (type == "response.code_interpreter_call_code.done") {
    state.end(walk, place, root, walk.string(root, "code"));
  } else if (type == "response.output_item.added") {
    const JsonValue item = walk.member(root, "item");
    const std::string kind = walk.string(item, "type");
    if (is_call(kind)) {
      state.begin(walk, place, item, call_of(walk, item, kind));
      // Arguments in the first event are either empty or whole; the end says them again.
    } else {
      output_item(walk, state, item, place.index, false);
    }
  } else if (type == "response.output_item.done") {
    const uint32_t index = stands_alone ? kUnnumbered + state.ordinal++ : place.index;
    output_item(walk, state, walk.member(root, "item"), index, true);
  } else if (type == "response.created" || type == "response.in_progress" || type == "response.queued") {
    const JsonValue response = walk.member(root, "response");
    state.started = true;
    state.response_id = walk.string(response, "id");
    state.response_model = walk.string(response, "model");
  } else if (type == "response.completed" || type == "response.incomplete" || type == "response.failed" ||
             type == "response.done") {
    output_end(walk, state, walk.member(root, "response"));
  } else if (type == "error" || walk.member(root, "error").is_object()) {
    const JsonValue inner = walk.member(root, "error");
    const JsonValue error = inner.is_object() ? inner : root;
    walk.error(error, walk.member(error, "message"), walk.string(error, "code"));
  } else {
    // Progress of hosted calls, annotations, and what is new since: whatever text it carries is told.
    walk.texts_below(HappeningKind::other_text, delta, Origin::model);
    walk.texts_below(HappeningKind::other_text, walk.member(root, "annotation"), Origin::model);
    walk.texts_below(HappeningKind::other_text, walk.member(root, "item"), Origin::model);
  }
}

}  // namespace stockade::model
