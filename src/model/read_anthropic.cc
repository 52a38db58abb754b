// Anthropic Messages (also on Bedrock and Vertex, whose bodies carry anthropic_version). Facts: @anthropic-ai/sdk
// (npm), resources/messages, resources/beta/messages and lib/MessageStream.
//
// Clients append a block at content_block_start without looking at its index, and find it by index later: an index that
// is not the count of blocks before it is refused, because clients would disagree which block a piece belongs to.
#include "model/walk.h"

namespace stockade::model {

namespace {

constexpr Api kApi = Api::anthropic_messages;

void offer_tool(Walk& walk, JsonValue tool, Origin origin) {
  if (!tool.is_object()) return;
  const std::string type = walk.string(tool, "type");
  Happening& made = walk.add(HappeningKind::offered_tool, tool);
  made.origin = origin;
  made.type = type.empty() ? "custom" : type;
  made.hosted = is_hosted_tool(kApi, type);
  made.name = walk.string(tool, "name");
  if (made.name.empty()) made.name = walk.string(tool, "mcp_server_name");
  if (made.name.empty()) made.name = type;
  if (const JsonValue description = walk.member(tool, "description"); description.is_string())
    made.description = description.range();
  made.schema = walk.member(tool, "input_schema").range();
  if (type == "mcp_toolset")
    for (JsonValue inner = walk.member(tool, "tools").first(); inner; inner = inner.next())
      offer_tool(walk, inner, origin);
}

// An image, a document, a file of code execution.
void source_of(Walk& walk, JsonValue block, Origin origin, HappeningKind kind, std::string_view type,
               std::string_view id, void (*content)(Walk&, JsonValue, HappeningKind, Origin, std::string_view)) {
  const JsonValue source = walk.member(block, "source");
  const std::string how = walk.string(source, "type");
  if (how == "url") {
    walk.url(walk.member(source, "url"), origin, type);
  } else if (how == "text") {
    if (Happening* made = walk.text(kind, walk.member(source, "data"), origin)) made->id = id;
  } else if (how == "content") {
    content(walk, walk.member(source, "content"), kind, origin, id);
  } else if (source.is_object()) {
    walk.media(source, origin, walk.string(source, "media_type"), type);
  }
  for (const std::string_view member : {"title", "context"})
    if (Happening* made = walk.text(kind, walk.member(block, member), origin)) made->id = id;
}

void call(Walk& walk, ResponseState* state, JsonValue block, const Item& item, std::string_view type) {
  OpenCall made;
  made.type = type;
  made.hosted = is_hosted_call(kApi, type);
  made.name = walk.string(block, "name");
  made.id = walk.string(block, "id");
  std::string arguments(walk.member(block, "input").raw());
  if (state) {
    state->whole(walk, item, block, std::move(made), std::move(arguments));
    return;
  }
  Happening& told = walk.add(HappeningKind::tool_call, block);
  told.origin = Origin::model;
  told.name = std::move(made.name);
  told.id = std::move(made.id);
  told.type = std::move(made.type);
  told.hosted = made.hosted;
  told.arguments = std::move(arguments);
}

bool is_call(std::string_view type) {
  return type == "tool_use" || type == "server_tool_use" || type == "mcp_tool_use" || type.ends_with("_tool_use");
}

void content_of(Walk& walk, JsonValue content, HappeningKind kind, Origin origin, std::string_view id);

void block_of(Walk& walk, ResponseState* state, JsonValue block, HappeningKind kind, Origin origin, std::string_view id,
              const Item& item) {
  const std::string type = walk.string(block, "type");
  walk.charge(id.size());
  if (type == "text") {
    if (Happening* made = walk.text(kind, walk.member(block, "text"), origin)) {
      made->id = id;
      made->item = item;
    }
  } else if (type == "thinking") {
    if (Happening* made = walk.text(HappeningKind::reasoning_text, walk.member(block, "thinking"), Origin::model))
      made->item = item;
  } else if (type == "redacted_thinking") {
    return;
  } else if (is_call(type)) {
    call(walk, state, block, item, type);
  } else if (type == "tool_result" || type.ends_with("_tool_result")) {
    const std::string of = walk.string(block, "tool_use_id");
    const JsonValue content = walk.member(block, "content");
    if (type == "tool_result" || type == "mcp_tool_result") {
      content_of(walk, content, HappeningKind::tool_result, Origin::tool, of);
    } else {
      walk.texts_below(HappeningKind::tool_result, content, Origin::tool, of);
    }
  } else if (type == "image" || type == "document" || type == "container_upload") {
    source_of(walk, block, origin, kind, type, id, content_of);
  } else if (type == "search_result") {
    for (const std::string_view member : {"title", "source"})
      if (Happening* made = walk.text(kind, walk.member(block, member), origin)) made->id = id;
    content_of(walk, walk.member(block, "content"), kind, origin, id);
  } else if (type == "tool_addition") {
    const JsonValue tool = walk.member(block, "tool");
    const JsonValue definition = walk.member(tool, "definition");
    offer_tool(walk, definition ? definition : tool, Origin::user);
  } else if (type == "mcp_tool_listing") {
    for (JsonValue tool = walk.member(block, "tools").first(); tool; tool = tool.next())
      offer_tool(walk, tool, Origin::tool);
  } else {
    walk.texts_below(origin == Origin::tool ? HappeningKind::tool_result : HappeningKind::other_text, block, origin,
                     id);
  }
}

void content_of(Walk& walk, JsonValue content, HappeningKind kind, Origin origin, std::string_view id) {
  if (content.is_string()) {
    if (Happening* made = walk.text(kind, content, origin)) made->id = id;
    return;
  }
  if (content.is_object()) return block_of(walk, nullptr, content, kind, origin, id, {});
  for (JsonValue block = content.first(); block; block = block.next())
    block_of(walk, nullptr, block, kind, origin, id, {});
}

void usage(Walk& walk, JsonValue holder) {
  const JsonValue usage = walk.member(holder, "usage");
  if (!usage.is_object()) return;
  Happening& made = walk.add(HappeningKind::usage, usage);
  made.origin = Origin::model;
  made.usage = {walk.member(usage, "input_tokens").number(), walk.member(usage, "output_tokens").number(),
                walk.member(usage, "cache_read_input_tokens").number()};
}

void finish(Walk& walk, JsonValue holder) {
  const JsonValue reason = walk.member(holder, "stop_reason");
  if (!reason.is_string()) return;
  Happening& made = walk.add(HappeningKind::finish, reason);
  made.origin = Origin::model;
  made.reason = walk.string(reason);
}

bool error(Walk& walk, JsonValue root) {
  const JsonValue error = walk.member(root, "error");
  if (!error.is_object()) return false;
  walk.error(error, walk.member(error, "message"), walk.string(error, "type"));
  return true;
}

void whole_content(Walk& walk, ResponseState& state, JsonValue content) {
  uint32_t index = 0;
  for (JsonValue block = content.first(); block; block = block.next(), ++index)
    block_of(walk, &state, block, HappeningKind::model_text, Origin::model, {}, {0, index, 0});
}

void block_start(Walk& walk, ResponseState& state, JsonValue root) {
  const JsonValue block = walk.member(root, "content_block");
  const uint32_t index = walk.number(root, "index");
  if (index != state.blocks.size()) return walk.refuse("a content block out of order");
  if (state.blocks.size() >= ResponseState::kCallLimit)
    return walk.refuse("more content blocks than a response may have");
  if (state.block_open) return walk.refuse("a content block that begins before the last one ended");
  const std::string type = walk.string(block, "type");
  state.blocks.push_back(type);
  state.block_open = true;
  const Item item{0, index, 0};
  if (!is_call(type)) {
    const size_t text_only = type == "text" || type == "thinking";
    if (!text_only) return block_of(walk, nullptr, block, HappeningKind::model_text, Origin::model, {}, item);
    const bool thinks = type == "thinking";
    if (Happening* made = walk.text(thinks ? HappeningKind::reasoning_text : HappeningKind::model_text,
                                    walk.member(block, thinks ? "thinking" : "text"), Origin::model, Phase::piece))
      made->item = item;
    return;
  }
  OpenCall call;
  call.type = type;
  call.hosted = is_hosted_call(kApi, type);
  call.name = walk.string(block, "name");
  call.id = walk.string(block, "id");
  // What stands when no piece follows.
  call.arguments = std::string(walk.member(block, "input").raw());
  state.begin(walk, item, block, std::move(call));
}

void block_delta(Walk& walk, ResponseState& state, JsonValue root) {
  const uint32_t index = walk.number(root, "index");
  const Item item{0, index, 0};
  if (!state.block_open || index + 1 != state.blocks.size())
    return walk.refuse("a piece of a content block that is not open");
  const JsonValue delta = walk.member(root, "delta");
  const std::string type = walk.string(delta, "type");
  const auto say = [&](HappeningKind kind, std::string_view member) {
    if (Happening* made = walk.text(kind, walk.member(delta, member), Origin::model, Phase::piece)) made->item = item;
  };
  if (type == "text_delta") {
    say(HappeningKind::model_text, "text");
  } else if (type == "thinking_delta") {
    say(HappeningKind::reasoning_text, "thinking");
  } else if (type == "input_json_delta") {
    OpenCall* call = state.find(item);
    if (call && !call->has_pieces && !walk.member(delta, "partial_json").text().empty()) call->arguments.clear();
    if (!walk.member(delta, "partial_json").text().empty()) state.piece(walk, item, walk.member(delta, "partial_json"));
  } else if (type != "signature_delta") {
    // citations_delta, compaction_delta, and what is new since.
    walk.texts_below(HappeningKind::other_text, delta, Origin::model);
  }
}

}  // namespace

void read_anthropic_request(Walk& walk) {
  const JsonValue root = walk.root();
  content_of(walk, walk.member(root, "system"), HappeningKind::system_text, Origin::system, {});
  for (JsonValue message = walk.member(root, "messages").first(); message; message = message.next()) {
    const std::string role = walk.string(message, "role");
    const bool user = role == "user", model = role == "assistant", system = role == "system";
    content_of(walk, walk.member(message, "content"),
               user     ? HappeningKind::user_text
               : model  ? HappeningKind::model_text
               : system ? HappeningKind::system_text
                        : HappeningKind::other_text,
               model    ? Origin::model
               : system ? Origin::system
                        : Origin::user,
               {});
  }
  for (JsonValue tool = walk.member(root, "tools").first(); tool; tool = tool.next())
    offer_tool(walk, tool, Origin::user);
  for (JsonValue server = walk.member(root, "mcp_servers").first(); server; server = server.next())
    walk.url(walk.member(server, "url"), Origin::user, "mcp");
}

void read_anthropic_body(Walk& walk, ResponseState& state) {
  const JsonValue root = walk.root();
  if (error(walk, root)) return;
  whole_content(walk, state, walk.member(root, "content"));
  usage(walk, root);
  finish(walk, root);
}

void read_anthropic_event(Walk& walk, ResponseState& state) {
  const JsonValue root = walk.root();
  const std::string type = walk.string(root, "type");
  if (type.starts_with("content_block_")) walk.require_number(root, "index");
  if (type == "message_start") {
    const JsonValue message = walk.member(root, "message");
    if (state.started) return walk.refuse("a message that starts within another");
    state.started = true;
    if (walk.member(message, "content").size() > 0) walk.refuse("a message that starts with content");
    usage(walk, message);
  } else if (type == "content_block_start") {
    block_start(walk, state, root);
  } else if (type == "content_block_delta") {
    block_delta(walk, state, root);
  } else if (type == "content_block_stop") {
    const uint32_t index = walk.number(root, "index");
    if (!state.block_open || index + 1 != state.blocks.size())
      return walk.refuse("the end of a content block that is not open");
    state.block_open = false;
    if (is_call(state.blocks.back())) state.end(walk, {0, index, 0}, root);
  } else if (type == "message_delta") {
    usage(walk, root);
    finish(walk, walk.member(root, "delta"));
  } else if (type == "message_stop") {
    if (state.block_open) walk.refuse("the end of a message within a content block");
    state.finished = true;
  } else if (type == "error" || walk.member(root, "error")) {
    error(walk, root);
  } else if (type != "ping") {
    walk.texts_below(HappeningKind::other_text, root, Origin::model);
  }
}

}  // namespace stockade::model
