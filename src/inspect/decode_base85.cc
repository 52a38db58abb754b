// Base85 in its three alphabets. Runs are found by probing as in decode_runs.cc; each group of five is four bytes, and
// three groups of ASCII text in a row are the reason for a view. Every alignment is tried.
#include <algorithm>
#include <array>
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

constexpr bool is_text_byte(uint64_t byte) { return byte == '\n' || (byte >= ' ' && byte <= '~'); }

bool is_text(uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    if (!is_text_byte(value >> shift & 255)) return false;
  return true;
}

// Pairs of digits that may begin a group of text: most groups are told by them, without a multiplication.
consteval std::array<bool, 85 * 85> pairs_of_text() {
  std::array<bool, 85 * 85> pairs{};
  constexpr uint64_t kPair = 85 * 85 * 85;  // what a pair is worth
  for (uint64_t pair = 0; pair < pairs.size(); ++pair)
    for (uint64_t high = (pair * kPair) >> 16; high <= ((pair + 1) * kPair - 1) >> 16; ++high)
      if (is_text_byte(high >> 8) && is_text_byte(high & 255)) pairs[pair] = true;
  return pairs;
}
constexpr auto kPairsOfText = pairs_of_text();

// At which of the five alignments three groups in a row are text: a bit for each.
unsigned text_alignments(std::string_view run, const DigitTable& table) {
  unsigned found = 0;
  const auto begins = [&](size_t at) {
    return kPairsOfText[static_cast<size_t>(digit_of(table, run[at]) * 85 + digit_of(table, run[at + 1]))];
  };
  for (size_t at = 0; at + 15 <= run.size(); ++at) {
    if (!begins(at) || !begins(at + 5) || !begins(at + 10) || (found >> at % 5 & 1)) continue;
    bool text = true;
    for (size_t group = at; text && group < at + 15; group += 5) {
      const auto value = group_value(run.substr(group, 5), table);
      text = value && is_text(*value);
    }
    if (text) found |= 1u << at % 5;
  }
  return found;
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
    if (end - begin >= kRunLeast) {
      const unsigned found = text_alignments(whole.substr(begin, end - begin), table);
      for (size_t phase = 0; phase < 5; ++phase)
        if (found >> phase & 1) views.push_back(decode(whole, begin + phase, end, table, through));
    }
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
