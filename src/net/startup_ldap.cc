// LDAP up to StartTLS or the first other operation. StartTLS is answered before anything else is said; after its
// success TLS follows at once (RFC 4511, 4.14). BER is read in the form that LDAP demands: definite lengths only.
#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr std::string_view kStartTls = "1.3.6.1.4.1.1466.20037";
constexpr uint8_t kSequence = 0x30, kInteger = 0x02, kOctets = 0x04, kEnumerated = 0x0a;
constexpr uint8_t kBindRequest = 0x60, kExtendedRequest = 0x77, kExtendedResponse = 0x78;

struct Ber {
  uint8_t tag = 0;
  std::string_view value;
};

// The length that `cursor` begins with; ok() of the cursor tells whether it was sound.
size_t take_length(StartupCursor& cursor) {
  const auto first = static_cast<uint8_t>(cursor.take_big(1));
  if (first < 0x80) return first;
  const size_t width = first & 0x7f;
  if (width == 0 || width > 4) {  // indefinite, or beyond any bound of ours
    cursor.take(SIZE_MAX);
    return 0;
  }
  return cursor.take_big(width);
}

Ber take_ber(StartupCursor& cursor) {
  Ber ber;
  ber.tag = static_cast<uint8_t>(cursor.take_big(1));
  ber.value = cursor.take(take_length(cursor));
  return ber;
}

class LdapStartup : public StartupParser {
 public:
  LdapStartup() : StartupParser(StartupProtocol::ldap) {}

  std::unique_ptr<StartupParser> inside_tls() const override { return std::make_unique<LdapStartup>(); }

 private:
  bool may_speak(Speaker speaker) const override { return (speaker == Speaker::server) == waits_; }

  Result<size_t> take(Speaker speaker, std::string_view bytes) override {
    StartupCursor cursor(bytes);
    if (cursor.take_big(1) != kSequence) return refuse("a message that is not one of LDAP");
    if (bytes.size() >= 2 && (static_cast<uint8_t>(bytes[1]) == 0x80 || static_cast<uint8_t>(bytes[1]) > 0x84))
      return refuse("a length in a form that LDAP forbids");
    const size_t size = take_length(cursor);
    if (!cursor.ok()) return 0;
    const size_t header = bytes.size() - cursor.size();
    // Whatever is too long for a bind or StartTLS is another operation: the startup ended before it.
    if (size + header > kStartupMessageLimit) {
      if (speaker == Speaker::server) return refuse("an answer that is too long");
      finish(StartupTls::never);
      return 0;
    }
    if (cursor.size() < size) return 0;
    const auto body = cursor.take(size);
    if (speaker == Speaker::server) {
      STOCKADE_TRY(read_answer(body));
      return header + size;
    }
    STOCKADE_ASSIGN(const bool ours, read_request(body));
    if (ours) return header + size;
    finish(StartupTls::never);
    return 0;
  }

  Result<bool> read_request(std::string_view body) {
    StartupCursor cursor(body);
    const Ber id = take_ber(cursor);
    const Ber operation = take_ber(cursor);
    if (!cursor.ok() || id.tag != kInteger || id.value.empty() || id.value.size() > 4)
      return refuse("a malformed message");
    if (operation.tag == kBindRequest) {
      STOCKADE_TRY(read_bind(operation.value));
      finish(StartupTls::never);
      return true;
    }
    if (operation.tag != kExtendedRequest) return false;
    StartupCursor fields(operation.value);
    const Ber name = take_ber(fields);
    if (!fields.ok() || name.tag != 0x80) return refuse("a malformed extended request");
    if (name.value != kStartTls) return false;
    if (!fields.empty()) return refuse("StartTLS with a value");
    id_ = id.value;
    waits_ = true;
    return true;
  }

  Result<void> read_bind(std::string_view body) {
    StartupCursor cursor(body);
    const Ber version = take_ber(cursor);
    const Ber name = take_ber(cursor);
    const Ber authentication = take_ber(cursor);
    if (!cursor.finished() || version.tag != kInteger || name.tag != kOctets) return refuse("a malformed bind");
    STOCKADE_TRY(set(facts_.user, name.value));
    if (authentication.tag == 0x80) {
      facts_.mechanism = "simple";
      hold_private(authentication.value);
      return {};
    }
    if (authentication.tag != 0xa3) return refuse("a bind with an unknown kind of authentication");
    StartupCursor sasl(authentication.value);
    const Ber mechanism = take_ber(sasl);
    if (!sasl.ok() || mechanism.tag != kOctets) return refuse("a malformed bind");
    return set(facts_.mechanism, mechanism.value);
  }

  Result<void> read_answer(std::string_view body) {
    StartupCursor cursor(body);
    const Ber id = take_ber(cursor);
    const Ber operation = take_ber(cursor);
    StartupCursor fields(operation.value);
    const Ber code = take_ber(fields);
    if (!cursor.ok() || !fields.ok() || id.tag != kInteger || operation.tag != kExtendedResponse ||
        code.tag != kEnumerated || code.value.size() != 1)
      return refuse("a malformed answer to StartTLS");
    if (id.value != id_) return refuse("an answer to another message than StartTLS");
    waits_ = false;
    if (code.value[0] == 0) finish(StartupTls::now);
    return {};
  }

  bool waits_ = false;
  std::string id_;
};

}  // namespace

std::unique_ptr<StartupParser> make_ldap_startup() { return std::make_unique<LdapStartup>(); }

}  // namespace stockade::net
