// Ollama's /api/chat and /api/generate: JSON, or a line of JSON for each piece; the last has "done": true. It is
// written in Go: its keys match in any case. Facts: ollama 0.6 (npm), its browser.d.ts, and api/types.go's field names.
#include "model/walk.h"

namespace stockade::model {

namespace {

void images(Walk& walk, JsonValue holder, Origin origin) {
  for (JsonValue image = walk.member(holder, "images").first(); image; image = image.next())
    walk.media(image, origin, "", "image");
}

}  // namespace

void read_ollama_request(Walk& walk) {
  const JsonValue root = walk.root();
  for (JsonValue message = walk.member(root, "messages").first(); message; message = message.next()) {
    const std::string role = walk.string(message, "role");
    const JsonValue content = walk.member(message, "content");
    if (role == "tool") {
      std::string name = walk.string(message, "tool_name");
      if (name.empty()) name = walk.string(message, "name");
      if (Happening* made = walk.text(HappeningKind::tool_result, content, Origin::tool)) {
        made->name = std::move(name);
        made->id = walk.string(message, "tool_call_id");
      }
      images(walk, message, Origin::tool);
      continue;
    }
    const bool model = role == "assistant", system = role == "system";
    const Origin origin = model ? Origin::model : system ? Origin::system : Origin::user;
    walk.text(model    ? HappeningKind::model_text
              : system ? HappeningKind::system_text
                       : HappeningKind::user_text,
              content, origin);
    walk.text(HappeningKind::reasoning_text, walk.member(message, "thinking"), Origin::model);
    images(walk, message, origin);
    for (JsonValue call = walk.member(message, "tool_calls").first(); call; call = call.next()) {
      const JsonValue function = walk.member(call, "function");
      Happening& made = walk.add(HappeningKind::tool_call, call);
      made.origin = Origin::model;
      made.type = "function";
      made.name = walk.string(function, "name");
      made.id = walk.string(call, "id");
      made.arguments = std::string(walk.member(function, "arguments").raw());
    }
  }
  // /api/generate; also the template and what stands after the gap are read by the model.
  walk.text(HappeningKind::system_text, walk.member(root, "system"), Origin::system);
  walk.text(HappeningKind::system_text, walk.member(root, "template"), Origin::system);
  walk.text(HappeningKind::user_text, walk.member(root, "prompt"), Origin::user);
  walk.text(HappeningKind::user_text, walk.member(root, "suffix"), Origin::user);
  images(walk, root, Origin::user);
  for (JsonValue tool = walk.member(root, "tools").first(); tool; tool = tool.next()) {
    const JsonValue function = walk.member(tool, "function");
    Happening& made = walk.add(HappeningKind::offered_tool, tool);
    made.type = walk.string(tool, "type");
    made.name = walk.string(function, "name");
    if (const JsonValue description = walk.member(function, "description"); description.is_string())
      made.description = description.range();
    made.schema = walk.member(function, "parameters").range();
  }
}

void read_ollama_response(Walk& walk, ResponseState& state) {
  const JsonValue root = walk.root();
  if (const JsonValue error = walk.member(root, "error"); error.is_string()) {
    walk.error(error, error, "");
    return;
  }
  state.started = true;
  const JsonValue message = walk.member(root, "message");
  walk.text(HappeningKind::reasoning_text, walk.member(message, "thinking"), Origin::model, Phase::piece);
  walk.text(HappeningKind::reasoning_text, walk.member(root, "thinking"), Origin::model, Phase::piece);
  walk.text(HappeningKind::model_text, walk.member(message, "content"), Origin::model, Phase::piece);
  walk.text(HappeningKind::model_text, walk.member(root, "response"), Origin::model, Phase::piece);
  for (JsonValue call = walk.member(message, "tool_calls").first(); call; call = call.next()) {
    const JsonValue function = walk.member(call, "function");
    OpenCall made;
    made.type = "function";
    made.name = walk.string(function, "name");
    made.id = walk.string(call, "id");
    state.whole(walk, {0, state.ordinal++, 0}, call, std::move(made),
                std::string(walk.member(function, "arguments").raw()));
  }
  if (!walk.member(root, "done").is_true()) return;
  state.finished = true;
  const JsonValue reason = walk.member(root, "done_reason");
  Happening& end = walk.add(HappeningKind::finish, reason ? reason : walk.member(root, "done"));
  end.origin = Origin::model;
  end.reason = walk.string(reason);
  const JsonValue output = walk.member(root, "eval_count");
  if (!output) return;
  Happening& made = walk.add(HappeningKind::usage, output);
  made.origin = Origin::model;
  made.usage = {walk.member(root, "prompt_eval_count").number(), output.number(), std::nullopt};
}

}  // namespace stockade::model
