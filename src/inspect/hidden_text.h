// The text that a model reads and a person does not see: comments, elements that CSS or an attribute hides, alternative
// text and metadata, invisible Unicode, concealed terminal output, comments of Markdown and of code. read_text() parts
// a text into what is visible (tags removed, entities and JSON escapes decoded, an inline tag joins its two sides as a
// browser does) and the hidden pieces, each with its kind and its place in the bytes given.
//
// A tolerant reader, not a browser: it knows inline styles and simple rules of <style>, no cascade, no script, no
// computed layout; what it can't parse is visible. One pass, linear time; bounds below. Pure, any thread.
// Facts: HTML Living Standard 13.2 (tokenisation), RFC 8259 (JSON), ECMA-48 (escapes), Unicode 15 (default ignorables).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stockade::inspect {

inline constexpr size_t kHiddenPieceLimit = 512;
inline constexpr size_t kHiddenTextLimit = 256 * 1024;  // of all pieces together
inline constexpr size_t kElementDepthLimit = 256;       // deeper elements count as their ancestor does
inline constexpr size_t kHiddenClassLimit = 64;

enum class TextFormat { plain, html, markdown, json, code };

// From the first bytes; code only by a shebang, so pass it where a file name tells.
TextFormat guess_format(std::string_view text);

enum class HiddenKind {
  html_comment,
  css_hidden,        // display, visibility, opacity, clip, zero box
  css_tiny,          // font size of at most 1px
  css_colour,        // transparent, or the colour of its ground
  css_offscreen,     // moved out of sight
  hidden_attribute,  // hidden, <template>, <input type=hidden>, <dialog> that is not open
  attribute_text,    // alt, title, aria-label, placeholder, summary, data-*
  meta,              // <meta content>, <title>
  noscript,
  script,      // <script>, <style>
  zero_width,  // zero-width characters inside of words
  bidi_control,
  tag_characters,       // U+E0000..E007F, decoded
  variation_selectors,  // runs that carry bytes, decoded
  ansi_escape,          // concealed output, titles and links of escapes
  lookalike_space,
  markdown_comment,  // [//]: # (…)
  code_comment,
  json_key,
};
std::string_view hidden_kind_name(HiddenKind kind);
// Whether no honest page has orders there: the kinds that exist to be overlooked.
bool is_strongly_hidden(HiddenKind kind);

struct HiddenText {
  HiddenKind kind = HiddenKind::html_comment;
  size_t begin = 0;  // in the text given; for JSON the string that holds it
  size_t end = 0;
  std::string text;  // decoded; empty where only its presence counts
};

struct TextReading {
  std::string visible;
  std::vector<HiddenText> hidden;
  bool complete = true;  // false where a bound left hidden pieces out
};

TextReading read_text(std::string_view text, TextFormat format);

// Parts of read_text.
class HiddenCollector {
 public:
  explicit HiddenCollector(TextReading& reading) : reading_(reading) {}
  void add(HiddenKind kind, size_t begin, size_t end, std::string text);

 private:
  TextReading& reading_;
  size_t size_ = 0;
};
std::string read_html(std::string_view text, bool markdown, HiddenCollector& hidden);
// Leaves out what is invisible in Unicode and escapes.
std::string read_characters(std::string_view text, HiddenCollector& hidden);
void read_code_comments(std::string_view text, HiddenCollector& hidden);
std::string decode_entities(std::string_view text);

}  // namespace stockade::inspect
