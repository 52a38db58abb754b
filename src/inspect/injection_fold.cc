#include "inspect/injection_fold.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/printable.h"

namespace stockade::inspect {

namespace {

constexpr uint32_t kTableEnd = 0x3400;  // up to here the scripts whose letters change; above, mostly ideographs
constexpr size_t kPieceLimit = 12;

bool is_hangul(uint32_t c) { return c >= 0xac00 && c <= 0xd7a3; }
bool is_ideograph(uint32_t c) { return (c >= 0x3400 && c <= 0x9fff) || (c >= 0x20000 && c <= 0x2fa1d); }

// Signs that end sentences or quote, which NFKC leaves alone.
const char* plain_sign(uint32_t c) {
  if (c == 0x3002 || c == 0x964 || c == 0x6d4 || c == 0xff61) return ".";
  if (c == 0x3001 || c == 0x60c) return ",";
  if (c == 0x61f) return "?";
  if (c == 0x61b) return ";";
  if ((c >= 0x201c && c <= 0x201f) || c == 0xab || c == 0xbb || (c >= 0x300c && c <= 0x300f)) return "\"";
  if (c >= 0x2018 && c <= 0x201b) return "'";
  if (c >= 0x2010 && c <= 0x2015) return "-";
  return nullptr;
}

void append_utf8(uint32_t c, std::string& out) {
  utf8proc_uint8_t bytes[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

bool is_ignorable(uint32_t c) {
  return c == 0xad || c == 0x34f || c == 0x61c || (c >= 0x180b && c <= 0x180f) || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfe00 && c <= 0xfe0f) ||
         (c >= 0xe0000 && c <= 0xe0fff) || c == 0x115f || c == 0x1160 || c == 0x3164 || c == 0xffa0;
}

std::string fold_one(uint32_t c) {
  if (const char* sign = plain_sign(c)) return sign;
  if (is_ignorable(c)) return {};
  utf8proc_int32_t parts[32];
  int boundary = 0;
  const auto count =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, 32,
                              static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD |
                                                             UTF8PROC_STRIPMARK | UTF8PROC_IGNORE),
                              &boundary);
  std::string out;
  if (count < 0 || count > 32) {
    append_utf8(c, out);
    return out;
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    const auto part = static_cast<uint32_t>(parts[i]);
    const auto category = utf8proc_category(parts[i]);
    if (category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP)
      out.push_back(' ');
    else
      append_utf8(part, out);
  }
  return out;
}

bool is_ascii_letter(unsigned char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

char latin_of(uint32_t c) {
  const auto table = confusables();
  const auto found = std::lower_bound(table.begin(), table.end(), c,
                                      [](const Confusable& entry, uint32_t value) { return entry.code_point < value; });
  return found != table.end() && found->code_point == c ? found->latin : '\0';
}

// A word of folded text that mixes Latin letters with others that look Latin becomes Latin as a whole.
void settle_word(std::string& text, size_t begin, size_t& mixed) {
  bool ascii = false;
  for (size_t i = begin; i < text.size() && !ascii; ++i) ascii = is_ascii_letter(static_cast<unsigned char>(text[i]));
  if (!ascii) return;
  std::string latin;
  const std::string_view word = std::string_view(text).substr(begin);
  for (size_t i = 0; i < word.size();) {
    if (static_cast<unsigned char>(word[i]) < 0x80) {
      latin.push_back(word[i++]);
      continue;
    }
    const CodePoint point = decode_utf8(word.substr(i));
    if (point.length == 0) return;
    const char replaced = latin_of(point.value);
    if (!replaced) return;
    latin.push_back(replaced);
    i += point.length;
  }
  text.resize(begin);
  text += latin;
  ++mixed;
}

}  // namespace

bool is_ascii(std::string_view text) {
  uint64_t all = 0;
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + i, 8);
    all |= word;
  }
  for (; i < text.size(); ++i) all |= static_cast<unsigned char>(text[i]);
  return (all & 0x8080808080808080u) == 0;
}

struct Folder::Table {
  struct Entry {
    uint8_t size = 0;
    char bytes[kPieceLimit] = {};
  };
  std::array<Entry, kTableEnd> entries;
};

Folder::Folder() : table_(std::make_unique<Table>()) {
  for (uint32_t c = 0; c < kTableEnd; ++c) {
    const std::string folded = fold_one(c);
    auto& entry = table_->entries[c];
    entry.size = static_cast<uint8_t>(std::min(folded.size(), kPieceLimit));
    std::memcpy(entry.bytes, folded.data(), entry.size);
  }
}
Folder::~Folder() = default;
Folder::Folder(Folder&&) noexcept = default;
Folder& Folder::operator=(Folder&&) noexcept = default;

FoldedText Folder::fold(std::string_view text) const {
  FoldedText out;
  out.text.reserve(text.size() + 16);
  size_t word = std::string::npos;  // where the word began, if it holds a letter beyond ASCII
  size_t word_begin = 0;
  const auto end_word = [&] {
    if (word != std::string::npos) settle_word(out.text, word_begin, out.mixed_scripts);
    word = std::string::npos;
  };
  bool was_letter = false;
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      const bool letter = is_ascii_letter(byte) || (byte >= '0' && byte <= '9');
      if (!letter) {
        end_word();
        word_begin = out.text.size() + 1;
      }
      out.text.push_back(byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte | 0x20) : text[i]);
      was_letter = letter;
      ++i;
      continue;
    }
    const CodePoint point = decode_utf8(text.substr(i));
    if (point.length == 0) {
      out.text.push_back(text[i++]);
      was_letter = false;
      continue;
    }
    i += point.length;
    if (is_ideograph(point.value) || is_hangul(point.value)) {
      end_word();
      append_utf8(point.value, out.text);
      word_begin = out.text.size();
      was_letter = true;
      continue;
    }
    const size_t before = out.text.size();
    if (point.value < kTableEnd) {
      const auto& entry = table_->entries[point.value];
      out.text.append(entry.bytes, entry.size);
    } else {
      out.text += fold_one(point.value);
    }
    if (out.text.size() == before) {
      if (was_letter && is_ignorable(point.value)) ++out.invisible;
      continue;
    }
    const auto first = static_cast<unsigned char>(out.text[before]);
    if (first >= 0x80) {
      if (word == std::string::npos) word = before;
      was_letter = true;
    } else if (!is_ascii_letter(first)) {
      std::string kept = out.text.substr(before);
      out.text.resize(before);
      end_word();
      out.text += kept;
      word_begin = out.text.size();
      was_letter = false;
    }
  }
  end_word();
  return out;
}

}  // namespace stockade::inspect
