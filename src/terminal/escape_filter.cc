#include "terminal/escape_filter.h"

#include "base/printable.h"

namespace stockade::terminal {
namespace {

constexpr char kEsc = 0x1b;
constexpr char kCan = 0x18;
constexpr char kSub = 0x1a;
constexpr char kDel = 0x7f;
constexpr std::string_view kReplacement = "\xef\xbf\xbd";

bool is_plain(char byte) { return byte >= 0x20 && byte < 0x7f; }
bool is_high(char byte) { return static_cast<uint8_t>(byte) >= 0x80; }
bool is_c0(char byte) { return static_cast<uint8_t>(byte) < 0x20; }

}  // namespace

void EscapeFilter::feed(std::string_view bytes, std::string& out) {
  out.reserve(out.size() + bytes.size());
  for (size_t i = 0; i < bytes.size();) {
    if (state_ == State::ground && character_size_ == 0 && is_plain(bytes[i])) {
      size_t end = i + 1;
      while (end < bytes.size() && is_plain(bytes[end])) ++end;
      out.append(bytes, i, end - i);
      i = end;
      continue;
    }
    step(bytes[i++], out);
  }
}

void EscapeFilter::finish(std::string& out) {
  if (character_size_ != 0) out += kReplacement;
  character_size_ = 0;
  enter(State::ground);
}

void EscapeFilter::enter(State state) {
  state_ = state;
  held_.clear();
  string_escape_ = false;
}

void EscapeFilter::step(char byte, std::string& out) {
  if (state_ == State::ground) return step_ground(byte, out);
  if (byte == kCan || byte == kSub) return enter(State::ground);
  switch (state_) {
    case State::palette:
      if (byte == kEsc) return enter(State::escape);
      if (--palette_left_ == 0) enter(State::ground);
      return;
    case State::osc:
    case State::osc_ignore:
    case State::string_ignore:
      return step_string(byte, out);
    default:
      break;
  }
  if (byte == kEsc) return enter(State::escape);
  if (is_c0(byte)) {  // a terminal obeys these in the middle of a sequence
    if (is_allowed_control(byte)) out += byte;
    return;
  }
  if (byte == kDel) return;
  if (is_high(byte)) {
    enter(State::ground);
    return step_ground(byte, out);
  }
  if (state_ == State::escape)
    step_escape(byte, out);
  else
    step_csi(byte, out);
}

void EscapeFilter::step_ground(char byte, std::string& out) {
  if (character_size_ != 0 || is_high(byte)) return step_utf8(byte, out);
  if (byte == kEsc)
    enter(State::escape);
  else if (is_plain(byte) || is_allowed_control(byte))
    out += byte;
}

// Holds a character until it is whole; a byte that can't continue it ends it as invalid and is read anew.
void EscapeFilter::step_utf8(char byte, std::string& out) {
  const bool continuation = (static_cast<uint8_t>(byte) & 0xc0) == 0x80;
  if (character_size_ != 0 && !continuation) {
    out += kReplacement;
    character_size_ = 0;
    return step_ground(byte, out);
  }
  character_[character_size_++] = byte;
  const auto lead = static_cast<uint8_t>(character_[0]);
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead >= 0xc2 && lead <= 0xf4 && character_size_ < length) return;
  const std::string_view character(character_.data(), character_size_);
  character_size_ = 0;
  const CodePoint point = decode_utf8(character);
#ifndef STOCKADE_PLANTED_BUG  // let C1 controls pass
  constexpr uint32_t kFirstText = 0xa0;
#else
  constexpr uint32_t kFirstText = 0x80;
#endif
  // U+0080 to U+009F are C1 controls, also in UTF-8.
  out += point.length != 0 && point.value >= kFirstText ? character : kReplacement;
}

void EscapeFilter::step_escape(char byte, std::string& out) {
  if (byte < 0x30) {
    if (held_.size() == kCsiLimit) return enter(State::csi_ignore);
    held_ += byte;
    return;
  }
  if (held_.empty()) {
    switch (byte) {
      case '[':
        return enter(State::csi);
      case ']':
        return enter(State::osc);
      case 'P':
      case 'X':
      case '^':
      case '_':
      case 'k':
        return enter(State::string_ignore);
      default:
        break;
    }
  }
  out += judge_escape(held_, byte, modes_);
  enter(State::ground);
}

void EscapeFilter::step_csi(char byte, std::string& out) {
  if (byte >= 0x40) {
    if (state_ == State::csi) out += judge_csi(held_, byte, modes_);
    return enter(State::ground);
  }
  if (state_ == State::csi_ignore) return;
  if (held_.size() == kCsiLimit) return enter(State::csi_ignore);
  held_ += byte;
}

void EscapeFilter::step_string(char byte, std::string& out) {
  if (string_escape_) {
    if (byte == '\\') {
      if (state_ == State::osc) return end_osc(StringEnd::st, out);
      return enter(State::ground);
    }
    enter(State::escape);  // ESC with anything else: the string is abandoned, a new sequence begins
    return step(byte, out);
  }
  if (byte == kEsc) {
    string_escape_ = true;
    return;
  }
  if (state_ == State::string_ignore) return;
  if (byte == '\x07') {
    if (state_ == State::osc) return end_osc(StringEnd::bel, out);
    return enter(State::ground);
  }
  if (state_ == State::osc_ignore) return;
  if (held_.empty() && byte == 'R') return enter(State::ground);  // the Linux console's palette reset: no terminator
  if (held_.empty() && byte == 'P') {
    enter(State::palette);
    palette_left_ = 7;
    return;
  }
  if (held_.size() == kOscLimit) return enter(State::osc_ignore);
  held_ += byte;
}

void EscapeFilter::end_osc(StringEnd end, std::string& out) {
  out += judge_osc(held_, end, modes_);
  enter(State::ground);
}

}  // namespace stockade::terminal
