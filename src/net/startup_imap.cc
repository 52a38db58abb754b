// IMAP up to the login: tagged commands with their literals, STARTTLS, LOGIN, AUTHENTICATE. A client may send commands
// without waiting, but nothing behind STARTTLS, LOGIN or AUTHENTICATE.
#include <charconv>
#include <map>

#include "net/http_field.h"
#include "net/startup_lines.h"
#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr size_t kWaitingLimit = 64;

enum class Kind { other, starttls, login, authenticate };

// The end of a line that announces a literal: "{12}", "{12+}" (RFC 7888).
struct Literal {
  size_t size = 0;
  bool at_once = false;  // sent without waiting for "+"
};
std::optional<Literal> announced_literal(std::string_view line) {
  if (!line.ends_with('}')) return std::nullopt;
  const auto open = line.rfind('{');
  if (open == std::string_view::npos) return std::nullopt;
  auto number = line.substr(open + 1, line.size() - open - 2);
  Literal literal;
  if (number.ends_with('+') || number.ends_with('-')) {
    literal.at_once = true;
    number.remove_suffix(1);
  }
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), literal.size);
  if (number.empty() || error != std::errc() || end != number.data() + number.size()) return std::nullopt;
  return literal;
}

class ImapStartup : public StartupParser {
 public:
  ImapStartup() : StartupParser(StartupProtocol::imap) {}

  std::unique_ptr<StartupParser> inside_tls() const override {
    auto inside = std::make_unique<ImapStartup>();
    inside->state_ = State::command;
    return inside;
  }

 private:
  enum class State { greeting, command, blocked, login_response, literal_wait, literal, literal_rest };

  bool may_speak(Speaker speaker) const override {
    if (speaker == Speaker::server) return true;
    return state_ != State::greeting && state_ != State::blocked && state_ != State::literal_wait;
  }

  Result<size_t> take(Speaker speaker, std::string_view bytes) override {
    if (speaker == Speaker::client && state_ == State::literal) return take_literal(bytes);
    const auto line = cut_line(bytes, kStartupMessageLimit);
    if (line.state == LineState::malformed) return refuse(line.problem);
    if (line.state == LineState::need_more) return 0;
    if (speaker == Speaker::server) {
      STOCKADE_TRY(read_answer(line.text));
    } else if (state_ == State::login_response) {
      state_ = State::blocked;
      hold_private(line.text);
      STOCKADE_TRY(read_user(line.text));
    } else {
      STOCKADE_TRY(read_part(line.text));
    }
    return line.size;
  }

  Result<size_t> take_literal(std::string_view bytes) {
    if (bytes.size() < literal_size_) return 0;
    const auto text = bytes.substr(0, literal_size_);
    if (kind_ == Kind::login && argument_ == 0) STOCKADE_TRY(set(facts_.user, text));
    if (kind_ == Kind::login && argument_ == 1) hold_private(text);
    ++argument_;
    state_ = State::literal_rest;
    return literal_size_;
  }

  // A line of a command: all of it, or what stands before or between its literals.
  Result<void> read_part(std::string_view line) {
    std::string_view rest = line;
    if (state_ != State::literal_rest) {
      STOCKADE_TRY(begin_command(line, rest));
    } else if (!rest.empty() && rest[0] != ' ') {
      return refuse("something directly behind a literal");
    } else if (!rest.empty()) {
      rest.remove_prefix(1);
    }
    const auto literal = announced_literal(line);
    if (kind_ == Kind::login) STOCKADE_TRY(read_login(rest, literal.has_value()));
    if (literal) {
      if (kind_ == Kind::starttls) return refuse("STARTTLS with an argument");
      if (literal->size == 0 || literal->size > kStartupValueLimit) return refuse("a literal of an impossible length");
      literal_size_ = literal->size;
      state_ = literal->at_once ? State::literal : State::literal_wait;
      return {};
    }
    if (waiting_.size() == kWaitingLimit) return refuse("too many commands without an answer");
    if (!waiting_.emplace(tag_, kind_).second) return refuse("a tag that is in use");
    state_ = kind_ == Kind::other ? State::command : State::blocked;
    return {};
  }

  Result<void> begin_command(std::string_view line, std::string_view& rest) {
    const auto [tag, command] = split_word(line);
    if (tag.empty() || tag.size() > 64 || tag.find_first_of("+*%(){\"\\") != std::string_view::npos)
      return refuse("a malformed tag");
    const auto [word, arguments] = split_word(command);
    const std::string name = lower_case(word);
    tag_ = tag;
    argument_ = 0;
    rest = arguments;
    kind_ = Kind::other;
    if (name == "starttls") {
      if (command.size() != word.size()) return refuse("STARTTLS with an argument");
      kind_ = Kind::starttls;
    } else if (name == "login") {
      kind_ = Kind::login;
      facts_.mechanism = "LOGIN";
    } else if (name == "authenticate") {
      const auto [mechanism, initial] = split_word(arguments);
      STOCKADE_TRY(set(facts_.mechanism, mechanism));
      responses_ = 0;
      hold_private(initial);
      if (!initial.empty() && initial != "=") STOCKADE_TRY(read_user(initial));
      kind_ = Kind::authenticate;
    } else if (name != "capability" && name != "noop" && name != "logout" && name != "id" && name != "enable") {
      return refuse("a command that may not come before the login");
    }
    return {};
  }

  // The user is the first argument: an atom, a quoted string, or the literal that follows.
  Result<void> read_login(std::string_view rest, bool literal) {
    if (argument_ > 0) return {};
    if (literal && rest.starts_with('{')) return {};
    std::string user;
    size_t at = 0;
    if (rest.starts_with('"')) {
      for (at = 1; at < rest.size() && rest[at] != '"'; ++at) {
        if (rest[at] == '\\') ++at;
        if (at < rest.size()) user.push_back(rest[at]);
      }
      if (at >= rest.size()) return refuse("a quoted string that does not end");
      ++at;
    } else {
      at = std::min(rest.find(' '), rest.size());
      user = rest.substr(0, at);
    }
    if (user.empty() || at >= rest.size() || rest[at] != ' ') return refuse("LOGIN without user and password");
    ++argument_;
    if (!literal) hold_private(rest.substr(at + 1));
    return set(facts_.user, user);
  }

  Result<void> read_user(std::string_view base64) {
    if (responses_++ > 0 || base64 == "*") return {};
    const auto response = decode_base64(base64);
    if (!response) return refuse("a response that is not base64");
    const std::string user = sasl_user(facts_.mechanism, *response);
    return user.empty() ? Result<void>() : set(facts_.user, user);
  }

  Result<void> read_answer(std::string_view line) {
    if (announced_literal(line)) return refuse("a literal of the server before the login");
    if (line.starts_with("* ")) return read_untagged(line.substr(2));
    if (line == "+" || line.starts_with("+ ")) return read_continuation();
    const auto [tag, rest] = split_word(line);
    const auto found = waiting_.find(std::string(tag));
    if (state_ == State::greeting || found == waiting_.end()) return refuse("an answer to a command that was not sent");
    const Kind kind = found->second;
    waiting_.erase(found);
    const bool consents = equals_ignoring_case(split_word(rest).word, "OK");
    if (kind == Kind::other) return {};
    if (consents && kind == Kind::starttls && !waiting_.empty()) return refuse("a consent to TLS before other answers");
    state_ = State::command;
    if (consents) finish(kind == Kind::starttls ? StartupTls::now : StartupTls::never);
    return {};
  }

  Result<void> read_untagged(std::string_view rest) {
    if (state_ != State::greeting) return {};
    const auto [word, text] = split_word(rest);
    STOCKADE_TRY(set(facts_.server, text));
    state_ = State::command;
    if (equals_ignoring_case(word, "OK")) return {};
    if (!equals_ignoring_case(word, "PREAUTH") && !equals_ignoring_case(word, "BYE"))
      return refuse("a malformed greeting");
    finish(StartupTls::never);  // logged in already: STARTTLS may not follow
    return {};
  }

  Result<void> read_continuation() {
    if (state_ == State::literal_wait) {
      state_ = State::literal;
    } else if (state_ == State::blocked && kind_ == Kind::authenticate) {
      state_ = State::login_response;
    } else {
      return refuse("a continuation that nobody waits for");
    }
    return {};
  }

  State state_ = State::greeting;
  std::map<std::string, Kind> waiting_;  // by tag
  std::string tag_;
  Kind kind_ = Kind::other;
  size_t argument_ = 0;
  size_t literal_size_ = 0;
  size_t responses_ = 0;
};

}  // namespace

std::unique_ptr<StartupParser> make_imap_startup() { return std::make_unique<ImapStartup>(); }

}  // namespace stockade::net
