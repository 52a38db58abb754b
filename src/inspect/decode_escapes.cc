#include <algorithm>
#include <array>
#include <cstring>

#include "inspect/decode.h"

namespace stockade::inspect {

namespace {

constexpr size_t kMargin = 320;       // of plain text around the escapes: a secret may be escaped in part
constexpr size_t kGap = 2 * kMargin;  // escapes farther apart than this are views of their own

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
  } else if (c < 0x10000) {
    out += {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 63)),
            static_cast<char>(0x80 | (c & 63))};
  } else if (c < 0x110000) {
    out += {static_cast<char>(0xf0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 63)),
            static_cast<char>(0x80 | (c >> 6 & 63)), static_cast<char>(0x80 | (c & 63))};
  }
}

struct Escape {
  uint32_t value = 0;
  size_t length = 0;     // 0: none here
  bool is_byte = false;  // else a code point
};

// Digits of `base` in text[at…], at most `most`.
size_t read_digits(std::string_view text, size_t at, uint32_t base, size_t most, uint32_t& value) {
  size_t count = 0;
  value = 0;
  for (; count < most && at + count < text.size(); ++count) {
    const int digit = hex_value(text[at + count]);
    if (digit < 0 || static_cast<uint32_t>(digit) >= base) break;
    value = value * base + static_cast<uint32_t>(digit);
  }
  return count;
}

Escape percent(std::string_view text, size_t at) {
  uint32_t value;
  if (read_digits(text, at + 1, 16, 2, value) == 2) return {value, 3, true};
  // %u0041: what JavaScript's escape() writes.
  if (at + 1 < text.size() && (text[at + 1] == 'u' || text[at + 1] == 'U') &&
      read_digits(text, at + 2, 16, 4, value) == 4)
    return {value, 6, false};
  return {};
}

Escape backslash(std::string_view text, size_t at) {
  if (at + 1 >= text.size()) return {};
  uint32_t value;
  switch (text[at + 1]) {
    case 'x':
      if (read_digits(text, at + 2, 16, 2, value) == 2) return {value, 4, true};
      break;
    case 'u':
      if (read_digits(text, at + 2, 16, 4, value) == 4) return {value, 6, false};
      if (at + 2 < text.size() && text[at + 2] == '{') {
        const size_t count = read_digits(text, at + 3, 16, 6, value);
        if (count != 0 && at + 3 + count < text.size() && text[at + 3 + count] == '}') return {value, count + 4, false};
      }
      break;
    case 'U':
      if (read_digits(text, at + 2, 16, 8, value) == 8) return {value, 10, false};
      break;
    case '/':
    case '"':
    case '\'':
    case '\\':
      return {static_cast<unsigned char>(text[at + 1]), 2, true};
    case 'n':
      return {'\n', 2, true};
    case 'r':
      return {'\r', 2, true};
    case 't':
      return {'\t', 2, true};
    default: {
      const size_t count = read_digits(text, at + 1, 8, 3, value);
      if (count >= 2 && value < 256) return {value, count + 1, true};
    }
  }
  return {};
}

struct Entity {
  std::string_view name;
  uint32_t value;
};
// Those of HTML's table that stand for a character of ASCII, or for nothing that is seen.
constexpr Entity kEntities[] = {
    {"amp", '&'},    {"lt", '<'},       {"gt", '>'},     {"quot", '"'},   {"apos", '\''},  {"nbsp", ' '},
    {"lowbar", '_'}, {"UnderBar", '_'}, {"hyphen", '-'}, {"dash", '-'},   {"period", '.'}, {"colon", ':'},
    {"sol", '/'},    {"bsol", '\\'},    {"equals", '='}, {"num", '#'},    {"commat", '@'}, {"plus", '+'},
    {"dollar", '$'}, {"percnt", '%'},   {"semi", ';'},   {"comma", ','},  {"excl", '!'},   {"ast", '*'},
    {"midast", '*'}, {"lpar", '('},     {"rpar", ')'},   {"lsqb", '['},   {"lbrack", '['}, {"rsqb", ']'},
    {"rbrack", ']'}, {"lcub", '{'},     {"lbrace", '{'}, {"rcub", '}'},   {"rbrace", '}'}, {"verbar", '|'},
    {"vert", '|'},   {"grave", '`'},    {"Hat", '^'},    {"quest", '?'},  {"Tab", '\t'},   {"NewLine", '\n'},
    {"shy", 0xad},   {"zwnj", 0x200c},  {"zwj", 0x200d}, {"lrm", 0x200e}, {"rlm", 0x200f}, {"ZeroWidthSpace", 0x200b},
};

Escape ampersand(std::string_view text, size_t at) {
  if (at + 2 >= text.size()) return {};
  uint32_t value;
  if (text[at + 1] == '#') {
    const bool hex = text[at + 2] == 'x' || text[at + 2] == 'X';
    const size_t from = at + (hex ? 3 : 2);
    const size_t count = read_digits(text, from, hex ? 16 : 10, 8, value);
    if (count == 0) return {};
    const bool closed = from + count < text.size() && text[from + count] == ';';
    return {value, from + count + closed - at, false};
  }
  const auto end = text.substr(at + 1, 16).find(';');
  if (end == std::string_view::npos) return {};
  const auto name = text.substr(at + 1, end);
  for (const Entity& entity : kEntities)
    if (entity.name == name) return {entity.value, end + 2, false};
  return {};
}

Escape escape_at(std::string_view text, size_t at) {
  switch (text[at]) {
    case '%':
      return percent(text, at);
    case '\\':
      return backslash(text, at);
    case '&':
      return ampersand(text, at);
  }
  return {};
}

// Escapes that any text has (\n, \", \\, &amp;) are decoded in a view, but are no reason for one.
bool is_reason(std::string_view text, size_t at) {
  if (at + 1 >= text.size()) return false;
  const char next = text[at + 1];
  switch (text[at]) {
    case '%':
      return hex_value(next) >= 0 || next == 'u' || next == 'U';
    case '\\':
      return next == 'x' || next == 'u' || next == 'U' || next == '/' || (next >= '0' && next <= '7');
    case '&':
      return next == '#' ||
             (next != ' ' && next != '&' && text.substr(at + 1, 4) != "amp;" && text.substr(at + 1, 3) != "lt;" &&
              text.substr(at + 1, 3) != "gt;" && text.substr(at + 1, 5) != "quot;" &&
              text.substr(at + 1, 5) != "nbsp;") ||
             text.substr(at + 1, 5) == "amp;#";
  }
  return false;
}

void add_plain(View& view, std::string_view text, size_t from, size_t to) {
  view.map.add(view.bytes.size(), from);
  view.bytes.append(text, from, to - from);
}

View unescape(std::string_view text, size_t begin, size_t end) {
  View view;
  view.bytes.reserve(end - begin);
  bool url = false, html = false;
  for (size_t at = begin; at < end;) {
    const Escape escape = escape_at(text, at);
    if (escape.length == 0) {
      const size_t from = at++;
      while (at < end && text[at] != '%' && text[at] != '\\' && text[at] != '&') ++at;
      add_plain(view, text, from, at);
      continue;
    }
    url |= text[at] == '%';
    html |= text[at] == '&';
    view.map.add(view.bytes.size(), at);
#ifdef STOCKADE_PLANTED_BUG
    // Takes an escape that reaches over the end for one byte more than there is.
    if (at + escape.length == text.size()) view.bytes += text.data()[text.size()];
#endif
    if (escape.is_byte)
      view.bytes += static_cast<char>(escape.value);
    else
      append_utf8(view.bytes, escape.value);
    at += escape.length;
  }
  view.map.add(view.bytes.size(), end);
  view.through = url ? "url" : html ? "html" : "escapes";
  return view;
}

template <typename Reason>
void for_each_cluster(std::string_view text, std::string_view marks, Reason is_reason_at, auto&& make) {
  // One memchr a mark, in step: most texts have few of them.
  std::array<size_t, 4> next{};
  const auto find = [&](size_t mark, size_t from) {
    const void* found = from < text.size() ? std::memchr(text.data() + from, marks[mark], text.size() - from) : nullptr;
    return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data()) : text.size();
  };
  for (size_t mark = 0; mark < marks.size(); ++mark) next[mark] = find(mark, 0);
  size_t first = text.size(), last = 0;
  while (true) {
    size_t mark = 0;
    for (size_t i = 1; i < marks.size(); ++i)
      if (next[i] < next[mark]) mark = i;
    const size_t at = next[mark];
    if (at >= text.size()) break;
    next[mark] = find(mark, at + 1);
    if (!is_reason_at(at)) continue;
    if (first != text.size() && at - last > kGap) {
      make(first, last);
      first = text.size();
    }
    if (first == text.size()) first = at;
    last = at;
  }
  if (first != text.size()) make(first, last);
}

// "=41" and soft line ends; few of them may be something else ("a=41"), so that only several make a view.
bool is_quoted_byte(std::string_view text, size_t at) {
  if (at + 1 >= text.size()) return false;
  if (text[at + 1] == '\n' || text.substr(at + 1, 2) == "\r\n") return true;
  uint32_t value;
  return read_digits(text, at + 1, 16, 2, value) == 2;
}

}  // namespace

void decode_escapes(std::string_view text, Views& views) {
  for_each_cluster(
      text, "%\\&", [&](size_t at) { return is_reason(text, at) && escape_at(text, at).length != 0; },
      [&](size_t first, size_t last) {
        const size_t begin = first > kMargin ? first - kMargin : 0;
        const size_t end = std::min(text.size(), last + kMargin);
        views.push_back(unescape(text, begin, end));
      });
}

void decode_quoted_printable(std::string_view text, Views& views) {
  const auto decode = [&](size_t first, size_t last) {
    const size_t begin = first > kMargin ? first - kMargin : 0;
    const size_t end = std::min(text.size(), last + kMargin);
    View view;
    view.through = "quoted-printable";
    for (size_t at = begin; at < end;) {
      uint32_t value;
      if (text[at] != '=') {
        const size_t next = std::min(text.find('=', at), end);
        add_plain(view, text, at, next);
        at = next;
        continue;
      }
      view.map.add(view.bytes.size(), at);
      if (read_digits(text, at + 1, 16, 2, value) == 2) {
        view.bytes += static_cast<char>(value);
        at += 3;
      } else if (text.substr(at + 1, 2) == "\r\n") {
        at += 3;
      } else if (text.substr(at + 1, 1) == "\n") {
        at += 2;
      } else {
        view.bytes += text[at++];
      }
    }
    view.map.add(view.bytes.size(), end);
    views.push_back(std::move(view));
  };
  for_each_cluster(text, "=", [&](size_t at) { return is_quoted_byte(text, at); }, decode);
}

}  // namespace stockade::inspect
