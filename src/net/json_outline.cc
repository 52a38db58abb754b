#include "net/json_outline.h"

#include <algorithm>

namespace stockade::net {

namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

Result<void> JsonOutline::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (const size_t taken = take_string(bytes); taken > 0) {
      bytes.remove_prefix(taken);
    } else {
      step(bytes[0]);
      bytes.remove_prefix(1);
    }
    if (text_.size() > limit_) return fail(ErrorKind::limit, "JSON that is too long to be judged");
  }
  return {};
}

// The plain part of a string at once.
size_t JsonOutline::take_string(std::string_view bytes) {
  if (state_ != State::in_string && state_ != State::cut) return 0;
  size_t most = bytes.size();
  if (state_ == State::in_string) most = std::min(most, kOutlineString - std::min(length_, kOutlineString));
  size_t size = 0;
  while (size < most && bytes[size] != '"' && bytes[size] != '\\') ++size;
  if (state_ == State::in_string) {
    text_ += bytes.substr(0, size);
    length_ += size;
  }
  return size;
}

void JsonOutline::step(char c) {
  switch (state_) {
    case State::between:
      if (is_space(c)) {
        if (!text_.ends_with(' ')) text_ += ' ';
        return;
      }
      text_ += c;
      length_ = 0;
      if (c == '"') state_ = State::in_string;
      return;
    case State::in_string:
      if (c == '"') break;
      // Between two characters only, or the part that is kept would not be UTF-8.
      if (length_ >= kOutlineString && !is_continuation(c)) {
        state_ = c == '\\' ? State::cut_escaped : State::cut;
        return;
      }
      text_ += c;
      ++length_;
      if (c == '\\') state_ = State::escaped;
      return;
    case State::escaped:
      text_ += c;
      ++length_;
      digits_ = 0;
      state_ = c == 'u' ? State::in_code_point : State::in_string;
      return;
    case State::in_code_point:
      text_ += c;
      ++length_;
      if (++digits_ == 4) end_code_point();
      return;
    case State::cut:
      if (c == '"') break;
      if (c == '\\') state_ = State::cut_escaped;
      return;
    case State::cut_escaped:
      state_ = State::cut;
      return;
  }
  text_ += '"';
  state_ = State::between;
}

void JsonOutline::end_code_point() {
  state_ = State::in_string;
  const size_t at = text_.size() - 4;
  const bool surrogate = (text_[at] == 'd' || text_[at] == 'D') &&
                         std::string_view("89abcdefABCDEF").find(text_[at + 1]) != std::string_view::npos;
  const auto is_hex = [](char c) {
    return std::string_view("0123456789abcdefABCDEF").find(c) != std::string_view::npos;
  };
  if (surrogate && is_hex(text_[at + 2]) && is_hex(text_[at + 3])) text_.replace(at, 4, "fffd");
}

}  // namespace stockade::net
