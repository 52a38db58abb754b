// MQTT: the CONNECT packet of 3.1, 3.1.1 and 5.0. TLS starts at the first byte or never.
#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

// A variable byte integer (5.0, 1.5.5): at most four bytes. 0 bytes taken: not whole; 5: malformed.
size_t read_variable(std::string_view bytes, size_t& value) {
  value = 0;
  for (size_t i = 0; i < 4 && i < bytes.size(); ++i) {
    value |= static_cast<size_t>(bytes[i] & 0x7f) << (7 * i);
    if ((bytes[i] & 0x80) == 0) return i + 1;
  }
  return bytes.size() < 4 ? 0 : 5;
}

class MqttStartup : public StartupParser {
 public:
  MqttStartup() : StartupParser(StartupProtocol::mqtt) { facts_.tls = StartupTls::never; }

 private:
  bool may_speak(Speaker speaker) const override { return speaker == Speaker::client; }

  Result<size_t> take(Speaker, std::string_view bytes) override {
    if (static_cast<uint8_t>(bytes[0]) != 0x10) return refuse("a first packet that is not CONNECT");
    size_t length = 0;
    const size_t width = read_variable(bytes.substr(1), length);
    if (width == 5 || length + 5 > kStartupMessageLimit) return refuse("a CONNECT of an impossible length");
    if (width == 0 || bytes.size() < 1 + width + length) return 0;
    STOCKADE_TRY(read_connect(bytes.substr(1 + width, length)));
    finish(StartupTls::never);
    return 1 + width + length;
  }

  Result<void> read_connect(std::string_view packet) {
    StartupCursor cursor(packet);
    const auto name = take_string(cursor);
    const auto level = cursor.take_big(1);
    const auto flags = cursor.take_big(1);
    cursor.take(2);  // keep alive
    const bool known = (name == "MQTT" && (level == 4 || level == 5)) || (name == "MQIsdp" && level == 3);
    if (!cursor.ok() || !known) return refuse("a version that is not 3.1, 3.1.1 or 5.0");
    const bool will = flags & 4;
    if ((flags & 1) != 0 || (flags >> 3 & 3) == 3 || (!will && (flags & 0x38) != 0)) return refuse("impossible flags");
    if (level != 5 && (flags & 0x40) != 0 && (flags & 0x80) == 0) return refuse("a password without a user");
    if (level == 5) STOCKADE_TRY(read_properties(cursor));
    STOCKADE_TRY(set(facts_.application, take_string(cursor)));
    if (will) {
      if (level == 5) STOCKADE_TRY(read_properties(cursor));
      take_string(cursor);  // topic
      take_string(cursor);  // content
    }
    if (flags & 0x80) STOCKADE_TRY(set(facts_.user, take_string(cursor)));
    if (flags & 0x40) hold_private(take_string(cursor));
    return cursor.finished() ? Result<void>() : refuse("a CONNECT whose fields do not fill it");
  }

  static std::string_view take_string(StartupCursor& cursor) { return cursor.take(cursor.take_big(2)); }

  // Only authentication's method is of interest; the others are skipped by their types (5.0, 2.2.2.2).
  Result<void> read_properties(StartupCursor& cursor) {
    size_t size = 0;
    auto ahead = cursor;
    const size_t width = read_variable(ahead.take_rest(), size);
    if (width == 0 || width == 5) return refuse("malformed properties");
    cursor.take(width);
    StartupCursor properties(cursor.take(size));
    while (properties.ok() && !properties.empty()) {
      switch (properties.take_big(1)) {
        case 0x01:
        case 0x17:
        case 0x19:
          properties.take(1);
          break;
        case 0x21:
        case 0x22:
          properties.take(2);
          break;
        case 0x02:
        case 0x11:
        case 0x18:
        case 0x27:
          properties.take(4);
          break;
        case 0x03:
        case 0x08:
        case 0x09:
        case 0x16:  // authentication data
          take_string(properties);
          break;
        case 0x15:
          STOCKADE_TRY(set(facts_.mechanism, take_string(properties)));
          break;
        case 0x26:
          take_string(properties);
          take_string(properties);
          break;
        default:
          return refuse("a property that CONNECT does not have");
      }
    }
    return cursor.ok() && properties.ok() ? Result<void>() : refuse("malformed properties");
  }
};

}  // namespace

std::unique_ptr<StartupParser> make_mqtt_startup() { return std::make_unique<MqttStartup>(); }

}  // namespace stockade::net
