// FTP up to the login: AUTH TLS, USER, PASS, ACCT. FTP has no pipelining: one command, then its answer. Data
// connections are flows of their own. Telnet's control bytes are refused.
#include <algorithm>

#include "net/http_field.h"
#include "net/startup_lines.h"
#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr size_t kLineLimit = 4096;

class FtpStartup : public StartupParser {
 public:
  FtpStartup() : StartupParser(StartupProtocol::ftp) {}

  std::unique_ptr<StartupParser> inside_tls() const override {
    auto inside = std::make_unique<FtpStartup>();
    inside->command_ = Command::none;
    return inside;
  }

 private:
  enum class Command { none, greeting, auth_tls, auth_other, login, other };

  bool may_speak(Speaker speaker) const override { return speaker == Speaker::server || command_ == Command::none; }

  Result<size_t> take(Speaker speaker, std::string_view bytes) override {
    const auto line = cut_line(bytes, kLineLimit);
    if (line.state == LineState::malformed) return refuse(line.problem);
    if (line.state == LineState::need_more) return 0;
    if (speaker == Speaker::server) {
      STOCKADE_TRY(read_answer(line.text));
    } else {
      STOCKADE_TRY(read_command(line.text));
    }
    return line.size;
  }

  Result<void> read_command(std::string_view line) {
    if (std::any_of(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) == 0xff; }))
      return refuse("a control byte of Telnet");
    const auto [word, rest] = split_word(line);
    const std::string name = lower_case(word);
    command_ = Command::other;
    if (name == "auth") {
      STOCKADE_TRY(set(facts_.mechanism, rest));
      const std::string kind = lower_case(rest);
      const bool tls = kind == "tls" || kind == "ssl" || kind == "tls-c" || kind == "tls-p";
      command_ = tls ? Command::auth_tls : Command::auth_other;
    } else if (name == "user") {
      facts_.tls = StartupTls::never;
      STOCKADE_TRY(set(facts_.user, rest));
      command_ = Command::login;  // 230 where no password is needed
    } else if (name == "pass" || name == "acct") {
      hold_private(rest);
      command_ = Command::login;
    } else if (name == "host") {
      STOCKADE_TRY(set(facts_.host, rest));
    } else if (name != "feat" && name != "syst" && name != "noop" && name != "quit" && name != "help" &&
               name != "opts" && name != "clnt" && name != "lang") {
      return refuse("a command that may not come before the login");
    }
    return {};
  }

  // A multi-line answer ends at a line with its code and a space; the lines between may have any text.
  Result<void> read_answer(std::string_view line) {
    const auto reply = parse_reply_line(line);
    if (open_code_ != 0) {
      if (!reply || reply->code != open_code_ || !reply->last || line.size() == 3) return {};
      open_code_ = 0;
    } else {
      if (!reply) return refuse("a malformed answer");
      if (command_ == Command::none) {
        if (reply->code == 421) return {};
        return refuse("an answer that nobody asked for");
      }
      if (!reply->last) {
        open_code_ = reply->code;
        return {};
      }
    }
    return act_on(*reply);
  }

  Result<void> act_on(const ReplyLine& reply) {
    if (reply.code < 200) return {};  // preliminary: another answer follows
    const Command command = std::exchange(command_, Command::none);
    if (command == Command::greeting) return set(facts_.server, reply.text);
    const bool consents = reply.code < 300;
    if (command == Command::auth_tls && reply.code == 234) finish(StartupTls::now);
    // Some clients take any of these for consent, others none.
    if (command == Command::auth_tls && reply.code != 234 && reply.code < 400)
      return refuse("an answer to AUTH TLS that is unclear");
    if (command == Command::auth_other && reply.code < 400) {
      facts_.own_encryption = true;  // GSSAPI (RFC 2228)
      finish(StartupTls::never);
    }
    if (command == Command::login && consents) finish(StartupTls::never);
    return {};
  }

  Command command_ = Command::greeting;
  int open_code_ = 0;
};

}  // namespace

std::unique_ptr<StartupParser> make_ftp_startup() { return std::make_unique<FtpStartup>(); }

}  // namespace stockade::net
