#include "event/log_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/printable.h"

namespace stockade::event {

void append_json_text(std::string& out, std::string_view text, size_t limit) {
  constexpr std::string_view kCut = "…";
  const size_t begin = out.size();
  size_t safe = begin;  // where a cut still leaves room for its mark
  while (!text.empty()) {
    const auto [value, size] = decode_utf8(text);
    if (size == 0) {
      fmt::format_to(std::back_inserter(out), "\\\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (value == '"' || value == '\\') {
      out += '\\';
      out += static_cast<char>(value);
    } else if (is_printable(value)) {
      out.append(text.substr(0, size));
    } else if (value < 0x10000) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", value);
    } else {
      const uint32_t rest = value - 0x10000;
      fmt::format_to(std::back_inserter(out), "\\u{:04x}\\u{:04x}", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
    }
    if (out.size() - begin > limit) {
      out.resize(safe);
      out += kCut;
      return;
    }
    if (out.size() - begin + kCut.size() <= limit) safe = out.size();
    text.remove_prefix(std::max<size_t>(size, 1));
  }
}

std::string display_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto [value, size] = decode_utf8(text);
    if (size == 0)
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text[0]));
    else if (is_printable(value))
      out.append(text.substr(0, size));
    else
      fmt::format_to(std::back_inserter(out), "\\u{{{:x}}}", value);
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return out;
}

}  // namespace stockade::event
