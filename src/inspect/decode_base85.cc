// Base85 in its three alphabets. Runs are found by probing as in decode_runs.cc; each group of five is four bytes, and
// three groups of ASCII text in a row are the reason for a view. Every alignment is tried.
#include <algorithm>
#include <optional>

#include "inspect/alphabets.h"
#include "inspect/decode.h"

namespace stockade::inspect {

namespace {

constexpr size_t kRunLeast = 20;

consteval DigitTable ascii85_table() {
  DigitTable table{};
  table.fill(-1);
  for (int c = '!'; c <= 'u'; ++c) table[static_cast<size_t>(c)] = static_cast<int8_t>(c - '!');
  return table;
}
constexpr DigitTable kAscii85 = ascii85_table();

std::optional<uint32_t> group_value(std::string_view group, const DigitTable& table) {
  uint64_t value = 0;
  for (const char c : group) value = value * 85 + static_cast<uint64_t>(digit_of(table, c));
  if (value > 0xffffffffu) return std::nullopt;
  return static_cast<uint32_t>(value);
}

bool is_text(uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    const uint32_t byte = value >> shift & 255;
    if (byte != '\n' && (byte < ' ' || byte > '~')) return false;
  }
  return true;
}

bool has_text_groups(std::string_view run, const DigitTable& table) {
  size_t row = 0;
  for (size_t at = 0; at + 5 <= run.size(); at += 5) {
    // Most groups of other text fail by their first digit: an ASCII byte on top is 0x20 to 0x7e.
    const int first = digit_of(table, run[at]);
    bool text = first >= 10 && first <= 40;
    if (text) {
      const auto value = group_value(run.substr(at, 5), table);
      text = value && is_text(*value);
    }
    row = text ? row + 1 : 0;
    if (row >= 3) return true;
  }
  return false;
}

View decode(std::string_view text, size_t begin, size_t end, const DigitTable& table, std::string_view through) {
  View view;
  view.through = through;
  size_t at = begin;
  for (; at < end; at += 5) {
    const size_t length = std::min<size_t>(5, end - at);
    std::string group(text.substr(at, length));
    // A short last group is padded with the highest digit, and gives one byte less than it has digits.
    uint64_t value = 0;
    for (size_t i = 0; i < 5; ++i)
      value = value * 85 + (i < length ? static_cast<uint64_t>(digit_of(table, group[i])) : 84);
    view.map.add(view.bytes.size(), at);
    for (size_t i = 0; i + 1 < length; ++i) view.bytes += static_cast<char>(value >> (24 - 8 * i));
  }
  view.map.add(view.bytes.size(), end);
  return view;
}

// The runs of one alphabet in the word [from, to).
void decode_word(std::string_view whole, size_t from, size_t to, const DigitTable& table, std::string_view through,
                 Views& views) {
  for (size_t begin = from; begin < to;) {
    size_t end = begin;
    while (end < to && digit_of(table, whole[end]) >= 0) ++end;
    if (end - begin >= kRunLeast)
      for (size_t phase = 0; phase < 5; ++phase)
        if (has_text_groups(whole.substr(begin + phase, end - begin - phase), table))
          views.push_back(decode(whole, begin + phase, end, table, through));
    begin = end + 1;
  }
}

bool in_word(char c) { return c > ' ' && c <= '~'; }

}  // namespace

void decode_base85(std::string_view text, Views& views) {
  size_t floor = 0;
  for (size_t probe = kRunLeast - 1; probe < text.size();) {
    if (!in_word(text[probe])) {
      probe += kRunLeast;
      continue;
    }
    size_t begin = probe, end = probe + 1;
    while (begin > floor && in_word(text[begin - 1])) --begin;
    while (end < text.size() && in_word(text[end])) ++end;
    if (end - begin >= kRunLeast) {
      decode_word(text, begin, end, kBase85, "base85", views);
      decode_word(text, begin, end, kAscii85, "ascii85", views);
      decode_word(text, begin, end, kZ85, "z85", views);
    }
    floor = end;
    probe = end + kRunLeast;
  }
}

}  // namespace stockade::inspect
