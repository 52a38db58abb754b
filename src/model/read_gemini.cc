// Gemini's generateContent and streamGenerateContent (Google AI and Vertex): a body and an event of a stream have the
// same shape. Keys come in two spellings, systemInstruction and system_instruction: the API takes both. Facts:
// @google/genai (npm), genai.d.ts.
#include "model/walk.h"

namespace stockade::model {

namespace {

struct CallParts {
  OpenCall call;
  JsonValue arguments;
};

// What a part asks for, if it is a call.
std::optional<CallParts> call_of(Walk& walk, JsonValue part) {
  CallParts parts;
  if (const JsonValue call = walk.member(part, "functionCall"); call.is_object()) {
    parts.call.type = "functionCall";
    parts.call.name = walk.string(call, "name");
    parts.call.id = walk.string(call, "id");
    parts.arguments = walk.member(call, "args");
    return parts;
  }
  parts.call.hosted = true;
  if (const JsonValue code = walk.member(part, "executableCode"); code.is_object()) {
    parts.call.type = "executableCode";
    parts.call.name = "code_execution";
    parts.call.id = walk.string(code, "id");
    parts.arguments = walk.member(code, "code");
    return parts;
  }
  if (const JsonValue call = walk.member(part, "toolCall"); call.is_object()) {
    parts.call.type = "toolCall";
    parts.call.name = walk.string(call, "toolType");
    parts.call.id = walk.string(call, "id");
    parts.arguments = walk.member(call, "args");
    return parts;
  }
  return std::nullopt;
}

void media_of(Walk& walk, JsonValue part, Origin origin) {
  if (const JsonValue data = walk.member(part, "inlineData"); data.is_object())
    walk.media(data, origin, walk.string(data, "mimeType"), "inlineData");
  const JsonValue file = walk.member(part, "fileData");
  walk.url(walk.member(file, "fileUri"), origin, "fileData");
}

// Any part but a call; false if it is a call.
void other_part(Walk& walk, JsonValue part, HappeningKind kind, Origin origin, Phase phase, const Item& item) {
  const size_t told = walk.told();
  const bool thought = walk.member(part, "thought").is_true();
  if (Happening* made =
          walk.text(thought ? HappeningKind::reasoning_text : kind, walk.member(part, "text"), origin, phase))
    made->item = item;
  media_of(walk, part, origin);
  if (const JsonValue response = walk.member(part, "functionResponse"); response.is_object()) {
    const std::string id = walk.string(response, "id"), name = walk.string(response, "name");
    walk.texts_below(HappeningKind::tool_result, walk.member(response, "response"), Origin::tool, id, name);
    for (JsonValue inner = walk.member(response, "parts").first(); inner; inner = inner.next())
      media_of(walk, inner, Origin::tool);
  }
  if (const JsonValue result = walk.member(part, "codeExecutionResult"); result.is_object())
    if (Happening* made = walk.text(HappeningKind::tool_result, walk.member(result, "output"), Origin::tool))
      made->name = "code_execution";
  if (const JsonValue response = walk.member(part, "toolResponse"); response.is_object())
    walk.texts_below(HappeningKind::tool_result, walk.member(response, "response"), Origin::tool,
                     walk.string(response, "id"), walk.string(response, "toolType"));
  // A part of a kind that we do not know.
  if (walk.told() == told) walk.texts_below(HappeningKind::other_text, part, origin);
}

void content_of(Walk& walk, JsonValue content, HappeningKind kind, Origin origin) {
  if (content.is_string()) {
    walk.text(kind, content, origin);
    return;
  }
  const auto part_of = [&](JsonValue part) {
    if (const auto parts = call_of(walk, part)) {
      Happening& made = walk.add(HappeningKind::tool_call, part);
      made.origin = Origin::model;
      made.name = parts->call.name;
      made.id = parts->call.id;
      made.type = parts->call.type;
      made.hosted = parts->call.hosted;
      made.arguments =
          parts->arguments.is_string() ? walk.string(parts->arguments) : std::string(parts->arguments.raw());
    } else {
      other_part(walk, part, kind, origin, Phase::whole, {});
    }
  };
  const JsonValue parts = walk.member(content, "parts");
  if (parts.is_object()) return part_of(parts);
  for (JsonValue part = parts.first(); part; part = part.next()) part_of(part);
}

void offer_tools(Walk& walk, JsonValue tool) {
  for (JsonValue member = tool.first(); member; member = member.next()) {
    if (is_spelling_of(member.key(), "functionDeclarations", Spelling::protobuf)) {
      for (JsonValue function = member.first(); function; function = function.next()) {
        Happening& made = walk.add(HappeningKind::offered_tool, function);
        made.type = "function";
        made.name = walk.string(function, "name");
        if (const JsonValue description = walk.member(function, "description"); description.is_string())
          made.description = description.range();
        const JsonValue schema = walk.member(function, "parameters");
        made.schema = (schema ? schema : walk.member(function, "parametersJsonSchema")).range();
      }
    } else if (is_spelling_of(member.key(), "mcpServers", Spelling::protobuf)) {
      for (JsonValue server = member.first(); server; server = server.next()) {
        Happening& made = walk.add(HappeningKind::offered_tool, server);
        made.type = "mcp";
        made.hosted = true;
        made.name = walk.string(server, "name");
        walk.url(walk.member(walk.member(server, "streamableHttpTransport"), "url"), Origin::user, "mcp");
      }
    } else {
      // googleSearch, codeExecution, urlContext, computerUse, …: the key is the tool.
      Happening& made = walk.add(HappeningKind::offered_tool, member);
      made.type = made.name = std::string(member.key().raw);
      made.hosted = !is_spelling_of(member.key(), "computerUse", Spelling::protobuf);
    }
  }
}

void answer_part(Walk& walk, ResponseState& state, JsonValue part, uint32_t choice) {
  const auto parts = call_of(walk, part);
  if (!parts) return other_part(walk, part, HappeningKind::model_text, Origin::model, Phase::piece, {choice, 0, 0});
  const JsonValue call = walk.member(part, "functionCall");
  const bool goes_on = walk.member(call, "willContinue").is_true();
  const JsonValue partial = walk.member(call, "partialArgs");
  if (state.partial && state.partial->choice == choice) {
    const Item item = *state.partial;
    const OpenCall& open = *state.find(item);
    if ((!parts->call.name.empty() && parts->call.name != open.name) || parts->call.type != open.type)
      return walk.refuse("a tool call within another that goes on");
    if (const JsonValue more = partial ? partial : parts->arguments) {
      state.piece(walk, item, more);
    } else if (goes_on) {
      state.empty_piece(walk, item, call);
    }
    if (goes_on) return;
    state.partial.reset();
    state.end(walk, item, part);
    return;
  }
  const Item item{choice, state.ordinal++, 0};
  if (goes_on || partial) {
    state.begin(walk, item, part, parts->call);
    if (const JsonValue more = partial ? partial : parts->arguments) state.piece(walk, item, more);
    if (goes_on) {
      state.partial = item;
    } else {
      state.end(walk, item, part);
    }
    return;
  }
  std::string arguments =
      parts->arguments.is_string() ? walk.string(parts->arguments) : std::string(parts->arguments.raw());
  state.whole(walk, item, part, parts->call, std::move(arguments));
}

}  // namespace

void read_gemini_request(Walk& walk) {
  JsonValue root = walk.root();
  // countTokens may wrap the request.
  if (const JsonValue inner = walk.member(root, "generateContentRequest"); inner.is_object()) root = inner;
  content_of(walk, walk.member(root, "systemInstruction"), HappeningKind::system_text, Origin::system);
  const auto turn = [&](JsonValue content) {
    const std::string role = walk.string(content, "role");
    const bool model = role == "model";
    content_of(walk, content, model ? HappeningKind::model_text : HappeningKind::user_text,
               model ? Origin::model : Origin::user);
  };
  const JsonValue contents = walk.member(root, "contents");
  if (contents.is_object()) {
    turn(contents);
  } else {
    for (JsonValue content = contents.first(); content; content = content.next()) turn(content);
  }
  const JsonValue tools = walk.member(root, "tools");
  if (tools.is_object()) {
    offer_tools(walk, tools);
  } else {
    for (JsonValue tool = tools.first(); tool; tool = tool.next()) offer_tools(walk, tool);
  }
}

void read_gemini_response(Walk& walk, ResponseState& state) {
  const JsonValue root = walk.root();
  if (const JsonValue error = walk.member(root, "error"); error.is_object()) {
    walk.error(error, walk.member(error, "message"), walk.string(error, "status"));
    return;
  }
  state.started = true;
  uint32_t ordinal = 0;
  for (JsonValue candidate = walk.member(root, "candidates").first(); candidate;
       candidate = candidate.next(), ++ordinal) {
    const uint32_t choice = walk.number(candidate, "index", ordinal);
    const JsonValue parts = walk.member(walk.member(candidate, "content"), "parts");
    for (JsonValue part = parts.first(); part; part = part.next()) answer_part(walk, state, part, choice);
    const JsonValue reason = walk.member(candidate, "finishReason");
    if (!reason.is_string()) continue;
    state.end_choice(walk, choice, candidate);
    state.partial.reset();
    Happening& made = walk.add(HappeningKind::finish, reason);
    made.origin = Origin::model;
    made.item.choice = choice;
    made.reason = walk.string(reason);
  }
  if (const JsonValue reason = walk.member(walk.member(root, "promptFeedback"), "blockReason"); reason.is_string()) {
    Happening& made = walk.add(HappeningKind::finish, reason);
    made.origin = Origin::model;
    made.reason = walk.string(reason);
  }
  if (const JsonValue usage = walk.member(root, "usageMetadata"); usage.is_object()) {
    Happening& made = walk.add(HappeningKind::usage, usage);
    made.origin = Origin::model;
    const auto output = walk.member(usage, "candidatesTokenCount").number();
    const auto thoughts = walk.member(usage, "thoughtsTokenCount").number();
    made.usage = {walk.member(usage, "promptTokenCount").number(), output,
                  walk.member(usage, "cachedContentTokenCount").number()};
    if (thoughts) made.usage.output = output.value_or(0) + *thoughts;
  }
}

}  // namespace stockade::model
