#include "model/event_splitter.h"

namespace stockade::model {

namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view without_line_end(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  return line;
}

// The value of field `name` on that line, if it is that field's.
bool has_field(std::string_view line, std::string_view name, std::string_view& value) {
  if (!line.starts_with(name)) return false;
  line.remove_prefix(name.size());
  if (!line.empty() && line[0] != ':') return false;
  if (!line.empty()) line.remove_prefix(1);
  if (!line.empty() && line[0] == ' ') line.remove_prefix(1);
  value = line;
  return true;
}

void append_data_lines(std::string& out, std::string_view data, std::string_view line_end) {
  for (;;) {
    const size_t end = data.find('\n');
    out += "data: ";
    out += without_line_end(data.substr(0, end));
    out += line_end;
    if (end == std::string_view::npos) return;
    data.remove_prefix(end + 1);
  }
}

}  // namespace

void EventSplitter::emit(std::vector<StreamEvent>& events) {
  event_.index = count_++;
  events.push_back(std::move(event_));
  event_ = {};
  line_ = 0;
  has_data_ = false;
  in_element_ = false;
}

void EventSplitter::end_line(std::vector<StreamEvent>& events) {
  const std::string_view line = without_line_end(std::string_view(event_.raw).substr(line_));
  if (framing_ == Framing::json_lines) {
    event_.data = line;
    emit(events);
    return;
  }
  line_ = event_.raw.size();
  std::string_view value;
  if (line.empty()) {
    emit(events);
  } else if (has_field(line, "data", value)) {
    if (has_data_) event_.data.push_back('\n');
    event_.data += value;
    has_data_ = true;
  } else if (has_field(line, "event", value)) {
    event_.name = value;
  }
}

Result<void> EventSplitter::feed_lines(std::string_view bytes, std::vector<StreamEvent>& events) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  while (!bytes.empty()) {
    // A CR ends a line, and so does CR LF; whether LF follows is only known at the next byte.
    if (after_cr_) {
      after_cr_ = false;
#ifdef STOCKADE_PLANTED_BUG
      // Takes the LF of a CR LF for another line end when the CR was the last byte of a piece.
      if (bytes[0] == '\n' && event_.raw.size() % 2 == 0) {
#else
      if (bytes[0] == '\n') {
#endif
        event_.raw.push_back('\n');
        bytes.remove_prefix(1);
      }
      end_line(events);
      continue;
    }
    size_t length = std::min(bytes.find('\n'), bytes.size());
    if (framing_ == Framing::sse) length = std::min(bytes.substr(0, length).find('\r'), length);
    if (event_.raw.size() + length + 2 > limit_)
      return fail(ErrorKind::limit, "an event of more than {} bytes", limit_);
    event_.raw.append(bytes, 0, length);
    bytes.remove_prefix(length);
    if (bytes.empty()) break;
    if (count_ == 0 && line_ == 0 && event_.raw.starts_with(kMark)) line_ = kMark.size();
    event_.raw.push_back(bytes[0]);
    after_cr_ = bytes[0] == '\r';
    bytes.remove_prefix(1);
    if (!after_cr_) end_line(events);
  }
  return {};
}

Result<void> EventSplitter::feed_array(std::string_view bytes, std::vector<StreamEvent>& events) {
  for (const char c : bytes) {
    if (event_.raw.size() >= limit_) return fail(ErrorKind::limit, "an event of more than {} bytes", limit_);
    event_.raw.push_back(c);
    if (in_element_) {
      if (in_string_) {
        if (escaped_) {
          escaped_ = false;
        } else if (c == '\\') {
          escaped_ = true;
        } else if (c == '"') {
          in_string_ = false;
        }
      } else if (c == '"') {
        in_string_ = true;
      } else if (c == '{' || c == '[') {
        ++depth_;
      } else if ((c == '}' || c == ']') && --depth_ == 0) {
        event_.data = event_.raw.substr(element_);
        emit(events);
      }
      continue;
    }
    if (is_space(c)) continue;
    if (closed_) return fail(ErrorKind::protocol, "something after the end of a JSON array");
    if (!opened_) {
      if (c != '[') return fail(ErrorKind::protocol, "a stream that is no JSON array");
      opened_ = true;
    } else if (c == ']' && !comma_) {
      closed_ = true;
      emit(events);  // a client waits for it
    } else if (c == ',' && count_ > 0 && !comma_) {
      comma_ = true;
    } else if (c == '{' && (comma_ || count_ == 0)) {
      comma_ = false;
      in_element_ = true;
      element_ = event_.raw.size() - 1;
      depth_ = 1;
    } else {
      return fail(ErrorKind::protocol, "a JSON array of other things than objects");
    }
  }
  return {};
}

Result<void> EventSplitter::feed(std::string_view bytes, std::vector<StreamEvent>& events) {
  switch (framing_) {
    case Framing::sse:
    case Framing::json_lines:
      return feed_lines(bytes, events);
    case Framing::json_array:
      return feed_array(bytes, events);
    case Framing::message:
      if (bytes.size() > limit_) return fail(ErrorKind::limit, "an event of more than {} bytes", limit_);
      event_.raw = event_.data = bytes;
      emit(events);
      return {};
    case Framing::body:
      break;
  }
  return fail(ErrorKind::internal, "a body is not cut into events");
}

Result<void> EventSplitter::finish(std::vector<StreamEvent>& events) {
  if (after_cr_) {
    after_cr_ = false;
    end_line(events);
  }
  const bool open_array = framing_ == Framing::json_array && opened_ && !closed_;
  if (event_.raw.empty() && !open_array) return {};
  if (framing_ == Framing::json_array) {
    event_.truncated = !closed_;
    if (in_element_) event_.data = event_.raw.substr(element_);
  } else if (framing_ == Framing::json_lines) {
    // The last line needs no end.
    event_.data = without_line_end(event_.raw);
  } else {
    event_.truncated = true;
    if (line_ < event_.raw.size()) {
      std::string_view value;
      if (has_field(std::string_view(event_.raw).substr(line_), "data", value)) {
        if (has_data_) event_.data.push_back('\n');
        event_.data += value;
      }
    }
  }
  emit(events);
  return {};
}

std::string with_data(const StreamEvent& event, Framing framing, std::string_view data) {
  if (framing == Framing::message || framing == Framing::body) return std::string(data);
  if (framing != Framing::sse) {
    // One run of bytes: what stands before and after it stays.
    const size_t at = event.raw.find(event.data);
    std::string out = event.raw;
    return out.replace(at, event.data.size(), data);
  }
  std::string out;
  std::string_view rest = event.raw;
  if (rest.starts_with("\xef\xbb\xbf")) {
    out += rest.substr(0, 3);
    rest.remove_prefix(3);
  }
  bool written = false;
  while (!rest.empty()) {
    const size_t length = std::min(rest.find_first_of("\r\n"), rest.size());
    size_t end = length;
    if (end < rest.size()) end += rest.substr(end).starts_with("\r\n") ? 2 : 1;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end);
    std::string_view value;
    if (!has_field(without_line_end(line), "data", value)) {
      out += line;
      continue;
    }
    if (written) continue;
    append_data_lines(out, data, length < end ? line.substr(length) : "\n");
    written = true;
  }
  return out;
}

std::string frame_event(Framing framing, std::string_view name, std::string_view data, bool first) {
  std::string out;
  switch (framing) {
    case Framing::sse:
      if (!name.empty()) out = fmt::format("event: {}\n", name);
      append_data_lines(out, data, "\n");
      return out + "\n";
    case Framing::json_lines:
      return std::string(data) + "\n";
    case Framing::json_array:
      return (first ? "[" : ",\n") + std::string(data);
    case Framing::message:
    case Framing::body:
      break;
  }
  return std::string(data);
}

}  // namespace stockade::model
