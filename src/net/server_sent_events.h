// The event-stream format (WHATWG HTML, section 9.2), read in pieces and bounded. Each byte of the stream belongs to
// exactly one block, so that an event can be inspected, removed or rewritten while the rest passes untouched: the
// blocks' `raw`, one behind the other, are the stream. A block is an event with its empty line, or a comment that
// stands alone.
//
// Line ends (LF, CR, CRLF), a byte order mark and fields nobody knows are read as the standard says. Where a lone CR
// ends an event the reader does not wait for an LF that might follow, unless the stream has used CRLF so far; such an
// LF then begins the next block. Text is not checked for UTF-8. Pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace stockade::net {

struct ServerSentEventLimits {
  size_t event = 8 * 1024 * 1024;  // bytes of a block
  size_t lines = 64 * 1024;        // of a block
};

struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const ByteRange&) const = default;
};

struct ServerSentEvent {
  struct DataLine {
    ByteRange line;   // in `raw`, with its line end
    ByteRange value;  // in `raw`, what it adds to `data`
  };

  std::string raw;
  uint64_t offset = 0;  // of `raw` in the stream
  std::string type;     // "message" where none is named
  std::string data;     // its lines, joined by LF
  std::string last_id;  // the last event id, as of this event
  std::optional<uint64_t> retry;
  std::vector<DataLine> data_lines;
  bool dispatched = false;  // a browser would see it: it has data and came to its end
  bool complete = true;     // false: the stream ended before its empty line. Browsers drop it; other readers may not
};

class ServerSentEventReader {
 public:
  explicit ServerSentEventReader(const ServerSentEventLimits& limits = {}) : limits_(limits) {}

  // Takes bytes up to the end of a block, or of all, and returns how many.
  Result<size_t> feed(std::string_view bytes);
  bool has_event() const { return ready_.has_value(); }
  ServerSentEvent take_event();
  // The stream ended. What is left, if anything, becomes one more event.
  Result<void> finish();
  size_t held() const { return event_.raw.capacity() + event_.data.capacity(); }

 private:
  enum class LineEnd { lf, cr, crlf };

  Result<void> append(std::string_view bytes);
  Result<void> end_line(LineEnd end);
  void take_field(ByteRange line);
  void end_event(bool complete);
  bool is_blank_line() const { return line_begin_ + 1 == event_.raw.size(); }

  ServerSentEventLimits limits_;
  ServerSentEvent event_;  // the present block
  std::optional<ServerSentEvent> ready_;
  size_t line_begin_ = 0;  // in event_.raw
  size_t lines_ = 0;
  bool has_fields_ = false;
  bool has_data_ = false;
  bool after_cr_ = false;   // an LF may still belong to the line
  bool skip_lf_ = false;    // it would belong to the block before
  bool first_line_ = true;  // of the stream
  bool failed_ = false;
  LineEnd last_end_ = LineEnd::crlf;
  uint64_t offset_ = 0;
  std::string last_id_;
};

// What to put in an event's place to remove it. Not nothing: were the first event of a stream left out, a byte order
// mark at the front of the second would no longer be text, and its line another field than the one that was inspected.
inline constexpr std::string_view kRemovedServerSentEvent = ": removed\n\n";
// An event with other data: comments, type and id stay as they are, its data lines are replaced.
std::string with_data(const ServerSentEvent& event, std::string_view data);
// A new event; `type` and `id` are left out where empty, and may not contain line ends (they are cut there).
std::string write_server_sent_event(std::string_view type, std::string_view data, std::string_view id = {});

}  // namespace stockade::net
