#include "policy/yaml_tree.h"

#include <fmt/format.h>
#include <yaml.h>

#include <algorithm>
#include <unordered_set>

#include "base/printable.h"

namespace stockade::policy {

namespace {

// Characters that are valid UTF-8 and still have no place in a policy.
const char* refused_character(uint32_t c) {
  if (c == 0) return "a NUL byte";
  if (c == '\t') return "a tab";
  if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return "a control character";
  if (c == 0x2028 || c == 0x2029) return "a Unicode line separator";
  if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0x61c)
    return "a bidirectional control character";  // the text would read differently than it is
  if ((c >= 0x200b && c <= 0x200d) || (c >= 0x2060 && c <= 0x2064) || c == 0xfeff || c == 0xad || c == 0x180e ||
      (c >= 0xe0000 && c <= 0xe007f))
    return "an invisible character";
  return nullptr;
}

class Scan {
 public:
  Scan(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  Diagnostics run() {
    size_t at = 0;
    while (at < bytes_.size() && errors_.size() < kDiagnosticLimit) {
      const CodePoint c = decode_utf8(bytes_.substr(at));
      if (c.length == 0) {
        add("not valid UTF-8", "save the file as UTF-8");
        return std::move(errors_);
      }
      if (c.value == '\n') {
        ++line_;
        column_ = 0;
      } else if (c.value == '\r') {
        if (at + 1 >= bytes_.size() || bytes_[at + 1] != '\n') add("a carriage return without a line feed", "");
      } else {
        ++column_;
        if (const char* what = refused_character(c.value)) {
          add(fmt::format("{} (U+{:04X})", what, c.value),
              c.value == '\t' ? "YAML indents with spaces; inside a string write \"\\t\"" : "remove it");
          // One of a kind is enough to say; a binary file would fill the screen.
          if (c.value != '\t') return std::move(errors_);
        }
      }
      at += c.length;
    }
    return std::move(errors_);
  }

 private:
  void add(std::string message, std::string hint) {
    errors_.push_back({{file_, line_, std::max(column_, 1)}, std::move(message), std::move(hint)});
  }

  std::string_view bytes_;
  const std::string& file_;
  int line_ = 1;
  int column_ = 0;
  Diagnostics errors_;
};

// Owns libyaml's parser and the event in hand.
class EventStream {
 public:
  explicit EventStream(std::string_view bytes) {
    ready_ = yaml_parser_initialize(&parser_) != 0;
    if (!ready_) return;
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  }
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  ~EventStream() {
    drop();
    if (ready_) yaml_parser_delete(&parser_);
  }

  const yaml_event_t* next() {
    drop();
    if (!ready_ || !yaml_parser_parse(&parser_, &event_)) return nullptr;
    have_event_ = true;
    return &event_;
  }
  const yaml_parser_t& parser() const { return parser_; }
  bool ready() const { return ready_; }

 private:
  void drop() {
    if (have_event_) yaml_event_delete(&event_);
    have_event_ = false;
  }

  yaml_parser_t parser_{};
  yaml_event_t event_{};
  bool ready_ = false;
  bool have_event_ = false;
};

class TreeBuilder {
 public:
  TreeBuilder(std::string_view bytes, const std::string& file) : events_(bytes), file_(file) {}

  Tree build() {
    while (errors_.size() < kDiagnosticLimit) {
      const yaml_event_t* event = events_.next();
      if (event == nullptr) {
        syntax_error();
        break;
      }
      if (event->type == YAML_STREAM_END_EVENT || !accept(*event)) break;
    }
    return {std::move(root_), std::move(errors_)};
  }

 private:
  // False: stop reading.
  bool accept(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        return start_document(event);
      case YAML_ALIAS_EVENT:
        error(event.start_mark, "an alias (*name)",
              "anchors and aliases are not part of a policy: write the value out");
        return false;
      case YAML_SCALAR_EVENT:
        return scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        return open(event, Node::Kind::sequence, event.data.sequence_start.anchor, event.data.sequence_start.tag);
      case YAML_MAPPING_START_EVENT:
        return open(event, Node::Kind::mapping, event.data.mapping_start.anchor, event.data.mapping_start.tag);
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        return close();
      default:
        return true;
    }
  }

  bool start_document(const yaml_event_t& event) {
    if (++documents_ > 1) {
      error(event.start_mark, "a second document", "a policy is one document: split it into files");
      return false;
    }
    const auto& start = event.data.document_start;
    if (start.version_directive != nullptr || start.tag_directives.start != start.tag_directives.end)
      error(event.start_mark, "a YAML directive", "remove the line that begins with %");
    return true;
  }

  bool plain_node(const yaml_event_t& event, const unsigned char* anchor, const unsigned char* tag) {
    if (anchor != nullptr) {
      error(event.start_mark, "an anchor (&name)", "anchors and aliases are not part of a policy: write the value out");
      return false;
    }
    if (tag != nullptr) {
      error(event.start_mark, "a tag (!name)", "types follow from the key: remove it");
      return false;
    }
    if (++nodes_ > kNodeLimit) {
      error(event.start_mark, fmt::format("more than {} values in one file", kNodeLimit), "");
      return false;
    }
    return true;
  }

  bool scalar(const yaml_event_t& event) {
    const auto& value = event.data.scalar;
    if (!plain_node(event, value.anchor, value.tag)) return false;
    if (value.length > kScalarLimit) {
      error(event.start_mark, fmt::format("a value of {} bytes", value.length), "at most 16 KiB each");
      return false;
    }
    Node node;
    node.plain = value.style == YAML_PLAIN_SCALAR_STYLE;
    node.text.assign(reinterpret_cast<const char*>(value.value), value.length);
    // Escapes ("\0", "\N", "\u202E") bring back what the scan refused; a tab and a line break may be meant.
    for (size_t at = 0; at < node.text.size();) {
      const CodePoint c = decode_utf8(std::string_view(node.text).substr(at));
      const char* what = c.length == 0 ? "a byte that is no text" : refused_character(c.value);
      if (what != nullptr && c.value != '\t' && c.value != '\n') {
        error(event.start_mark, fmt::format("{} (U+{:04X}), written as an escape", what, c.value), "remove it");
        return false;
      }
      at += std::max<size_t>(c.length, 1);
    }
    place(node, event.start_mark);
    add(std::move(node));
    return true;
  }

  bool open(const yaml_event_t& event, Node::Kind kind, const unsigned char* anchor, const unsigned char* tag) {
    if (!plain_node(event, anchor, tag)) return false;
    if (stack_.size() >= kDepthLimit) {
      error(event.start_mark, fmt::format("nested deeper than {} levels", kDepthLimit), "");
      return false;
    }
    Node node;
    node.kind = kind;
    place(node, event.start_mark);
    stack_.push_back(std::move(node));
    return true;
  }

  bool close() {
    Node node = std::move(stack_.back());
    stack_.pop_back();
    if (node.kind == Node::Kind::mapping) check_keys(node);
    add(std::move(node));
    return true;
  }

  void check_keys(const Node& mapping) {
    std::unordered_set<std::string_view> seen;
    for (size_t i = 0; i + 1 < mapping.items.size(); i += 2) {
      const Node& key = mapping.items[i];
      if (key.kind != Node::Kind::scalar)
        error(key, "a key that is not a word", "");
      else if (key.plain && key.text == "<<")
        error(key, "a merge key (<<)", "write the keys out, or name a file in `extends`");
      else if (!seen.insert(key.text).second)
        error(key, fmt::format("the key {} twice in one mapping", quoted(key.text)), "keep one of them");
    }
  }

  void add(Node node) {
    if (stack_.empty())
      root_ = std::move(node);
    else
      stack_.back().items.push_back(std::move(node));
  }

  static void place(Node& node, const yaml_mark_t& mark) {
    node.line = static_cast<int>(mark.line) + 1;
    node.column = static_cast<int>(mark.column) + 1;
  }

  void syntax_error() {
    const yaml_parser_t& parser = events_.parser();
    if (!events_.ready() || parser.error == YAML_MEMORY_ERROR) {
      errors_.push_back({{file_, 1, 1}, "out of memory while reading", ""});
      return;
    }
    std::string message = parser.problem != nullptr ? parser.problem : "not YAML";
    if (parser.context != nullptr) message = fmt::format("{} {}", parser.context, message);
    error(parser.problem_mark, message, "");
  }

  void error(const yaml_mark_t& mark, std::string message, std::string hint) {
    report(static_cast<int>(mark.line) + 1, static_cast<int>(mark.column) + 1, std::move(message), std::move(hint));
  }
  void error(const Node& node, std::string message, std::string hint) {
    report(node.line, node.column, std::move(message), std::move(hint));
  }
  // One mapping can hold thousands of mistakes.
  void report(int line, int column, std::string message, std::string hint) {
    if (errors_.size() >= kDiagnosticLimit) return;
    errors_.push_back({{file_, line, column}, std::move(message), std::move(hint)});
  }

  EventStream events_;
  const std::string& file_;
  Node root_;
  std::vector<Node> stack_;
  size_t nodes_ = 0;
  int documents_ = 0;
  Diagnostics errors_;
};

bool is_number(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  if (text == ".inf" || text == ".Inf" || text == ".INF") return true;
  if (text.starts_with("0x") || text.starts_with("0o")) return true;
  bool digit = false;
  size_t i = 0;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) digit = true;
  if (i < text.size() && text[i] == '.')
    for (++i; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) digit = true;
  if (!digit) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    const size_t start = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    if (i == start) return false;
  }
  return i == text.size();
}

}  // namespace

bool Node::is_null() const { return scalar_type() == "null"; }

std::string_view Node::scalar_type() const {
  if (kind != Kind::scalar) return "";
  if (!plain) return "string";
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return "null";
  for (const char* word : {"true", "True", "TRUE", "false", "False", "FALSE"})
    if (text == word) return "boolean";
  return is_number(text) ? "number" : "string";
}

std::string_view Node::describe() const {
  if (kind == Kind::sequence) return "a list";
  if (kind == Kind::mapping) return "a mapping";
  const std::string_view type = scalar_type();
  return type == "null" ? "nothing" : type == "boolean" ? "true or false" : type == "number" ? "a number" : "a text";
}

Tree parse_tree(std::string_view bytes, const std::string& file) {
  if (bytes.size() > kFileLimit)
    return {{}, {{{file, 0, 0}, "larger than 1 MiB", "a policy is a short list that a person can read"}}};
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  if (Diagnostics refused = Scan(bytes, file).run(); !refused.empty()) return {{}, std::move(refused)};
  return TreeBuilder(bytes, file).build();
}

}  // namespace stockade::policy
