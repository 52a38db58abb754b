#include "model/happening.h"

namespace stockade::model {

const char* name_of(Api api) {
  switch (api) {
    case Api::none:
      return "none";
    case Api::openai_responses:
      return "openai-responses";
    case Api::openai_chat:
      return "openai-chat";
    case Api::anthropic_messages:
      return "anthropic-messages";
    case Api::gemini:
      return "gemini";
    case Api::ollama_chat:
      return "ollama-chat";
    case Api::ollama_generate:
      return "ollama-generate";
  }
  return "?";
}

const char* name_of(HappeningKind kind) {
  static constexpr const char* kNames[] = {"offered_tool", "system_text",    "user_text",  "tool_result", "tool_call",
                                           "model_text",   "reasoning_text", "other_text", "media",       "fetched_url",
                                           "usage",        "finish",         "error"};
  return kNames[static_cast<size_t>(kind)];
}

const char* name_of(Phase phase) {
  static constexpr const char* kNames[] = {"whole", "begin", "piece", "end", "repeat"};
  return kNames[static_cast<size_t>(phase)];
}

}  // namespace stockade::model
