#include "model/edit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/refusal.h"
#include "model/stream_edit.h"
#include "model/transcript_fixture.h"

namespace stockade::model {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

TEST(JsonEdit, TakesTheCommaThatGoesWithIt) {
  struct Row {
    const char* name;
    std::string text;
    std::vector<std::string> remove;
    std::string expected;
  };
  const Row rows[] = {
      {"the first", R"([ 1 , 2, 3 ])", {"/0"}, "[ 2, 3 ]"},
      {"one in the middle", R"([ 1 , 2, 3 ])", {"/1"}, "[ 1 , 3 ]"},
      {"the last", R"([ 1 , 2, 3 ])", {"/2"}, "[ 1 , 2 ]"},
      {"the first two", R"([1,2,3])", {"/0", "/1"}, "[3]"},
      {"the last two", R"([1,2,3])", {"/1", "/2"}, "[1]"},
      {"the outer two", R"([1,2,3])", {"/0", "/2"}, "[2]"},
      {"all", R"([ 1,2,3 ])", {"/0", "/1", "/2"}, "[]"},
      {"a member", R"({"a":1, "b":{"c":2} ,"d":3})", {"/b"}, R"({"a":1, "d":3})"},
      {"the only member", R"({ "a" : 1 })", {"/a"}, "{}"},
      {"inside a removed one", R"({"a":[1,2],"b":3})", {"/a", "/a/0"}, R"({"b":3})"},
      {"in two places", R"({"a":[1,2],"b":[3,4]})", {"/a/0", "/b/1"}, R"({"a":[2],"b":[3]})"},
  };
  for (const Row& row : rows) {
    JsonDocument document;
    ASSERT_TRUE(document.read(row.text));
    JsonEdit edit(document);
    for (const std::string& pointer : row.remove) edit.remove(find_pointer(document, pointer));
    EXPECT_EQ(edit.apply(), row.expected) << row.name;
  }
}

TEST(JsonEdit, AddsAtTheEnd) {
  const auto appended = [](std::string_view text, std::vector<std::string> remove) {
    JsonDocument document;
    EXPECT_TRUE(document.read(text));
    JsonEdit edit(document);
    for (const std::string& pointer : remove) edit.remove(find_pointer(document, pointer));
    edit.append(document.root(), "9");
    return edit.apply();
  };
  EXPECT_EQ(appended("[]", {}), "[9]");
  EXPECT_EQ(appended("[ 1 ]", {}), "[ 1,9 ]");
  EXPECT_EQ(appended("[1,2]", {"/1"}), "[1,9]");
  EXPECT_EQ(appended("[1,2]", {"/0"}), "[2,9]");
  EXPECT_EQ(appended("[1,2]", {"/0", "/1"}), "[9]");
}

std::string without(Api api, std::string_view body, std::vector<std::string> names) {
  const auto happenings = read_request(api, body);
  EXPECT_TRUE(happenings) << body;
  std::vector<Happening> offers;
  for (const Happening& one : *happenings)
    for (const std::string& name : names)
      if ((one.kind == HappeningKind::offered_tool && one.name == name) ||
          (one.kind == HappeningKind::fetched_url && one.url == name))
        offers.push_back(one);
  EXPECT_FALSE(offers.empty()) << body;
  const auto edited = remove_tools(api, body, offers);
  EXPECT_TRUE(edited) << body;
  EXPECT_TRUE(read_request(api, *edited)) << *edited;
  return edited.value_or("");
}

TEST(RemoveTools, LeavesARequestThatServersAccept) {
  struct Row {
    const char* name;
    Api api;
    std::string body;
    std::vector<std::string> remove;
    std::string expected;
  };
  const Row rows[] = {
      {"Chat, one of two",
       Api::openai_chat,
       R"({"tools":[{"type":"function","function":{"name":"a"}}, {"type":"function","function":{"name":"b"}}],"x":1.50})",
       {"a"},
       R"({"tools":[{"type":"function","function":{"name":"b"}}],"x":1.50})"},
      {"Chat, the only one",
       Api::openai_chat,
       R"({"messages":[],"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"required","parallel_tool_calls":false,"n":1})",
       {"a"},
       R"({"messages":[],"n":1})"},
      {"Chat, the chosen one",
       Api::openai_chat,
       R"({"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}],"tool_choice":{"type":"function","function":{"name":"a"}}})",
       {"a"},
       R"({"tools":[{"type":"function","function":{"name":"b"}}],"tool_choice":"auto"})"},
      {"Chat, another than the chosen one",
       Api::openai_chat,
       R"({"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}],"tool_choice":{"type":"function","function":{"name":"a"}}})",
       {"b"},
       R"({"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":{"type":"function","function":{"name":"a"}}})"},
      {"Chat, one of the allowed",
       Api::openai_chat,
       R"({"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}]}}})",
       {"a"},
       R"({"tools":[{"type":"function","function":{"name":"b"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"b"}}]}}})"},
      {"Chat, the old way",
       Api::openai_chat,
       R"({"functions":[{"name":"a"}],"function_call":{"name":"a"},"n":1})",
       {"a"},
       R"({"n":1})"},
      {"Responses, hosted and chosen",
       Api::openai_responses,
       R"({"tools":[{"type":"web_search"},{"type":"function","name":"b"}],"tool_choice":{"type":"web_search"}})",
       {"web_search"},
       R"({"tools":[{"type":"function","name":"b"}],"tool_choice":"auto"})"},
      {"Responses, all allowed ones",
       Api::openai_responses,
       R"({"tools":[{"type":"function","name":"a"},{"type":"function","name":"b"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"a"}]}})",
       {"a"},
       R"({"tools":[{"type":"function","name":"b"}],"tool_choice":"none"})"},
      {"Responses, an MCP server by its URL",
       Api::openai_responses,
       R"({"tools":[{"type":"mcp","server_label":"d","server_url":"https://m.example/"},{"type":"function","name":"b"}]})",
       {"https://m.example/"},
       R"({"tools":[{"type":"function","name":"b"}]})"},
      {"Responses, all of a namespace",
       Api::openai_responses,
       R"({"tools":[{"type":"namespace","name":"n","tools":[{"type":"function","name":"a"}]},{"type":"function","name":"b"}]})",
       {"a"},
       R"({"tools":[{"type":"function","name":"b"}]})"},
      {"Responses, in a message",
       Api::openai_responses,
       R"({"input":[{"type":"additional_tools","role":"developer","tools":[{"type":"function","name":"a"}]}]})",
       {"a"},
       R"({"input":[{"type":"additional_tools","role":"developer","tools":[]}]})"},
      {"Anthropic, the chosen one",
       Api::anthropic_messages,
       R"({"tools":[{"name":"a","input_schema":{}},{"name":"b","input_schema":{}}],"tool_choice":{"type":"tool","name":"a","disable_parallel_tool_use":true}})",
       {"a"},
       R"({"tools":[{"name":"b","input_schema":{}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}})"},
      {"Anthropic, the only one",
       Api::anthropic_messages,
       R"({"tools":[{"name":"a","input_schema":{}}],"tool_choice":{"type":"any"},"max_tokens":1})",
       {"a"},
       R"({"max_tokens":1})"},
      {"Anthropic, an MCP server and its toolset",
       Api::anthropic_messages,
       R"({"mcp_servers":[{"type":"url","name":"d","url":"https://m.example/"}],"tools":[{"type":"mcp_toolset","mcp_server_name":"d"},{"name":"b","input_schema":{}}]})",
       {"https://m.example/"},
       R"({"tools":[{"name":"b","input_schema":{}}]})"},
      {"Anthropic, a toolset and its server",
       Api::anthropic_messages,
       R"({"mcp_servers":[{"type":"url","name":"d","url":"https://m.example/"}],"tools":[{"type":"mcp_toolset","mcp_server_name":"d"},{"name":"b","input_schema":{}}]})",
       {"d"},
       R"({"tools":[{"name":"b","input_schema":{}}]})"},
      {"Anthropic, added in a message",
       Api::anthropic_messages,
       R"({"messages":[{"role":"user","content":[{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"a","input_schema":{}}}}]}]})",
       {"a"},
       R"({"messages":[{"role":"user","content":[{"type":"text","text":"[a tool was removed here by policy]"}]}]})"},
      {"Gemini, the only function",
       Api::gemini,
       R"({"tools":[{"functionDeclarations":[{"name":"a"}]},{"googleSearch":{}}],"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}})",
       {"a"},
       R"({"tools":[{"googleSearch":{}}],"toolConfig":{}})"},
      {"Gemini, one of two, allowed",
       Api::gemini,
       R"({"tools":[{"function_declarations":[{"name":"a"},{"name":"b"}]}],"tool_config":{"function_calling_config":{"mode":"ANY","allowed_function_names":["a","b"]}}})",
       {"a"},
       R"({"tools":[{"function_declarations":[{"name":"b"}]}],"tool_config":{"function_calling_config":{"mode":"ANY","allowed_function_names":["b"]}}})"},
      {"Gemini, hosted, beside a function",
       Api::gemini,
       R"({"tools":[{"functionDeclarations":[{"name":"a"}],"urlContext":{}}],"contents":[]})",
       {"urlContext"},
       R"({"tools":[{"functionDeclarations":[{"name":"a"}]}],"contents":[]})"},
      {"Gemini, all",
       Api::gemini,
       R"({"contents":[],"tools":[{"googleSearch":{}}]})",
       {"googleSearch"},
       R"({"contents":[]})"},
      {"Ollama, in odd case",
       Api::ollama_chat,
       R"({"Tools":[{"type":"function","Function":{"Name":"a"}}],"model":"x"})",
       {"a"},
       R"({"model":"x"})"},
  };
  for (const Row& row : rows) EXPECT_EQ(without(row.api, row.body, row.remove), row.expected) << row.name;
}

TEST(ReplaceTexts, TouchesNothingElse) {
  const std::string body = R"( {"system":"a\u0062",  "messages":[{"role":"user","content":"secret \"x\""}],"n":1e0} )";
  const auto happenings = read_request(Api::anthropic_messages, body);
  ASSERT_TRUE(happenings);
  ASSERT_EQ(happenings->size(), 2u);
  const auto edited = replace_texts(body, {{(*happenings)[1].range, "[removed]\n\"here\""}});
  EXPECT_EQ(edited.value(),
            R"( {"system":"a\u0062",  "messages":[{"role":"user","content":"[removed]\n\"here\""}],"n":1e0} )");
  EXPECT_FALSE(replace_texts(body, {{{0, 3}, "x"}}));
}

std::string body_without(Api api, const std::string& name, std::set<std::string> calls, std::string_view notice) {
  const std::string body = read_transcript(name);
  ResponseReader reader(api);
  const auto happenings = reader.read_body(body);
  EXPECT_TRUE(happenings);
  std::vector<Happening> refused;
  for (const Happening& one : *happenings)
    if (one.kind == HappeningKind::tool_call && calls.contains(one.name)) refused.push_back(one);
  EXPECT_EQ(refused.size(), calls.size());
  return refuse_calls(api, body, refused, notice).value_or("");
}

TEST(RefuseCalls, LeavesABodyThatReadsAsOrdinary) {
  const std::pair<Api, std::string> bodies[] = {{Api::openai_chat, "chat_body"},
                                                {Api::anthropic_messages, "anthropic_body"},
                                                {Api::gemini, "gemini_body"},
                                                {Api::ollama_chat, "ollama_body"}};
  for (const auto& [api, name] : bodies) {
    for (const std::string_view notice : {"", "No \"reading\""}) {
      const std::string one = body_happenings(api, body_without(api, name, {"read_file"}, notice));
      EXPECT_THAT(one, Not(HasSubstr("read_file"))) << name;
      EXPECT_THAT(one, HasSubstr("name=run")) << name;
      EXPECT_EQ(one.find("No \"reading\"") != std::string::npos, !notice.empty()) << name << one;
      const std::string none = body_happenings(api, body_without(api, name, {"read_file", "run"}, notice));
      EXPECT_THAT(none, Not(HasSubstr("tool_call"))) << name << none;
      EXPECT_THAT(none, Not(HasSubstr("reason=tool_"))) << name << none;
    }
  }
  const std::string responses = body_without(Api::openai_responses, "responses_body", {"read_file"}, "No");
  EXPECT_EQ(json::parse(responses)["output"][2]["content"][0]["text"], "No");
}

// What a client is sent when those calls are refused.
std::string stream_without(Api api, Framing framing, const std::string& bytes, const std::set<std::string>& calls,
                           const std::string& notice, bool refuse_all = false) {
  EventSplitter splitter(framing);
  ResponseReader reader(api);
  StreamEditor editor(api, framing, reader, notice);
  std::vector<StreamEvent> events;
  if (framing == Framing::message) {
    for (size_t at = 0; at < bytes.size();) {
      const size_t end = bytes.find('\n', at);
      EXPECT_TRUE(splitter.feed(bytes.substr(at, end - at), events));
      at = end + 1;
    }
  } else {
    EXPECT_TRUE(splitter.feed(bytes, events));
  }
  EXPECT_TRUE(splitter.finish(events));
  for (const StreamEvent& event : events) {
    std::vector<Happening> out;
    EXPECT_TRUE(reader.read_event(event, out));
    for (const Happening& one : out)
      if (one.kind == HappeningKind::tool_call && (refuse_all || calls.contains(one.name))) editor.refuse(one);
  }
  std::string sent;
  for (const StreamEvent& event : events) {
    const auto written = editor.write(event);
    EXPECT_TRUE(written);
    for (const std::string& piece : written.value_or(std::vector<std::string>{}))
      sent += piece + (framing == Framing::message ? "\n" : "");
  }
  return sent;
}

struct Stream {
  const char* name;
  Api api;
  Framing framing;
};
const Stream kStreams[] = {
    {"responses_sse", Api::openai_responses, Framing::sse},   {"chat_sse", Api::openai_chat, Framing::sse},
    {"anthropic_sse", Api::anthropic_messages, Framing::sse}, {"gemini_sse", Api::gemini, Framing::sse},
    {"gemini_array", Api::gemini, Framing::json_array},       {"ollama_lines", Api::ollama_chat, Framing::json_lines}};

TEST(StreamEditor, PassesWhatIsNotRefusedByteForByte) {
  for (const Stream& one : kStreams) {
    const std::string bytes = read_transcript(one.name);
    EXPECT_EQ(stream_without(one.api, one.framing, bytes, {}, "No"), bytes) << one.name;
  }
}

TEST(StreamEditor, LeavesAStreamThatReadsAsOrdinary) {
  for (const Stream& stream : kStreams) {
    const std::string bytes = read_transcript(stream.name);
    for (const std::string& notice : {std::string(), std::string("No\n\"reading\"")}) {
      for (const std::string refused : {"read_file", "run"}) {
        const std::string sent = stream_without(stream.api, stream.framing, bytes, {refused}, notice);
        const std::string got = stream_happenings(stream.api, stream.framing, sent);
        EXPECT_TRUE(got.ends_with("ended\n")) << stream.name << got;
        EXPECT_THAT(got, Not(HasSubstr("name=" + refused))) << stream.name << got;
        EXPECT_THAT(got, HasSubstr(refused == "run" ? "name=read_file" : "name=run")) << stream.name << got;
        EXPECT_EQ(got.find("text=No") != std::string::npos, !notice.empty()) << stream.name << got;
        if (stream.api != Api::openai_chat) continue;
        EXPECT_THAT(got, HasSubstr("tool_call end 0.0")) << got;
        EXPECT_THAT(got, Not(HasSubstr("tool_call end 0.1"))) << got;
      }
      const std::string none = stream_happenings(
          stream.api, stream.framing,
          stream_without(stream.api, stream.framing, bytes, {"read_file", "run", "web_search"}, notice));
      EXPECT_TRUE(none.ends_with("ended\n")) << stream.name << none;
      EXPECT_THAT(none, Not(HasSubstr("tool_call"))) << stream.name << none;
      EXPECT_THAT(none, Not(HasSubstr("reason=tool_"))) << stream.name << none;
      EXPECT_THAT(none, Not(HasSubstr("w.example"))) << stream.name << " (the hosted call's result)" << none;
    }
  }
}

TEST(StreamEditor, KeepsSequenceNumbersWithoutGaps) {
  for (const std::string& notice : {std::string(), std::string("No")}) {
    const std::string sent =
        stream_without(Api::openai_responses, Framing::sse, read_transcript("responses_sse"), {"read_file"}, notice);
    EventSplitter splitter(Framing::sse);
    std::vector<StreamEvent> events;
    ASSERT_TRUE(splitter.feed(sent, events));
    int expected = 0;
    for (const StreamEvent& event : events)
      EXPECT_EQ(json::parse(event.data)["sequence_number"], expected++) << event.data;
    EXPECT_GT(expected, 15);
  }
}

TEST(StreamEditor, EditsMessagesOfAWebSocketAndCallsInPieces) {
  std::string messages;
  EventSplitter splitter(Framing::sse);
  std::vector<StreamEvent> events;
  ASSERT_TRUE(splitter.feed(read_transcript("responses_sse"), events));
  for (const StreamEvent& event : events) messages += event.data + "\n";
  const std::string sent = stream_without(Api::openai_responses, Framing::message, messages, {"run"}, "No");
  EXPECT_THAT(sent, Not(HasSubstr("\"run\"")));
  EXPECT_THAT(sent, Not(HasSubstr("event:")));
  const std::string partial =
      stream_without(Api::gemini, Framing::sse, read_transcript("gemini_partial_sse"), {"run"}, "No");
  EXPECT_THAT(stream_happenings(Api::gemini, Framing::sse, partial), HasSubstr("text=No"));
  EXPECT_THAT(partial, Not(HasSubstr("functionCall")));
}

TEST(Refusal, SpeaksEachDialect) {
  const Refusal refusal{"Blocked: \"x\"", "secret", "r1", "e1", "ask"};
  for (const Api api :
       {Api::openai_responses, Api::openai_chat, Api::anthropic_messages, Api::gemini, Api::ollama_chat}) {
    const RefusalResponse response = write_refusal(api, refusal);
    EXPECT_EQ(response.status, 403);
    EXPECT_TRUE(json::accept(response.body)) << response.body;
    ResponseReader reader(api);
    const auto read = reader.read_body(response.body);
    ASSERT_TRUE(read) << response.body;
    ASSERT_EQ(read->size(), 1u) << response.body;
    EXPECT_EQ((*read)[0].kind, HappeningKind::error);
    EXPECT_EQ((*read)[0].text.decode().value(), refusal.message);
    EXPECT_THAT(response.body, HasSubstr("\"rule\":\"r1\""));
  }
}

TEST(Refusal, EndsAStreamThatHasBegun) {
  for (const Stream& stream : kStreams) {
    EventSplitter splitter(stream.framing);
    ResponseReader reader(stream.api);
    std::vector<StreamEvent> events;
    ASSERT_TRUE(splitter.feed(read_transcript(stream.name), events));
    std::string sent;
    for (size_t i = 0; i < 2; ++i) {
      std::vector<Happening> out;
      ASSERT_TRUE(reader.read_event(events[i], out));
      sent += events[i].raw;
    }
    for (const std::string& piece : write_stream_refusal(stream.api, stream.framing, reader, {"Blocked", "x"}))
      sent += piece;
    EXPECT_THAT(stream_happenings(stream.api, stream.framing, sent), HasSubstr("error text=Blocked")) << stream.name;
    EXPECT_EQ(json::accept(sent), stream.framing == Framing::json_array) << sent;
  }
}

}  // namespace
}  // namespace stockade::model
