#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace stockade {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
};

// Unicode's control, format, separator, filler, private-use and surrogate blocks, the spaces but U+0020, the blank
// Braille cell, and the planes above 3, sorted (UnicodeData.txt: Cc, Cf, Zl, Zp, Zs, Co, Cs, and the default-ignorable
// fillers). Noncharacters are computed.
constexpr auto kUnprintable = std::to_array<Range>({
    {0x0000, 0x001f},    {0x007f, 0x00a0},   {0x00ad, 0x00ad},   {0x034f, 0x034f},   {0x0600, 0x0605},
    {0x061c, 0x061c},    {0x06dd, 0x06dd},   {0x070f, 0x070f},   {0x0890, 0x0891},   {0x08e2, 0x08e2},
    {0x115f, 0x1160},    {0x1680, 0x1680},   {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x2000, 0x200f},
    {0x2028, 0x202f},    {0x205f, 0x206f},   {0x2800, 0x2800},   {0x3000, 0x3000},   {0x3164, 0x3164},
    {0xd800, 0xf8ff},    {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},
    {0x110bd, 0x110bd},  {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
    {0x40000, 0x10ffff},
});

bool is_continuation(char byte) { return (static_cast<uint8_t>(byte) & 0xc0) == 0x80; }

void append_escaped_byte(std::string& out, uint8_t byte) {
  switch (byte) {
    case '\n':
      out += "\\n";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\r':
      out += "\\r";
      return;
    case 0x1b:
      out += "\\e";
      return;
    default:
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
  }
}

}  // namespace

CodePoint decode_utf8(std::string_view text) {
  if (text.empty()) return {};
  const auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xc2 || lead > 0xf4) return {};
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (text.size() < length) return {};
  uint32_t value = lead & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if (!is_continuation(text[i])) return {};
    value = value << 6 | (static_cast<uint8_t>(text[i]) & 0x3f);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, length};
}

bool is_printable(uint32_t code_point) {
  if (code_point > 0x10ffff || (code_point & 0xfffe) == 0xfffe || (code_point >= 0xfdd0 && code_point <= 0xfdef))
    return false;
  const auto* after = std::upper_bound(kUnprintable.begin(), kUnprintable.end(), code_point,
                                       [](uint32_t value, const Range& range) { return value < range.first; });
  return after == kUnprintable.begin() || code_point > std::prev(after)->last;
}

std::string escape_for_terminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    if (point.length <= 1) {
      const auto byte = static_cast<uint8_t>(text[0]);
      if (byte == '\\')
        out += "\\\\";
      else if (point.length == 1 && is_printable(byte))
        out += text[0];
      else
        append_escaped_byte(out, byte);
      text.remove_prefix(1);
      continue;
    }
    if (is_printable(point.value))
      out.append(text.substr(0, point.length));
    else
      fmt::format_to(std::back_inserter(out), "\\u{{{:x}}}", point.value);
    text.remove_prefix(point.length);
  }
  return out;
}

}  // namespace stockade
