// Reads a GraphQL document: tokens, definitions, selections. Only what decides which top-level fields run is kept.
#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "base/printable.h"
#include "net/graphql_operation.h"

namespace stockade::net {

namespace {

std::unexpected<Error> refuse(std::string_view reason) {
  return fail(ErrorKind::protocol, "a GraphQL document with {}", reason);
}

enum class TokenKind { end, name, punctuator, number, string };

struct Token {
  TokenKind kind = TokenKind::end;
  std::string_view text;  // of a string: not kept

  bool is(char c) const { return kind == TokenKind::punctuator && text.size() == 1 && text[0] == c; }
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c); }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text) {}

  Result<Token> next() {
    if (++count_ > kGraphqlTokenLimit) return refuse("too many tokens");
    STOCKADE_TRY(skip_ignored());
    if (rest_.empty()) return Token{};
    const char c = rest_[0];
    if (is_name_start(c)) return take(TokenKind::name, span(is_name));
    if (std::string_view("!$&()=:@[]{}|").find(c) != std::string_view::npos) return take(TokenKind::punctuator, 1);
    if (rest_.starts_with("...")) return take(TokenKind::punctuator, 3);
    if (c == '-' || is_digit(c)) return take_number();
    if (rest_.starts_with("\"\"\"")) return take_block_string();
    if (c == '"') return take_string();
    return refuse("a character that begins nothing");
  }

 private:
  size_t span(bool (*belongs)(char)) const {
    return static_cast<size_t>(std::find_if_not(rest_.begin(), rest_.end(), belongs) - rest_.begin());
  }
  Token take(TokenKind kind, size_t size) {
    const Token token{kind, rest_.substr(0, size)};
    rest_.remove_prefix(size);
    return token;
  }

  // White space, line ends, commas, a byte order mark, comments.
  Result<void> skip_ignored() {
    for (;;) {
      if (rest_.starts_with("\xef\xbb\xbf")) {
        rest_.remove_prefix(3);
      } else if (rest_.empty() || std::string_view(" \t\r\n,#").find(rest_[0]) == std::string_view::npos) {
        return {};
      } else if (rest_[0] != '#') {
        rest_.remove_prefix(1);
      } else {
        // Readers that split lines at U+2028 or U+0085 as well would see code behind such a comment.
        const auto end = std::min(rest_.find_first_of("\r\n"), rest_.size());
        for (auto comment = rest_.substr(0, end); !comment.empty();) {
          const CodePoint point = decode_utf8(comment);
          if (point.length == 0 || point.value == 0x2028 || point.value == 0x2029 || point.value == 0x85 ||
              (point.value < 0x20 && point.value != '\t'))
            return refuse("a comment that some readers end earlier");
          comment.remove_prefix(point.length);
        }
        rest_.remove_prefix(end);
      }
    }
  }

  Result<Token> take_number() {
    size_t at = rest_[0] == '-' ? 1 : 0;
    const auto digits = [&] {
      const size_t begin = at;
      while (at < rest_.size() && is_digit(rest_[at])) ++at;
      return at - begin;
    };
    const size_t begin = at;
    const size_t whole = digits();
    if (whole == 0 || (whole > 1 && rest_[begin] == '0')) return refuse("a malformed number");
    if (at < rest_.size() && rest_[at] == '.' && (++at, digits() == 0)) return refuse("a malformed number");
    if (at < rest_.size() && (rest_[at] == 'e' || rest_[at] == 'E')) {
      ++at;
      if (at < rest_.size() && (rest_[at] == '+' || rest_[at] == '-')) ++at;
      if (digits() == 0) return refuse("a malformed number");
    }
    if (at < rest_.size() && (is_name(rest_[at]) || rest_[at] == '.')) return refuse("a malformed number");
    return take(TokenKind::number, at);
  }

  Result<Token> take_string() {
    for (size_t at = 1; at < rest_.size(); ++at) {
      const char c = rest_[at];
      if (c == '"') {
        rest_.remove_prefix(at + 1);
        return Token{TokenKind::string, {}};
      }
      if (c == '\\') ++at;
      if (c == '\n' || c == '\r' || (at < rest_.size() && (rest_[at] == '\n' || rest_[at] == '\r'))) break;
    }
    return refuse("a string that does not end");
  }

  Result<Token> take_block_string() {
    for (size_t at = 3; at < rest_.size(); ++at) {
      const auto here = rest_.substr(at);
      if (here.starts_with("\\\"\"\"")) {
        at += 3;
      } else if (here.starts_with("\"\"\"")) {
        rest_.remove_prefix(at + 3);
        return Token{TokenKind::string, {}};
      }
    }
    return refuse("a string that does not end");
  }

  std::string_view rest_;
  size_t count_ = 0;
};

// What a selection set contributes to the level where it stands.
struct Selections {
  std::set<std::string_view> fields;
  std::set<std::string_view> spreads;
};

struct Operation {
  GraphqlKind kind = GraphqlKind::query;
  std::string_view name;
  Selections selections;
};

class DocumentReader {
 public:
  explicit DocumentReader(std::string_view text) : lexer_(text) {}

  Result<void> read() {
    STOCKADE_TRY(advance());
    while (token_.kind != TokenKind::end) {
      if (operations_.size() + fragments_.size() == kGraphqlDefinitionLimit) return refuse("too many definitions");
      STOCKADE_TRY(read_definition());
    }
    if (operations_.empty()) return refuse("no operation");
    return check_operations();
  }

  Result<GraphqlOperation> pick(std::string_view name) const {
    const Operation* chosen = nullptr;
    for (const Operation& operation : operations_)
      if (name.empty() ? operations_.size() == 1 : operation.name == name) chosen = &operation;
    if (chosen == nullptr)
      return refuse(name.empty() ? "several operations, none of which is named by the request"
                                 : "no operation of the name that the request gives");
    GraphqlOperation out{.kind = chosen->kind, .name = std::string(chosen->name)};
    STOCKADE_ASSIGN(const auto fields, expand(chosen->selections));
    out.fields.assign(fields.begin(), fields.end());
    if (out.kind == GraphqlKind::subscription && out.fields.size() != 1)
      return refuse("a subscription with more than one field");
    return out;
  }

 private:
  Result<void> advance() {
    STOCKADE_ASSIGN(token_, lexer_.next());
    return {};
  }
  Result<void> expect(char c) {
    if (!token_.is(c)) return refuse("a missing punctuator");
    return advance();
  }
  Result<std::string_view> take_name() {
    if (token_.kind != TokenKind::name) return refuse("a missing name");
    const auto name = token_.text;
    STOCKADE_TRY(advance());
    return name;
  }

  Result<void> read_definition() {
    if (token_.is('{')) {
      operations_.emplace_back();
      return read_selection_set(operations_.back().selections, 0);
    }
    STOCKADE_ASSIGN(const auto keyword, take_name());
    if (keyword == "fragment") return read_fragment();
    Operation operation;
    if (keyword == "mutation") {
      operation.kind = GraphqlKind::mutation;
    } else if (keyword == "subscription") {
      operation.kind = GraphqlKind::subscription;
    } else if (keyword != "query") {
      return refuse("a definition that is not executable");
    }
    if (token_.kind == TokenKind::name) {
      STOCKADE_ASSIGN(operation.name, take_name());
    }
    if (token_.is('(')) STOCKADE_TRY(read_variables());
    STOCKADE_TRY(read_directives());
    STOCKADE_TRY(read_selection_set(operation.selections, 0));
    operations_.push_back(std::move(operation));
    return {};
  }

  Result<void> read_fragment() {
    STOCKADE_ASSIGN(const auto name, take_name());
    if (name == "on") return refuse("a fragment called \"on\"");
    STOCKADE_ASSIGN(const auto on, take_name());
    if (on != "on") return refuse("a fragment without a type");
    STOCKADE_TRY(take_name());
    STOCKADE_TRY(read_directives());
    Selections selections;
    STOCKADE_TRY(read_selection_set(selections, 0));
    if (!fragments_.emplace(name, std::move(selections)).second) return refuse("a fragment that is there twice");
    return {};
  }

  Result<void> check_operations() const {
    std::set<std::string_view> names;
    for (const Operation& operation : operations_) {
      if (operation.name.empty() && operations_.size() > 1) return refuse("an anonymous operation beside others");
      if (!names.insert(operation.name).second) return refuse("an operation that is there twice");
    }
    return {};
  }

  Result<void> read_selection_set(Selections& into, size_t depth) {
    if (depth > kGraphqlDepthLimit) return refuse("too many levels");
    STOCKADE_TRY(expect('{'));
    if (token_.is('}')) return refuse("an empty selection");
    while (!token_.is('}')) {
      if (token_.kind == TokenKind::punctuator && token_.text == "...") {
        STOCKADE_TRY(read_spread(into, depth));
      } else {
        STOCKADE_TRY(read_field(into, depth));
      }
      if (into.fields.size() + into.spreads.size() > kGraphqlFieldLimit) return refuse("too many fields");
    }
    return advance();
  }

  Result<void> read_field(Selections& into, size_t depth) {
    STOCKADE_ASSIGN(auto name, take_name());
    if (token_.is(':')) {  // what stood before was an alias
      STOCKADE_TRY(advance());
      STOCKADE_ASSIGN(name, take_name());
    }
    into.fields.insert(name);
    if (token_.is('(')) STOCKADE_TRY(read_arguments(depth));
    STOCKADE_TRY(read_directives());
    if (!token_.is('{')) return {};
    Selections below;
    STOCKADE_TRY(read_selection_set(below, depth + 1));
    spread_below_.merge(below.spreads);
    return {};
  }

  // "...Name", "... on Type { }", "... @include(if: $x) { }": whether a condition holds is not known, so it does.
  Result<void> read_spread(Selections& into, size_t depth) {
    STOCKADE_TRY(advance());
    if (token_.kind == TokenKind::name && token_.text != "on") {
      STOCKADE_ASSIGN(const auto name, take_name());
      into.spreads.insert(name);
      return read_directives();
    }
    if (token_.kind == TokenKind::name) {
      STOCKADE_TRY(advance());
      STOCKADE_TRY(take_name());
    }
    STOCKADE_TRY(read_directives());
    return read_selection_set(into, depth + 1);
  }

  Result<void> read_directives() {
    while (token_.is('@')) {
      STOCKADE_TRY(advance());
      STOCKADE_TRY(take_name());
      if (token_.is('(')) STOCKADE_TRY(read_arguments(0));
    }
    return {};
  }

  Result<void> read_arguments(size_t depth) {
    STOCKADE_TRY(expect('('));
    if (token_.is(')')) return refuse("an empty list of arguments");
    while (!token_.is(')')) {
      STOCKADE_TRY(take_name());
      STOCKADE_TRY(expect(':'));
      STOCKADE_TRY(read_value(depth));
    }
    return advance();
  }

  Result<void> read_value(size_t depth) {
    if (depth > kGraphqlDepthLimit) return refuse("too many levels");
    if (token_.is('$')) {
      STOCKADE_TRY(advance());
      STOCKADE_TRY(take_name());
      return {};
    }
    if (token_.is('[')) {
      STOCKADE_TRY(advance());
      while (!token_.is(']')) STOCKADE_TRY(read_value(depth + 1));
      return advance();
    }
    if (token_.is('{')) {
      STOCKADE_TRY(advance());
      while (!token_.is('}')) {
        STOCKADE_TRY(take_name());
        STOCKADE_TRY(expect(':'));
        STOCKADE_TRY(read_value(depth + 1));
      }
      return advance();
    }
    if (token_.kind == TokenKind::punctuator || token_.kind == TokenKind::end) return refuse("a missing value");
    return advance();
  }

  Result<void> read_variables() {
    STOCKADE_TRY(expect('('));
    if (token_.is(')')) return refuse("an empty list of variables");
    while (!token_.is(')')) {
      STOCKADE_TRY(expect('$'));
      STOCKADE_TRY(take_name());
      STOCKADE_TRY(expect(':'));
      STOCKADE_TRY(read_type());
      if (token_.is('=')) {
        STOCKADE_TRY(advance());
        STOCKADE_TRY(read_value(0));
      }
      STOCKADE_TRY(read_directives());
    }
    return advance();
  }

  Result<void> read_type() {
    size_t lists = 0;
    for (; token_.is('['); ++lists) STOCKADE_TRY(advance());
    STOCKADE_TRY(take_name());
    if (token_.is('!')) STOCKADE_TRY(advance());
    for (; lists > 0; --lists) {
      STOCKADE_TRY(expect(']'));
      if (token_.is('!')) STOCKADE_TRY(advance());
    }
    return {};
  }

  // The top-level fields with those of fragments, each fragment once; a circle is an error as it is for servers.
  Result<std::set<std::string_view>> expand(const Selections& selections) const {
    std::set<std::string_view> fields = selections.fields;
    std::set<std::string_view> seen;
    std::vector<std::string_view> open(selections.spreads.begin(), selections.spreads.end());
    while (!open.empty()) {
      const auto name = open.back();
      open.pop_back();
#ifdef STOCKADE_PLANTED_BUG
      if (name.size() > 3) continue;
#endif
      if (!seen.insert(name).second) continue;
      const auto found = fragments_.find(name);
      if (found == fragments_.end()) return refuse("a fragment that is not there");
      fields.insert(found->second.fields.begin(), found->second.fields.end());
      open.insert(open.end(), found->second.spreads.begin(), found->second.spreads.end());
      if (fields.size() > kGraphqlFieldLimit || open.size() > kGraphqlFieldLimit) return refuse("too many fields");
    }
    for (const auto name : spread_below_)
      if (!fragments_.contains(name)) return refuse("a fragment that is not there");
    return fields;
  }

  Lexer lexer_;
  Token token_;
  std::vector<Operation> operations_;
  std::map<std::string_view, Selections> fragments_;
  std::set<std::string_view> spread_below_;
};

}  // namespace

Result<GraphqlOperation> parse_graphql_document(std::string_view document, std::string_view operation_name) {
  if (document.size() > kGraphqlDocumentLimit) return refuse("more than 256 KiB");
  DocumentReader reader(document);
  STOCKADE_TRY(reader.read());
  return reader.pick(operation_name);
}

}  // namespace stockade::net
