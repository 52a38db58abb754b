#include "net/startup.h"

#include <algorithm>
#include <array>
#include <span>

#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

enum class Match { no, partly, yes };

Match match_prefix(std::string_view bytes, std::string_view prefix) {
  if (bytes.substr(0, prefix.size()) != prefix.substr(0, bytes.size())) return Match::no;
  return bytes.size() >= prefix.size() ? Match::yes : Match::partly;
}

Match match_postgresql(std::string_view bytes) {
  // A length below 10000, then the version or one of the request codes.
  static constexpr std::string_view kCodes[] = {
      {"\x00\x03\x00", 3}, {"\x04\xd2\x16\x2e", 4}, {"\x04\xd2\x16\x2f", 4}, {"\x04\xd2\x16\x30", 4}};
  if (bytes[0] != 0 || (bytes.size() > 1 && bytes[1] != 0)) return Match::no;
  if (bytes.size() > 2 && static_cast<uint8_t>(bytes[2]) > 0x27) return Match::no;
  if (bytes.size() <= 4) return Match::partly;
  Match best = Match::no;
  for (const auto code : kCodes) best = std::max(best, match_prefix(bytes.substr(4), code));
  return best;
}

Match match_mongodb(std::string_view bytes) {
  // A length below 64 KiB, little-endian.
  for (size_t i = 2; i < 4 && i < bytes.size(); ++i)
    if (bytes[i] != 0) return Match::no;
  if (bytes.size() < 16) return Match::partly;
  StartupCursor cursor(bytes);
  const auto size = cursor.take_little(4);
  cursor.take(8);
  const auto code = cursor.take_little(4);
  return size <= kStartupMessageLimit && (code == 2013 || code == 2004) ? Match::yes : Match::no;
}

Match match_git(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size() && i < 4; ++i)
    if (std::string_view("0123456789abcdefABCDEF").find(bytes[i]) == std::string_view::npos) return Match::no;
  return bytes.size() <= 4 ? Match::partly : match_prefix(bytes.substr(4), "git-");
}

Match match_redis(std::string_view bytes) {
  // "*2\r\n$"; inline commands begin with a letter and are not told from other text.
  if (bytes[0] != '*') return Match::no;
  if (bytes.size() == 1) return Match::partly;
  return bytes[1] >= '1' && bytes[1] <= '9' ? Match::yes : Match::no;
}

Match match_mqtt(std::string_view bytes) {
  if (bytes[0] != 0x10) return Match::no;
  size_t at = 1;
  while (at < 5 && at < bytes.size() && (bytes[at] & 0x80) != 0) ++at;
  if (at == 5) return Match::no;
  if (at + 1 >= bytes.size()) return Match::partly;
  return std::max(match_prefix(bytes.substr(at + 1), {"\0\4MQTT", 6}),
                  match_prefix(bytes.substr(at + 1), {"\0\6MQIsdp", 8}));
}

Match match_ldap(std::string_view bytes) {
  // A sequence with a message id in front: 30 LL 02 0N.
  if (bytes[0] != 0x30) return Match::no;
  if (bytes.size() < 2) return Match::partly;
  const auto length = static_cast<uint8_t>(bytes[1]);
  if (length == 0x80 || length > 0x84) return Match::no;
  const size_t header = 2 + (length > 0x80 ? length & 0x7f : 0);
  if (bytes.size() <= header) return Match::partly;
  if (bytes[header] != 2) return Match::no;
  if (bytes.size() == header + 1) return Match::partly;
  return bytes[header + 1] >= 1 && bytes[header + 1] <= 4 ? Match::yes : Match::no;
}

Match match_xmpp(std::string_view bytes) {
  return std::max(match_prefix(bytes, "<?xml "), match_prefix(bytes, "<stream:stream"));
}
Match match_ssh(std::string_view bytes) { return match_prefix(bytes, "SSH-"); }
Match match_amqp(std::string_view bytes) { return match_prefix(bytes, "AMQP"); }

}  // namespace

namespace {

using PortEntry = std::pair<uint16_t, StartupProtocol>;

std::optional<StartupProtocol> find_port(std::span<const PortEntry> ports, uint16_t port) {
  const auto found = std::ranges::find(ports, port, &PortEntry::first);
  if (found == ports.end()) return std::nullopt;
  return found->second;
}

}  // namespace

std::optional<StartupProtocol> startup_by_port(uint16_t port) {
  using enum StartupProtocol;
  static constexpr PortEntry kPorts[] = {
      {21, ftp},          {22, ssh},    {25, smtp},    {110, pop3},        {143, imap},  {389, ldap},     {587, smtp},
      {1883, mqtt},       {2525, smtp}, {3268, ldap},  {3306, mysql},      {4222, nats}, {5222, xmpp},    {5269, xmpp},
      {5432, postgresql}, {5672, amqp}, {6379, redis}, {6432, postgresql}, {9418, git},  {27017, mongodb}};
  return find_port(kPorts, port);
}

std::optional<StartupProtocol> startup_inside_tls_by_port(uint16_t port) {
  using enum StartupProtocol;
  static constexpr PortEntry kPorts[] = {{465, smtp},  {636, ldap},  {990, ftp},   {993, imap},   {995, pop3},
                                         {3269, ldap}, {5223, xmpp}, {5671, amqp}, {6380, redis}, {8883, mqtt}};
  return find_port(kPorts, port);
}

bool server_speaks_first(StartupProtocol protocol) {
  switch (protocol) {
    case StartupProtocol::mysql:
    case StartupProtocol::smtp:
    case StartupProtocol::imap:
    case StartupProtocol::pop3:
    case StartupProtocol::ftp:
    case StartupProtocol::nats:
      return true;
    default:
      return false;
  }
}

StartupGuess startup_by_first_bytes(std::string_view client) {
  if (client.empty()) return {.need_more = true};
  using enum StartupProtocol;
  static constexpr std::pair<StartupProtocol, Match (*)(std::string_view)> kMatchers[] = {
      {ssh, match_ssh},        {postgresql, match_postgresql},
      {git, match_git},        {amqp, match_amqp},
      {mqtt, match_mqtt},      {ldap, match_ldap},
      {xmpp, match_xmpp},      {redis, match_redis},
      {mongodb, match_mongodb}};
  StartupGuess guess;
  for (const auto& [protocol, matcher] : kMatchers) {
    const Match match = matcher(client);
    // An earlier protocol that may still come is waited for, or the answer would depend on how bytes are cut.
    if (match == Match::yes && !guess.need_more) return {false, protocol};
    if (match != Match::no) guess.need_more = true;
  }
  return guess;
}

std::unique_ptr<StartupParser> make_startup_parser(StartupProtocol protocol) {
  static constexpr std::array<std::unique_ptr<StartupParser> (*)(), kStartupProtocols> kMakers = {
      make_postgresql_startup, make_mysql_startup, make_redis_startup, make_mongodb_startup, make_smtp_startup,
      make_imap_startup,       make_pop3_startup,  make_ftp_startup,   make_ldap_startup,    make_xmpp_startup,
      make_ssh_startup,        make_git_startup,   make_amqp_startup,  make_mqtt_startup,    make_nats_startup};
  return kMakers[static_cast<size_t>(protocol)]();
}

}  // namespace stockade::net
