#include "model/refusal.h"

#include "model/json_value.h"
#include "model/walk.h"

namespace stockade::model {

namespace {

// ,"reason":…,"rule":…,"event":…,"hint":…
std::string details(const Refusal& refusal) {
  std::string out;
  const std::pair<const char*, const std::string*> members[] = {
      {"reason", &refusal.reason}, {"rule", &refusal.rule}, {"event", &refusal.event}, {"hint", &refusal.hint}};
  for (const auto& [name, value] : members)
    if (!value->empty()) out += fmt::format(",\"{}\":{}", name, json_quoted(*value));
  return out;
}

std::string openai_error(const Refusal& refusal) {
  return fmt::format(R"({{"message":{},"type":"stockade_blocked","param":null,"code":"stockade_blocked"{}}})",
                     json_quoted(refusal.message), details(refusal));
}

std::string error_object(Api api, const Refusal& refusal) {
  const std::string message = json_quoted(refusal.message);
  switch (api) {
    case Api::anthropic_messages:
      return fmt::format(R"({{"type":"error","error":{{"type":"permission_error","message":{}{}}}}})", message,
                         details(refusal));
    case Api::gemini:
      return fmt::format(R"({{"error":{{"code":403,"message":{},"status":"PERMISSION_DENIED","details":[{{)"
                         R"("@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"STOCKADE_BLOCKED",)"
                         R"("domain":"stockade","metadata":{{"blocked":"true"{}}}}}]}}}})",
                         message, details(refusal));
    case Api::ollama_chat:
    case Api::ollama_generate:
      return fmt::format(R"({{"error":{},"stockade":{{"blocked":true{}}}}})", message, details(refusal));
    default:
      return fmt::format(R"({{"error":{}}})", openai_error(refusal));
  }
}

// Codex goes by response.failed, openai's library raises what has an "error": both are sent.
std::vector<std::string> end_responses(Framing framing, const ResponseReader& reader, const Refusal& refusal) {
  const ResponseState& state = reader.state();
  uint64_t sequence = state.last_sequence;
  std::vector<std::string> out;
  if (state.started)
    out.push_back(frame_event(
        framing, "response.failed",
        fmt::format(R"({{"type":"response.failed","sequence_number":{},"response":{{"id":{},"object":"response",)"
                    R"("created_at":0,"status":"failed","error":{{"code":"stockade_blocked","message":{}}},)"
                    R"("incomplete_details":null,"instructions":null,"metadata":{{}},"model":{},"output":[],)"
                    R"("parallel_tool_calls":true,"temperature":null,"tool_choice":"auto","tools":[],"top_p":null,)"
                    R"("usage":null}}}})",
                    ++sequence, json_quoted(state.response_id), json_quoted(refusal.message),
                    json_quoted(state.response_model))));
  out.push_back(
      frame_event(framing, "error",
                  fmt::format(R"({{"type":"error","sequence_number":{},"status":403,"code":"stockade_blocked",)"
                              R"("message":{},"param":null,"error":{}}})",
                              ++sequence, json_quoted(refusal.message), openai_error(refusal))));
  return out;
}

}  // namespace

RefusalResponse write_refusal(Api api, const Refusal& refusal) {
  RefusalResponse response;
  response.body = error_object(api, refusal);
  response.fields.emplace_back("x-should-retry", "false");  // OpenAI's and Anthropic's libraries obey it
  return response;
}

std::vector<std::string> write_stream_refusal(Api api, Framing framing, const ResponseReader& reader,
                                              const Refusal& refusal) {
  if (api == Api::openai_responses) return end_responses(framing, reader, refusal);
  const std::string error = error_object(api, refusal);
  switch (framing) {
    case Framing::sse:
      return {frame_event(framing, api == Api::anthropic_messages ? "error" : "", error)};
    case Framing::json_array:
      return {frame_event(framing, "", error, !reader.state().started) + "]"};
    default:
      return {frame_event(framing, "", error)};
  }
}

}  // namespace stockade::model
