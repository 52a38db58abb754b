// The HTML and Markdown part of hidden_text.h.
#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "inspect/hidden_text.h"

namespace stockade::inspect {

namespace {

constexpr size_t kTagLimit = 16 * 1024;  // a tag longer than this is text
constexpr size_t kAttributeLimit = 64;
constexpr size_t kReferenceLimit = 1024;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f'; }
bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

// By name; a name that is not here ("<system>", "<start_of_turn>") is text, as a person who reads the source sees it.
constexpr std::string_view kInline[] = {"a",    "abbr",   "b",   "bdi", "bdo",   "cite", "code", "del", "dfn",  "em",
                                        "font", "i",      "ins", "kbd", "label", "mark", "q",    "s",   "samp", "small",
                                        "span", "strong", "sub", "sup", "time",  "tt",   "u",    "var", "wbr"};
constexpr std::string_view kBlock[] = {
    "address", "article",  "aside",    "audio",    "blockquote", "body",       "br",     "button",  "canvas",
    "caption", "center",   "col",      "colgroup", "data",       "datalist",   "dd",     "details", "dialog",
    "div",     "dl",       "dt",       "embed",    "fieldset",   "figcaption", "figure", "footer",  "form",
    "frame",   "frameset", "g",        "h1",       "h2",         "h3",         "h4",     "h5",      "h6",
    "head",    "header",   "hr",       "html",     "iframe",     "img",        "input",  "legend",  "li",
    "link",    "main",     "map",      "math",     "menu",       "meta",       "meter",  "nav",     "noscript",
    "object",  "ol",       "optgroup", "option",   "output",     "p",          "param",  "path",    "picture",
    "pre",     "progress", "rect",     "ruby",     "rt",         "rp",         "script", "section", "select",
    "slot",    "source",   "style",    "summary",  "svg",        "table",      "tbody",  "td",      "template",
    "text",    "textarea", "tfoot",    "th",       "thead",      "title",      "tr",     "track",   "ul",
    "video",   "desc",     "metadata"};
constexpr std::string_view kVoid[] = {"area",  "base", "br",   "col",   "embed",  "hr",    "img",
                                      "input", "link", "meta", "param", "source", "track", "wbr"};

template <size_t N>
bool has(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// Without white space and "!important", in lower case: what a style says, to be searched.
std::string squeezed_style(std::string_view style) {
  std::string out = ";";
  for (size_t i = 0; i < style.size(); ++i) {
    if (style.substr(i).starts_with("/*")) {
      const size_t end = style.find("*/", i + 2);
      if (end == std::string_view::npos) break;
      i = end + 1;
    } else if (!is_space(style[i])) {
      out.push_back(lower(style[i]));
    }
  }
  out.push_back(';');
  return out;
}

// The value of a property, or nothing.
std::optional<std::string_view> property(std::string_view style, std::string_view name) {
  const std::string wanted = ";" + std::string(name) + ":";
  const size_t at = style.rfind(wanted);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view value = style.substr(at + wanted.size());
  value = value.substr(0, value.find_first_of(";!"));
  return value;
}

bool is_white(std::string_view colour) {
  return colour == "white" || colour == "#fff" || colour == "#ffffff" || colour == "#fefefe" || colour == "#fdfdfd" ||
         colour == "rgb(255,255,255)" || colour.starts_with("rgba(255,255,255") || colour == "snow" ||
         colour == "#fffffe" || colour == "#fffffff";
}

double leading_number(std::string_view value) {
  double number = 0;
  double scale = 0;
  const bool negative = value.starts_with('-');
  for (const char c : value.substr(negative ? 1 : 0)) {
    if (c == '.' && scale == 0) {
      scale = 1;
    } else if (c >= '0' && c <= '9' && number < 1e9) {
      if (scale > 0)
        scale /= 10, number += (c - '0') * scale;
      else
        number = number * 10 + (c - '0');
    } else {
      break;
    }
  }
  return negative ? -number : number;
}

bool is_zero(std::optional<std::string_view> value) {
  return value && !value->empty() && ((*value)[0] == '0' || (*value)[0] == '.') && leading_number(*value) < 0.06;
}

std::optional<HiddenKind> hidden_by_style(std::string_view raw) {
  const std::string style = squeezed_style(raw);
  if (property(style, "display") == "none" || property(style, "visibility") == "hidden" ||
      property(style, "visibility") == "collapse" || property(style, "content-visibility") == "hidden" ||
      is_zero(property(style, "opacity")))
    return HiddenKind::css_hidden;
  if (const auto clip = property(style, "clip"); clip && clip->starts_with("rect(0")) return HiddenKind::css_hidden;
  if (const auto clip = property(style, "clip-path");
      clip && (clip->starts_with("inset(50%") || clip->starts_with("inset(100%") || clip->starts_with("circle(0")))
    return HiddenKind::css_hidden;
  if (const auto transform = property(style, "transform");
      transform && (transform->starts_with("scale(0)") || transform->starts_with("scale(0,")))
    return HiddenKind::css_hidden;
  if ((is_zero(property(style, "height")) || is_zero(property(style, "max-height")) ||
       is_zero(property(style, "width")) || is_zero(property(style, "max-width"))) &&
      property(style, "overflow"))
    return HiddenKind::css_hidden;
  if (const auto size = property(style, "font-size");
      size && !size->empty() && (*size)[0] >= '0' && (*size)[0] <= '9' &&
      leading_number(*size) <= (size->find("em") != std::string_view::npos  ? 0.1
                                : size->find('%') != std::string_view::npos ? 5
                                                                            : 1.5))
    return HiddenKind::css_tiny;
  for (const std::string_view name : {"left", "top", "right", "bottom", "text-indent", "margin-left", "margin-top"})
    if (const auto value = property(style, name); value && leading_number(*value) <= -500)
      return HiddenKind::css_offscreen;
  if (const auto colour = property(style, "color")) {
    auto ground = property(style, "background-color");
    if (!ground) ground = property(style, "background");
    if (*colour == "transparent" || colour->ends_with(",0)") || colour->ends_with("/0)") ||
        (ground && *ground == *colour) || (is_white(*colour) && (!ground || is_white(*ground))))
      return HiddenKind::css_colour;
  }
  return std::nullopt;
}

struct Attribute {
  std::string name;
  std::string value;
};

struct Tag {
  std::string name;
  bool closing = false;
  bool self_closing = false;
  std::vector<Attribute> attributes;
  size_t end = 0;

  const std::string* find(std::string_view wanted) const {
    for (const Attribute& attribute : attributes)
      if (attribute.name == wanted) return &attribute.value;
    return nullptr;
  }
};

// A tag at `at` ("<"), or nothing where a browser would see text.
std::optional<Tag> parse_tag(std::string_view text, size_t at, size_t& wasted) {
  Tag tag;
  size_t i = at + 1;
  if (i < text.size() && text[i] == '/') tag.closing = true, ++i;
  if (i >= text.size() || !is_letter(text[i])) return std::nullopt;
  const size_t limit = std::min(text.size(), at + kTagLimit);
  const size_t name = i;
  while (i < limit && !is_space(text[i]) && text[i] != '/' && text[i] != '>') ++i;
  tag.name = lowered(text.substr(name, i - name));
  if (!has(kInline, tag.name) && !has(kBlock, tag.name) && !has(kVoid, tag.name)) return std::nullopt;
  while (i < limit && text[i] != '>') {
    if (is_space(text[i]) || text[i] == '/') {
      tag.self_closing = text[i] == '/';
      ++i;
      continue;
    }
    const size_t begin = i;
    while (i < limit && !is_space(text[i]) && text[i] != '=' && text[i] != '>' && text[i] != '/') ++i;
    Attribute attribute{lowered(text.substr(begin, i - begin)), {}};
    if (i == begin) ++i;  // a stray "="
    size_t next = i;
    while (next < limit && is_space(text[next])) ++next;
    if (next < limit && text[next] == '=') {
      i = next + 1;
      while (i < limit && is_space(text[i])) ++i;
      if (i < limit && (text[i] == '"' || text[i] == '\'')) {
        const char quote = text[i++];
        const size_t end = text.substr(0, limit).find(quote, i);
        if (end == std::string_view::npos) {
          wasted += limit - at;
          return std::nullopt;
        }
        attribute.value = text.substr(i, end - i);
        i = end + 1;
      } else {
        const size_t value = i;
        while (i < limit && !is_space(text[i]) && text[i] != '>') ++i;
        attribute.value = text.substr(value, i - value);
      }
    }
    tag.self_closing = false;
    if (tag.attributes.size() < kAttributeLimit) tag.attributes.push_back(std::move(attribute));
  }
  if (i >= limit) {
    wasted += limit - at;
    return std::nullopt;
  }
  tag.end = i + 1;
  return tag;
}

struct Open {
  std::string name;
  bool hides = false;
};

class HtmlReader {
 public:
  HtmlReader(std::string_view text, bool markdown, HiddenCollector& hidden)
      : text_(text), markdown_(markdown), hidden_(hidden) {}

  std::string read() {
    out_.reserve(text_.size());
    while (at_ < text_.size()) {
      const size_t special =
          std::min(text_.find_first_of(markdown_ ? std::string_view("<[") : std::string_view("<"), at_), text_.size());
      append(text_.substr(at_, special - at_));
      at_ = special;
      if (at_ < text_.size()) step();
    }
    if (hiding_ > 0) end_hidden();
    return std::move(out_);
  }

 private:
  void append(std::string_view piece) {
    if (piece.find('&') == std::string_view::npos)
      (hiding_ > 0 ? secret_ : out_) += piece;
    else
      (hiding_ > 0 ? secret_ : out_) += decode_entities(piece);
  }

  void step() {
    const std::string_view rest = text_.substr(at_);
    if (rest[0] == '[') return markdown_reference(rest);
    if (rest.starts_with("<!--")) return comment(rest.starts_with("<!-->") ? 2 : 4, "-->");
    if (rest.starts_with("<![CDATA[")) {  // in HTML a comment up to the next ">", in XML text
      at_ += 9;
      return;
    }
    if (rest.starts_with("<!") || rest.starts_with("<?")) return comment(2, ">");
    // What is no tag after all was read in vain; text that makes us do so again and again has no tags any more.
    const auto tag = wasted_ > 4 * text_.size() ? std::nullopt : parse_tag(text_, at_, wasted_);
    if (!tag) {
      append(rest.substr(0, 1));
      ++at_;
      return;
    }
    if (tag->closing)
      close(*tag);
    else
      open(*tag);
  }

  void comment(size_t skip, std::string_view ends) {
    size_t end = text_.find(ends, at_ + skip);
    // "--!>" ends one too, in every browser.
    if (ends == "-->")
      if (const size_t other = text_.substr(0, end).find("--!>", at_ + skip); other < end) end = other;
#ifdef STOCKADE_PLANTED_BUG
    const size_t stop = end;  // of a comment that never ends: nowhere
#else
    const size_t stop = std::min(end, text_.size());
#endif
    std::string inside(text_.substr(std::min(at_ + skip, stop), stop - std::min(at_ + skip, stop)));
    if (inside.size() > 3 && !inside.starts_with("doctype") && !inside.starts_with("DOCTYPE"))
      hidden_.add(HiddenKind::html_comment, at_, stop, decode_entities(inside));
    at_ = end >= text_.size() ? text_.size() : text_.find('>', end) + 1;
  }

  // "[//]: # (a comment)" and "[comment]: <> (a comment)" at the beginning of a line; "![alternative text](…)".
  void markdown_reference(std::string_view rest) {
    const bool line_start = at_ == 0 || text_[at_ - 1] == '\n';
    rest = rest.substr(0, kReferenceLimit);
    const std::string_view line = rest.substr(0, rest.find('\n'));
    const size_t close = line.find("]:");
    if (line_start && close != std::string_view::npos && close < 60) {
      const std::string_view after = line.substr(close + 2);
      const size_t open = after.find_first_of("(\"'");
      const size_t mark = after.find_first_not_of(' ');
      if (open != std::string_view::npos && mark != std::string_view::npos &&
          (after[mark] == '#' || after[mark] == '<')) {
        hidden_.add(HiddenKind::markdown_comment, at_, at_ + line.size(), std::string(after.substr(open + 1)));
        at_ += line.size();
        return;
      }
    }
    if (at_ > 0 && text_[at_ - 1] == '!') {
      if (const size_t end = line.find("]("); end != std::string_view::npos && end > 24)
        hidden_.add(HiddenKind::attribute_text, at_, at_ + end, std::string(line.substr(1, end - 1)));
    }
    append(rest.substr(0, 1));
    ++at_;
  }

  std::optional<HiddenKind> hidden_by(const Tag& tag) const {
    if (const std::string* style = tag.find("style"))
      if (const auto kind = hidden_by_style(*style)) return kind;
    if (tag.find("hidden")) return HiddenKind::hidden_attribute;
    if (tag.name == "template" || (tag.name == "dialog" && !tag.find("open"))) return HiddenKind::hidden_attribute;
    if (tag.name == "noscript") return HiddenKind::noscript;
    if (tag.name == "title" || tag.name == "desc" || tag.name == "metadata") return HiddenKind::meta;
    if (tag.name == "font")
      if (const std::string* colour = tag.find("color"); colour && is_white(lowered(*colour)))
        return HiddenKind::css_colour;
    if (const std::string* id = tag.find("id"))
      if (const auto found = styles_.find("#" + lowered(*id)); found != styles_.end()) return found->second;
    if (const std::string* names = tag.find("class")) {
      const std::string list = lowered(*names);
      for (size_t i = 0; i < list.size();) {
        const size_t end = std::min(list.find_first_of(" \t\n", i), list.size());
        if (const auto found = styles_.find("." + list.substr(i, end - i)); found != styles_.end())
          return found->second;
        i = end + 1;
      }
    }
    return std::nullopt;
  }

  void attributes_of(const Tag& tag) {
    const auto add = [&](HiddenKind kind, const std::string& value) {
      // One word of ASCII is a name; other scripts need no spaces.
      const bool says = value.find(' ') != std::string::npos || std::any_of(value.begin(), value.end(), [](char c) {
                          return static_cast<unsigned char>(c) >= 0x80;
                        });
      if (value.size() > 8 && says) hidden_.add(kind, at_, tag.end, decode_entities(value));
    };
    for (const Attribute& attribute : tag.attributes) {
      const std::string& name = attribute.name;
      if (name == "alt" || name == "title" || name == "aria-label" || name == "aria-description" ||
          name == "placeholder" || name == "summary" || name == "longdesc" || name == "label" ||
          name.starts_with("data-"))
        add(HiddenKind::attribute_text, attribute.value);
      if (name == "content" && tag.name == "meta") add(HiddenKind::meta, attribute.value);
      if (name == "value" && tag.name == "input" && tag.find("type") && lowered(*tag.find("type")) == "hidden")
        add(HiddenKind::hidden_attribute, attribute.value);
    }
  }

  void open(const Tag& tag) {
    attributes_of(tag);
    if (tag.name == "script" || tag.name == "style") return raw_element(tag);
    if (!has(kInline, tag.name)) (hiding_ > 0 ? secret_ : out_).push_back('\n');
    const bool empty = has(kVoid, tag.name);
    const auto kind = empty ? std::nullopt : hidden_by(tag);
    if (!empty && !(tag.self_closing && !has(kInline, tag.name) && !has(kBlock, tag.name))) {
      if (stack_.size() < kElementDepthLimit) {
        stack_.push_back({tag.name, kind.has_value()});
        if (kind && hiding_++ == 0) {
          kind_ = *kind;
          begin_ = at_;
        }
      }
    }
    at_ = tag.end;
  }

  // Closes the nearest element of that name and what was left open inside of it.
  void close(const Tag& tag) {
    size_t i = stack_.size();
    const size_t deepest = stack_.size() > 64 ? stack_.size() - 64 : 0;  // bounded work for each tag
    while (i > deepest && stack_[i - 1].name != tag.name) --i;
    at_ = tag.end;
    if (i > deepest) {
      while (stack_.size() >= i) {
        const bool hides = stack_.back().hides;
        stack_.pop_back();
        if (hides && --hiding_ == 0) end_hidden();
      }
    }
    if (!has(kInline, tag.name)) (hiding_ > 0 ? secret_ : out_).push_back('\n');
  }

  void end_hidden() {
    if (secret_.find_first_not_of(" \n\r\t") != std::string::npos) hidden_.add(kind_, begin_, at_, std::move(secret_));
    secret_.clear();
  }

  void raw_element(const Tag& tag) {
    const std::string ends = "</" + tag.name;
    size_t end = tag.end;
    while (end < text_.size()) {
      end = text_.find("</", end);
      if (end == std::string_view::npos) break;
      if (lowered(text_.substr(end, ends.size())) == ends) break;
      end += 2;
    }
    end = std::min(end, text_.size());
    const std::string_view inside = text_.substr(tag.end, end - tag.end);
    if (tag.name == "style") read_style(inside);
    hidden_.add(HiddenKind::script, at_, end, std::string(inside));
    at_ = end == text_.size() ? end : std::min(text_.find('>', end), text_.size() - 1) + 1;
  }

  // ".a, #b { display: none }": simple selectors only.
  void read_style(std::string_view sheet) {
    for (size_t i = 0; i < sheet.size() && styles_.size() < kHiddenClassLimit;) {
      const size_t brace = sheet.find('{', i);
      if (brace == std::string_view::npos) return;
      const size_t end = std::min(sheet.find('}', brace), sheet.size());
      if (const auto kind = hidden_by_style(sheet.substr(brace + 1, end - brace - 1))) {
        std::string_view selectors = sheet.substr(i, brace - i);
        while (!selectors.empty() && styles_.size() < kHiddenClassLimit) {
          const size_t comma = std::min(selectors.find(','), selectors.size());
          std::string one = lowered(selectors.substr(0, comma));
          selectors.remove_prefix(std::min(comma + 1, selectors.size()));
          while (!one.empty() && is_space(one.back())) one.pop_back();
          const size_t mark = one.find_last_of(".# \n");
          if (mark != std::string::npos && (one[mark] == '.' || one[mark] == '#'))
            styles_.emplace(one.substr(mark), *kind);
        }
      }
      i = end + 1;
    }
  }

  std::string_view text_;
  bool markdown_;
  HiddenCollector& hidden_;
  size_t at_ = 0;
  size_t wasted_ = 0;
  std::string out_;
  std::string secret_;
  std::vector<Open> stack_;
  size_t hiding_ = 0;  // open elements that hide
  HiddenKind kind_ = HiddenKind::css_hidden;
  size_t begin_ = 0;
  std::map<std::string, HiddenKind, std::less<>> styles_;
};

void append_code_point(uint32_t c, std::string& out) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
    return;
  }
  const int tail = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static constexpr unsigned char kLead[] = {0, 0xc0, 0xe0, 0xf0};
  out.push_back(static_cast<char>(kLead[tail] | c >> (6 * tail)));
  for (int i = tail - 1; i >= 0; --i) out.push_back(static_cast<char>(0x80 | (c >> (6 * i) & 0x3f)));
}

}  // namespace

std::string decode_entities(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, uint32_t>, 16> kNamed{{{"amp", '&'},
                                                                                 {"lt", '<'},
                                                                                 {"gt", '>'},
                                                                                 {"quot", '"'},
                                                                                 {"apos", '\''},
                                                                                 {"nbsp", ' '},
                                                                                 {"zwnj", 0x200c},
                                                                                 {"zwj", 0x200d},
                                                                                 {"shy", 0xad},
                                                                                 {"colon", ':'},
                                                                                 {"excl", '!'},
                                                                                 {"period", '.'},
                                                                                 {"comma", ','},
                                                                                 {"newline", '\n'},
                                                                                 {"tab", '\t'},
                                                                                 {"lsqb", '['}}};
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '&') {
      out.push_back(text[i]);
      continue;
    }
    size_t end = i + 1;
    while (end < text.size() && end - i < 12 && text[end] != ';' && !is_space(text[end]) && text[end] != '&') ++end;
    const std::string name = lowered(text.substr(i + 1, end - i - 1));
    uint32_t value = 0;
    if (name.size() > 1 && name[0] == '#') {
      const bool hex = name[1] == 'x';
      for (const char c : std::string_view(name).substr(hex ? 2 : 1)) {
        const int digit = c >= '0' && c <= '9' ? c - '0' : hex && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0 || value > 0x10ffff) break;
        value = value * (hex ? 16 : 10) + static_cast<uint32_t>(digit);
      }
      if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) value = 0xfffd;
    } else {
      for (const auto& [known, code] : kNamed)
        if (known == name) value = code;
    }
    if (value == 0) {
      out.push_back('&');
      continue;
    }
    append_code_point(value, out);
    i = end < text.size() && text[end] == ';' ? end : end - 1;
  }
  return out;
}

std::string read_html(std::string_view text, bool markdown, HiddenCollector& hidden) {
  return HtmlReader(text, markdown, hidden).read();
}

}  // namespace stockade::inspect
