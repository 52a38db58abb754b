// Model APIs: requests, bodies and streams. The same happenings however a stream is cut; events that give their bytes
// back; an answer whose calls are all refused reads as one without calls; a request without its tools offers none.
// covers: src/model/event_splitter.cc src/model/reader.cc src/model/walk.cc src/model/read_openai_responses.cc
// covers: src/model/read_openai_chat.cc src/model/read_anthropic.cc src/model/read_gemini.cc src/model/read_ollama.cc
// covers: src/model/edit.cc src/model/stream_edit.cc src/model/refusal.cc src/model/recognise.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "model/edit.h"
#include "model/recognise.h"
#include "model/refusal.h"
#include "model/stream_edit.h"

namespace {

using namespace stockade;
using namespace stockade::model;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string describe(const std::vector<Happening>& all) {
  std::string text;
  for (const Happening& one : all)
    text += fmt::format("{} {} {}.{}.{} {} {}-{} {} {} {} {} {} {} {}\n", name_of(one.kind), name_of(one.phase),
                        one.item.choice, one.item.index, one.item.part, one.event, one.range.begin, one.range.end,
                        one.pointer, one.name, one.id, one.text.raw, one.arguments, one.url, one.reason);
  return text;
}

struct Outcome {
  std::string said;
  bool refused = false;
  bool ended = false;
  std::vector<StreamEvent> events;
  std::vector<Happening> calls;
};

Outcome read_stream(Api api, Framing framing, std::string_view bytes, size_t piece) {
  EventSplitter splitter(framing);
  ResponseReader reader(api);
  Outcome outcome;
  size_t seen = 0;
  const auto take = [&] {
    for (; seen < outcome.events.size() && !outcome.refused; ++seen) {
      std::vector<Happening> out;
      const auto read = reader.read_event(outcome.events[seen], out);
      outcome.said += read ? describe(out) : "refused " + read.error().message();
      outcome.refused = !read;
      for (const Happening& one : out) {
        require(one.range.end <= outcome.events[seen].data.size());
        if (one.kind == HappeningKind::tool_call) outcome.calls.push_back(one);
      }
    }
  };
  for (size_t at = 0; at < bytes.size() && !outcome.refused; at += piece) {
    const std::string exact(bytes.substr(at, piece));
    const auto fed = splitter.feed(exact, outcome.events);
    take();
    if (!fed && !outcome.refused) {
      outcome.said += "refused " + fed.error().message();
      outcome.refused = true;
    }
  }
  if (!outcome.refused && splitter.finish(outcome.events)) take();
  if (outcome.refused) return outcome;
  std::string raw;
  for (const StreamEvent& event : outcome.events) raw += event.raw;
  require(raw == bytes);
  outcome.ended = reader.ended_well();
  return outcome;
}

void check_refusals(Api api, Framing framing, const Outcome& original, const std::string& notice) {
  ResponseReader reader(api);
  StreamEditor editor(api, framing, reader, notice);
  for (const StreamEvent& event : original.events) {
    std::vector<Happening> out;
    require(reader.read_event(event, out).has_value());
  }
  for (const Happening& call : original.calls) editor.refuse(call);
  std::string sent;
  for (const StreamEvent& event : original.events) {
    const auto written = editor.write(event);
    require(written.has_value());
    for (const std::string& one : *written) sent += one;
  }
  const Outcome after = read_stream(api, framing, sent, sent.size() + 1);
  if (after.refused || !after.calls.empty())
    fmt::print(stderr, "original:\n{}\nsent:\n{}\nread:\n{}\n", original.said, sent, after.said);
  require(!after.refused && after.calls.empty());
  (void)write_stream_refusal(api, framing, reader, {"blocked"});
}

void fuzz_stream(Api api, Framing framing, std::string_view bytes) {
  const Outcome whole = read_stream(api, framing, bytes, bytes.size() + 1);
  for (const size_t piece : {1, 3, 7}) require(read_stream(api, framing, bytes, piece).said == whole.said);
  if (!whole.ended || whole.events.empty() || whole.events.back().truncated) return;
  check_refusals(api, framing, whole, "");
  check_refusals(api, framing, whole, "no");
}

void fuzz_request(Api api, std::string_view bytes) {
  (void)recognise({"POST", "/v1/chat/completions", "", bytes});
  const auto read = read_request(api, bytes);
  if (!read) return;
  std::vector<Happening> tools;
  std::vector<TextReplacement> texts;
  for (const Happening& one : *read) {
    require(one.range.end <= bytes.size());
    if (one.kind == HappeningKind::offered_tool) tools.push_back(one);
    if (!one.text.empty()) texts.push_back({one.range, "*"});
  }
  const auto without = remove_tools(api, bytes, tools);
  require(without.has_value());
  if (tools.empty()) require(*without == bytes);
  const auto left = read_request(api, *without);
  require(left.has_value());
  for (const Happening& one : *left) require(one.kind != HappeningKind::offered_tool);
  const auto replaced = replace_texts(bytes, texts);
  require(replaced.has_value() && read_request(api, *replaced).has_value());
}

void fuzz_body(Api api, std::string_view bytes) {
  ResponseReader reader(api);
  const auto read = reader.read_body(bytes);
  if (!read) return;
  std::vector<Happening> calls;
  for (const Happening& one : *read)
    if (one.kind == HappeningKind::tool_call && one.phase == Phase::whole) calls.push_back(one);
  for (const char* notice : {"", "no"}) {
    const auto edited = refuse_calls(api, bytes, calls, notice);
    require(edited.has_value());
    ResponseReader again(api);
    const auto after = again.read_body(*edited);
    require(after.has_value());
    for (const Happening& one : *after) require(one.kind != HappeningKind::tool_call || one.phase != Phase::whole);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr Api kApis[] = {Api::openai_responses, Api::openai_chat, Api::anthropic_messages, Api::gemini,
                                  Api::ollama_chat};
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  // A letter: its place in the alphabet tells the API and what the bytes are.
  const unsigned choice = data[0] >= 'a' && data[0] <= 'y' ? data[0] - 'a' : data[0] % 25;
  const Api api = kApis[choice % 5];
  switch (choice / 5) {
    case 0:
      fuzz_request(api, bytes);
      break;
    case 1:
      fuzz_body(api, bytes);
      break;
    case 2:
      fuzz_stream(api, Framing::sse, bytes);
      break;
    case 3:
      fuzz_stream(api, Framing::json_lines, bytes);
      break;
    default:
      fuzz_stream(api, Framing::json_array, bytes);
      break;
  }
  return 0;
}
