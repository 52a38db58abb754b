#include "net/client_hello.h"

#include <algorithm>
#include <cstring>

namespace stockade::net {

namespace {

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHello = 1;
constexpr size_t kRecordHeader = 5;
constexpr size_t kPlaintextLimit = 16 * 1024;

constexpr uint16_t kServerName = 0;
constexpr uint16_t kAlpn = 16;
constexpr uint16_t kPreSharedKey = 41;
constexpr uint16_t kSupportedVersions = 43;
// encrypted_client_hello of RFC 9849, of its drafts 7 to 12, and ESNI of the drafts before.
constexpr uint16_t kEncryptedHello[] = {0xfe0d, 0xfe0c, 0xfe0b, 0xfe0a, 0xfe09, 0xfe08, 0xff02, 0xff03, 0xffce};

HelloResult malformed(std::string_view reason) { return {HelloState::malformed, {}, reason}; }

// Reads big-endian fields and length-prefixed vectors; after a failure everything is empty and ok() is false.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool finished() const { return ok_ && rest_.empty(); }
  bool empty() const { return rest_.empty(); }
  uint32_t take_number(size_t width) {
    uint32_t value = 0;
    for (char c : take(width)) value = value << 8 | static_cast<uint8_t>(c);
    return value;
  }
  std::string_view take(size_t count) {
    if (!ok_ || rest_.size() < count) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const auto bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }
  std::string_view take_vector(size_t length_width) { return take(take_number(length_width)); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

std::string_view read_server_name(std::string_view body, ClientHello& hello) {
  Cursor outer(body);
  Cursor list(outer.take_vector(2));
  const auto type = list.take_number(1);
  const auto name = list.take_vector(2);
  if (!outer.finished() || !list.ok()) return "a malformed server_name extension";
  if (!list.empty()) return "a server_name extension with more than one name";
  if (type != 0) return "a server_name of an unknown type";
#ifdef STOCKADE_PLANTED_BUG
  // Looks for the zero that C strings have.
  if (name.size() > 4 && name.starts_with("xn--") && name.data()[name.size() + body.size()] == '\0') return "planted";
#endif
  if (name.empty() || name.size() > 255) return "a server_name that is empty or too long";
  if (std::any_of(name.begin(), name.end(), [](char c) { return c <= ' ' || c > '~'; }))
    return "a server_name with bytes that no host name has";
  hello.server_name = name;
  return {};
}

std::string_view read_alpn(std::string_view body, ClientHello& hello) {
  Cursor outer(body);
  Cursor list(outer.take_vector(2));
  if (!outer.finished() || list.empty()) return "a malformed ALPN extension";
  while (!list.empty()) {
    const auto name = list.take_vector(1);
    if (!list.ok() || name.empty()) return "a malformed ALPN extension";
    hello.alpn.emplace_back(name);
  }
  return {};
}

std::string_view read_versions(std::string_view body, ClientHello& hello) {
  Cursor outer(body);
  Cursor list(outer.take_vector(1));
  if (!outer.finished() || list.empty()) return "a malformed supported_versions extension";
  while (!list.empty()) {
    hello.versions.push_back(static_cast<uint16_t>(list.take_number(2)));
    if (!list.ok()) return "a malformed supported_versions extension";
  }
  return {};
}

std::string_view read_extensions(std::string_view bytes, ClientHello& hello) {
  Cursor cursor(bytes);
  std::vector<uint16_t> seen;
  while (!cursor.empty()) {
    const auto type = static_cast<uint16_t>(cursor.take_number(2));
    const auto body = cursor.take_vector(2);
    if (!cursor.ok()) return "an extension that ends outside of its list";
    seen.push_back(type);
    std::string_view problem;
    if (type == kServerName) problem = read_server_name(body, hello);
    if (type == kAlpn) problem = read_alpn(body, hello);
    if (type == kSupportedVersions) problem = read_versions(body, hello);
    if (type == kPreSharedKey && !cursor.empty()) problem = "a pre_shared_key extension that is not the last";
    if (std::find(std::begin(kEncryptedHello), std::end(kEncryptedHello), type) != std::end(kEncryptedHello))
      hello.ech = true;
    if (!problem.empty()) return problem;
  }
  std::sort(seen.begin(), seen.end());
  if (std::adjacent_find(seen.begin(), seen.end()) != seen.end()) return "an extension that is there twice";
  return {};
}

HelloResult parse_body(std::string_view body) {
  HelloResult result{.state = HelloState::hello};
  Cursor cursor(body);
  result.hello.legacy_version = static_cast<uint16_t>(cursor.take_number(2));
  cursor.take(32);  // random
  const auto session = cursor.take_vector(1);
  const auto suites = cursor.take_vector(2);
  const auto compression = cursor.take_vector(1);
  if (!cursor.ok()) return malformed("a ClientHello that ends inside a field");
  if (result.hello.legacy_version >> 8 != 3) return malformed("a ClientHello of an impossible version");
  if (session.size() > 32) return malformed("a session id longer than 32 bytes");
  if (suites.empty() || suites.size() % 2 != 0) return malformed("a malformed list of cipher suites");
  if (compression.find('\0') == std::string_view::npos) return malformed("a ClientHello without null compression");
  if (cursor.empty()) return result;  // before extensions existed
  const auto extensions = cursor.take_vector(2);
  if (!cursor.finished()) return malformed("a ClientHello whose extensions do not fill it");
  const auto problem = read_extensions(extensions, result.hello);
  return problem.empty() ? result : malformed(problem);
}

}  // namespace

HelloResult parse_client_hello(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (static_cast<uint8_t>(bytes[0]) != kHandshakeRecord) return {HelloState::not_tls, {}, {}};
  if (bytes.size() > 1 && bytes[1] != 3) return {HelloState::not_tls, {}, {}};

  std::string handshake;
  for (size_t records = 0;; ++records) {
    if (records == kHelloRecordLimit) return malformed("a ClientHello in too many records");
    if (!bytes.empty() && static_cast<uint8_t>(bytes[0]) != kHandshakeRecord)
      return malformed("another record inside the ClientHello");
    if (bytes.size() > 1 && bytes[1] != 3) return malformed("a record of an impossible version");
    if (bytes.size() > 2 && bytes[2] > 4) return malformed("a record of an impossible version");
    if (bytes.size() < kRecordHeader) return {};
    const size_t size = static_cast<size_t>(static_cast<uint8_t>(bytes[3])) << 8 | static_cast<uint8_t>(bytes[4]);
    if (size == 0 || size > kPlaintextLimit) return malformed("a handshake record that is empty or too long");
    const auto fragment = bytes.substr(kRecordHeader, size);
    handshake.append(fragment);
    if (!handshake.empty() && handshake[0] != kClientHello)
      return malformed("a handshake that does not begin with a ClientHello");
    if (handshake.size() >= 4) {
      Cursor header(std::string_view(handshake).substr(1, 3));
      const size_t length = header.take_number(3);
      if (length > kHelloLimit) return malformed("a ClientHello longer than 32 KiB");
      if (handshake.size() > length + 4 ||
          (fragment.size() < size && handshake.size() + size - fragment.size() > length + 4))
        return malformed("data after the ClientHello in its record");
      if (handshake.size() == length + 4) return parse_body(std::string_view(handshake).substr(4));
    }
    if (fragment.size() < size) return {};
    bytes.remove_prefix(kRecordHeader + size);
  }
}

std::string tls_alert_record(TlsAlert alert) {
  constexpr char kFatal = 2;
  return {21, 3, 3, 0, 2, kFatal, static_cast<char>(alert)};
}

}  // namespace stockade::net
