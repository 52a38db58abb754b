// The first flight of a TLS client, read without decrypting anything: which name it asks for (SNI), whether it hides
// another one (ECH), ALPN and versions. RFC 8446, 6066, 7301, 9849. What two TLS stacks could read differently is
// malformed: a repeated extension, more than one name, bytes left over in any list, data after the ClientHello in its
// record. Records may split the ClientHello anywhere, up to kHelloRecordLimit of them.
//
// The name is as it was sent: whoever compares it makes it canonical. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stockade::net {

inline constexpr size_t kHelloLimit = 32 * 1024;  // the handshake message; browsers send 0.5 to 2 KiB
inline constexpr size_t kHelloRecordLimit = 64;

struct ClientHello {
  std::optional<std::string> server_name;  // 1 to 255 bytes of printable ASCII
  std::vector<std::string> alpn;
  bool ech = false;  // any form of ECH or ESNI, GREASE as well: the two can't be told apart from outside
  uint16_t legacy_version = 0;
  std::vector<uint16_t> versions;  // supported_versions, with GREASE; empty: legacy_version counts
};

enum class HelloState { need_more, hello, not_tls, malformed };

struct HelloResult {
  HelloState state = HelloState::need_more;
  ClientHello hello;        // set for `hello`
  std::string_view reason;  // set for `malformed`; a constant
};

// `bytes` is everything that arrived so far. What follows the ClientHello's record is not looked at.
HelloResult parse_client_hello(std::string_view bytes);

enum class TlsAlert : uint8_t {
  handshake_failure = 40,
  access_denied = 49,
  decode_error = 50,
  protocol_version = 70,
  unrecognized_name = 112
};

// A fatal alert as one plaintext record: what a client that still waits for our ServerHello understands.
std::string tls_alert_record(TlsAlert alert);

}  // namespace stockade::net
