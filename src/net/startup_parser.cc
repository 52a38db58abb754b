#include "net/startup_parser.h"

#include <algorithm>
#include <array>

namespace stockade::net {

std::string_view startup_protocol_name(StartupProtocol protocol) {
  static constexpr std::array<std::string_view, kStartupProtocols> kNames = {
      "postgresql", "mysql", "redis", "mongodb", "smtp", "imap", "pop3", "ftp",
      "ldap",       "xmpp",  "ssh",   "git",     "amqp", "mqtt", "nats"};
  return kNames[static_cast<size_t>(protocol)];
}

Result<size_t> StartupParser::feed(Speaker speaker, std::string_view bytes) {
  if (!failure_.empty()) return refuse(failure_);
  credentials_.clear();
  fed_ = bytes.data();
  auto taken = feed_messages(speaker, bytes);
  if (!taken) {
    failure_ = taken.error().sentence();
    const auto colon = failure_.find(": ");
    if (colon != std::string::npos) failure_.erase(0, colon + 2);
  }
  return taken;
}

Result<size_t> StartupParser::feed_messages(Speaker speaker, std::string_view bytes) {
  const auto side = static_cast<size_t>(speaker);
  size_t taken = 0;
  while (taken < bytes.size()) {
    const auto rest = bytes.substr(taken);
    if (done_) {
      STOCKADE_TRY(check_behind(speaker, rest));
      break;
    }
    if (!may_speak(speaker))
      return refuse(speaker == Speaker::client ? "the client does not wait for an answer"
                                               : "the server speaks out of turn");
    counted_ = true;
    STOCKADE_ASSIGN(const size_t size, take(speaker, rest));
    if (size == 0 && done_) continue;
    if (size == 0) {
      if (rest.size() >= kStartupMessageLimit) return refuse("a message that is too long");
      break;
    }
    taken += size;
    taken_[side] += size;
    if (counted_ && ++messages_[side] > kStartupMessageCount) return refuse("too many messages");
    if (done_) facts_.tls_at = facts_.tls == StartupTls::now ? taken_[0] : 0;
  }
  return taken;
}

Result<void> StartupParser::check_behind(Speaker speaker, std::string_view bytes) const {
#ifdef STOCKADE_PLANTED_BUG
  if (speaker == Speaker::client) return {};
#endif
  if (facts_.tls != StartupTls::now) return {};
  if (speaker == Speaker::server) return refuse("plaintext of the server behind its consent to TLS");
  if (bytes[0] != 0x16 || (bytes.size() > 1 && bytes[1] != 3))
    return refuse("plaintext of the client where its ClientHello must begin");
  return {};
}

void StartupParser::finish(StartupTls tls) {
  done_ = true;
  facts_.tls = tls;
  facts_.tls_at = tls == StartupTls::now ? taken_[0] : 0;
}

void StartupParser::hold_private(std::string_view value) {
  if (value.empty() || told_credentials_ == kStartupCredentials) return;
  ++told_credentials_;
  credentials_.push_back({static_cast<size_t>(value.data() - fed_), value.size()});
}

std::unexpected<Error> StartupParser::refuse(std::string_view reason) const {
  return fail(ErrorKind::protocol, "{}: {}", startup_protocol_name(facts_.protocol), reason);
}

Result<void> StartupParser::set(std::string& fact, std::string_view value) const {
  if (value.size() > kStartupValueLimit) return refuse("a value that is too long");
  if (std::any_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return refuse("a value with control characters");
  fact = value;
  return {};
}

Result<void> StartupParser::add(std::vector<std::string>& facts, std::string_view value) const {
  if (facts.size() == kStartupListLimit) return refuse("a list that is too long");
  std::string text;
  STOCKADE_TRY(set(text, value));
  facts.push_back(std::move(text));
  return {};
}

std::string_view StartupCursor::fail_here() {
  ok_ = false;
  rest_ = {};
  return {};
}

std::string_view StartupCursor::take(size_t count) {
  if (!ok_ || rest_.size() < count) return fail_here();
  const auto bytes = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return bytes;
}

uint64_t StartupCursor::take_big(size_t width) {
  uint64_t value = 0;
  for (const char c : take(width)) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

uint64_t StartupCursor::take_little(size_t width) {
  uint64_t value = 0;
  size_t shift = 0;
  for (const char c : take(width)) {
    value |= static_cast<uint64_t>(static_cast<uint8_t>(c)) << shift;
    shift += 8;
  }
  return value;
}

std::string_view StartupCursor::take_to_zero() {
  const auto zero = rest_.find('\0');
  if (!ok_ || zero == std::string_view::npos) return fail_here();
  const auto text = take(zero);
  take(1);
  return text;
}

}  // namespace stockade::net
