// Runs of one alphabet are found by probing: a run of sixteen or more covers every thirteenth byte or the next, so most
// of a text is never looked at. (Thirteen, because groups repeat with periods that divide sixteen.)
//
// Base64 of ASCII text is told from words and paths without decoding: in each group of four characters, three have bits
// that must be those of an ASCII byte. Four such groups in a row happen by chance once in some ten thousand, and every
// alignment is tried, so that a prefix glued to the run hides nothing.
#include <algorithm>
#include <array>
#include <optional>

#include "inspect/alphabets.h"
#include "inspect/decode.h"

namespace stockade::inspect {

namespace {

constexpr size_t kRunLeast = 16;
constexpr size_t kProbeStep = 13;
constexpr size_t kGapLimit = 24;      // line end and indentation between two lines of a run
constexpr size_t kGroupGapLimit = 4;  // ", " or "\" between two groups
constexpr size_t kBase58Limit = 200;

bool in_run(char c) { return digit_of(kBase64, c) >= 0; }

// Characters of one alphabet from several places, as one text, with the way back.
struct Compact {
  std::string text;
  std::vector<std::pair<size_t, size_t>> pieces;  // where in `text`, where in the input

  void clear() {
    text.clear();
    pieces.clear();
  }
  void append(std::string_view input, size_t begin, size_t end) {
    pieces.emplace_back(text.size(), begin);
    text.append(input.substr(begin, end - begin));
  }
  size_t input_of(size_t at) const {  // at ≤ text.size()
    auto after = std::upper_bound(pieces.begin() + 1, pieces.end(), at,
                                  [](size_t value, const auto& piece) { return value < piece.first; });
    return (after - 1)->second + at - (after - 1)->first;
  }
};

// `bytes` come from compact characters [from, to), evenly; cut where pieces meet.
View make_view(const Compact& run, size_t from, size_t to, std::string bytes, std::string_view through) {
  View view{std::move(bytes), {}, through};
  const size_t size = view.bytes.size(), span = to - from;
  view.map.add(0, run.input_of(from));
  for (const auto& [at, input] : run.pieces) {
    if (at <= from || at >= to) continue;
    const size_t output = (at - from) * size / span;
    if (output != 0) view.map.add(output, input);
  }
  view.map.add(size, run.input_of(to - 1) + 1);
  return view;
}

std::string decode_bits(std::string_view digits, const DigitTable& table, int width) {
  std::string out;
  out.reserve(digits.size() * static_cast<size_t>(width) / 8 + 1);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : digits) {
    bits = bits << width | static_cast<uint32_t>(digit_of(table, c));
    if ((count += width) >= 8) out += static_cast<char>(bits >> (count -= 8));
  }
  return out;
}

// The first character of a group whose first byte is 0x20 to 0x7f.
consteval std::array<bool, 256> ascii_begins() {
  std::array<bool, 256> table{};
  for (size_t c = 0; c < 256; ++c) table[c] = kBase64[c] >= 8 && kBase64[c] < 32;
  return table;
}
constexpr std::array<bool, 256> kAsciiBegins = ascii_begins();

// At which of the four alignments there are four groups in a row that decode to ASCII text: a bit for each.
unsigned ascii_alignments(std::string_view digits) {
  unsigned found = 0;
  const auto begins = [&](size_t at) { return kAsciiBegins[static_cast<unsigned char>(digits[at])]; };
  for (size_t at = 0; at + 16 <= digits.size(); ++at) {
    if (!begins(at) || !begins(at + 4) || !begins(at + 8) || !begins(at + 12)) continue;
    bool ascii = true;
    for (size_t group = at; ascii && group < at + 16; group += 4) {
      const int second = digit_of(kBase64, digits[group + 1]) & 15;
      ascii = second >= 2 && second < 8 && (digit_of(kBase64, digits[group + 2]) & 3) < 2;
    }
    if (ascii) found |= 1u << at % 4;
    if (found == 15) break;
  }
  return found;
}

// UTF-16 of ASCII: every second byte is zero.
bool has_wide_text(std::string_view bytes) {
  size_t row = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const bool wide = (bytes[i] == 0) != (bytes[i + 1] == 0);
    row = wide ? row + 1 : 0;
    if (row >= 8) return true;
  }
  return false;
}

bool is_compressed(std::string_view bytes) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (bytes.size() < 8) return false;
  return (at(0) == 0x1f && at(1) == 0x8b && at(2) == 8) ||
         (at(0) == 0x28 && at(1) == 0xb5 && at(2) == 0x2f && at(3) == 0xfd) ||
         (at(0) == 0x78 && (at(0) << 8 | at(1)) % 31 == 0);
}

bool is_worth_a_look(std::string_view bytes, size_t text_run) {
  return has_text_run(bytes, text_run) || is_compressed(bytes) || has_wide_text(bytes);
}

void add_base64(const Compact& run, Views& views) {
  const std::string_view text = run.text;
  const unsigned found = ascii_alignments(text);
  for (size_t phase = 0; phase < 4; ++phase)
    if (found >> phase & 1)
      views.push_back(make_view(run, phase, text.size(), decode_bits(text.substr(phase), kBase64, 6), "base64"));
  if (found != 0 || text.size() < kRunLeast) return;
  // No text, but maybe compressed or wide text: at the run's start, or behind UTF-7's plus sign.
  const size_t plus = text[0] == '+' ? 1 : 0;
  const auto start = text.substr(plus, 64);
  // gzip, zstd and zlib begin so; and wide text has a zero byte, an A or two, in every three characters.
  static constexpr std::string_view kMagic[] = {"H4s", "KLU", "eJ", "eN", "eA", "eF"};
  const bool magic = std::any_of(std::begin(kMagic), std::end(kMagic), [&](auto m) { return start.starts_with(m); });
  if (!magic && std::count(start.begin(), start.end(), 'A') < 5) return;
  const std::string head = decode_bits(start, kBase64, 6);
  const bool wide = has_wide_text(head) || has_wide_text(std::string_view(head).substr(1));
  if (is_compressed(head) || wide)
    views.push_back(make_view(run, plus, text.size(), decode_bits(text.substr(plus), kBase64, 6), "base64"));
}

void add_hex(const Compact& run, Views& views) {
  const std::string_view text = run.text;
  for (size_t at = 0; at + kRunLeast <= text.size();) {
    if (digit_of(kHex, text[at + kRunLeast - 1]) < 0) {
      at += kRunLeast;
      continue;
    }
    size_t begin = at + kRunLeast - 1, end = at + kRunLeast;
    while (begin > at && digit_of(kHex, text[begin - 1]) >= 0) --begin;
    while (end < text.size() && digit_of(kHex, text[end]) >= 0) ++end;
    for (size_t phase = 0; phase < 2 && end - begin >= kRunLeast + phase; ++phase) {
      const size_t from = begin + phase, to = end - (end - from) % 2;
      std::string bytes = decode_bits(text.substr(from, to - from), kHex, 4);
      if (is_worth_a_look(bytes, 8)) views.push_back(make_view(run, from, to, std::move(bytes), "hex"));
    }
    at = end;
  }
}

void add_base32(const Compact& run, Views& views) {
  const std::string_view text = run.text;
  bool upper = false, lower = false;
  for (const char c : text) {
    if (digit_of(kBase32, c) < 0) return;
    upper |= c >= 'A' && c <= 'Z';
    lower |= c >= 'a' && c <= 'z';
  }
  if (upper && lower) return;
  for (size_t phase = 0; phase < 8 && phase + kRunLeast <= text.size(); ++phase) {
    std::string bytes = decode_bits(text.substr(phase), kBase32, 5);
    if (!is_worth_a_look(bytes, 10)) continue;
    views.push_back(make_view(run, phase, text.size(), std::move(bytes), "base32"));
  }
}

std::optional<std::string> decode_base58(std::string_view text) {
  std::vector<uint8_t> bytes;  // least significant first
  bytes.reserve(text.size());
  for (const char c : text) {
    int carry = digit_of(kBase58, c);
    if (carry < 0) return std::nullopt;
    for (uint8_t& byte : bytes) {
      carry += byte * 58;
      byte = static_cast<uint8_t>(carry);
      carry >>= 8;
    }
    for (; carry > 0; carry >>= 8) bytes.push_back(static_cast<uint8_t>(carry));
  }
  return std::string(bytes.rbegin(), bytes.rend());
}

void add_base58(const Compact& run, Views& views) {
  const std::string_view text = run.text;
  if (text.size() < 20 || text.size() > kBase58Limit) return;
  bool upper = false, lower = false, digit = false;
  for (const char c : text) {
    if (digit_of(kBase58, c) < 0) return;
    upper |= c >= 'A' && c <= 'Z';
    lower |= c >= 'a' && c <= 'z';
    digit |= c >= '0' && c <= '9';
  }
  if (!upper || !lower || !digit) return;
  auto bytes = decode_base58(text);
  if (bytes && has_text_run(*bytes, bytes->size()))
    views.push_back(make_view(run, 0, text.size(), std::move(*bytes), "base58"));
}

void add_views(const Compact& run, Views& views) {
  add_base64(run, views);
  add_hex(run, views);
  add_base32(run, views);
  add_base58(run, views);
  // 41-4b-49: the dash belongs to an alphabet, so this is one run.
  if (run.text.find_first_of("-_") == std::string::npos) return;
  Compact pairs;
  for (size_t at = 0; at < run.text.size();) {
    const size_t end = std::min(run.text.find_first_of("-_", at), run.text.size());
    if (end - at != 2 && end != run.text.size()) return;
    if (end > at) pairs.append(run.text, at, end);
    at = end + 1;
  }
  if (pairs.text.size() < kRunLeast) return;
  for (auto& [at, input] : pairs.pieces) input = run.input_of(input);
  add_hex(pairs, views);
}

// What may stand between two lines of one run: a line end, also an escaped one, with quotes, signs and indentation.
size_t line_gap(std::string_view text, size_t at) {
  bool line_end = false;
  size_t i = at;
  for (; i < text.size() && i - at < kGapLimit; ++i) {
    const char c = text[i];
    if (c == '\n' || c == '\r') {
      line_end = true;
    } else if (c == '\\' && i + 1 < text.size() && (text[i + 1] == 'n' || text[i + 1] == 'r')) {
      line_end = true;
      ++i;
    } else if (c != ' ' && c != '\t' && c != '"' && c != '\'' && c != ',' && c != '\\' && c != '>' && c != '#' &&
               c != '=') {
      break;
    }
  }
  return line_end ? i - at : 0;
}

size_t run_end(std::string_view text, size_t at) {
  while (at < text.size() && in_run(text[at])) ++at;
  return at;
}

// The run and the lines that go on with it. Returns where it ends.
size_t take_lines(std::string_view text, size_t begin, size_t end, Compact& run, Views& views) {
  run.clear();
  run.append(text, begin, end);
  const size_t width = end - begin;
  size_t full = run.text.size();  // without a shorter last line, which may be a word of what follows
  while (const size_t gap = line_gap(text, end)) {
    const size_t next = end + gap, next_end = run_end(text, next);
    const size_t length = next_end - next;
    if (length == 0 || length > width || (length < width && length < 4)) break;
    run.append(text, next, next_end);
    end = next_end;
    if (length < width) break;
    full = run.text.size();
  }
  add_views(run, views);
  if (full != run.text.size()) {
    run.text.resize(full);
    run.pieces.pop_back();
    add_base32(run, views);
    add_base58(run, views);
  }
  return end;
}

enum class Radix { none, octal, decimal, hex, binary };

// Numbers of bytes. A group may begin with what tells its base: 0x41, x41, o101.
void add_numbers(const std::vector<std::pair<size_t, size_t>>& groups, std::string_view text, Views& views) {
  for (const Radix radix : {Radix::hex, Radix::decimal, Radix::octal, Radix::binary}) {
    View view;
    view.through = radix == Radix::hex       ? "hex"
                   : radix == Radix::decimal ? "decimal"
                   : radix == Radix::octal   ? "octal"
                                             : "binary";
    const uint32_t base = radix == Radix::hex ? 16 : radix == Radix::decimal ? 10 : radix == Radix::octal ? 8 : 2;
    for (const auto& [begin, end] : groups) {
      std::string_view group = text.substr(begin, end - begin);
      while (group.size() > 1 && ((group[0] == '0' && group.size() > 3 && base != 2) || group[0] == 'x' ||
                                  group[0] == 'X' || group[0] == 'o' || group[0] == 'b' || group[0] == 'u')) {
        if (base == 16 && group[0] == 'b' && group.size() == 2) break;  // a digit here
        group.remove_prefix(1);
      }
      uint32_t value = group.empty() || group.size() > 8 ? 256 : 0;
      for (const char c : group) {
        const int digit = digit_of(kHex, c);
        if (digit < 0 || static_cast<uint32_t>(digit) >= base || value > 255)
          value = 256;
        else
          value = value * base + static_cast<uint32_t>(digit);
      }
      if (value > 255) break;
      view.map.add(view.bytes.size(), begin);
      view.bytes += static_cast<char>(value);
    }
    if (view.bytes.size() != groups.size()) continue;
    view.map.add(view.bytes.size(), groups.back().second);
    if (is_worth_a_look(view.bytes, 8)) views.push_back(std::move(view));
  }
}

bool is_number(std::string_view group) {
  return group.size() <= 4 &&
         std::all_of(group.begin(), group.end(), [](char c) { return digit_of(kHex, c) >= 0 || c == 'x' || c == 'X'; });
}

// The next group: separated by at most kGroupGapLimit bytes that are of no alphabet.
std::optional<std::pair<size_t, size_t>> next_group(std::string_view text, size_t end) {
  size_t begin = end;
  while (begin < text.size() && begin - end <= kGroupGapLimit && !in_run(text[begin])) ++begin;
  if (begin == end || begin - end > kGroupGapLimit || begin >= text.size()) return std::nullopt;
  return std::pair(begin, run_end(text, begin));
}

struct Groups {
  std::vector<std::pair<size_t, size_t>> places;
  Compact joined;
};

// Groups that go on like the one at [begin, end): as long as it, with the same between them; or all short numbers.
// Returns where they end.
size_t take_groups(std::string_view text, size_t begin, size_t end, Groups& found, Views& views) {
  const size_t length = end - begin;
  const auto second = next_group(text, end);
  if (!second) return end;
  const bool numbers =
      is_number(text.substr(begin, length)) && is_number(text.substr(second->first, second->second - second->first));
  if (second->second - second->first != length && !numbers) return end;
  // The probe may have hit any group: back to the first.
  const size_t gap = second->first - end;
  const std::string_view between = text.substr(end, gap);
  const auto fits = [&](size_t from, size_t to, std::string_view separator) {
    return numbers ? is_number(text.substr(from, to - from)) : to - from == length && separator == between;
  };
  while (begin > 0) {
    size_t stop = begin;
    while (stop > 0 && begin - stop < kGroupGapLimit && !in_run(text[stop - 1])) --stop;
    size_t from = stop;
    while (from > 0 && stop - from <= kRunLeast && in_run(text[from - 1])) --from;
    if (from == stop || stop == begin || !fits(from, stop, text.substr(stop, begin - stop))) break;
    begin = from;
  }
  auto& [groups, joined] = found;
  groups.assign(1, {begin, run_end(text, begin)});
  joined.clear();
  joined.append(text, begin, groups[0].second);
  while (const auto next = next_group(text, groups.back().second)) {
    const size_t last = groups.back().second;
    const bool tail = !numbers && next->second - next->first < length;  // the last group may be shorter
    if (!fits(next->first, next->second, text.substr(last, next->first - last)) &&
        !(tail && text.substr(last, next->first - last) == between))
      break;
    groups.push_back(*next);
    joined.append(text, next->first, next->second);
    if (tail) break;
  }
  if (groups.size() < 4 || joined.text.size() < kRunLeast) return groups.size() < 4 ? end : groups.back().second;
  if (groups.size() >= 8) add_numbers(groups, text, views);
  views.push_back(make_view(joined, 0, joined.text.size(), joined.text, "spaced"));
  return groups.back().second;
}

}  // namespace

void decode_runs(std::string_view text, Views& views) {
  size_t floor = 0;  // everything before was taken
  Compact run;       // used again, as the groups: most are none, and should cost no memory
  Groups groups;
  for (size_t probe = std::min(kProbeStep, text.size()) - (text.empty() ? 0 : 1); probe < text.size();) {
    if (!in_run(text[probe])) {
      probe += kProbeStep;
      continue;
    }
    size_t begin = probe;
    while (begin > floor && in_run(text[begin - 1])) --begin;
    size_t end = run_end(text, probe);
    end = end - begin >= kRunLeast ? take_lines(text, begin, end, run, views)
                                   : take_groups(text, begin, end, groups, views);
    floor = end;
    probe = std::max(probe + 1, end + kProbeStep - 1);
  }
}

}  // namespace stockade::inspect
