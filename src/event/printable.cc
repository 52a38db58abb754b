#include "event/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace stockade::event {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Sorted. Characters that are invisible, reorder text, break lines, or look like nothing or like a plain space.
constexpr Range kNotPrintable[] = {
    {0x00, 0x1f},       {0x7f, 0xa0},        {0xad, 0xad},       {0x34f, 0x34f},     {0x61c, 0x61c},
    {0x115f, 0x1160},   {0x1680, 0x1680},    {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x2000, 0x200f},
    {0x2028, 0x202f},   {0x205f, 0x206f},    {0x2800, 0x2800},   {0x3000, 0x3000},   {0x3164, 0x3164},
    {0xd800, 0xf8ff},   {0xfdd0, 0xfdef},    {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
    {0xfff0, 0xffff},   {0x13430, 0x1345f},  {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0x1fffe, 0x1ffff},
    {0x2fffe, 0x2ffff}, {0x3fffe, 0x10ffff},
};

}  // namespace

bool is_printable(char32_t value) {
  const auto* range = std::lower_bound(std::begin(kNotPrintable), std::end(kNotPrintable), value,
                                       [](const Range& candidate, char32_t v) { return candidate.last < v; });
  return range == std::end(kNotPrintable) || value < range->first;
}

CodePoint first_code_point(std::string_view bytes) {
  const auto lead = static_cast<unsigned char>(bytes[0]);
  if (lead < 0x80) return {lead, 1};
  const int size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || bytes.size() < static_cast<size_t>(size)) return {};
  char32_t value = lead & (0xff >> (size + 1));
  for (int i = 1; i < size; ++i) {
    const auto next = static_cast<unsigned char>(bytes[static_cast<size_t>(i)]);
    if ((next & 0xc0) != 0x80) return {};
    value = value << 6 | (next & 0x3f);
  }
  const bool overlong = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  if (overlong || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, size};
}

void append_json_text(std::string& out, std::string_view text, size_t limit) {
  constexpr std::string_view kCut = "…";
  const size_t begin = out.size();
  size_t safe = begin;  // where a cut still leaves room for its mark
  while (!text.empty()) {
    const auto [value, size] = first_code_point(text);
    if (size == 0) {
      fmt::format_to(std::back_inserter(out), "\\\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (value == '"' || value == '\\') {
      out += '\\';
      out += static_cast<char>(value);
    } else if (is_printable(value)) {
      out.append(text.substr(0, static_cast<size_t>(size)));
    } else if (value < 0x10000) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint32_t>(value));
    } else {
      const auto rest = static_cast<uint32_t>(value) - 0x10000;
      fmt::format_to(std::back_inserter(out), "\\u{:04x}\\u{:04x}", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
    }
    if (out.size() - begin > limit) {
      out.resize(safe);
      out += kCut;
      return;
    }
    if (out.size() - begin + kCut.size() <= limit) safe = out.size();
    text.remove_prefix(static_cast<size_t>(std::max(size, 1)));
  }
}

std::string display_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto [value, size] = first_code_point(text);
    if (size == 0)
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text[0]));
    else if (is_printable(value))
      out.append(text.substr(0, static_cast<size_t>(size)));
    else
      fmt::format_to(std::back_inserter(out), "\\u{{{:x}}}", static_cast<uint32_t>(value));
    text.remove_prefix(static_cast<size_t>(std::max(size, 1)));
  }
  return out;
}

}  // namespace stockade::event
