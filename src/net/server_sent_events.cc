#include "net/server_sent_events.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace stockade::net {

namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// find_first_of calls memchr for each byte.
size_t find_line_end(std::string_view text) {
  const auto end = std::find_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; });
  return end == text.end() ? std::string_view::npos : static_cast<size_t>(end - text.begin());
}

std::string_view without_line_end(std::string_view line) { return line.substr(0, find_line_end(line)); }

// The same for a whole line, whose end is known to stand there.
std::string_view chomped(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Line by line, at any of the three line ends: a value with one would otherwise begin a field of its own.
template <typename Take>
void each_line(std::string_view text, Take&& take) {
  for (;;) {
    const auto end = find_line_end(text);
    take(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + (text.substr(end).starts_with("\r\n") ? 2 : 1));
  }
}

}  // namespace

Result<void> ServerSentEventReader::append(std::string_view bytes) {
  if (event_.raw.size() + bytes.size() > limits_.event) {
    failed_ = true;
    return fail(ErrorKind::limit, "a server-sent event of more than {} bytes", limits_.event);
  }
  event_.raw.append(bytes);
  return {};
}

Result<size_t> ServerSentEventReader::feed(std::string_view bytes) {
  if (failed_) return fail(ErrorKind::limit, "more bytes after a server-sent event that was too long");
  size_t taken = 0;
  while (!ready_ && taken < bytes.size()) {
    const char next = bytes[taken];
    if (after_cr_) {
      after_cr_ = false;
      if (next == '\n') {
        STOCKADE_TRY(append("\n"));
        ++taken;
      }
      STOCKADE_TRY(end_line(next == '\n' ? LineEnd::crlf : LineEnd::cr));
      continue;
    }
    if (std::exchange(skip_lf_, false) && next == '\n') {
      STOCKADE_TRY(append("\n"));
      ++taken;
      line_begin_ = event_.raw.size();
      continue;
    }
    const auto rest = bytes.substr(taken);
    const auto end = find_line_end(rest);
    const auto piece = rest.substr(0, end == std::string_view::npos ? end : end + 1);
    STOCKADE_TRY(append(piece));
    taken += piece.size();
    if (end == std::string_view::npos) return taken;
    if (piece.back() == '\n') {
      STOCKADE_TRY(end_line(LineEnd::lf));
    } else if (is_blank_line() && last_end_ == LineEnd::cr) {
      skip_lf_ = true;
      STOCKADE_TRY(end_line(LineEnd::cr));
    } else {
      after_cr_ = true;
    }
  }
  return taken;
}

// event_.raw ends with a whole line.
Result<void> ServerSentEventReader::end_line(LineEnd end) {
  last_end_ = end;
  if (++lines_ > limits_.lines) {
    failed_ = true;
    return fail(ErrorKind::limit, "a server-sent event of more than {} lines", limits_.lines);
  }
  ByteRange line{line_begin_, event_.raw.size()};
  line_begin_ = event_.raw.size();
  auto text = chomped(std::string_view(event_.raw).substr(line.begin, line.end - line.begin));
  if (std::exchange(first_line_, false) && text.starts_with(kByteOrderMark)) {
    line.begin += kByteOrderMark.size();
    text.remove_prefix(kByteOrderMark.size());
  }
  // A comment between events is a block of its own: servers send them to keep a connection alive, so it must not wait.
  const bool comment = text.starts_with(':');
  if (text.empty() || (comment && !has_fields_)) {
    end_event(true);
  } else if (!comment) {
    take_field(line);
  }
  return {};
}

void ServerSentEventReader::take_field(ByteRange line) {
  has_fields_ = true;
  const auto text = chomped(std::string_view(event_.raw).substr(line.begin, line.end - line.begin));
  const auto colon = text.find(':');
  const auto name = text.substr(0, colon);
  size_t begin = colon == std::string_view::npos ? text.size() : colon + 1;
  if (begin < text.size() && text[begin] == ' ') ++begin;
  const auto value = text.substr(begin);
  if (name == "data") {
    if (has_data_) event_.data.push_back('\n');
    has_data_ = true;
    event_.data.append(value);
    event_.data_lines.push_back({line, {line.begin + begin, line.begin + text.size()}});
  } else if (name == "event") {
    event_.type = value;
  } else if (name == "id") {
#ifdef STOCKADE_PLANTED_BUG
    last_id_ = value;  // also with a NUL in it
#else
    if (value.find('\0') == std::string_view::npos) last_id_ = value;
#endif
  } else if (name == "retry") {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error == std::errc() && end == value.data() + value.size()) event_.retry = number;
  }
}

void ServerSentEventReader::end_event(bool complete) {
  event_.complete = complete;
  // Also where the data is empty: "data" alone adds a line end, of which the last is taken off.
  event_.dispatched = complete && has_data_;
  if (event_.type.empty()) event_.type = "message";
  event_.offset = offset_;
  event_.last_id = last_id_;
  offset_ += event_.raw.size();
  ready_ = std::exchange(event_, {});
  line_begin_ = lines_ = 0;
  has_fields_ = has_data_ = false;
}

ServerSentEvent ServerSentEventReader::take_event() {
  ServerSentEvent event = std::move(*ready_);
  ready_.reset();
  return event;
}

Result<void> ServerSentEventReader::finish() {
  if (failed_) return fail(ErrorKind::limit, "a server-sent event that was too long");
  if (ready_) return fail(ErrorKind::internal, "finish() before the last event was taken");
  if (std::exchange(after_cr_, false)) STOCKADE_TRY(end_line(LineEnd::cr));
  if (ready_ || event_.raw.empty()) return {};
  // The last line has no end; a reader that is not strict takes it for one.
  const ByteRange line{line_begin_, event_.raw.size()};
  if (line.begin < line.end && event_.raw[line.begin] != ':') take_field(line);
  end_event(false);
  return {};
}

std::string with_data(const ServerSentEvent& event, std::string_view data) {
  if (event.data_lines.empty()) return event.raw;
  const auto& first = event.data_lines[0];
  const auto line_end = std::string_view(event.raw).substr(first.value.end, first.line.end - first.value.end);
  std::string out = event.raw.substr(0, first.line.begin);
  each_line(data, [&](std::string_view line) {
    out.append("data: ").append(line).append(line_end.empty() ? std::string_view("\n") : line_end);
  });
  // Where a line is left out, a CR in front of it and an LF behind it would become one line end: an LF keeps them two.
  const auto append = [&](size_t begin, size_t end) {
    if (begin < end && out.ends_with('\r') && event.raw[begin] == '\n') out.push_back('\n');
    out.append(event.raw, begin, end - begin);
  };
  size_t at = first.line.end;
  for (size_t i = 1; i < event.data_lines.size(); ++i) {
    append(at, event.data_lines[i].line.begin);
    at = event.data_lines[i].line.end;
  }
  append(at, event.raw.size());
  return out;
}

std::string write_server_sent_event(std::string_view type, std::string_view data, std::string_view id) {
  std::string out;
  if (!type.empty()) out.append("event: ").append(without_line_end(type)).append("\n");
  if (!id.empty()) out.append("id: ").append(without_line_end(id)).append("\n");
  each_line(data, [&](std::string_view line) { out.append("data: ").append(line).append("\n"); });
  return out.append("\n");
}

}  // namespace stockade::net
