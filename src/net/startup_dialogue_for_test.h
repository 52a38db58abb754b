// For the tests of the startup parsers: dialogues, fed in whole and in pieces, and the messages that they are made of.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "net/startup.h"

namespace stockade::net::startup_test {

using namespace std::string_literals;
using enum StartupProtocol;

inline constexpr Speaker C = Speaker::client;
inline constexpr Speaker S = Speaker::server;

struct Said {
  Speaker speaker;
  std::string bytes;
};
using Dialogue = std::vector<Said>;

struct Heard {
  std::string error;  // empty: none
  bool done = false;
  StartupFacts facts;
  std::string rest;  // of the last speaker: what was not taken
  bool operator==(const Heard&) const = default;
};

// Feeds the dialogue in pieces, offering again what was not taken, as a caller does.
inline Heard listen(StartupProtocol protocol, const Dialogue& dialogue, size_t piece) {
  const auto parser = make_startup_parser(protocol);
  Heard heard;
  std::string held[2];
  for (const auto& [speaker, bytes] : dialogue) {
    std::string& waiting = held[static_cast<size_t>(speaker)];
    for (size_t at = 0; at < bytes.size(); at += piece) {
      waiting += bytes.substr(at, piece);
      const auto taken = parser->feed(speaker, waiting);
      if (!taken) {
        heard.error = taken.error().message();
        return heard;
      }
      waiting.erase(0, *taken);
    }
    heard.rest = waiting;
  }
  heard.done = parser->done();
  heard.facts = parser->facts();
  return heard;
}

inline Heard listen(StartupProtocol protocol, const Dialogue& dialogue) {
  const auto whole = listen(protocol, dialogue, SIZE_MAX / 2);
  for (const size_t piece : {1, 2, 3, 7}) {
    const auto cut = listen(protocol, dialogue, piece);
    EXPECT_EQ(whole.error, cut.error) << "in pieces of " << piece;
    EXPECT_TRUE(whole == cut) << "in pieces of " << piece;
  }
  return whole;
}

inline std::string big(uint64_t value, size_t width) {
  std::string out;
  for (size_t i = width; i-- > 0;) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}
inline std::string little(uint64_t value, size_t width) {
  std::string out = big(value, width);
  return {out.rbegin(), out.rend()};
}

inline const std::string kClientHello = "\x16\x03\x01\x02\x00\x01"s;

// ---- PostgreSQL

inline std::string pg_packet(const std::string& body) { return big(body.size() + 4, 4) + body; }
inline const std::string kPgSsl = "\0\0\0\x08\x04\xd2\x16\x2f"s;
inline const std::string kPgGss = "\0\0\0\x08\x04\xd2\x16\x30"s;
inline const std::string kPgStart = pg_packet("\0\3\0\0user\0alice\0database\0shop\0application_name\0psql\0\0"s);

// ---- MySQL

inline std::string my_packet(int sequence, const std::string& body) {
  return little(body.size(), 3) + static_cast<char>(sequence) + body;
}
inline std::string my_greeting(uint32_t flags) {
  return my_packet(0, "\x0a"s + "8.0.36\0"s + little(7, 4) + "abcdefgh\0"s + little(flags & 0xffff, 2) + "\xff" +
                          little(2, 2) + little(flags >> 16, 2) + "\x15" + std::string(10, '\0') + "ijklmnopqrst\0"s +
                          "caching_sha2_password\0"s);
}
inline constexpr uint32_t kMyFlags = 0xdfffffff;
inline constexpr uint32_t kMyClient = 0x00bfa68d & ~(1u << 11);  // of libmysqlclient, without TLS
inline std::string my_login(uint32_t flags) {
  return my_packet(1, little(flags, 4) + little(1 << 24, 4) + "\xff" + std::string(23, '\0') + "alice\0"s + "\x14" +
                          std::string(20, 'h') + "shop\0"s + "mysql_native_password\0"s + "\x12" + "\x0c" +
                          "program_name" + "\x04" + "demo");
}

// ---- MongoDB

inline std::string bson(const std::string& elements) { return little(elements.size() + 5, 4) + elements + '\0'; }
inline std::string bson_string(const std::string& name, const std::string& value) {
  return "\x02" + name + '\0' + little(value.size() + 1, 4) + value + '\0';
}
inline std::string bson_document(const std::string& name, const std::string& document, char type = 3) {
  return type + name + '\0' + document;
}
inline std::string mongo(uint32_t code, const std::string& body) {
  return little(16 + body.size(), 4) + little(1, 4) + little(0, 4) + little(code, 4) + body;
}

// ---- the others

inline const std::string kLdapStartTls =
    "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
    "1.3.6.1.4.1.1466.20037"s;
inline const std::string kLdapSuccess = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"s;
inline const std::string kLdapBind =
    "\x30\x15\x02\x01\x02\x60\x10\x02\x01\x03\x04\x05"
    "alice"
    "\x80\x04"
    "pass"s;

inline const std::string kXmppOpen =
    "<?xml version='1.0'?><stream:stream to='im.example' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>";
inline const std::string kXmppAnswer =
    "<?xml version='1.0'?><stream:stream from='im.example' id='1' xmlns='jabber:client'><stream:features>"
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls><mechanisms "
    "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>";

inline std::string git_packet(const std::string& body) {
  char length[5];
  std::snprintf(length, sizeof(length), "%04zx", body.size() + 4);
  return length + body;
}

}  // namespace stockade::net::startup_test
