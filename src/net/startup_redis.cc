// Redis: the commands with which clients begin (AUTH, HELLO, SELECT, CLIENT), as arrays of bulk strings or inline. The
// first other command ends the startup and is not taken. TLS starts at the first byte or never.
#include <charconv>
#include <vector>

#include "net/http_field.h"
#include "net/startup_lines.h"
#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr size_t kArgumentLimit = 64;

struct Command {
  size_t size = 0;  // 0: not whole
  std::vector<std::string_view> words;
};

class RedisStartup : public StartupParser {
 public:
  RedisStartup() : StartupParser(StartupProtocol::redis) { facts_.tls = StartupTls::never; }

 private:
  Result<size_t> take(Speaker speaker, std::string_view bytes) override {
    if (speaker == Speaker::server) {  // replies decide nothing here
      count_nothing();
      return bytes.size();
    }
    STOCKADE_ASSIGN(const Command command, bytes[0] == '*' ? cut_array(bytes) : cut_inline(bytes));
    if (command.size == 0) return 0;
    STOCKADE_ASSIGN(const bool ours, read_command(command.words));
    if (ours) return command.size;
    finish(StartupTls::never);
    return 0;
  }

  // "*3\r\n", "$12\r\n": a number without sign or leading zero.
  Result<size_t> read_count(std::string_view text, size_t limit) const {
    size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || (text[0] == '0' && text.size() > 1))
      return refuse("a malformed length");
    if (value > limit) return refuse("a command that is too long");
    return value;
  }

  // A command of any length may follow the startup, so that only its name is waited for.
  Result<Command> cut_array(std::string_view bytes) {
    const auto head = cut_line(bytes, 32);
    if (head.state == LineState::malformed) return refuse(head.problem);
    if (head.state == LineState::need_more) return Command{};
    STOCKADE_ASSIGN(const size_t count, read_count(head.text.substr(1), 1024 * 1024));
    if (count == 0) return refuse("an empty command");
    Command command;
    size_t at = head.size;
    for (size_t i = 0; i < count; ++i) {
      if (i == 1 && !is_startup(command.words[0])) break;
      if (count > kArgumentLimit) return i == 0 ? cut_name(bytes.substr(at)) : Result<Command>(Command{});
      const auto line = cut_line(bytes.substr(at), 32);
      if (line.state == LineState::malformed) return refuse(line.problem);
      if (line.state == LineState::need_more) return Command{};
      if (line.text.empty() || line.text[0] != '$') return refuse("an argument that is not a bulk string");
      STOCKADE_ASSIGN(const size_t size, read_count(line.text.substr(1), kStartupMessageLimit));
      at += line.size;
      if (bytes.size() < at + size + 2) return Command{};
      if (bytes.substr(at + size, 2) != "\r\n") return refuse("a bulk string whose end is not where its length says");
      command.words.push_back(bytes.substr(at, size));
      at += size + 2;
    }
    command.size = at;
    return command;
  }

  // The name of a command with more arguments than any of the startup has.
  Result<Command> cut_name(std::string_view bytes) {
    const auto line = cut_line(bytes, 32);
    if (line.state == LineState::malformed) return refuse(line.problem);
    if (line.state == LineState::need_more) return Command{};
    if (line.text.empty() || line.text[0] != '$') return refuse("an argument that is not a bulk string");
    STOCKADE_ASSIGN(const size_t size, read_count(line.text.substr(1), 256));
    if (bytes.size() < line.size + size) return Command{};
    const auto name = bytes.substr(line.size, size);
    if (is_startup(name)) return refuse("a startup command with too many arguments");
    return Command{line.size + size, {name}};
  }

  Result<Command> cut_inline(std::string_view bytes) {
    const auto line = cut_line(bytes, kStartupMessageLimit);
    if (line.state == LineState::malformed) return refuse(line.problem);
    if (line.state == LineState::need_more) return Command{};
    if (line.text.find_first_of("\"'\t\v\f") != std::string_view::npos)
      return refuse("an inline command with quotes or odd spaces");
    Command command{line.size, {}};
    for (auto rest = line.text; !rest.empty();) {
      const auto [word, behind] = split_word(rest);
      if (!word.empty()) command.words.push_back(word);
      if (command.words.size() > kArgumentLimit) return refuse("an inline command with too many words");
      rest = behind;
    }
    if (command.words.empty()) command.words.push_back({});  // an empty line is skipped by the server
    return command;
  }

  static bool is_startup(std::string_view name) {
    for (const std::string_view known : {"auth", "hello", "select", "client", "ping", "echo"})
      if (equals_ignoring_case(name, known)) return true;
    return name.empty();
  }

  // False: not of the startup.
  Result<bool> read_command(const std::vector<std::string_view>& words) {
    const std::string name = lower_case(words[0]);
    if (!is_startup(name)) return false;
    if (name == "auth") {
      if (words.size() != 2 && words.size() != 3) return refuse("AUTH with a wrong number of arguments");
      hold_private(words.back());
      STOCKADE_TRY(set(facts_.user, words.size() == 3 ? words[1] : "default"));
    } else if (name == "select") {
      if (words.size() != 2) return refuse("SELECT with a wrong number of arguments");
      STOCKADE_ASSIGN(const size_t number, read_count(words[1], 1024 * 1024));
      facts_.database = std::to_string(number);
    } else if (name == "hello") {
      STOCKADE_TRY(read_hello(words));
    } else if (name == "client" && words.size() == 3 && equals_ignoring_case(words[1], "setname")) {
      STOCKADE_TRY(set(facts_.application, words[2]));
    }
    return true;
  }

  Result<void> read_hello(const std::vector<std::string_view>& words) {
    for (size_t i = 2; i < words.size();) {
      if (equals_ignoring_case(words[i], "auth") && i + 2 < words.size()) {
        hold_private(words[i + 2]);
        STOCKADE_TRY(set(facts_.user, words[i + 1]));
        i += 3;
      } else if (equals_ignoring_case(words[i], "setname") && i + 1 < words.size()) {
        STOCKADE_TRY(set(facts_.application, words[i + 1]));
        i += 2;
      } else {
        return refuse("HELLO with an argument that no server knows");
      }
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<StartupParser> make_redis_startup() { return std::make_unique<RedisStartup>(); }

}  // namespace stockade::net
