// Cuts a streamed response into its events, each with the bytes as they came, so that what is not edited passes
// unchanged: server-sent events (WHATWG HTML, 9.2), JSON lines, the elements of one JSON array (Gemini without
// alt=sse), and whole messages (a WebSocket's text frames, given one by one).
//
// Bounded: one event's bytes. What the bytes between array elements are (brackets, commas) belongs to the raw bytes of
// the element after them. An event that the stream's end cuts off is given with `truncated` set: a client that follows
// the standard drops it, others do not.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace stockade::model {

enum class Framing : uint8_t { body, sse, json_lines, json_array, message };

struct StreamEvent {
  uint64_t index = 0;
  std::string raw;   // as it came, with its line ends
  std::string name;  // the SSE field "event"
  std::string data;  // the payload: JSON, or "[DONE]", or empty (a comment, a keep-alive)
  bool truncated = false;
};

class EventSplitter {
 public:
  static constexpr size_t kEventLimit = size_t{16} << 20;

  explicit EventSplitter(Framing framing, size_t event_limit = kEventLimit) : framing_(framing), limit_(event_limit) {}

  // Takes all of `bytes` and appends each event that they end. A message is taken as one event, whole.
  Result<void> feed(std::string_view bytes, std::vector<StreamEvent>& events);
  // The stream has ended.
  Result<void> finish(std::vector<StreamEvent>& events);

 private:
  Result<void> feed_lines(std::string_view bytes, std::vector<StreamEvent>& events);
  Result<void> feed_array(std::string_view bytes, std::vector<StreamEvent>& events);
  void end_line(std::vector<StreamEvent>& events);
  void emit(std::vector<StreamEvent>& events);

  Framing framing_;
  size_t limit_;
  uint64_t count_ = 0;
  StreamEvent event_;  // being collected
  size_t line_ = 0;    // where its last line begins in event_.raw
  bool after_cr_ = false;
  bool has_data_ = false;
  // JSON array:
  bool opened_ = false, closed_ = false, in_string_ = false, escaped_ = false, in_element_ = false, comma_ = false;
  size_t depth_ = 0;
  size_t element_ = 0;  // where the element begins in event_.raw
};

// The event's raw bytes with other data: its other fields and line ends stay as they were.
std::string with_data(const StreamEvent& event, Framing framing, std::string_view data);
// A new event of that name (SSE without one: empty) and data, framed; for an array `first` tells that none came before.
std::string frame_event(Framing framing, std::string_view name, std::string_view data, bool first = false);

}  // namespace stockade::model
