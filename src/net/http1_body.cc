#include "net/http1_body.h"

#include <algorithm>

namespace stockade::net {

namespace {

constexpr size_t kChunkDigits = 15;  // 60 bits

std::unexpected<Error> refuse(std::string_view reason) { return fail(ErrorKind::protocol, "{}", reason); }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Nothing, or one ";" token [ "=" token ]. RFC 9112 allows more and quotes, over which parsers disagree.
bool is_extension_sound(std::string_view text) {
  if (text.empty()) return true;
  if (text[0] != ';') return false;
  text.remove_prefix(1);
  const auto equals = text.find('=');
  return is_token(text.substr(0, equals)) && (equals == std::string_view::npos || is_token(text.substr(equals + 1)));
}

}  // namespace

BodyFramer::BodyFramer(BodyFraming framing, MessageSide side)
    : state_(State::done), side_(side), left_(framing.length) {
  switch (framing.kind) {
    case BodyKind::none:
      break;
    case BodyKind::length:
      state_ = framing.length == 0 ? State::done : State::counted;
      break;
    case BodyKind::chunked:
      state_ = State::chunk_line;
      break;
    case BodyKind::until_close:
      state_ = State::unbounded;
      break;
  }
}

Result<size_t> BodyFramer::consume(std::string_view bytes, std::string* content) {
  size_t taken = 0;
  while (taken < bytes.size() && state_ != State::done) {
    const auto rest = bytes.substr(taken);
    bool complete = false;
    switch (state_) {
      case State::unbounded:
        if (content) content->append(rest);
        return bytes.size();
      case State::counted:
      case State::chunk_data: {
        const auto piece = rest.substr(0, static_cast<size_t>(std::min<uint64_t>(left_, rest.size())));
        if (content) content->append(piece);
        taken += piece.size();
        left_ -= piece.size();
        if (left_ == 0) state_ = state_ == State::counted ? State::done : State::chunk_end;
        break;
      }
      case State::chunk_line: {
        const size_t limit = kChunkDigits + (side_ == MessageSide::response ? kChunkExtensionLimit : 0);
        STOCKADE_ASSIGN(const size_t count, take_line(rest, limit, complete));
        taken += count;
        if (complete) STOCKADE_TRY(end_chunk_line());
        break;
      }
      case State::chunk_end: {
#ifdef STOCKADE_PLANTED_BUG
        // Takes the two bytes after a chunk for its line end without looking at them.
        ++taken;
        if (++left_ == 2) state_ = State::chunk_line;
#else
        STOCKADE_ASSIGN(const size_t count, take_line(rest, 0, complete));
        taken += count;
        if (complete) state_ = State::chunk_line;
#endif
        break;
      }
      case State::trailer_line: {
        STOCKADE_ASSIGN(const size_t count, take_line(rest, kTrailerLimit - trailers_, complete));
        taken += count;
        if (complete) STOCKADE_TRY(end_trailer_line());
        break;
      }
      case State::done:
        break;
    }
  }
  return taken;
}

// Takes bytes into line_ until its CRLF, which is not kept.
Result<size_t> BodyFramer::take_line(std::string_view bytes, size_t limit, bool& complete) {
  size_t taken = 0;
  for (char c : bytes) {
    ++taken;
    const bool after_cr = line_.ends_with('\r');
    if (after_cr != (c == '\n')) return refuse("a line of a chunked body that does not end with CR LF");
    if (after_cr) {
      line_.pop_back();
      complete = true;
      return taken;
    }
    if (c != '\r' && line_.size() >= limit) return refuse("a line of a chunked body that is too long");
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\r' && c != '\t') || c == 0x7f)
      return refuse("a control character in the framing of a chunked body");
    line_.push_back(c);
  }
  return taken;
}

Result<void> BodyFramer::end_chunk_line() {
  const auto line = std::exchange(line_, {});
  const size_t digits = static_cast<size_t>(
      std::find_if(line.begin(), line.end(), [](char c) { return hex_value(c) < 0; }) - line.begin());
  const auto extension = std::string_view(line).substr(digits);
  if (digits == 0 || digits > kChunkDigits) return refuse("a chunk size that is not a plain hexadecimal number");
  if (!extension.empty() && side_ == MessageSide::request)
    return refuse("a chunk extension, or anything else, after a chunk size");
  if (!is_extension_sound(extension)) return refuse("a malformed chunk extension");
  extensions_ += extension.size();
  if (extensions_ > kChunkExtensionTotal) return refuse("more than 16 KiB of chunk extensions");
  left_ = 0;
  for (size_t i = 0; i < digits; ++i) left_ = left_ << 4 | static_cast<unsigned>(hex_value(line[i]));
  state_ = left_ == 0 ? State::trailer_line : State::chunk_data;
  return {};
}

Result<void> BodyFramer::end_trailer_line() {
  const auto line = std::exchange(line_, {});
  if (line.empty()) {
    state_ = State::done;
    return {};
  }
  trailers_ += line.size();
  STOCKADE_ASSIGN(HttpField field, parse_field_line(line));
  static constexpr std::string_view kForbidden[] = {
      "authorization", "connection", "content-encoding", "content-range", "content-type", "cookie", "expect",
      "set-cookie",    "te",         "trailer",          "upgrade"};
  const bool forbidden = std::any_of(std::begin(kForbidden), std::end(kForbidden),
                                     [&](std::string_view name) { return equals_ignoring_case(name, field.name); });
  if (forbidden || is_framing_field(field.name)) return fail(ErrorKind::protocol, "{} in a trailer", field.name);
  trailer_fields_.push_back(std::move(field));
  return {};
}

Result<void> BodyFramer::finish() {
  if (state_ == State::unbounded) state_ = State::done;
  if (state_ != State::done) return refuse("the connection closed in the midst of a message");
  return {};
}

}  // namespace stockade::net
