// Streams that no honest provider sends, and the splitting of streams.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "model/transcript_fixture.h"

namespace stockade::model {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string sse(const std::vector<std::string>& data) {
  std::string out;
  for (const std::string& one : data) out += "data: " + one + "\n\n";
  return out;
}

std::string chat_call(const std::string& call) {
  return R"({"choices":[{"index":0,"delta":{"tool_calls":[)" + call + "]}}]}";
}

struct Event {
  std::string name, data;
  bool truncated;
  bool operator==(const Event&) const = default;
};

std::vector<Event> split(Framing framing, std::string_view bytes, size_t piece) {
  EventSplitter splitter(framing);
  std::vector<StreamEvent> events;
  std::string raw;
  for (size_t at = 0; at < bytes.size(); at += piece) EXPECT_TRUE(splitter.feed(bytes.substr(at, piece), events));
  EXPECT_TRUE(splitter.finish(events));
  std::vector<Event> out;
  for (const StreamEvent& event : events) {
    EXPECT_EQ(event.index, out.size());
    out.push_back({event.name, event.data, event.truncated});
    raw += event.raw;
  }
  EXPECT_EQ(raw, bytes);
  return out;
}

TEST(EventSplitter, ReadsServerSentEventsAsTheStandardDoes) {
  struct Row {
    const char* name;
    std::string bytes;
    std::vector<Event> expected;
  };
  const Row rows[] = {
      {"one", "data: a\n\n", {{"", "a", false}}},
      {"named", "event: x\ndata: a\n\n", {{"x", "a", false}}},
      {"CR LF", "event:x\r\ndata:a\r\n\r\n", {{"x", "a", false}}},
      {"CR", "data: a\r\rdata: b\r\r", {{"", "a", false}, {"", "b", false}}},
      {"several lines", "data: a\ndata:\ndata: b\n\n", {{"", "a\n\nb", false}}},
      {"one space only", "data:  a\n\n", {{"", " a", false}}},
      {"a comment", ": ping\n\ndata: a\n\n", {{"", "", false}, {"", "a", false}}},
      {"other fields", "id: 1\nretry: 5\ndata: a\nfoo: b\n\n", {{"", "a", false}}},
      {"a field that only begins so", "database: a\ndata: b\n\n", {{"", "b", false}}},
      {"no colon", "data\n\n", {{"", "", false}}},
      {"a byte order mark",
       "\xef\xbb\xbf"
       "data: a\n\n",
       {{"", "a", false}}},
      {"cut", "data: a\n\ndata: b", {{"", "a", false}, {"", "b", true}}},
      {"cut before the empty line", "data: a\n", {{"", "a", true}}},
  };
  for (const Row& row : rows)
    for (const size_t piece : {1, 2, 3, 100})
      EXPECT_EQ(split(Framing::sse, row.bytes, piece), row.expected) << row.name;
}

TEST(EventSplitter, ReadsLinesAndArrays) {
  const std::vector<Event> two = {{"", "{\"a\":\"}]\\\"\"}", false}, {"", "{\"b\":[{}]}", false}};
  for (const size_t piece : {1, 2, 100}) {
    EXPECT_EQ(split(Framing::json_lines, "{\"a\":\"}]\\\"\"}\n{\"b\":[{}]}", piece), two);
    auto array = two;
    array.push_back({"", "", false});
    EXPECT_EQ(split(Framing::json_array, " [{\"a\":\"}]\\\"\"}\n,\r\n{\"b\":[{}]}]", piece), array);
    EXPECT_EQ(split(Framing::json_array, "[]", piece), (std::vector<Event>{{"", "", false}}));
    EXPECT_EQ(split(Framing::json_array, "[{}", piece), (std::vector<Event>{{"", "{}", false}, {"", "", true}}));
    EXPECT_EQ(split(Framing::json_array, "[{\"a", piece), (std::vector<Event>{{"", "{\"a", true}}));
  }
  for (const char* bad : {"{}", "[1]", "[{}{}]", "[,{}]", "[{},]", "[{}]x", "[{},,{}]"}) {
    EventSplitter splitter(Framing::json_array);
    std::vector<StreamEvent> events;
    EXPECT_FALSE(splitter.feed(bad, events)) << bad;
  }
}

TEST(EventSplitter, BoundsAnEvent) {
  for (const Framing framing : {Framing::sse, Framing::json_lines, Framing::json_array, Framing::message}) {
    EventSplitter splitter(framing, 1000);
    std::vector<StreamEvent> events;
    const auto result = splitter.feed("[{" + std::string(1000, ' '), events);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), ErrorKind::limit);
  }
  EventSplitter splitter(Framing::sse, 1000);  // many short lines of one event
  std::vector<StreamEvent> events;
  Result<void> result;
  for (int i = 0; i < 200 && result; ++i) result = splitter.feed("data: 123\n", events);
  EXPECT_FALSE(result);
}

TEST(EventSplitter, WritesOtherDataIntoAnEvent) {
  struct Row {
    std::string raw, data, expected;
    Framing framing = Framing::sse;
  };
  const Row rows[] = {{"event: x\r\nid: 1\r\ndata: a\r\n\r\n", "b", "event: x\r\nid: 1\r\ndata: b\r\n\r\n"},
                      {"data: a\ndata: b\n: c\n\n", "d", "data: d\n: c\n\n"},
                      {"data: a\n\n", "b\nc", "data: b\ndata: c\n\n"},
                      {"\xef\xbb\xbf"
                       "data: a\n\n",
                       "b",
                       "\xef\xbb\xbf"
                       "data: b\n\n"},
                      {"{\"a\":1}\r\n", "{}", "{}\r\n", Framing::json_lines}};
  for (const Row& row : rows) {
    EventSplitter splitter(row.framing);
    std::vector<StreamEvent> events;
    ASSERT_TRUE(splitter.feed(row.raw, events));
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(with_data(events[0], row.framing, row.data), row.expected);
  }
}

TEST(ResponseReader, RefusesStreamsThatClientsReadDifferently) {
  struct Row {
    const char* name;
    Api api;
    std::string bytes;
  };
  const std::string start = R"({"type":"message_start","message":{"content":[]}})";
  const std::string block =
      R"({"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"a","input":{}}})";
  const std::string created = R"({"type":"response.created","response":{"id":"r"}})";
  const std::string added =
      R"({"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","id":"f","call_id":"c","name":"a","arguments":""}})";
  const std::string piece = R"({"type":"response.function_call_arguments.delta","output_index":0,"delta":"{}"})";
  const Row rows[] = {
      {"a key twice", Api::openai_chat, sse({R"({"choices":[],"choices":[]})"})},
      {"no JSON", Api::openai_chat, sse({"hello"})},
      {"no object", Api::openai_chat, sse({"[]"})},
      {"a key in other case", Api::openai_chat, sse({R"({"Choices":[]})"})},
      {"a key in both cases", Api::ollama_chat,
       R"({"message":{},"Message":{}})"
       "\n"},
      {"a key in both spellings", Api::gemini,
       sse({R"({"candidates":[{"finishReason":"STOP","finish_reason":"X"}]})"})},
      {"an event under another name", Api::anthropic_messages, "event: ping\ndata: " + start + "\n\n"},
      {"a message within a message", Api::anthropic_messages, sse({start, start})},
      {"a block out of order", Api::anthropic_messages,
       sse({start, R"({"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}})"})},
      {"a block in a block", Api::anthropic_messages,
       sse({start, block, R"({"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}})"})},
      {"a piece of no block", Api::anthropic_messages,
       sse({start,
            R"({"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}})"})},
      {"a piece of an ended block", Api::anthropic_messages,
       sse({start, block, R"({"type":"content_block_stop","index":0})",
            R"({"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}})"})},
      {"an end of no block", Api::anthropic_messages, sse({start, R"({"type":"content_block_stop","index":0})"})},
      {"an index beyond all bounds", Api::anthropic_messages,
       sse({R"({"type":"content_block_start","index":99999999999,"content_block":{}})"})},
      {"a call that begins twice", Api::openai_responses, sse({created, added, added})},
      {"pieces of no call", Api::openai_responses, sse({created, piece})},
      {"pieces after the end", Api::openai_responses,
       sse({created, added, piece,
            R"({"type":"response.function_call_arguments.done","output_index":0,"arguments":"{}"})", piece})},
      {"an end that says otherwise", Api::openai_responses,
       sse({created, added, piece,
            R"({"type":"response.function_call_arguments.done","output_index":0,"arguments":"{\"rm\":1}"})"})},
      {"an item that says otherwise", Api::openai_responses,
       sse({created, added, piece,
            R"({"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","id":"f","call_id":"c","name":"a","arguments":"{\"rm\":1}"}})"})},
      {"an item under another name", Api::openai_responses,
       sse({created, added, piece,
            R"({"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","id":"f","call_id":"c","name":"b","arguments":"{}"}})"})},
      {"a whole answer that says otherwise", Api::openai_responses,
       sse({created, added, piece,
            R"({"type":"response.completed","response":{"status":"completed","output":[{"type":"function_call","call_id":"c","name":"a","arguments":"{\"rm\":1}"}]}})"})},
      {"a call that changes its name", Api::openai_chat,
       sse({chat_call(R"({"index":0,"id":"c","function":{"name":"a","arguments":""}})"),
            chat_call(R"({"index":0,"function":{"name":"b","arguments":""}})")})},
      {"a call that changes its id", Api::openai_chat,
       sse({chat_call(R"({"index":0,"id":"c","function":{"name":"a","arguments":""}})"),
            chat_call(R"({"index":0,"id":"d","function":{"arguments":""}})")})},
      {"a lone surrogate in a name", Api::openai_chat,
       sse({chat_call(R"({"index":0,"id":"c","function":{"name":"\ud800","arguments":""}})")})},
  };
  for (const Row& row : rows) {
    const Framing framing = row.api == Api::ollama_chat ? Framing::json_lines : Framing::sse;
    EXPECT_THAT(stream_happenings(row.api, framing, row.bytes), HasSubstr("refused: ")) << row.name;
  }
}

TEST(ResponseReader, RefusesRequestsThatServersReadDifferently) {
  EXPECT_THAT(request_happenings(Api::openai_chat, R"({"messages":[],"Tools":[]})"), HasSubstr("refused"));
  EXPECT_THAT(request_happenings(Api::openai_chat, R"({"messages":[],"\u0054ools":[]})"), HasSubstr("refused"));
  EXPECT_THAT(request_happenings(Api::gemini, R"({"system_instruction":{},"systemInstruction":{}})"),
              HasSubstr("refused"));
  EXPECT_THAT(request_happenings(Api::ollama_chat,
                                 "{\"messages\":[],\"me\xc5\xbf\xc5\xbf"
                                 "ages\":[]}"),
              HasSubstr("refused"));
  EXPECT_THAT(request_happenings(Api::ollama_chat,
                                 "{\"me\xc5\xbf\xc5\xbf"
                                 "ages\":[{\"ROLE\":\"user\",\"Content\":\"x\"}]}"),
              HasSubstr("user_text text=x"));
  EXPECT_THAT(request_happenings(Api::openai_chat, "[]"), HasSubstr("refused"));
}

TEST(ResponseReader, PutsACallOfAHundredPiecesTogether) {
  std::vector<std::string> data = {
      chat_call(R"({"index":0,"id":"c0","type":"function","function":{"name":"a","arguments":""}})"),
      chat_call(R"({"index":1,"id":"c1","type":"function","function":{"name":"b","arguments":""}})")};
  std::string first, second;
  for (int i = 0; i < 100; ++i) {
    first += std::to_string(i);
    second += "x";
    data.push_back(chat_call(fmt::format(
        R"({{"index":0,"function":{{"arguments":"{}"}}}},{{"index":1,"function":{{"arguments":"x"}}}})", i)));
  }
  data.push_back(R"({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})");
  data.push_back("[DONE]");
  const std::string got = stream_happenings(Api::openai_chat, Framing::sse, sse(data));
  EXPECT_THAT(got, HasSubstr("tool_call end 0.0 name=a id=c0 type=function arguments=" + first + " "));
  EXPECT_THAT(got, HasSubstr("tool_call end 0.1 name=b id=c1 type=function arguments=" + second + " "));
}

TEST(ResponseReader, BoundsCallsAndArguments) {
  const std::string huge(1 << 20, 'x');
  std::vector<std::string> data = {chat_call(R"({"index":0,"id":"c","function":{"name":"a","arguments":""}})")};
  for (int i = 0; i < 16; ++i) data.push_back(chat_call(R"({"index":0,"function":{"arguments":")" + huge + "\"}}"));
  EXPECT_THAT(stream_happenings(Api::openai_chat, Framing::sse, sse(data)), Not(HasSubstr("refused")));
  data.push_back(data.back());
  EXPECT_THAT(stream_happenings(Api::openai_chat, Framing::sse, sse(data)),
              HasSubstr("refused: more bytes of tool arguments"));
  std::vector<std::string> many;
  for (int i = 0; i <= 4096; ++i)
    many.push_back(
        chat_call(fmt::format(R"({{"index":{},"id":"c{}","function":{{"name":"a","arguments":""}}}})", i, i)));
  EXPECT_THAT(stream_happenings(Api::openai_chat, Framing::sse, sse(many)), HasSubstr("refused: more tool calls"));
}

TEST(ReadRequest, BoundsWhatHappeningsCopy) {
  const auto request = [](size_t key, size_t count) {
    std::string body = R"({"messages":[{"role":"odd",")" + std::string(key, 'k') + R"(":[)";
    for (size_t i = 0; i < count; ++i) body += R"("x",)";
    body.back() = ']';
    return body + "}]}";
  };
  EXPECT_THAT(request_happenings(Api::openai_chat, request(40, 1000)), Not(HasSubstr("refused")));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(request_happenings(Api::openai_chat, request(1 << 20, 100000)), HasSubstr("refused: names and paths"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  // The same by the id of a call.
  std::string results =
      R"({"messages":[{"role":"tool","tool_call_id":")" + std::string(1 << 20, 'i') + R"(","content":[)";
  for (int i = 0; i < 10000; ++i) results += R"({"type":"text","text":"x"},)";
  results.back() = ']';
  EXPECT_THAT(request_happenings(Api::openai_chat, results + "}]}"), HasSubstr("refused: names and paths"));
}

TEST(ReadRequest, IsFast) {
  std::string body = R"({"model":"m","messages":[)";
  for (int i = 0; i < 2000; ++i)
    body +=
        R"({"role":"user","content":[{"type":"text","text":"The quick brown fox jumps over the lazy dog."}]},)"
        R"({"role":"tool","tool_call_id":"call_1","content":"drwxr-xr-x 2 root root 4096 Nov 28 15:32 .\ntotal 12"},)";
  body.back() = ']';
  body += "}";
  ASSERT_TRUE(read_request(Api::openai_chat, body));
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(read_request(Api::openai_chat, body));
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  const double rate = 20.0 * static_cast<double>(body.size()) / spent.count() / 1e6;
  printf("read_request: %.0f MB/s in a request of %zu bytes with 4000 messages\n", rate, body.size());
  EXPECT_GT(rate, 3);  // also under a sanitizer and beside other jobs
}

TEST(ResponseReader, TellsWhatItDoesNotKnow) {
  const std::string got = stream_happenings(
      Api::anthropic_messages, Framing::sse,
      sse({R"({"type":"message_start","message":{"content":[]}})", R"({"type":"brand_new","note":"psst"})",
           R"({"type":"content_block_start","index":0,"content_block":{"type":"new_block","say":"hey"}})",
           R"({"type":"content_block_delta","index":0,"delta":{"type":"new_delta","more":"there"}})",
           R"({"type":"content_block_stop","index":0})", R"({"type":"message_stop"})"}));
  EXPECT_THAT(got, HasSubstr("other_text text=psst"));
  EXPECT_THAT(got, HasSubstr("other_text text=hey"));
  EXPECT_THAT(got, HasSubstr("other_text text=there"));
  EXPECT_THAT(got, HasSubstr("ended"));
}

TEST(ResponseReader, ReadsGatewaysThatLeaveThingsOut) {
  // No index, no finish reason, arguments at once, an error as text.
  EXPECT_THAT(stream_happenings(Api::openai_chat, Framing::sse,
                                sse({chat_call(R"({"id":"c","function":{"name":"a","arguments":"{}"}})"),
                                     chat_call(R"({"id":"d","function":{"name":"b","arguments":"{}"}})"), "[DONE]"})),
              testing::AllOf(HasSubstr("end 0.0 name=a"), HasSubstr("end 0.1 name=b"), HasSubstr("ended")));
  EXPECT_THAT(stream_happenings(Api::openai_chat, Framing::sse, sse({R"({"error":"busy"})"})),
              HasSubstr("error text=busy"));
  EXPECT_THAT(
      stream_happenings(
          Api::anthropic_messages, Framing::sse,
          sse({R"({"type":"message_start","message":{}})",
               R"({"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"a","input":{"x":1}}})",
               R"({"type":"content_block_stop","index":0})"})),
      HasSubstr("tool_call end 0.0 name=a id=t type=tool_use arguments={\"x\":1}"));
  EXPECT_THAT(
      stream_happenings(
          Api::openai_responses, Framing::sse,
          sse({R"({"type":"response.completed","response":{"status":"completed","output":[{"type":"function_call","call_id":"c","name":"a","arguments":"{}"}]}})"})),
      HasSubstr("tool_call 0.0 name=a id=c type=function_call arguments={}"));
}

TEST(ResponseReader, CostsLittleForEachEvent) {
  const std::pair<Api, const char*> streams[] = {{Api::openai_responses, "responses_sse"},
                                                 {Api::openai_chat, "chat_sse"},
                                                 {Api::anthropic_messages, "anthropic_sse"},
                                                 {Api::gemini, "gemini_sse"}};
  for (const auto& [api, name] : streams) {
    const std::string bytes = read_transcript(name);
    std::vector<StreamEvent> events;
    std::vector<Happening> out;
    size_t count = 0;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 500; ++i) {
      EventSplitter splitter(Framing::sse);
      ResponseReader reader(api);
      ASSERT_TRUE(splitter.feed(bytes, events));
      for (const StreamEvent& event : events) {
        out.clear();
        ASSERT_TRUE(reader.read_event(event, out));
      }
      count += events.size();
      events.clear();
    }
    const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - start;
    const double each = spent.count() / static_cast<double>(count);
    printf("%s: %.2f microseconds an event of %zu bytes\n", name, each, bytes.size() * 500 / count);
    EXPECT_LT(each, 200);  // also under a sanitizer and beside other jobs
  }
}

}  // namespace
}  // namespace stockade::model
