#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "base/printable.h"
#include "inspect/decode.h"

namespace stockade::inspect {

namespace {

constexpr size_t kMargin = 320;

// Letters of other scripts that look like a Latin one (a choice from Unicode's confusables.txt: what fonts draw alike).
struct LookAlike {
  uint16_t from;
  char to;
};
constexpr LookAlike kLookAlikes[] = {  // sorted
    {0x02d7, '-'}, {0x0391, 'A'}, {0x0392, 'B'}, {0x0395, 'E'}, {0x0396, 'Z'}, {0x0397, 'H'}, {0x0399, 'I'},
    {0x039a, 'K'}, {0x039c, 'M'}, {0x039d, 'N'}, {0x039f, 'O'}, {0x03a1, 'P'}, {0x03a4, 'T'}, {0x03a5, 'Y'},
    {0x03a7, 'X'}, {0x03b1, 'a'}, {0x03b3, 'y'}, {0x03b9, 'i'}, {0x03bd, 'v'}, {0x03bf, 'o'}, {0x03c1, 'p'},
    {0x03c3, 'o'}, {0x03c5, 'u'}, {0x0405, 'S'}, {0x0406, 'I'}, {0x0408, 'J'}, {0x0410, 'A'}, {0x0412, 'B'},
    {0x0415, 'E'}, {0x041a, 'K'}, {0x041c, 'M'}, {0x041d, 'H'}, {0x041e, 'O'}, {0x0420, 'P'}, {0x0421, 'C'},
    {0x0422, 'T'}, {0x0425, 'X'}, {0x0430, 'a'}, {0x0435, 'e'}, {0x043e, 'o'}, {0x0440, 'p'}, {0x0441, 'c'},
    {0x0443, 'y'}, {0x0445, 'x'}, {0x0455, 's'}, {0x0456, 'i'}, {0x0458, 'j'}, {0x04ae, 'Y'}, {0x04af, 'y'},
    {0x04bb, 'h'}, {0x04c0, 'I'}, {0x04cf, 'l'}, {0x0501, 'd'}, {0x051b, 'q'}, {0x051c, 'W'}, {0x051d, 'w'},
    {0x0555, 'O'}, {0x0570, 'h'}, {0x0578, 'n'}, {0x057d, 'u'}, {0x0581, 'g'}, {0x0585, 'o'}, {0x2010, '-'},
    {0x2011, '-'}, {0x2012, '-'}, {0x2013, '-'}, {0x2044, '/'}, {0x2212, '-'}, {0x2215, '/'}, {0x2236, ':'},
    {0xa789, ':'}};

char look_alike(uint32_t c) {
  const auto* found = std::lower_bound(std::begin(kLookAlikes), std::end(kLookAlikes), c,
                                       [](const LookAlike& l, uint32_t value) { return l.from < value; });
  return found != std::end(kLookAlikes) && found->from == c ? found->to : 0;
}

bool is_ignorable(uint32_t c) {
  return c == 0xad || c == 0x34f || c == 0x61c || (c >= 0x115f && c <= 0x1160) || (c >= 0x17b4 && c <= 0x17b5) ||
         (c >= 0x180b && c <= 0x180f) || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0x3164 || (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff || c == 0xffa0 ||
         (c >= 0xfff0 && c <= 0xfff8) || (c >= 0x1d173 && c <= 0x1d17a) || (c >= 0xe0100 && c <= 0xe01ef);
}

bool is_combining(uint32_t c) {
  return (c >= 0x300 && c <= 0x36f) || (c >= 0x483 && c <= 0x489) || (c >= 0x1ab0 && c <= 0x1aff) ||
         (c >= 0x1dc0 && c <= 0x1dff) || (c >= 0x20d0 && c <= 0x20ff) || (c >= 0xfe20 && c <= 0xfe2f);
}

// Does folding make something of ASCII out of it, or nothing? Cheap: decides whether a text is folded at all.
bool is_suspect(uint32_t c) {
  if (c < 0xa0) return false;
  return is_ignorable(c) || is_combining(c) || (c >= 0xe0000 && c <= 0xe007f) || (c >= 0xff01 && c <= 0xff5e) ||
         (c >= 0x1d400 && c <= 0x1d7ff) || (c >= 0x2460 && c <= 0x24ff) || (c >= 0x1f100 && c <= 0x1f189) ||
         (c >= 0x2070 && c <= 0x209c) || (c >= 0x2100 && c <= 0x214f) || (c >= 0x1d2c && c <= 0x1d6a) ||
         (c >= 0x2b0 && c <= 0x2b8) || (c >= 0xfe50 && c <= 0xfe6b) || (c >= 0x1fbf0 && c <= 0x1fbf9) || c == 0xa0 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

// A look-alike counts where it stands among Latin letters: Russian and Greek words are what they are.
bool is_reason(std::string_view text, size_t at, const CodePoint& c) {
  if (is_suspect(c.value)) return true;
  if (!look_alike(c.value)) return false;
  return (at > 0 && is_word(text[at - 1])) || (at + c.length < text.size() && is_word(text[at + c.length]));
}

void fold(View& view, uint32_t c) {
  if (is_ignorable(c) || is_combining(c)) return;
  if (c >= 0xe0000 && c <= 0xe007f) {
    if (c >= 0xe0020 && c < 0xe007f) view.bytes += static_cast<char>(c - 0xe0000);
    return;
  }
  if (const char latin = look_alike(c)) {
    view.bytes += latin;
    return;
  }
  std::array<utf8proc_int32_t, 32> parts;
  int boundary = 0;
  const auto count =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts.data(), parts.size(),
                              static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT), &boundary);
  for (ssize_t i = 0; i < count && i < static_cast<ssize_t>(parts.size()); ++i) {
    const auto part = static_cast<uint32_t>(parts[static_cast<size_t>(i)]);
    if (part < 0x80) {
      view.bytes += static_cast<char>(part);
    } else if (const char latin = look_alike(part)) {
      view.bytes += latin;
    } else if (!is_combining(part)) {
      utf8proc_uint8_t encoded[4];
      const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(part), encoded);
      view.bytes.append(reinterpret_cast<const char*>(encoded), static_cast<size_t>(std::max<ssize_t>(length, 0)));
    }
  }
}

View fold_window(std::string_view text, size_t begin, size_t end) {
  View view;
  view.through = "unicode";
  bool plain = false;
  for (size_t at = begin; at < end;) {
    const bool ascii = static_cast<unsigned char>(text[at]) < 0x80;
    const CodePoint c = ascii ? CodePoint{static_cast<unsigned char>(text[at]), 1} : decode_utf8(text.substr(at));
    if (ascii || c.length == 0) {
      if (!plain) view.map.add(view.bytes.size(), at);
      plain = true;
      view.bytes += text[at++];
      continue;
    }
    plain = false;
    view.map.add(view.bytes.size(), at);
    fold(view, c.value);
    at += c.length;
  }
  view.map.add(view.bytes.size(), end);
  return view;
}

size_t next_foreign(std::string_view text, size_t at) {
  while (at + 8 <= text.size()) {
    uint64_t word;
    __builtin_memcpy(&word, text.data() + at, 8);
    if (word & 0x8080808080808080u) break;
    at += 8;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

// Back to the first byte of a character.
size_t align(std::string_view text, size_t at) {
  for (int i = 0; i < 3 && at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80; ++i)
    --at;
  return at;
}

}  // namespace

void decode_unicode(std::string_view text, Views& views) {
  size_t first = text.size(), last = 0;
  const auto make = [&] {
    const size_t begin = align(text, first > kMargin ? first - kMargin : 0);
    views.push_back(fold_window(text, begin, align(text, std::min(text.size(), last + kMargin))));
    first = text.size();
  };
  for (size_t at = next_foreign(text, 0); at < text.size(); at = next_foreign(text, at)) {
    const CodePoint c = decode_utf8(text.substr(at));
    if (c.length != 0 && is_reason(text, at, c)) {
      if (first != text.size() && at - last > 2 * kMargin) make();
      if (first == text.size()) first = at;
      last = at + c.length;
    }
    at += std::max<size_t>(c.length, 1);
  }
  if (first != text.size()) make();
}

void decode_wide(std::string_view text, Views& views) {
  size_t at = text.find('\0');
  for (; at != std::string_view::npos && at < text.size(); at = text.find('\0', at)) {
    // Which of the forms: one letter and one or three zeros, in either order. What stands before or behind may make a
    // text of the one order look like one of the other that lacks a letter, so that both may be views.
    size_t seen = 0;
    for (const size_t width : {size_t{4}, size_t{2}}) {
      for (const bool little : {true, false}) {
        const size_t back = little ? 1 : 0;
        if (at < back) continue;
        size_t i = at - back;
        View view;
        view.through = width == 4 ? "utf-32" : "utf-16";
        while (i + width <= text.size()) {
          uint32_t value = 0;
          for (size_t k = 0; k < width; ++k)
            value |= static_cast<uint32_t>(static_cast<unsigned char>(text[i + k])) << 8 * (little ? k : width - 1 - k);
          if (value == 0 || value > 0x7e || (value < ' ' && value != '\n' && value != '\r' && value != '\t')) {
            if (value == 0 || value > 0x2fff) break;
            value = '?';
          }
          view.map.add(view.bytes.size(), i);
          view.bytes += static_cast<char>(value);
          i += width;
        }
        view.map.add(view.bytes.size(), i);
        if (view.bytes.size() < 8) continue;
        views.push_back(std::move(view));
        seen = std::max(seen, i);
      }
      if (seen != 0) break;
    }
    at = std::max(seen, at + 1);
  }
}

namespace {

View turned(std::string_view text, size_t begin, size_t end, std::string_view through) {
  View view;
  view.bytes = text.substr(begin, end - begin);
  view.map.add(0, begin);
  view.map.add(end - begin, end);
  view.through = through;
  return view;
}

}  // namespace

View decode_rot13(std::string_view text, size_t begin, size_t end) {
  View view = turned(text, begin, end, "rot13");
  for (char& c : view.bytes) {
    const char base = static_cast<char>(c & ~32);
    if (base >= 'A' && base <= 'Z') c = static_cast<char>((base - 'A' + 13) % 26 + 'A' + (c & 32));
  }
  return view;
}

View decode_reversed(std::string_view text, size_t begin, size_t end) {
  View view = turned(text, begin, end, "reversed");
  std::reverse(view.bytes.begin(), view.bytes.end());
  view.way = Way::backwards;
  return view;
}

}  // namespace stockade::inspect
