#include "model/reader.h"

#include "model/walk.h"

namespace stockade::model {

Result<std::vector<Happening>> read_request(Api api, std::string_view body) {
  JsonDocument document;
  STOCKADE_TRY(document.read(body));
  if (!document.root().is_object()) return fail(ErrorKind::protocol, "a request to a model that is no JSON object");
  std::vector<Happening> out;
  Walk walk(document, spelling_of(api), 0, out);
  switch (api) {
    case Api::openai_responses:
      read_responses_request(walk);
      break;
    case Api::openai_chat:
      read_chat_request(walk);
      break;
    case Api::anthropic_messages:
      read_anthropic_request(walk);
      break;
    case Api::gemini:
      read_gemini_request(walk);
      break;
    case Api::ollama_chat:
    case Api::ollama_generate:
      read_ollama_request(walk);
      break;
    case Api::none:
      return fail(ErrorKind::internal, "a request of no model API");
  }
  STOCKADE_TRY(walk.result());
  return out;
}

Result<std::vector<Happening>> read_client_message(std::string_view message) {
  return read_request(Api::openai_responses, message);
}

ResponseReader::ResponseReader(Api api) : api_(api), state_(std::make_unique<ResponseState>()) {}
ResponseReader::~ResponseReader() = default;
ResponseReader::ResponseReader(ResponseReader&&) noexcept = default;
ResponseReader& ResponseReader::operator=(ResponseReader&&) noexcept = default;

Result<std::vector<Happening>> ResponseReader::read_body(std::string_view body) {
  STOCKADE_TRY(document_.read(body));
  std::vector<Happening> out;
  Walk walk(document_, spelling_of(api_), 0, out);
  switch (api_) {
    case Api::openai_responses:
      read_responses_body(walk, *state_);
      break;
    case Api::openai_chat:
      read_chat_body(walk, *state_);
      break;
    case Api::anthropic_messages:
      read_anthropic_body(walk, *state_);
      break;
    case Api::gemini:
      read_gemini_response(walk, *state_);
      break;
    case Api::ollama_chat:
    case Api::ollama_generate:
      read_ollama_response(walk, *state_);
      break;
    case Api::none:
      return fail(ErrorKind::internal, "a response of no model API");
  }
  STOCKADE_TRY(walk.result());
  saw_end_ = true;
  return out;
}

Result<void> ResponseReader::read_event(const StreamEvent& event, std::vector<Happening>& out) {
  if (event.data.empty()) return {};
  if (event.data == "[DONE]") {
    saw_end_ = true;
    // Some gateways give no finish reason.
    Walk walk(document_, spelling_of(api_), event.index, out);
    state_->end_all(walk, {});
    return walk.result();
  }
  STOCKADE_TRY(document_.read(event.data));
  if (!document_.root().is_object()) return fail(ErrorKind::protocol, "an event of a model that is no JSON object");
  Walk walk(document_, spelling_of(api_), event.index, out);
  switch (api_) {
    case Api::openai_responses:
    case Api::anthropic_messages:
      // Some clients go by the name, others by the type.
      if (!event.name.empty() && !document_.root()["type"].equals(event.name) &&
          !(event.name == "error" && document_.root()["error"]))
        return fail(ErrorKind::protocol, "an event whose name is not its type");
      if (api_ == Api::openai_responses) {
        read_responses_event(walk, *state_);
      } else {
        read_anthropic_event(walk, *state_);
      }
      break;
    case Api::openai_chat:
      read_chat_event(walk, *state_);
      break;
    case Api::gemini:
      read_gemini_response(walk, *state_);
      break;
    case Api::ollama_chat:
    case Api::ollama_generate:
      read_ollama_response(walk, *state_);
      break;
    case Api::none:
      return fail(ErrorKind::internal, "a response of no model API");
  }
  return walk.result();
}

bool ResponseReader::ended_well() const {
  for (const auto& [item, call] : state_->calls)
    if (!call.ended) return false;
  // Gemini announces no end but a finish reason, which some answers lack.
  return saw_end_ || state_->finished || api_ == Api::gemini;
}

}  // namespace stockade::model
