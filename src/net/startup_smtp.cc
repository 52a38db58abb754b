// SMTP, read to its end: commands, answers and the content of mails, so that every sender and recipient of a connection
// is seen, not only the first. Bare CR and LF are refused everywhere, which also ends SMTP smuggling ("\n.\r\n"). A
// command that others must wait for (RFC 2920, 3.1) ends its group here too: whatever comes behind EHLO, STARTTLS,
// AUTH, DATA or QUIT before the answer is refused.
#include <charconv>
#include <deque>

#include "net/http_field.h"
#include "net/startup_lines.h"
#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr size_t kCommandLimit = 12288;  // RFC 4954, 4: an AUTH line
constexpr size_t kGroupLimit = 200;      // commands without an answer

enum class Command { greeting, hello, starttls, auth, mail, recipient, data, content, chunk, other, quit };

bool must_wait_for(Command command) {
  switch (command) {
    case Command::mail:
    case Command::recipient:
    case Command::chunk:
    case Command::other:
      return false;
    default:
      return true;
  }
}

class SmtpStartup : public StartupParser {
 public:
  SmtpStartup() : StartupParser(StartupProtocol::smtp) {}

  std::unique_ptr<StartupParser> inside_tls() const override {
    auto inside = std::make_unique<SmtpStartup>();
    inside->waiting_.clear();
    return inside;
  }

 private:
  enum class State { command, login, content, chunk };

  bool may_speak(Speaker speaker) const override {
    if (speaker == Speaker::server) return true;
    return waiting_.empty() || !must_wait_for(waiting_.back());
  }

  Result<size_t> take(Speaker speaker, std::string_view bytes) override {
    if (speaker == Speaker::client && state_ == State::chunk) return take_chunk(bytes);
    const auto line = cut_line(bytes, speaker == Speaker::client ? kCommandLimit : kStartupMessageLimit);
    if (line.state == LineState::malformed) return refuse(line.problem);
    if (line.state == LineState::need_more) return 0;
    if (speaker == Speaker::server) {
      STOCKADE_TRY(read_reply(line.text));
    } else if (state_ == State::login) {
      STOCKADE_TRY(read_login(line.text));
    } else if (state_ == State::content) {
      count_nothing();
      if (line.text == ".") {
        state_ = State::command;
        waiting_.push_back(Command::content);
      }
    } else {
      STOCKADE_TRY(read_command(line.text));
    }
    return line.size;
  }

  Result<size_t> take_chunk(std::string_view bytes) {
    count_nothing();
    const auto size = static_cast<size_t>(std::min<uint64_t>(chunk_left_, bytes.size()));
    chunk_left_ -= size;
    if (chunk_left_ == 0) state_ = State::command;
    return size;
  }

  Result<void> wait_for(Command command) {
    if (waiting_.size() == kGroupLimit) return refuse("too many commands without an answer");
    waiting_.push_back(command);
    return {};
  }

  Result<void> read_command(std::string_view line) {
    const auto [word, rest] = split_word(line);
    const std::string name = lower_case(word);
    if (name == "ehlo" || name == "helo" || name == "lhlo") {
      STOCKADE_TRY(set(facts_.application, rest));
      return wait_for(Command::hello);
    }
    if (name == "starttls") {
      if (!rest.empty() || line.size() != word.size()) return refuse("STARTTLS with an argument");
      return wait_for(Command::starttls);
    }
    if (name == "auth") return read_auth(rest);
    if (name == "mail") return read_path(rest, "from:", facts_.senders, Command::mail);
    if (name == "rcpt") return read_path(rest, "to:", facts_.recipients, Command::recipient);
    if (name == "data" && line.size() == word.size()) return wait_for(Command::data);
    if (name == "bdat") return read_chunk(rest);
    if (name == "quit") return wait_for(Command::quit);
    for (const std::string_view harmless : {"noop", "rset", "vrfy", "expn", "help"})
      if (name == harmless) return wait_for(Command::other);
    return refuse("a command that is not of SMTP");
  }

  Result<void> read_auth(std::string_view rest) {
    const auto [mechanism, initial] = split_word(rest);
    if (mechanism.empty()) return refuse("AUTH without a mechanism");
    STOCKADE_TRY(set(facts_.mechanism, mechanism));
    facts_.tls = StartupTls::never;  // what would be protected has been said
    login_lines_ = 0;
    hold_private(initial);
    if (!initial.empty() && initial != "=") STOCKADE_TRY(read_user(initial));
    return wait_for(Command::auth);
  }

  Result<void> read_login(std::string_view line) {
    state_ = State::command;
    hold_private(line);
    STOCKADE_TRY(read_user(line));
    return wait_for(Command::auth);
  }

  // The first response only: in LOGIN the second one is the password.
  Result<void> read_user(std::string_view base64) {
    if (login_lines_++ > 0 || base64 == "*") return {};
    const auto response = decode_base64(base64);
    if (!response) return refuse("a response that is not base64");
    const std::string user = sasl_user(facts_.mechanism, *response);
    return user.empty() ? Result<void>() : set(facts_.user, user);
  }

  // "FROM:<a@b> SIZE=1": RFC 5321, 4.1.2. One space behind the colon is common.
  Result<void> read_path(std::string_view rest, std::string_view keyword, std::vector<std::string>& facts,
                         Command command) {
    if (rest.size() < keyword.size() || !equals_ignoring_case(rest.substr(0, keyword.size()), keyword))
      return refuse("MAIL or RCPT without an address");
    rest.remove_prefix(keyword.size());
    if (rest.starts_with(' ')) rest.remove_prefix(1);
    if (!rest.starts_with('<')) return refuse("an address without brackets");
    rest.remove_prefix(1);
    bool quoted = false;
    size_t end = 0;
    for (; end < rest.size() && (quoted || rest[end] != '>'); ++end) {
      if (rest[end] == '"') quoted = !quoted;
      if (rest[end] == '\\' && quoted) ++end;
      if (!quoted && end < rest.size() && (rest[end] == ' ' || rest[end] == '<')) return refuse("a malformed address");
    }
    if (end >= rest.size()) return refuse("an address that does not end");
    const auto address = rest.substr(0, end);
    const auto behind = rest.substr(end + 1);
    if (!behind.empty() && behind[0] != ' ') return refuse("something directly behind an address");
    if (address.starts_with('@')) return refuse("a source route");
    facts_.tls = StartupTls::never;
    STOCKADE_TRY(add(facts, address));
    return wait_for(command);
  }

  // "BDAT 1000 LAST": the bytes follow at once, whatever the server will say.
  Result<void> read_chunk(std::string_view rest) {
    const auto [number, last] = split_word(rest);
    uint64_t size = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), size);
    if (number.empty() || error != std::errc() || end != number.data() + number.size() ||
        (!last.empty() && !equals_ignoring_case(last, "last")))
      return refuse("a malformed BDAT");
    chunk_left_ = size;
    if (size > 0) state_ = State::chunk;
    return wait_for(Command::chunk);
  }

  Result<void> read_reply(std::string_view line) {
    const auto reply = parse_reply_line(line);
    if (!reply) return refuse("a malformed answer");
    if (reply_code_ != 0 && reply->code != reply_code_) return refuse("an answer whose lines have different codes");
    reply_code_ = reply->last ? 0 : reply->code;
    if (!reply->last) return {};
    if (waiting_.empty()) {
      if (reply->code == 421) return {};  // it closes
      return refuse("an answer that nobody asked for");
    }
    const Command command = waiting_.front();
    waiting_.pop_front();
    return act_on(command, *reply);
  }

  Result<void> act_on(Command command, const ReplyLine& reply) {
    const bool consents = reply.code >= 200 && reply.code < 300;
    switch (command) {
      case Command::greeting:
        return set(facts_.server, reply.text);
      case Command::starttls:
        // Some clients take any 2xx for consent, others 220 only.
        if (consents != (reply.code == 220) || (reply.code >= 300 && reply.code < 400))
          return refuse("an answer to STARTTLS that is unclear");
        if (consents && !waiting_.empty()) return refuse("a consent to TLS before other answers");
        if (consents) finish(StartupTls::now);
        return {};
      case Command::auth:
        if (reply.code == 334) state_ = State::login;
        return {};
      case Command::data:
        if (reply.code == 354) state_ = State::content;
        return {};
      default:
        return {};
    }
  }

  State state_ = State::command;
  std::deque<Command> waiting_{Command::greeting};
  int reply_code_ = 0;
  size_t login_lines_ = 0;
  uint64_t chunk_left_ = 0;
};

}  // namespace

std::unique_ptr<StartupParser> make_smtp_startup() { return std::make_unique<SmtpStartup>(); }

}  // namespace stockade::net
