// MySQL and MariaDB: the server's greeting, then either the 32 bytes of an SSLRequest and TLS, or HandshakeResponse41.
// The server starts TLS after whatever first packet has the flag CLIENT_SSL, so a longer packet with it is refused.
#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr uint32_t kConnectWithDatabase = 1u << 3;
constexpr uint32_t kProtocol41 = 1u << 9;
constexpr uint32_t kSsl = 1u << 11;
constexpr uint32_t kSecureConnection = 1u << 15;
constexpr uint32_t kPluginAuth = 1u << 19;
constexpr uint32_t kConnectAttributes = 1u << 20;
constexpr uint32_t kLengthEncodedAuth = 1u << 21;
constexpr uint32_t kZstd = 1u << 26;
constexpr size_t kFixedPart = 32;  // flags, packet size, character set, filler: all of an SSLRequest

uint64_t take_length(StartupCursor& cursor) {
  const auto first = static_cast<uint8_t>(cursor.take_big(1));
  if (first < 0xfb) return first;
  if (first == 0xfc) return cursor.take_little(2);
  if (first == 0xfd) return cursor.take_little(3);
  if (first == 0xfe) return cursor.take_little(8);
  cursor.take(SIZE_MAX);  // NULL and the mark of an error: not lengths
  return 0;
}

class MysqlStartup : public StartupParser {
 public:
  MysqlStartup() : StartupParser(StartupProtocol::mysql) {}

  std::unique_ptr<StartupParser> inside_tls() const override {
    auto inside = std::make_unique<MysqlStartup>();
    inside->greeted_ = inside->encrypted_ = true;
    inside->server_flags_ = server_flags_;
    return inside;
  }

 private:
  bool may_speak(Speaker speaker) const override { return (speaker == Speaker::server) == !greeted_; }

  Result<size_t> take(Speaker speaker, std::string_view bytes) override {
    if (bytes.size() < 4) return 0;
    StartupCursor header(bytes);
    const auto size = header.take_little(3);
    const auto sequence = header.take_little(1);
    if (size == 0 || size + 4 > kStartupMessageLimit) return refuse("a packet of an impossible length");
    const uint64_t due = speaker == Speaker::server ? 0 : encrypted_ ? 2 : 1;
    if (sequence != due) return refuse("a packet out of sequence");
    if (bytes.size() < size + 4) return 0;
    const auto packet = bytes.substr(4, size);
    if (speaker == Speaker::server) {
      STOCKADE_TRY(read_greeting(packet));
    } else {
      STOCKADE_TRY(read_response(packet));
    }
    return size + 4;
  }

  Result<void> read_greeting(std::string_view packet) {
    greeted_ = true;
    StartupCursor cursor(packet);
    const auto version = static_cast<uint8_t>(cursor.take_big(1));
    if (version == 0xff) {  // "Host is blocked", "Too many connections"; the server closes
      finish(StartupTls::never);
      return {};
    }
    if (version != 10) return refuse("a greeting of a protocol that is not 10");
    STOCKADE_TRY(set(facts_.server, cursor.take_to_zero()));
    cursor.take(4 + 8 + 1);  // connection id, challenge, filler
    server_flags_ = static_cast<uint32_t>(cursor.take_little(2));
    if (!cursor.ok()) return refuse("a greeting that ends inside a field");
    if (!cursor.empty()) {
      cursor.take(1 + 2);  // character set, status
      server_flags_ |= static_cast<uint32_t>(cursor.take_little(2)) << 16;
      cursor.take(1 + 10);  // length of the challenge, reserved
      if (!cursor.ok()) return refuse("a greeting that ends inside a field");
    }
    facts_.tls = server_flags_ & kSsl ? StartupTls::later : StartupTls::never;
    return {};
  }

  Result<void> read_response(std::string_view packet) {
    StartupCursor cursor(packet);
    const auto flags = static_cast<uint32_t>(cursor.take_little(4));
    cursor.take(kFixedPart - 4);
    if (!cursor.ok() || (flags & kProtocol41) == 0) return refuse("a response in the form before MySQL 4.1");
    if (encrypted_ && (flags & kSsl) == 0) return refuse("a response that denies its own TLS");
    if (flags & kSsl && !encrypted_) {
      if (!cursor.empty()) return refuse("an SSLRequest with something behind it");
      if ((server_flags_ & kSsl) == 0) return refuse("a request for TLS that the server does not offer");
      finish(StartupTls::now);
      return {};
    }
    STOCKADE_TRY(read_login(cursor, flags));
    finish(StartupTls::never);
    return {};
  }

  Result<void> read_login(StartupCursor& cursor, uint32_t flags) {
    // Both sides must have a flag for it to count; a reader that looks at one side only would see other fields.
    constexpr uint32_t kDecisive =
        kConnectWithDatabase | kSecureConnection | kPluginAuth | kConnectAttributes | kLengthEncodedAuth;
    if (flags & kDecisive & ~server_flags_) return refuse("a flag that the server does not have");
    STOCKADE_TRY(set(facts_.user, cursor.take_to_zero()));
    if (flags & kLengthEncodedAuth) {
      cursor.take(take_length(cursor));
    } else if (flags & kSecureConnection) {
      cursor.take(cursor.take_little(1));
    } else {
      cursor.take_to_zero();
    }
    if (flags & kConnectWithDatabase) STOCKADE_TRY(set(facts_.database, cursor.take_to_zero()));
    if (flags & kPluginAuth) STOCKADE_TRY(set(facts_.mechanism, cursor.take_to_zero()));
    if (flags & kConnectAttributes) STOCKADE_TRY(read_attributes(cursor.take(take_length(cursor))));
    if (flags & kZstd && !cursor.empty()) cursor.take(1);
    return cursor.finished() ? Result<void>() : refuse("a response whose fields do not fill it");
  }

  Result<void> read_attributes(std::string_view bytes) {
    StartupCursor cursor(bytes);
    while (!cursor.empty()) {
      const auto name = cursor.take(take_length(cursor));
      const auto value = cursor.take(take_length(cursor));
      if (!cursor.ok()) return refuse("connection attributes that end inside a field");
      if (name == "program_name") STOCKADE_TRY(set(facts_.application, value));
    }
    return {};
  }

  bool greeted_ = false;
  bool encrypted_ = false;
  uint32_t server_flags_ = 0;
};

}  // namespace

std::unique_ptr<StartupParser> make_mysql_startup() { return std::make_unique<MysqlStartup>(); }

}  // namespace stockade::net
