// POP3 up to the login: CAPA, STLS, USER and PASS, APOP, AUTH.
#include <deque>

#include "net/http_field.h"
#include "net/startup_lines.h"
#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr size_t kLineLimit = 12288;
constexpr size_t kGroupLimit = 64;

enum class Command { greeting, list, other, starttls, login, auth, quit };

class Pop3Startup : public StartupParser {
 public:
  Pop3Startup() : StartupParser(StartupProtocol::pop3) {}

  std::unique_ptr<StartupParser> inside_tls() const override {
    auto inside = std::make_unique<Pop3Startup>();
    inside->waiting_.clear();
    return inside;
  }

 private:
  bool may_speak(Speaker speaker) const override {
    if (speaker == Speaker::server || response_due_) return true;
    return waiting_.empty() || waiting_.back() == Command::other || waiting_.back() == Command::list;
  }

  Result<size_t> take(Speaker speaker, std::string_view bytes) override {
    const auto line = cut_line(bytes, kLineLimit);
    if (line.state == LineState::malformed) return refuse(line.problem);
    if (line.state == LineState::need_more) return 0;
    if (speaker == Speaker::server) {
      STOCKADE_TRY(read_answer(line.text));
    } else if (std::exchange(response_due_, false)) {
      hold_private(line.text);
      STOCKADE_TRY(read_user(line.text));
    } else {
      STOCKADE_TRY(read_command(line.text));
    }
    return line.size;
  }

  Result<void> read_command(std::string_view line) {
    if (waiting_.size() == kGroupLimit) return refuse("too many commands without an answer");
    const auto [word, rest] = split_word(line);
    const std::string name = lower_case(word);
    Command command = Command::other;
    if (name == "stls") {
      if (line.size() != word.size()) return refuse("STLS with an argument");
      command = Command::starttls;
    } else if (name == "user") {
      facts_.mechanism = "USER";
      facts_.tls = StartupTls::never;
      STOCKADE_TRY(set(facts_.user, rest));
    } else if (name == "pass") {
      hold_private(rest);
      command = Command::login;
    } else if (name == "apop") {
      facts_.mechanism = "APOP";
      STOCKADE_TRY(set(facts_.user, split_word(rest).word));
      command = Command::login;
    } else if (name == "auth" && !rest.empty()) {
      const auto [mechanism, initial] = split_word(rest);
      STOCKADE_TRY(set(facts_.mechanism, mechanism));
      responses_ = 0;
      hold_private(initial);
      if (!initial.empty() && initial != "=") STOCKADE_TRY(read_user(initial));
      command = Command::auth;
    } else if (name == "capa" || name == "auth") {
      command = Command::list;
    } else if (name == "quit") {
      command = Command::quit;
    } else if (name != "noop" && name != "utf8" && name != "lang") {
      return refuse("a command that may not come before the login");
    }
    waiting_.push_back(command);
    return {};
  }

  Result<void> read_user(std::string_view base64) {
    if (responses_++ > 0 || base64 == "*") return {};
    const auto response = decode_base64(base64);
    if (!response) return refuse("a response that is not base64");
    const std::string user = sasl_user(facts_.mechanism, *response);
    return user.empty() ? Result<void>() : set(facts_.user, user);
  }

  Result<void> read_answer(std::string_view line) {
    if (in_list_) {
      in_list_ = line != ".";
      return {};
    }
    if (waiting_.empty()) return refuse("an answer that nobody asked for");
    const Command command = waiting_.front();
    if (command == Command::auth && (line == "+" || line.starts_with("+ "))) {
      response_due_ = true;
      return {};
    }
    const bool consents = line == "+OK" || line.starts_with("+OK ");
    if (!consents && line != "-ERR" && !line.starts_with("-ERR ")) return refuse("a malformed answer");
    waiting_.pop_front();
    response_due_ = false;
    if (command == Command::greeting) return set(facts_.server, split_word(line).rest);
    if (!consents) return {};
    if (command == Command::list) in_list_ = true;
    if (command == Command::starttls && !waiting_.empty()) return refuse("a consent to TLS before other answers");
    if (command == Command::starttls) finish(StartupTls::now);
    if (command == Command::login || command == Command::auth) finish(StartupTls::never);
    return {};
  }

  std::deque<Command> waiting_{Command::greeting};
  bool in_list_ = false;
  bool response_due_ = false;
  size_t responses_ = 0;
};

}  // namespace

std::unique_ptr<StartupParser> make_pop3_startup() { return std::make_unique<Pop3Startup>(); }

}  // namespace stockade::net
