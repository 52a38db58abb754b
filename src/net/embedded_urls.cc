#include "net/embedded_urls.h"

#include <algorithm>
#include <string>
#include <utility>

#include "net/http_field.h"

namespace stockade::net {

namespace {

constexpr size_t kTagLimit = 8 * 1024;  // of one element with its attributes
constexpr size_t kLabelLimit = 2048;    // between "![" and "]("
constexpr size_t kUrlLimit = 8 * 1024;
constexpr size_t kWorkFactor = 8;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The numeric references and the few named ones that matter in a URL.
std::string entities_decoded(std::string_view text) {
  static constexpr std::pair<std::string_view, char> kNamed[] = {
      {"amp", '&'},   {"lt", '<'},    {"gt", '>'},     {"quot", '"'},    {"apos", '\''},
      {"colon", ':'}, {"sol", '/'},   {"period", '.'}, {"commat", '@'},  {"num", '#'},
      {"quest", '?'}, {"bsol", '\\'}, {"Tab", '\t'},   {"NewLine", '\n'}};
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '&') {
      out.push_back(text[i]);
      continue;
    }
    size_t at = i + 1;
    uint32_t value = 0;
    if (at < text.size() && text[at] == '#') {
      const bool hex = ++at < text.size() && (text[at] == 'x' || text[at] == 'X');
      if (hex) ++at;
      const size_t begin = at;
      for (; at < text.size() && at - begin < 8; ++at) {
        const char c = text[at];
        if (c >= '0' && c <= '9') {
          value = value * (hex ? 16 : 10) + static_cast<uint32_t>(c - '0');
        } else if (hex && is_alpha(c) && (c | 0x20) <= 'f') {
          value = value * 16 + static_cast<uint32_t>((c | 0x20) - 'a' + 10);
        } else {
          break;
        }
      }
    } else {
      for (const auto& [name, c] : kNamed)
        if (text.substr(at).starts_with(name)) {
          value = static_cast<uint32_t>(c);
          at += name.size();
          break;
        }
    }
    if (value == 0 || value > 0x7f) {
      out.push_back('&');
      continue;
    }
    out.push_back(static_cast<char>(value));
    i = at < text.size() && text[at] == ';' ? at : at - 1;
  }
  return out;
}

using Found = std::function<bool(std::string_view)>;

// An attribute whose value is fetched with the element.
bool is_loading(std::string_view element, std::string_view attribute) {
  if (attribute == "src" || attribute == "srcset" || attribute == "poster" || attribute == "background" ||
      attribute == "lowsrc" || attribute == "dynsrc" || attribute == "imagesrcset")
    return true;
  if (attribute == "href" || attribute == "xlink:href")
    return element == "link" || element == "image" || element == "use" || element == "base" || element == "feimage";
  if (attribute == "data") return element == "object";
  return attribute == "content" && element == "meta";  // refresh: "0;url=..."
}

class Scanner {
 public:
  Scanner(std::string_view text, const Found& found) : text_(text), found_(found) {}

  bool scan() {
    for (size_t at = 0; at < text_.size() && going_;) {
      const auto next = text_.find_first_of("<!]uU", at);
      if (next == std::string_view::npos) return true;
      at = scan_at(next);
    }
    return going_;
  }

 private:
  // Returns where to go on.
  size_t scan_at(size_t at) {
    const auto rest = text_.substr(at);
    if (rest[0] == '<') return scan_element(at);
    if (rest.starts_with("![")) return scan_image(at + 2);
    if (rest.starts_with("]:")) return scan_reference(at + 2);
    if (rest.size() > 4 && (rest[0] == 'u' || rest[0] == 'U') && equals_ignoring_case(rest.substr(0, 4), "url("))
      return scan_style(at + 4);
    return at + 1;
  }

  // A URL may begin inside of another that does not end, so that bytes are read again; no honest text does it often.
  void charge(size_t work) {
    work_ += work;
    if (work_ > kWorkFactor * text_.size() + kUrlLimit) going_ = false;
  }

  void tell(std::string_view url) {
    if (url.empty() || !going_) return;
    going_ = found_(entities_decoded(url.substr(0, kUrlLimit)));
  }

  // "![label](<url> "title")": the label is short, or it is none.
  size_t scan_image(size_t at) {
    if (next_target_ < at) next_target_ = text_.find("](", at);
    if (next_target_ == std::string_view::npos) {
      next_target_ = text_.size();
      return at;
    }
    if (next_target_ - at > kLabelLimit || next_target_ == text_.size()) return at;
    size_t begin = next_target_ + 2;
    while (begin < text_.size() && is_space(text_[begin])) ++begin;
    const bool angled = begin < text_.size() && text_[begin] == '<';
    if (angled) ++begin;
    size_t end = begin;
    while (end < text_.size() && end - begin < kUrlLimit &&
           (angled ? text_[end] != '>' : !is_space(text_[end]) && text_[end] != ')'))
      ++end;
    charge(end - begin);
    tell(text_.substr(begin, end - begin));
    return at;
  }

  // "[label]: url" of a reference; that an image uses it is not checked.
  size_t scan_reference(size_t at) {
    while (at < text_.size() && is_space(text_[at])) ++at;
    if (at < text_.size() && text_[at] == '<') ++at;
    size_t end = at;
    while (end < text_.size() && end - at < kUrlLimit && !is_space(text_[end]) && text_[end] != '>') ++end;
    const auto url = text_.substr(at, end - at);
    charge(url.size());
    if (url.find("//") != std::string_view::npos) tell(url);
    return at;
  }

  size_t scan_style(size_t at) {
    while (at < text_.size() && (is_space(text_[at]) || text_[at] == '"' || text_[at] == '\'')) ++at;
    size_t end = at;
    while (end < text_.size() && end - at < kUrlLimit &&
           std::string_view(")\"' \n").find(text_[end]) == std::string_view::npos)
      ++end;
    tell(text_.substr(at, end - at));
    return end;
  }

  size_t scan_element(size_t at) {
    const auto window = text_.substr(at + 1, kTagLimit);
    if (window.starts_with("!") || window.starts_with("?")) return scan_declaration(at + 1, window);
    const auto size =
        static_cast<size_t>(std::find_if_not(window.begin(), window.end(),
                                             [](char c) { return is_alpha(c) || (c >= '0' && c <= '9') || c == ':'; }) -
                            window.begin());
    if (size == 0) return at + 1;
    std::string element = lower_case(window.substr(0, std::min<size_t>(size, 32)));
    if (const auto colon = element.find(':'); colon != std::string::npos) element.erase(0, colon + 1);
    return at + 1 + scan_attributes(element, window, size);
  }

  // Returns how far the element was read.
  size_t scan_attributes(std::string_view element, std::string_view window, size_t at) {
    while (at < window.size() && window[at] != '>' && going_) {
      while (at < window.size() && (is_space(window[at]) || window[at] == '/')) ++at;
      const size_t begin = at;
      while (at < window.size() && !is_space(window[at]) &&
             std::string_view("=>/<").find(window[at]) == std::string_view::npos)
        ++at;
      const auto name = lower_case(window.substr(begin, std::min<size_t>(at - begin, 32)));
      while (at < window.size() && is_space(window[at])) ++at;
      if (at >= window.size() || window[at] != '=') {
        if (at == begin) break;  // nothing that an element has
        continue;
      }
      ++at;
      while (at < window.size() && is_space(window[at])) ++at;
      const auto value = take_value(window, at);
      if (is_loading(element, name)) tell_values(name, value);
      if (name == "style") scan_styles(value);
    }
    return at;
  }

  static std::string_view take_value(std::string_view window, size_t& at) {
    if (at >= window.size()) return {};
    const char quote = window[at];
    const size_t begin = quote == '"' || quote == '\'' ? at + 1 : at;
    if (begin > at) {
      at = std::min(window.find(quote, begin), window.size());
      const auto value = window.substr(begin, at - begin);
      at = std::min(at + 1, window.size());
      return value;
    }
    while (at < window.size() && !is_space(window[at]) && window[at] != '>') ++at;
    return window.substr(begin, at - begin);
  }

  // srcset: "a 1x, b 2x"; a refresh: "0; url=a".
  void tell_values(std::string_view name, std::string_view value) {
    if (name == "content") {
      const auto lower = lower_case(value);
      const auto url = lower.find("url=");
      if (url != std::string::npos) tell(value.substr(url + 4));
      return;
    }
    if (name != "srcset" && name != "imagesrcset") return tell(value);
    while (!value.empty() && going_) {
      while (!value.empty() && (is_space(value[0]) || value[0] == ',')) value.remove_prefix(1);
      const auto end = std::min(value.find_first_of(" \t\n\r"), value.size());
      auto url = value.substr(0, end);
      while (url.ends_with(',')) url.remove_suffix(1);
      tell(url);
      value.remove_prefix(end);
      value.remove_prefix(std::min(value.find(','), value.size()));
    }
  }

  void scan_styles(std::string_view style) {
    const Found pass_on = [this](std::string_view url) {
      tell(url);
      return going_;
    };
    Scanner inner(style, pass_on);
    for (size_t at = 0; going_ && (at = style.find_first_of("uU", at)) != std::string_view::npos;)
      at = equals_ignoring_case(style.substr(at, 4), "url(") ? inner.scan_style(at + 4) : at + 1;
  }

  // <!ENTITY x SYSTEM "url">, <!DOCTYPE a PUBLIC "b" "url">, <?xml-stylesheet href="url"?>
  size_t scan_declaration(size_t at, std::string_view window) {
    const auto end = std::min(window.find_first_of("[>"), window.size());
    auto inside = window.substr(0, end);
    while (going_) {
      const auto quote = inside.find_first_of("\"'");
      if (quote == std::string_view::npos) break;
      const auto close = inside.find(inside[quote], quote + 1);
      if (close == std::string_view::npos) break;
      const auto value = inside.substr(quote + 1, close - quote - 1);
      if (value.find(':') != std::string_view::npos || value.starts_with("//")) tell(value);
      inside.remove_prefix(close + 1);
    }
    return at + std::max<size_t>(end, 1);
  }

  std::string_view text_;
  const Found& found_;
  bool going_ = true;
  size_t work_ = 0;
  size_t next_target_ = 0;  // of the "](" that is next, so that it is searched for once
};

}  // namespace

bool scan_embedded_urls(std::string_view text, const std::function<bool(std::string_view)>& found) {
  return Scanner(text, found).scan();
}

}  // namespace stockade::net
