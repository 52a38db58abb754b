// PostgreSQL: an optional SSLRequest and GSSENCRequest, each answered with one byte, then a StartupMessage or a
// CancelRequest. A client that begins with a ClientHello (sslnegotiation=direct) is TLS from its first byte and never
// comes here.
#include <algorithm>
#include <set>

#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr uint32_t kSslRequest = 80877103;
constexpr uint32_t kGssRequest = 80877104;
constexpr uint32_t kCancelRequest = 80877102;
constexpr size_t kPacketLimit = 10000;  // MAX_STARTUP_PACKET_LENGTH of the server

class PostgresqlStartup : public StartupParser {
 public:
  PostgresqlStartup() : StartupParser(StartupProtocol::postgresql) {}

  std::unique_ptr<StartupParser> inside_tls() const override {
    auto inside = std::make_unique<PostgresqlStartup>();
    inside->asked_ssl_ = inside->asked_gss_ = true;
    return inside;
  }

 private:
  enum class State { request, answer_to_ssl, answer_to_gss };

  bool may_speak(Speaker speaker) const override { return (speaker == Speaker::client) == (state_ == State::request); }
  Result<size_t> take(Speaker speaker, std::string_view bytes) override {
    return speaker == Speaker::client ? take_request(bytes) : take_answer(bytes[0]);
  }

  Result<size_t> take_request(std::string_view bytes) {
    if (bytes.size() < 8) return 0;
    StartupCursor header(bytes);
    const auto size = header.take_big(4);
    const auto code = static_cast<uint32_t>(header.take_big(4));
    if (size < 8 || size > kPacketLimit) return refuse("a startup packet of an impossible length");
    if (bytes.size() < size) return 0;
    const auto body = bytes.substr(8, size - 8);
    if (code == kSslRequest || code == kGssRequest) {
      if (!body.empty()) return refuse("a request for encryption with something in it");
      if (std::exchange(code == kSslRequest ? asked_ssl_ : asked_gss_, true))
        return refuse("a second request for the same encryption");
      state_ = code == kSslRequest ? State::answer_to_ssl : State::answer_to_gss;
    } else if (code == kCancelRequest) {
      if (body.size() < 8 || body.size() > 4 + 256) return refuse("a CancelRequest of an impossible length");
      facts_.request = "cancel";
      finish(StartupTls::never);
    } else {
      if (code >> 16 != 3) return refuse("a protocol version that is not 3");
      STOCKADE_TRY(read_parameters(body));
      finish(StartupTls::never);
    }
    return size;
  }

  Result<void> read_parameters(std::string_view body) {
    StartupCursor cursor(body);
    std::set<std::string_view> seen;
    facts_.request = "startup";
    for (;;) {
      const auto name = cursor.take_to_zero();
      if (!cursor.ok()) return refuse("a StartupMessage that does not end");
      if (name.empty()) break;
      const auto value = cursor.take_to_zero();
      if (!cursor.ok()) return refuse("a StartupMessage that does not end");
      if (!seen.insert(name).second) return refuse("a parameter that is there twice");
      if (name == "user") STOCKADE_TRY(set(facts_.user, value));
      if (name == "database") STOCKADE_TRY(set(facts_.database, value));
      if (name == "application_name") STOCKADE_TRY(set(facts_.application, value));
      if (name == "replication" && value != "false" && value != "off" && value != "no" && value != "0")
        facts_.request = "replication";
    }
    if (!cursor.finished()) return refuse("bytes behind the last parameter");
    if (facts_.user.empty()) return refuse("a StartupMessage without user");
    if (facts_.database.empty()) facts_.database = facts_.user;  // as the server does
    return {};
  }

  Result<size_t> take_answer(char answer) {
    const bool ssl = state_ == State::answer_to_ssl;
    if (answer == 'N') {
      state_ = State::request;
    } else if (ssl && answer == 'S') {
      finish(StartupTls::now);
    } else if (!ssl && answer == 'G') {
      facts_.own_encryption = true;
      finish(StartupTls::never);
    } else {
      // 'E' begins an error of a server that knows no encryption; its text is not authenticated (CVE-2024-10977).
      return refuse("an answer to a request for encryption that is neither yes nor no");
    }
    return 1;
  }

  State state_ = State::request;
  bool asked_ssl_ = false;
  bool asked_gss_ = false;
};

}  // namespace

std::unique_ptr<StartupParser> make_postgresql_startup() { return std::make_unique<PostgresqlStartup>(); }

}  // namespace stockade::net
