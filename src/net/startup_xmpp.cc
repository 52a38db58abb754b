// XMPP up to STARTTLS or the login: the stream's header, the features, <starttls/> and <proceed/>. Not an XML parser:
// tags of the few elements that may come here, each read strictly; comments, instructions inside, CDATA and entities
// with a name of their own are refused, as RFC 6120, 11.1 demands.
#include <algorithm>
#include <optional>

#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr std::string_view kTlsSpace = "urn:ietf:params:xml:ns:xmpp-tls";
constexpr size_t kDepthLimit = 16;
constexpr size_t kAttributeLimit = 32;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' || c == '-' ||
         c == '_' || c == '.';
}

struct Tag {
  std::string_view name;
  bool closes = false;  // </name>
  bool empty = false;   // <name/>
  std::vector<std::pair<std::string_view, std::string_view>> attributes;

  std::string_view attribute(std::string_view wanted) const {
    for (const auto& [name_of, value] : attributes)
      if (name_of == wanted) return value;
    return {};
  }
};

// `text` without "<" and ">".
std::optional<Tag> parse_tag(std::string_view text) {
  Tag tag;
  if (text.starts_with('/')) {
    tag.closes = true;
    text.remove_prefix(1);
  } else if (text.ends_with('/')) {
    tag.empty = true;
    text.remove_suffix(1);
  }
  const auto name_end = static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is_name) - text.begin());
  if (name_end == 0) return std::nullopt;
  tag.name = text.substr(0, name_end);
  text.remove_prefix(name_end);
  while (!text.empty()) {
    if (!is_space(text[0])) return std::nullopt;
    while (!text.empty() && is_space(text[0])) text.remove_prefix(1);
    if (text.empty()) break;
    const auto end = static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is_name) - text.begin());
    const auto name = text.substr(0, end);
    if (name.empty() || text.size() < end + 3 || text[end] != '=') return std::nullopt;
    const char quote = text[end + 1];
    const auto close = text.find(quote, end + 2);
    if ((quote != '\'' && quote != '"') || close == std::string_view::npos) return std::nullopt;
    if (tag.closes || !tag.attribute(name).empty() || tag.attributes.size() == kAttributeLimit) return std::nullopt;
    tag.attributes.emplace_back(name, text.substr(end + 2, close - end - 2));
    text.remove_prefix(close + 1);
  }
  return tag;
}

// Where the tag that begins `bytes` ends, with its ">"; a ">" inside quotes does not end it.
size_t tag_size(std::string_view bytes) {
  char quote = '\0';
  for (size_t i = 1; i < bytes.size(); ++i) {
    if (quote != '\0') {
      if (bytes[i] == quote) quote = '\0';
    } else if (bytes[i] == '"' || bytes[i] == '\'') {
      quote = bytes[i];
    } else if (bytes[i] == '>') {
      return i + 1;
    }
  }
  return 0;
}

class XmppStartup : public StartupParser {
 public:
  XmppStartup() : StartupParser(StartupProtocol::xmpp) {}

  std::unique_ptr<StartupParser> inside_tls() const override { return std::make_unique<XmppStartup>(); }

 private:
  struct Side {
    bool started = false;
    std::vector<std::string> open;  // the elements that are open, the stream first
  };

  bool may_speak(Speaker speaker) const override { return speaker == Speaker::server || !waits_for_tls_; }

  Result<size_t> take(Speaker speaker, std::string_view bytes) override {
    Side& side = sides_[static_cast<size_t>(speaker)];
    if (bytes[0] != '<') return take_text(side, bytes);
    if (bytes.size() < 2) return 0;
    if (bytes[1] == '!') return refuse("a comment, CDATA or a document type");
    const size_t size = tag_size(bytes);
    if (size == 0) return 0;
    const auto inside = bytes.substr(1, size - 2);
    if (inside.find('<') != std::string_view::npos) return refuse("a malformed tag");
    if (inside.starts_with('?')) {
      if (side.started || !inside.starts_with("?xml ") || !inside.ends_with('?')) return refuse("an instruction");
      side.started = true;
      return size;
    }
    const auto tag = parse_tag(inside);
    if (!tag) return refuse("a malformed tag");
    side.started = true;
    if (speaker == Speaker::client && side.open.size() == 1 && !tag->closes && tag->name != "starttls") {
      if (tag->name == "auth") STOCKADE_TRY(set(facts_.mechanism, tag->attribute("mechanism")));
      finish(StartupTls::never);  // the login, or a stanza without one
      return 0;
    }
    STOCKADE_TRY(follow(speaker, side, *tag));
    return size;
  }

  // White space between elements (a keep-alive), or the text of one.
  Result<size_t> take_text(Side& side, std::string_view bytes) {
    const auto size = std::min(bytes.find('<'), bytes.size());
    const auto text = bytes.substr(0, size);
    count_nothing();  // or the count would depend on how bytes are cut
    const bool blank = std::all_of(text.begin(), text.end(), is_space);
    if (!blank && (side.open.size() < 2 || text.find('\0') != std::string_view::npos))
      return refuse("text where an element must be");
    return size;
  }

  Result<void> follow(Speaker speaker, Side& side, const Tag& tag) {
    if (tag.closes) {
      if (side.open.empty() || side.open.back() != tag.name) return refuse("an end that matches no beginning");
      side.open.pop_back();
      if (side.open.empty()) finish(StartupTls::never);
      return side.open.size() == 1 ? end_element(speaker, tag.name) : Result<void>();
    }
    if (side.open.empty() && tag.name != "stream:stream") return refuse("a stream that does not begin as one");
    if (side.open.empty() && tag.empty) return refuse("a stream that ends at once");
    if (side.open.size() == kDepthLimit) return refuse("elements that are nested too deeply");
    if (side.open.empty())
      STOCKADE_TRY(set(speaker == Speaker::client ? facts_.host : facts_.server,
                       tag.attribute(speaker == Speaker::client ? "to" : "from")));
    const bool top = side.open.size() == 1;
    if (top && (tag.name == "starttls" || tag.name == "proceed") && tag.attribute("xmlns") != kTlsSpace)
      return refuse("an element for TLS without its namespace");
    if (!tag.empty) {
      side.open.emplace_back(tag.name);
      return {};
    }
    return top ? end_element(speaker, tag.name) : Result<void>();
  }

  // An element directly inside the stream is complete.
  Result<void> end_element(Speaker speaker, std::string_view name) {
    if (speaker == Speaker::client && name == "starttls") {
      waits_for_tls_ = true;
    } else if (speaker == Speaker::server && name == "proceed") {
      if (!waits_for_tls_) return refuse("a consent to TLS that nobody asked for");
      finish(StartupTls::now);
    } else if (speaker == Speaker::server && name == "failure") {
      finish(StartupTls::never);  // the server closes the stream
    }
    return {};
  }

  Side sides_[2];
  bool waits_for_tls_ = false;
};

}  // namespace

std::unique_ptr<StartupParser> make_xmpp_startup() { return std::make_unique<XmppStartup>(); }

}  // namespace stockade::net
