// What the tests of this folder share: happenings as lines of text, and streams read in one go. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "model/reader.h"

namespace stockade::model {

inline std::string read_transcript(const std::string& name) {
  std::ifstream file(MODEL_TRANSCRIPTS "/" + name, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

inline std::string describe(const Happening& one) {
  std::string line = name_of(one.kind);
  if (one.phase != Phase::whole) line += fmt::format(" {}", name_of(one.phase));
  if (one.kind == HappeningKind::tool_call || one.phase != Phase::whole)
    line += fmt::format(" {}.{}", one.item.choice, one.item.index);
  const auto add = [&](const char* label, const std::string& value) {
    if (!value.empty()) line += fmt::format(" {}={}", label, value);
  };
  add("name", one.name);
  add("id", one.id);
  add("type", one.type);
  if (one.hosted) line += " hosted";
  add("text", one.text.decode().value_or("<lone surrogate>"));
  add("arguments", one.arguments);
  add("url", one.url);
  add("reason", one.reason);
  const auto count = [&](const char* label, std::optional<uint64_t> value) {
    if (value) line += fmt::format(" {}={}", label, *value);
  };
  count("input", one.usage.input);
  count("output", one.usage.output);
  count("cached", one.usage.cached);
  return line + " @" + one.pointer;
}

inline std::string describe(const std::vector<Happening>& all) {
  std::string text;
  for (const Happening& one : all) text += describe(one) + "\n";
  return text;
}

inline std::string request_happenings(Api api, std::string_view body) {
  const auto read = read_request(api, body);
  return read ? describe(*read) : "refused: " + read.error().message() + "\n";
}

inline std::string body_happenings(Api api, std::string_view body) {
  ResponseReader reader(api);
  const auto read = reader.read_body(body);
  return read ? describe(*read) : "refused: " + read.error().message() + "\n";
}

// A stream cut into pieces of that size.
inline std::string stream_happenings(Api api, Framing framing, std::string_view bytes, size_t piece = 1 << 20) {
  EventSplitter splitter(framing);
  ResponseReader reader(api);
  std::string text;
  std::vector<StreamEvent> events;
  const auto read = [&]() -> bool {
    for (const StreamEvent& event : events) {
      std::vector<Happening> out;
      if (auto result = reader.read_event(event, out); !result) {
        text += "refused: " + result.error().message() + "\n";
        return false;
      }
      text += describe(out);
    }
    events.clear();
    return true;
  };
  for (size_t at = 0; at < bytes.size(); at += piece) {
    if (auto result = splitter.feed(bytes.substr(at, piece), events); !result) {
      if (!read()) return text;
      return text + "refused: " + result.error().message() + "\n";
    }
    if (!read()) return text;
  }
  if (auto result = splitter.finish(events); !result) return text + "refused: " + result.error().message() + "\n";
  if (!read()) return text;
  return text + (reader.ended_well() ? "ended\n" : "broke off\n");
}

}  // namespace stockade::model
