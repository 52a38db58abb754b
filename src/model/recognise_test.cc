#include "model/recognise.h"

#include <gtest/gtest.h>

namespace stockade::model {
namespace {

TEST(Recognise, KnowsAnApiByPathAndKeys) {
  struct Row {
    const char* name;
    RequestShape request;
    Recognised expected;
  };
  const Row rows[] = {
      {"Responses",
       {"POST", "/v1/responses", "", R"({"model":"gpt-5","input":"hi","stream":true})"},
       {Api::openai_responses, true}},
      {"Codex",
       {"POST", "/backend-api/codex/responses", "", R"({"model":"x","instructions":"y","input":[)"},
       {Api::openai_responses}},
      {"Responses, counted",
       {"POST", "/v1/responses/input_tokens", "", R"({"input":"hi"})"},
       {.api = Api::openai_responses, .counts_only = true}},
      {"Responses over WebSocket",
       {"GET", "/v1/responses?a=b", "WebSocket", ""},
       {.api = Api::openai_responses, .streams = true, .websocket = true}},
      {"Chat", {"POST", "/v1/chat/completions", "", R"({"messages":[],"model":"x"})"}, {Api::openai_chat}},
      {"Azure",
       {"POST", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", "",
        R"({"stream":true,"messages":[]})"},
       {Api::openai_chat, true}},
      {"OpenRouter", {"POST", "/api/v1/chat/completions", "", R"({"model":"a/b","messages":[{)"}, {Api::openai_chat}},
      {"no content type", {"POST", "/v1/chat/completions/", "", R"({"messages":[]})"}, {Api::openai_chat}},
      {"an escaped key", {"POST", "/v1/chat/completions", "", R"({"\u006dessages":[]})"}, {Api::openai_chat}},
      {"Messages",
       {"POST", "/v1/messages?beta=true", "", R"({"model":"claude","max_tokens":1,"messages":[],"stream":true})"},
       {Api::anthropic_messages, true}},
      {"Messages, counted",
       {"POST", "/v1/messages/count_tokens", "", R"({"model":"claude","messages":[]})"},
       {.api = Api::anthropic_messages, .counts_only = true}},
      {"Vertex Anthropic",
       {"POST", "/v1/projects/p/locations/l/publishers/anthropic/models/claude:streamRawPredict", "",
        R"({"anthropic_version":"vertex-2023-10-16","messages":[],"max_tokens":1})"},
       {Api::anthropic_messages, true}},
      {"Bedrock",
       {"POST", "/model/anthropic.claude-v2/invoke", "",
        R"({"anthropic_version":"bedrock-2023-05-31","messages":[],"max_tokens":1})"},
       {Api::anthropic_messages}},
      {"Bedrock stream",
       {"POST", "/model/x/invoke-with-response-stream", "", R"({"anthropic_version":"b","messages":[]})"},
       {.api = Api::anthropic_messages, .streams_binary = true}},
      {"Gemini",
       {"POST", "/v1beta/models/gemini-2.5-pro:generateContent?key=k", "", R"({"contents":[]})"},
       {Api::gemini}},
      {"Gemini stream",
       {"POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "", R"({"contents":[]})"},
       {Api::gemini, true}},
      {"Vertex Gemini",
       {"POST", "/v1/projects/p/locations/l/publishers/google/models/g:generateContent", "",
        R"({"systemInstruction":{},"contents":{}})"},
       {Api::gemini}},
      {"Ollama chat", {"POST", "/api/chat", "", R"({"model":"llama","messages":[]})"}, {Api::ollama_chat, true}},
      {"Ollama in odd case",
       {"POST", "/api/chat", "", R"({"Model":"llama","MESSAGES":[],"stream":false})"},
       {Api::ollama_chat}},
      {"Ollama generate",
       {"POST", "/api/generate", "", R"({"model":"llama","prompt":"x","stream":false})"},
       {Api::ollama_generate}},
      {"a list of responses", {"GET", "/v1/responses", "", ""}, {}},
      {"a web shop's messages", {"POST", "/messages", "", R"({"to":"bob","text":"hi"})"}, {}},
      {"a web app's chat", {"POST", "/api/chat", "", R"({"messages":[]})"}, {}},
      {"no body yet", {"POST", "/v1/chat/completions", "", ""}, {}},
      {"a key nested deeper", {"POST", "/v1/chat/completions", "", R"({"a":{"messages":[]}})"}, {}},
      {"not an object", {"POST", "/v1/chat/completions", "", R"(["messages",[]])"}, {}},
      {"a longer last segment", {"POST", "/v1/mychat/completionsx", "", R"({"messages":[]})"}, {}},
      {"a WebSocket elsewhere", {"GET", "/v1/realtime", "websocket", ""}, {}},
      {"Bedrock of another maker", {"POST", "/model/meta.llama/invoke", "", R"({"messages":[],"prompt":"x"})"}, {}},
  };
  for (const Row& row : rows) {
    const Recognised got = recognise(row.request);
    EXPECT_EQ(got, row.expected) << row.name << ": " << name_of(got.api) << " streams " << got.streams;
  }
}

TEST(Recognise, TellsHowTheResponseIsFramed) {
  const Recognised gemini{.api = Api::gemini, .streams = true};
  EXPECT_EQ(response_framing({.api = Api::openai_chat}, "text/event-stream; charset=utf-8"), Framing::sse);
  EXPECT_EQ(response_framing({.api = Api::openai_chat, .streams = true}, "application/json"), Framing::body);
  EXPECT_EQ(response_framing({.api = Api::ollama_chat}, "application/x-ndjson"), Framing::json_lines);
  EXPECT_EQ(response_framing(gemini, "application/json; charset=UTF-8"), Framing::json_array);
  EXPECT_EQ(response_framing(gemini, "Text/Event-Stream"), Framing::sse);
  EXPECT_EQ(response_framing({.api = Api::gemini}, "application/json"), Framing::body);
  EXPECT_EQ(response_framing({.api = Api::openai_responses, .websocket = true}, ""), Framing::message);
}

}  // namespace
}  // namespace stockade::model
