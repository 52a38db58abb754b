// NATS: the server's INFO, then the client's CONNECT, or its ClientHello where both agree on TLS. (A server that shakes
// hands first is TLS from the first byte.)
#include "net/http_field.h"
#include "net/startup_lines.h"
#include "net/startup_parsers.h"
#include "net/strict_json.h"

namespace stockade::net {

namespace {

class NatsStartup : public StartupParser {
 public:
  NatsStartup() : StartupParser(StartupProtocol::nats) {}

  std::unique_ptr<StartupParser> inside_tls() const override {
    auto inside = std::make_unique<NatsStartup>();
    inside->informed_ = true;
    return inside;
  }

 private:
  bool may_speak(Speaker speaker) const override { return speaker == Speaker::server || informed_; }

  Result<size_t> take(Speaker speaker, std::string_view bytes) override {
    if (speaker == Speaker::client && bytes[0] == 0x16) {
      if (!offers_tls_) return refuse("a ClientHello that the server does not wait for");
      finish(StartupTls::now);
      return 0;
    }
    const auto line = cut_line(bytes, kStartupMessageLimit);
    if (line.state == LineState::malformed) return refuse(line.problem);
    if (line.state == LineState::need_more) return 0;
    if (speaker == Speaker::server) {
      STOCKADE_TRY(read_info(line.text));
    } else {
      STOCKADE_TRY(read_connect(line.text));
    }
    return line.size;
  }

  // The JSON object behind an operation's name.
  Result<JsonValue> read_object(std::string_view line, std::string_view operation) const {
    const auto [word, rest] = split_word(line);
    if (!equals_ignoring_case(word, operation)) return refuse("a first line of another operation");
    auto value = parse_strict_json(rest, {.depth = 8, .values = 1024});
    if (!value) return refuse(value.error().sentence());
    if (!value->is(JsonKind::object)) return refuse("an operation without an object");
    return value;
  }

  Result<void> read_info(std::string_view line) {
    if (informed_ && equals_ignoring_case(line, "PING")) return {};
    STOCKADE_ASSIGN(const JsonValue info, read_object(line, "INFO"));
    if (std::exchange(informed_, true)) return {};  // later ones tell of a cluster's changes
    const auto is_true = [&info](std::string_view name) {
      const auto* value = info.find(name);
      return value != nullptr && value->is(JsonKind::boolean) && value->text == "true";
    };
    offers_tls_ = is_true("tls_required") || is_true("tls_available");
    needs_tls_ = is_true("tls_required");
    facts_.tls = offers_tls_ ? StartupTls::later : StartupTls::never;
    const auto* name = info.find("server_name");
    return name != nullptr && name->is(JsonKind::string) ? set(facts_.server, name->text) : Result<void>();
  }

  Result<void> read_connect(std::string_view line) {
    if (equals_ignoring_case(line, "PING") || equals_ignoring_case(line, "PONG")) return {};
    if (needs_tls_) return refuse("plaintext to a server that demands TLS");
    STOCKADE_ASSIGN(const JsonValue connect, read_object(line, "CONNECT"));
    for (const auto& name : connect.names)  // Go's reader takes "USER" for "user"
      if (lower_case(name) != name) return refuse("a member whose name is not in lower case");
    const auto text = [&connect](std::string_view name) {
      const auto* value = connect.find(name);
      return value != nullptr && value->is(JsonKind::string) ? std::string_view(value->text) : std::string_view();
    };
    STOCKADE_TRY(set(facts_.user, text("user")));
    STOCKADE_TRY(set(facts_.application, text("name")));
    if (!text("jwt").empty()) facts_.mechanism = "jwt";
    if (!text("nkey").empty() && facts_.mechanism.empty()) facts_.mechanism = "nkey";
    if (!text("auth_token").empty()) facts_.mechanism = "token";
    if (!text("pass").empty()) facts_.mechanism = "password";
    finish(StartupTls::never);
    return {};
  }

  bool informed_ = false;
  bool offers_tls_ = false;
  bool needs_tls_ = false;
};

}  // namespace

std::unique_ptr<StartupParser> make_nats_startup() { return std::make_unique<NatsStartup>(); }

}  // namespace stockade::net
