// AMQP: the protocol header decides. 0-9-1: then the server's connection.start, the client's start-ok (mechanism and
// user), tune, and open with the virtual host. 1.0: header 2 asks for TLS and is echoed, header 3 for SASL, whose first
// frame of the client names mechanism and user, header 0 for neither.
#include "net/startup_lines.h"
#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr size_t kHeaderSize = 8;
constexpr uint32_t kStartOk = 10u << 16 | 11, kSecureOk = 10u << 16 | 21, kTuneOk = 10u << 16 | 31,
                   kOpen = 10u << 16 | 40;

class AmqpStartup : public StartupParser {
 public:
  AmqpStartup() : StartupParser(StartupProtocol::amqp) {}

  std::unique_ptr<StartupParser> inside_tls() const override { return std::make_unique<AmqpStartup>(); }

 private:
  enum class State { header, server_header, frames };

  bool may_speak(Speaker speaker) const override {
    if (state_ == State::header) return speaker == Speaker::client;
    if (state_ == State::server_header) return speaker == Speaker::server || !tls_asked_;
    return true;
  }

  Result<size_t> take(Speaker speaker, std::string_view bytes) override {
    if (state_ == State::header || (state_ == State::server_header && speaker == Speaker::server))
      return take_header(speaker, bytes);
    if (speaker == Speaker::server) {
      count_nothing();
      return bytes.size();
    }
    return version1_ ? take_sasl(bytes) : take_frame(bytes);
  }

  Result<size_t> take_header(Speaker speaker, std::string_view bytes) {
    const auto header = bytes.substr(0, kHeaderSize);
    if (header.substr(0, 4) != std::string_view("AMQP").substr(0, header.size())) return refuse("no protocol header");
    if (bytes.size() < kHeaderSize) return 0;
    const auto version = header.substr(4);
    if (speaker == Speaker::server) {
      // Another header than ours means that the server closes.
      state_ = State::frames;
      finish(tls_asked_ && header == asked_ ? StartupTls::now : StartupTls::never);
      return kHeaderSize;
    }
    asked_ = header;
    if (version == std::string_view("\0\0\x09\x01", 4)) {
      facts_.request = "0-9-1";
      state_ = State::frames;
      return kHeaderSize;
    }
    if (version.substr(1) != std::string_view("\1\0\0", 3)) return refuse("a version that is neither 0-9-1 nor 1.0");
    facts_.request = "1.0";
    version1_ = true;
    if (version[0] == 2) {
      tls_asked_ = true;
      state_ = State::server_header;
    } else if (version[0] == 3) {
      facts_.tls = StartupTls::never;
      state_ = State::frames;
    } else if (version[0] == 0) {
      finish(StartupTls::never);
    } else {
      return refuse("a layer that AMQP 1.0 does not have");
    }
    return kHeaderSize;
  }

  // 0-9-1, 4.2.3: type, channel, size, payload, end.
  Result<size_t> take_frame(std::string_view bytes) {
    facts_.tls = StartupTls::never;
    if (bytes.size() < 7) return 0;
    StartupCursor cursor(bytes);
    const auto type = cursor.take_big(1);
    const auto channel = cursor.take_big(2);
    const auto size = cursor.take_big(4);
    if (size + 8 > kStartupMessageLimit) return refuse("a frame that is too long");
    if (type == 8 && size == 0) return bytes.size() < 8 ? 0 : check_end(bytes, 8);
    if (type != 1 || channel != 0) return refuse("a frame that may not come before the connection is open");
    if (bytes.size() < size + 8) return 0;
    STOCKADE_TRY(read_method(cursor.take(size)));
    return check_end(bytes, size + 8);
  }
  Result<size_t> check_end(std::string_view bytes, size_t size) const {
    if (static_cast<uint8_t>(bytes[size - 1]) != 0xce) return refuse("a frame without its end");
    return size;
  }

  Result<void> read_method(std::string_view payload) {
    StartupCursor cursor(payload);
    const auto method = static_cast<uint32_t>(cursor.take_big(4));
    if (method == kStartOk) {
      cursor.take(cursor.take_big(4));  // client properties
      const auto mechanism = cursor.take(cursor.take_big(1));
      const auto response = cursor.take(cursor.take_big(4));
      cursor.take(cursor.take_big(1));  // locale
      if (!cursor.finished()) return refuse("a malformed start-ok");
      STOCKADE_TRY(set(facts_.mechanism, mechanism));
      hold_private(response);
      if (mechanism == "AMQPLAIN") return read_table(response);
      return set(facts_.user, sasl_user(mechanism, response));
    }
    if (method == kOpen) {
      const auto host = cursor.take(cursor.take_big(1));
      if (!cursor.ok()) return refuse("a malformed open");
      finish(StartupTls::never);
      return set(facts_.database, host);
    }
    if (method == kTuneOk || method == kSecureOk) return {};
    return refuse("a method that may not come before the connection is open");
  }

  // RabbitMQ's own mechanism: LOGIN and PASSWORD as long strings of a field table.
  Result<void> read_table(std::string_view table) {
    StartupCursor cursor(table);
    while (!cursor.empty()) {
      const auto name = cursor.take(cursor.take_big(1));
      if (cursor.take_big(1) != 'S') return refuse("a response that is not a table of strings");
      const auto value = cursor.take(cursor.take_big(4));
      if (!cursor.ok()) return refuse("a malformed response");
      if (name == "LOGIN") STOCKADE_TRY(set(facts_.user, value));
    }
    return {};
  }

  // 1.0, 5.3: size, data offset, type 1, channel; a described list whose first fields are mechanism and response.
  Result<size_t> take_sasl(std::string_view bytes) {
    if (bytes.size() < 8) return 0;
    StartupCursor cursor(bytes);
    const auto size = cursor.take_big(4);
    const auto offset = cursor.take_big(1) * 4;
    const auto type = cursor.take_big(1);
    if (size < 8 || size > kStartupMessageLimit || offset < 8 || offset > size || type != 1)
      return refuse("a malformed SASL frame");
    if (bytes.size() < size) return 0;
    STOCKADE_TRY(read_init(bytes.substr(offset, size - offset)));
    finish(StartupTls::never);
    return size;
  }

  Result<void> read_init(std::string_view body) {
    StartupCursor cursor(body);
    if (cursor.take(3) != std::string_view("\x00\x53\x41", 3)) return refuse("a SASL frame that is not sasl-init");
    const auto list = cursor.take_big(1);
    if (list == 0xc0) {
      cursor.take(2);
    } else if (list == 0xd0) {
      cursor.take(8);
    } else {
      return refuse("a malformed sasl-init");
    }
    const auto symbol = cursor.take_big(1);
    if (symbol != 0xa3 && symbol != 0xb3) return refuse("a sasl-init without a mechanism");
    const auto mechanism = cursor.take(cursor.take_big(symbol == 0xa3 ? 1 : 4));
    STOCKADE_TRY(set(facts_.mechanism, mechanism));
    const auto binary = static_cast<uint8_t>(cursor.peek());
    if (binary != 0xa0 && binary != 0xb0) return cursor.ok() ? Result<void>() : refuse("a malformed sasl-init");
    cursor.take(1);
    const auto response = cursor.take(cursor.take_big(binary == 0xa0 ? 1 : 4));
    if (!cursor.ok()) return refuse("a malformed sasl-init");
    hold_private(response);
    return set(facts_.user, sasl_user(mechanism, response));
  }

  State state_ = State::header;
  bool version1_ = false;
  bool tls_asked_ = false;
  std::string asked_;
};

}  // namespace

std::unique_ptr<StartupParser> make_amqp_startup() { return std::make_unique<AmqpStartup>(); }

}  // namespace stockade::net
