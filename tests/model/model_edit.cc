// Edits what comes on standard input, for test_clients.py:
//   model_edit calls API FRAMING NOTICE NAME…   refuses these tool calls of a response; FRAMING body, sse, lines, array
//   or
//                                               messages (a line each)
//   model_edit refuse API                       a refusal's body
//   model_edit cut API FRAMING COUNT            the first COUNT events of a stream, then a refusal
#include <cstdio>
#include <iostream>
#include <iterator>
#include <set>

#include "model/edit.h"
#include "model/refusal.h"
#include "model/stream_edit.h"

namespace {

using namespace stockade;
using namespace stockade::model;

Api api_named(std::string_view name) {
  for (const Api api : {Api::openai_responses, Api::openai_chat, Api::anthropic_messages, Api::gemini, Api::ollama_chat,
                        Api::ollama_generate})
    if (name == name_of(api)) return api;
  return Api::none;
}

Framing framing_named(std::string_view name) {
  if (name == "sse") return Framing::sse;
  if (name == "lines") return Framing::json_lines;
  if (name == "array") return Framing::json_array;
  return name == "messages" ? Framing::message : Framing::body;
}

const Refusal kRefusal{"Stockade blocked this: a key in the prompt", "secret", "rule-1", "e-1", "remove the key"};

Result<void> split(Framing framing, std::string_view bytes, std::vector<StreamEvent>& events) {
  EventSplitter splitter(framing);
  if (framing == Framing::message) {
    for (size_t at = 0; at < bytes.size();) {
      const size_t end = std::min(bytes.find('\n', at), bytes.size());
      STOCKADE_TRY(splitter.feed(bytes.substr(at, end - at), events));
      at = end + 1;
    }
    return {};
  }
  STOCKADE_TRY(splitter.feed(bytes, events));
  return splitter.finish(events);
}

void put(Framing framing, const std::vector<std::string>& pieces) {
  for (const std::string& piece : pieces) std::cout << piece << (framing == Framing::message ? "\n" : "");
}

Result<void> refuse_in_stream(Api api, Framing framing, std::string_view notice, const std::set<std::string>& names,
                              std::string_view bytes) {
  std::vector<StreamEvent> events;
  STOCKADE_TRY(split(framing, bytes, events));
  ResponseReader reader(api);
  StreamEditor editor(api, framing, reader, std::string(notice));
  for (const StreamEvent& event : events) {
    std::vector<Happening> out;
    STOCKADE_TRY(reader.read_event(event, out));
    for (const Happening& one : out)
      if (one.kind == HappeningKind::tool_call && names.contains(one.name)) editor.refuse(one);
  }
  for (const StreamEvent& event : events) {
    STOCKADE_ASSIGN(const auto pieces, editor.write(event));
    put(framing, pieces);
  }
  return {};
}

Result<void> refuse_in_body(Api api, std::string_view notice, const std::set<std::string>& names,
                            std::string_view bytes) {
  ResponseReader reader(api);
  STOCKADE_ASSIGN(auto happenings, reader.read_body(bytes));
  std::erase_if(happenings, [&](const Happening& one) {
    return one.kind != HappeningKind::tool_call || !names.contains(one.name);
  });
  STOCKADE_ASSIGN(const std::string edited, refuse_calls(api, bytes, happenings, notice));
  std::cout << edited;
  return {};
}

Result<void> cut(Api api, Framing framing, size_t count, std::string_view bytes) {
  std::vector<StreamEvent> events;
  STOCKADE_TRY(split(framing, bytes, events));
  events.resize(std::min(events.size(), count));
  ResponseReader reader(api);
  for (const StreamEvent& event : events) {
    std::vector<Happening> out;
    STOCKADE_TRY(reader.read_event(event, out));
    put(framing, {event.raw});
  }
  put(framing, write_stream_refusal(api, framing, reader, kRefusal));
  return {};
}

Result<void> run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) return fail(ErrorKind::invalid_input, "calls, refuse or cut, and an API");
  const Api api = api_named(arguments[1]);
  if (arguments[0] == "refuse") {
    std::cout << write_refusal(api, kRefusal).body;
    return {};
  }
  const std::string bytes((std::istreambuf_iterator<char>(std::cin)), {});
  if (arguments.size() < 4) return fail(ErrorKind::invalid_input, "too few arguments");
  const Framing framing = framing_named(arguments[2]);
  if (arguments[0] == "cut") return cut(api, framing, std::stoul(arguments[3]), bytes);
  const std::set<std::string> names(arguments.begin() + 4, arguments.end());
  return framing == Framing::body ? refuse_in_body(api, arguments[3], names, bytes)
                                  : refuse_in_stream(api, framing, arguments[3], names, bytes);
}

}  // namespace

int main(int argc, char** argv) {
  if (auto result = run({argv + 1, argv + argc}); !result) {
    std::cerr << result.error().message() << "\n";
    return 1;
  }
  return 0;
}
