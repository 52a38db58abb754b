#include "inspect/hidden_text.h"

#include <algorithm>

#include "base/printable.h"

namespace stockade::inspect {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool starts_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) { return a == lower(b); });
}

void append_utf8(uint32_t c, std::string& out) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xc0 | c >> 6));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xe0 | c >> 12));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else {
    out.push_back(static_cast<char>(0xf0 | c >> 18));
    out.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  }
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

// \uXXXX at `at` (the backslash); the value, or nothing.
int64_t unicode_escape(std::string_view text, size_t at) {
  if (at + 6 > text.size() || text[at + 1] != 'u') return -1;
  int64_t value = 0;
  for (size_t i = at + 2; i < at + 6; ++i) {
    const int digit = hex_value(text[i]);
    if (digit < 0) return -1;
    value = value << 4 | digit;
  }
  return value;
}

// Decodes the string that begins after its quote at `at`; moves `at` behind its closing quote, or to the end.
std::string take_json_string(std::string_view text, size_t& at) {
  std::string out;
  while (at < text.size() && text[at] != '"') {
    if (text[at] != '\\' || at + 1 == text.size()) {
      out.push_back(text[at++]);
      continue;
    }
    const char c = text[at + 1];
    if (int64_t value = unicode_escape(text, at); value >= 0) {
      at += 6;
      if (value >= 0xd800 && value < 0xdc00) {
        const int64_t low = at < text.size() && text[at] == '\\' ? unicode_escape(text, at) : -1;
        if (low >= 0xdc00 && low < 0xe000) {
          value = 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
          at += 6;
        }
      }
      append_utf8(value >= 0xd800 && value < 0xe000 ? 0xfffd : static_cast<uint32_t>(value), out);
      continue;
    }
    out.push_back(c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' || c == 'f' ? ' ' : c);
    at += 2;
  }
  if (at < text.size()) ++at;
  return out;
}

// The strings of a JSON text, one a line. Keys are hidden pieces as well: few people read them.
std::string read_json(std::string_view text, HiddenCollector& hidden) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '"') {
      ++at;
      continue;
    }
    const size_t begin = at++;
    std::string value = take_json_string(text, at);
    const size_t end = at;
    size_t next = at;
    while (next < text.size() && (text[next] == ' ' || text[next] == '\n' || text[next] == '\t' || text[next] == '\r'))
      ++next;
    const bool key = next < text.size() && text[next] == ':';
    if (key && value.size() > 24) hidden.add(HiddenKind::json_key, begin, end, value);
    const bool markup = value.find("<!--") != std::string::npos || value.find("style=") != std::string::npos ||
                        value.find("<span") != std::string::npos || value.find("<div") != std::string::npos;
    if (markup) {
      TextReading inner;
      HiddenCollector collector(inner);
      value = read_html(value, true, collector);
      for (HiddenText& piece : inner.hidden) hidden.add(piece.kind, begin, end, std::move(piece.text));
    }
    out += value;
    out += key ? ": " : "\n";
  }
  return out;
}

bool is_escape_end(char c) { return c >= 0x40 && c <= 0x7e; }

struct Concealed {
  bool on = false;
  size_t begin = 0;
  std::string text;
};

// An escape at `at`: its end. Text of OSC, DCS, APC, PM strings is hidden; so is what SGR 8 conceals.
size_t take_escape(std::string_view text, size_t at, Concealed& concealed, HiddenCollector& hidden) {
  if (at + 1 >= text.size()) return text.size();
  const char kind = text[at + 1];
  if (kind == '[') {
    size_t end = at + 2;
    while (end < text.size() && end - at < 64 && !is_escape_end(text[end])) ++end;
    if (end < text.size() && text[end] == 'm') {
      const std::string parameters = ";" + std::string(text.substr(at + 2, end - at - 2)) + ";";
      const bool conceals = parameters.find(";8;") != std::string::npos;
      if (conceals && !concealed.on) {
        concealed.on = true;
        concealed.begin = at;
      } else if (!conceals && concealed.on) {
        hidden.add(HiddenKind::ansi_escape, concealed.begin, end, std::move(concealed.text));
        concealed = {};
      }
    }
    return std::min(end + 1, text.size());
  }
  if (kind == ']' || kind == 'P' || kind == '_' || kind == '^' || kind == 'X') {
    size_t end = at + 2;
    while (end < text.size() && text[end] != '\a' && text[end] != '\x1b') ++end;
    hidden.add(HiddenKind::ansi_escape, at, end, std::string(text.substr(at + 2, end - at - 2)));
    if (end < text.size() && text[end] == '\x1b' && end + 1 < text.size() && text[end + 1] == '\\') ++end;
    return std::min(end + 1, text.size());
  }
  return at + 2;
}

bool is_zero_width(uint32_t c) {
  return (c >= 0x200b && c <= 0x200d) || (c >= 0x2060 && c <= 0x2064) || c == 0xfeff || c == 0xad || c == 0x34f ||
         c == 0x180e || c == 0x115f || c == 0x1160 || c == 0x3164 || c == 0xffa0;
}
bool is_bidi_control(uint32_t c) {
  return c == 0x200e || c == 0x200f || c == 0x61c || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}
bool is_tag(uint32_t c) { return c >= 0xe0000 && c <= 0xe007f; }
bool is_variation_selector(uint32_t c) { return (c >= 0xfe00 && c <= 0xfe0f) || (c >= 0xe0100 && c <= 0xe01ef); }
bool is_odd_space(uint32_t c) {
  return c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f || c == 0x2800;
}

// A run of invisible characters of one kind.
struct Run {
  HiddenKind kind = HiddenKind::zero_width;
  size_t begin = 0;
  size_t end = 0;
  size_t count = 0;
  std::string text;
};

void end_run(Run& run, HiddenCollector& hidden) {
  // One variation selector chooses the shape of an emoji; one tag run of a flag is five letters.
  const bool carries = run.kind == HiddenKind::variation_selectors ? run.count >= 4 : run.count >= 1;
  if (carries) hidden.add(run.kind, run.begin, run.end, std::move(run.text));
  run = {};
}

struct Classified {
  HiddenKind kind;
  char decoded;
};
bool classify(uint32_t c, Classified& out) {
  if (is_tag(c)) {
    out = {HiddenKind::tag_characters, static_cast<char>(c >= 0xe0020 && c < 0xe007f ? c - 0xe0000 : '\0')};
  } else if (is_variation_selector(c)) {
    const uint32_t byte = c <= 0xfe0f ? c - 0xfe00 : c - 0xe0100 + 16;
    out = {HiddenKind::variation_selectors, static_cast<char>(byte)};
  } else if (is_bidi_control(c)) {
    out = {HiddenKind::bidi_control, '\0'};
  } else if (is_zero_width(c)) {
    out = {HiddenKind::zero_width, '\0'};
  } else {
    return false;
  }
  return true;
}

}  // namespace

TextFormat guess_format(std::string_view text) {
  std::string_view head = text.substr(0, 1024);
  while (!head.empty() && (head[0] == ' ' || head[0] == '\n' || head[0] == '\r' || head[0] == '\t'))
    head.remove_prefix(1);
  if (head.starts_with("\xef\xbb\xbf")) head.remove_prefix(3);
  if (head.starts_with("#!")) return TextFormat::code;
  if (starts_ignoring_case(head, "<!doctype") || starts_ignoring_case(head, "<html") || head.starts_with("<?xml"))
    return TextFormat::html;
  if (head.size() > 1 && (head[0] == '{' || head[0] == '[')) {
    const size_t next = head.find_first_not_of(" \n\r\t", 1);
    if (next != std::string_view::npos &&
        (head[next] == '"' || head[next] == '{' || (head[0] == '[' && head[next] == '[')))
      return TextFormat::json;
  }
  if (head.find("</") != std::string_view::npos && head.starts_with('<')) return TextFormat::html;
  return TextFormat::markdown;  // a superset of plain text
}

std::string_view hidden_kind_name(HiddenKind kind) {
  static constexpr std::string_view kNames[] = {"html comment",     "hidden by style",
                                                "tiny text",        "invisible colour",
                                                "off screen",       "hidden attribute",
                                                "attribute",        "metadata",
                                                "noscript",         "script",
                                                "zero width",       "bidi control",
                                                "tag characters",   "variation selectors",
                                                "terminal escape",  "look-alike space",
                                                "markdown comment", "code comment",
                                                "json key"};
  return kNames[static_cast<size_t>(kind)];
}

bool is_strongly_hidden(HiddenKind kind) {
  switch (kind) {
    case HiddenKind::css_hidden:
    case HiddenKind::css_tiny:
    case HiddenKind::css_colour:
    case HiddenKind::css_offscreen:
    case HiddenKind::hidden_attribute:
    case HiddenKind::tag_characters:
    case HiddenKind::variation_selectors:
    case HiddenKind::ansi_escape:
    case HiddenKind::html_comment:
    case HiddenKind::markdown_comment:
      return true;
    default:
      return false;
  }
}

void HiddenCollector::add(HiddenKind kind, size_t begin, size_t end, std::string text) {
  if (reading_.hidden.size() >= kHiddenPieceLimit || size_ + text.size() > kHiddenTextLimit) {
    reading_.complete = false;
    return;
  }
  size_ += text.size();
  reading_.hidden.push_back({kind, begin, end, std::move(text)});
}

std::string read_characters(std::string_view text, HiddenCollector& hidden) {
  std::string out;
  out.reserve(text.size());
  Concealed concealed;
  Run run;
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80 && byte != 0x1b) {
      if (run.count > 0) end_run(run, hidden);
      (concealed.on ? concealed.text : out).push_back(text[at++]);
      continue;
    }
    if (byte == 0x1b) {
      at = take_escape(text, at, concealed, hidden);
      continue;
    }
    const CodePoint point = decode_utf8(text.substr(at));
    Classified found{};
    if (point.length == 0 || !classify(point.value, found)) {
      if (run.count > 0) end_run(run, hidden);
      const size_t length = std::max<size_t>(point.length, 1);
      if (point.length > 0 && is_odd_space(point.value))
        (concealed.on ? concealed.text : out).push_back(' ');
      else
        (concealed.on ? concealed.text : out).append(text.substr(at, length));
      at += length;
      continue;
    }
    if (run.count > 0 && run.kind != found.kind) end_run(run, hidden);
    if (run.count == 0) run = {found.kind, at, at, 0, {}};
    ++run.count;
    if (found.decoded != '\0') run.text.push_back(found.decoded);
    at += point.length;
    run.end = at;
  }
  if (run.count > 0) end_run(run, hidden);
  if (concealed.on) hidden.add(HiddenKind::ansi_escape, concealed.begin, text.size(), std::move(concealed.text));
  return out;
}

void read_code_comments(std::string_view text, HiddenCollector& hidden) {
  char quote = '\0';
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != '\0') {
      if (c == '\\')
        ++at;
      else if (c == quote || c == '\n')
        quote = '\0';
      continue;
    }
    const std::string_view rest = text.substr(at);
    size_t skip = 0;
    std::string_view ends = "\n";
    if (rest.starts_with("//") || rest.starts_with("--"))
      skip = 2;
    else if (c == '#' && (at == 0 || text[at - 1] == ' ' || text[at - 1] == '\n' || text[at - 1] == '\t'))
      skip = 1;
    else if (rest.starts_with("/*"))
      skip = 2, ends = "*/";
    else if (rest.starts_with("\"\"\""))
      skip = 3, ends = "\"\"\"";
    else if (c == '"' || c == '\'' || c == '`')
      quote = c;
    if (skip == 0) continue;
    const size_t end = std::min(text.find(ends, at + skip), text.size());
    hidden.add(HiddenKind::code_comment, at, end, std::string(text.substr(at + skip, end - at - skip)));
    at = std::min(end + ends.size() - 1, text.size());
  }
}

TextReading read_text(std::string_view text, TextFormat format) {
  TextReading reading;
  HiddenCollector hidden(reading);
  const bool odd = std::any_of(text.begin(), text.end(),
                               [](char c) { return static_cast<unsigned char>(c) >= 0x80 || c == '\x1b'; });
  std::string shown = format == TextFormat::json       ? read_json(text, hidden)
                      : format == TextFormat::html     ? read_html(text, false, hidden)
                      : format == TextFormat::markdown ? read_html(text, true, hidden)
                                                       : std::string(text);
  if (format == TextFormat::code) read_code_comments(text, hidden);
  // JSON may have escaped what is odd.
  const bool look =
      odd || (format == TextFormat::json && text.find("\\u") != std::string_view::npos) ||
      ((format == TextFormat::html || format == TextFormat::markdown) && text.find("&#") != std::string_view::npos);
  if (look) {
    // What is hidden by markup may hide something once more. Its pieces lie where it lies.
    const size_t count = reading.hidden.size();
    for (size_t i = 0; i < count; ++i) {
      TextReading inner;
      HiddenCollector collector(inner);
      std::string cleaned = read_characters(reading.hidden[i].text, collector);
      const size_t begin = reading.hidden[i].begin;
      const size_t end = reading.hidden[i].end;
      reading.hidden[i].text = std::move(cleaned);
      for (HiddenText& piece : inner.hidden) hidden.add(piece.kind, begin, end, std::move(piece.text));
    }
    reading.visible = read_characters(shown, hidden);
  } else {
    reading.visible = std::move(shown);
  }
  return reading;
}

}  // namespace stockade::inspect
