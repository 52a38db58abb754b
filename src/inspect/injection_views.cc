// The views of injection_fold.h that undo spelling tricks and encodings.
#include <algorithm>
#include <array>

#include "inspect/injection_fold.h"

namespace stockade::inspect {

namespace {

constexpr size_t kSpacedLetters = 8;  // fewer may be an abbreviation
constexpr size_t kBase64Run = 24;     // shorter is a word
constexpr size_t kHexRun = 32;
constexpr size_t kDecodedSize = 16 * 1024;

bool is_letter(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_separator(char c) { return c == ' ' || c == '.' || c == '-' || c == '_' || c == '*' || c == '|'; }

struct Base64Table {
  std::array<int8_t, 256> value;
  constexpr Base64Table() : value() {
    for (auto& v : value) v = -1;
    for (int i = 0; i < 26; ++i) {
      value[static_cast<size_t>('A' + i)] = static_cast<int8_t>(i);
      value[static_cast<size_t>('a' + i)] = static_cast<int8_t>(26 + i);
    }
    for (int i = 0; i < 10; ++i) value[static_cast<size_t>('0' + i)] = static_cast<int8_t>(52 + i);
    value['+'] = value['-'] = 62;
    value['/'] = value['_'] = 63;
  }
};
constexpr Base64Table kBase64;

int base64_value(char c) { return kBase64.value[static_cast<unsigned char>(c)]; }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Mostly letters and spaces: what a person wrote, not a hash.
bool reads_as_text(std::string_view text) {
  if (text.size() < 12) return false;
  size_t good = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 && c != '\n' && c != '\r' && c != '\t') return false;
    if (is_letter(c) || c == ' ' || byte >= 0x80 || c == '\n') ++good;
  }
  return good * 10 >= text.size() * 7;
}

std::string from_base64(std::string_view run) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : run) {
    const int value = base64_value(c);
    if (value < 0) continue;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>(bits >> count & 0xff));
      if (out.size() >= kDecodedSize) break;
    }
  }
  return out;
}

// The end of the run of base64 that holds `at`; single line ends inside are part of it.
size_t base64_end(std::string_view text, size_t at) {
  while (at < text.size()) {
    if (base64_value(text[at]) >= 0) {
      ++at;
    } else if (text[at] == '\n' && at + 8 < text.size() &&
               std::all_of(text.begin() + static_cast<ptrdiff_t>(at) + 1, text.begin() + static_cast<ptrdiff_t>(at) + 9,
                           [](char c) { return base64_value(c) >= 0; })) {
      ++at;
    } else {
      break;
    }
  }
  return at;
}

void find_base64(std::string_view text, std::vector<DecodedRun>& out) {
  // A run of kBase64Run characters covers a multiple of half its length.
  constexpr size_t kStep = kBase64Run / 2;
  for (size_t i = kStep; i < text.size() && out.size() < kDecodedRunLimit; i += kStep) {
    if (base64_value(text[i]) < 0 || base64_value(text[i - 1]) < 0 || base64_value(text[i - kStep / 2]) < 0) continue;
    size_t begin = i;
    while (begin > 0 && i - begin < 3 * kStep && base64_value(text[begin - 1]) >= 0) --begin;
    const size_t end = base64_end(text, i);
    if (end - begin >= kBase64Run) {
      const auto run = text.substr(begin, end - begin);
      const bool hex = std::all_of(run.begin(), run.end(), [](char c) { return hex_value(c) >= 0; });
      // A word may stick to its front: one of four places is where its groups begin.
      std::string decoded;
      for (size_t skip = 0; skip < 4 && !hex && !reads_as_text(decoded); ++skip)
        decoded = from_base64(run.substr(skip));
      if (reads_as_text(decoded)) out.push_back({Encoding::base64, begin, end, std::move(decoded)});
    }
    if (end > i) i += (end - i) / kStep * kStep;
  }
}

void find_hex(std::string_view text, std::vector<DecodedRun>& out) {
  constexpr size_t kStep = kHexRun / 2;
  for (size_t i = kStep; i < text.size() && out.size() < kDecodedRunLimit; i += kStep) {
    const auto part = [&](char c) { return hex_value(c) >= 0 || c == ' ' || c == 'x' || c == '\\' || c == ':'; };
    if (!part(text[i]) || !part(text[i - 1]) || !part(text[i - 2]) || !part(text[i - kStep / 2])) continue;
    size_t begin = i;
    while (begin > 0 && i - begin < kStep && part(text[begin - 1])) --begin;
    size_t end = i;
    while (end < text.size() && part(text[end])) ++end;
    if (end - begin >= kHexRun) {
      std::string decoded;
      int high = -1;
      for (size_t j = begin; j < end && decoded.size() < kDecodedSize; ++j) {
        const int value = text[j] == '0' && j + 1 < end && text[j + 1] == 'x' ? -1 : hex_value(text[j]);
        if (value < 0) continue;
        if (high < 0) {
          high = value;
        } else {
          decoded.push_back(static_cast<char>(high << 4 | value));
          high = -1;
        }
      }
      if (reads_as_text(decoded)) out.push_back({Encoding::hex, begin, end, std::move(decoded)});
    }
    if (end > i) i += (end - i) / kStep * kStep;
  }
}

void find_percent(std::string_view text, std::vector<DecodedRun>& out) {
  const size_t first = text.find('%');
  if (first == std::string_view::npos) return;
  size_t escapes = 0;
  std::string decoded;
  for (size_t i = first; i < text.size() && decoded.size() < kDecodedSize; ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      decoded.push_back(static_cast<char>(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2])));
      i += 2;
      ++escapes;
    } else {
      decoded.push_back(text[i]);
    }
  }
  if (escapes >= 4) out.push_back({Encoding::percent, first, text.size(), std::move(decoded)});
}

char rot13(char c) {
  if (!is_letter(c)) return c;
  const char base = static_cast<char>(c & 0x20 ? 'a' : 'A');
  return static_cast<char>((c - base + 13) % 26 + base);
}

}  // namespace

std::string joined_letters(std::string_view text) {
  std::string out;
  // letter, separator, letter, separator: looked for at every fourth byte, since eight letters cover sixteen.
  for (size_t i = 4; i + 4 < text.size(); i += 4) {
    if (is_letter(text[i]) == is_letter(text[i + 1]) || is_letter(text[i]) != is_letter(text[i + 2]) ||
        is_letter(text[i + 1]) != is_letter(text[i + 3]))
      continue;
    size_t begin = i;
    while (begin >= 1 && is_letter(text[begin]) != is_letter(text[begin - 1])) --begin;
    std::string piece;
    size_t letters = 0;
    size_t at = begin;
    while (at < text.size()) {
      const bool alone = at + 1 == text.size() || is_separator(text[at + 1]) || text[at + 1] == '\n';
      if (!is_separator(text[at]) && text[at] != '\n' && alone) {
        if (is_letter(text[at])) ++letters;
        piece.push_back(text[at++]);
      } else if (is_separator(text[at]) || text[at] == '\n') {
        size_t gap = 0;
        while (at < text.size() && (is_separator(text[at]) || text[at] == '\n')) ++at, ++gap;
        if (gap > 1) piece.push_back(' ');
        if (gap > 6) break;
      } else {
        break;
      }
    }
    if (letters >= kSpacedLetters) {
      out += piece;
      out.push_back('\n');
    }
    if (at > i) i += (at - i) / 4 * 4;
  }
  return out;
}

std::string without_leet(std::string_view text) {
  size_t words = 0;
  for (size_t i = 1; i + 1 < text.size() && words < 2; ++i)
    if ((is_digit(text[i]) || text[i] == '@' || text[i] == '$') && is_letter(text[i - 1]) && is_letter(text[i + 1]))
      ++words;
  if (words < 2) return {};
  std::string out(text);
  for (size_t i = 0; i < out.size(); ++i) {
    const bool near_letter = (i > 0 && is_letter(out[i - 1])) || (i + 1 < text.size() && is_letter(text[i + 1])) ||
                             (i + 2 < text.size() && is_letter(text[i + 2]));
    if (!near_letter) continue;
    static constexpr std::string_view kFrom = "01345789@$!|+";
    static constexpr std::string_view kTo = "oieastbgasilt";
    if (const auto at = kFrom.find(out[i]); at != std::string_view::npos) out[i] = kTo[at];
  }
  return out;
}

std::vector<DecodedRun> decoded_runs(std::string_view text, bool with_rot13) {
  std::vector<DecodedRun> out;
  find_base64(text, out);
  find_hex(text, out);
  find_percent(text, out);
  if (with_rot13) {
    std::string turned(text.substr(0, kDecodedSize));
    for (char& c : turned) c = rot13(c);
    out.push_back({Encoding::rot13, 0, turned.size(), std::move(turned)});
  }
  return out;
}

}  // namespace stockade::inspect
