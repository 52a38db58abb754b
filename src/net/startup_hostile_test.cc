// Dialogues that a server or a client could read otherwise than we do, and every bound.
#include <gtest/gtest.h>

#include "net/startup_dialogue_for_test.h"

namespace stockade::net {
namespace {

using namespace std::string_literals;
using namespace startup_test;
using enum StartupProtocol;

// ---- what is refused

struct Hostile {
  const char* name;
  StartupProtocol protocol;
  Dialogue dialogue;
  const char* reason;  // a part of the error
};

const char* const kTurn = "does not wait";
const char* const kBehind = "plaintext of the client";
const char* const kServer = "plaintext of the server";

std::vector<Hostile> hostile() {
  const Said greeting{S, "220 x\r\n"};
  return {
      {"SMTP, a command pipelined behind STARTTLS", smtp, {greeting, {C, "STARTTLS\r\nRSET\r\n"}}, kTurn},
      {"SMTP, a command before the answer", smtp, {greeting, {C, "STARTTLS\r\n"}, {C, "R"}}, kTurn},
      {"SMTP, a command in place of the ClientHello",
       smtp,
       {greeting, {C, "STARTTLS\r\n"}, {S, "220 go\r\n"}, {C, "RSET\r\n"}},
       kBehind},
      {"SMTP, an answer behind the consent",
       smtp,
       {greeting, {C, "STARTTLS\r\n"}, {S, "220 go\r\n250 injected\r\n"}},
       kServer},
      {"SMTP, a client that speaks first", smtp, {{C, "EHLO a\r\n"}}, kTurn},
      {"SMTP, a bare LF", smtp, {greeting, {C, "NOOP\nRCPT TO:<a@b>\r\n"}}, "bare LF"},
      {"SMTP, a bare CR", smtp, {greeting, {C, "NOOP\rRCPT TO:<a@b>\r\n"}}, "bare CR"},
      {"SMTP, smuggling in the content",
       smtp,
       {greeting, {C, "DATA\r\n"}, {S, "354 go\r\n"}, {C, "x\n.\r\nMAIL FROM:<a@b>\r\n"}},
       "bare LF"},
      {"SMTP, content before it is asked for", smtp, {greeting, {C, "DATA\r\nx\r\n.\r\n"}}, kTurn},
      {"SMTP, an unknown command", smtp, {greeting, {C, "XCLIENT ADDR=1\r\n"}}, "not of SMTP"},
      {"SMTP, an answer that nobody asked for", smtp, {greeting, {S, "250 ok\r\n"}}, "nobody"},
      {"SMTP, an answer of two codes", smtp, {{S, "220-x\r\n250 y\r\n"}}, "different codes"},
      {"SMTP, STARTTLS with an argument", smtp, {greeting, {C, "STARTTLS x\r\n"}}, "argument"},
      {"SMTP, an address without brackets", smtp, {greeting, {C, "MAIL FROM:a@b\r\n"}}, "brackets"},
      {"SMTP, an address that goes on", smtp, {greeting, {C, "RCPT TO:<a@b><c@d>\r\n"}}, "directly behind"},
      {"SMTP, a source route", smtp, {greeting, {C, "RCPT TO:<@a:b@c>\r\n"}}, "source route"},
      {"SMTP, HTTP instead", smtp, {greeting, {C, "GET / HTTP/1.1\r\n"}}, "not of SMTP"},
      {"IMAP, a command behind STARTTLS", imap, {{S, "* OK\r\n"}, {C, "a STARTTLS\r\nb NOOP\r\n"}}, kTurn},
      {"IMAP, a consent before other answers",
       imap,
       {{S, "* OK\r\n"}, {C, "a NOOP\r\nb STARTTLS\r\n"}, {S, "b OK\r\n"}},
       "before other answers"},
      {"IMAP, an answer behind the consent",
       imap,
       {{S, "* OK\r\n"}, {C, "b STARTTLS\r\n"}, {S, "b OK\r\n* CAPABILITY\r\n"}},
       kServer},
      {"IMAP, a tag in use", imap, {{S, "* OK\r\n"}, {C, "a NOOP\r\na NOOP\r\n"}}, "in use"},
      {"IMAP, a command for later", imap, {{S, "* OK\r\n"}, {C, "a SELECT INBOX\r\n"}}, "before the login"},
      {"IMAP, a literal too long", imap, {{S, "* OK\r\n"}, {C, "a LOGIN {99999+}\r\n"}}, "literal"},
      {"POP3, a command behind STLS", pop3, {{S, "+OK\r\n"}, {C, "STLS\r\nUSER a\r\n"}}, kTurn},
      {"POP3, an answer behind the consent", pop3, {{S, "+OK\r\n"}, {C, "STLS\r\n"}, {S, "+OK\r\n+OK\r\n"}}, kServer},
      {"FTP, a command behind AUTH TLS", ftp, {greeting, {C, "AUTH TLS\r\nUSER a\r\n"}}, kTurn},
      {"FTP, an answer behind the consent", ftp, {greeting, {C, "AUTH TLS\r\n"}, {S, "234 a\r\n230 in\r\n"}}, kServer},
      {"FTP, an unclear consent", ftp, {greeting, {C, "AUTH TLS\r\n"}, {S, "211 x\r\n"}}, "unclear"},
      {"SMTP, an unclear consent", smtp, {greeting, {C, "STARTTLS\r\n"}, {S, "250 x\r\n"}}, "unclear"},
      {"FTP, a Telnet byte", ftp, {greeting, {C, "USER \xff\xf4x\r\n"}}, "Telnet"},
      {"LDAP, a bind behind StartTLS", ldap, {{C, kLdapStartTls + kLdapBind}}, kTurn},
      {"LDAP, an answer behind the consent", ldap, {{C, kLdapStartTls}, {S, kLdapSuccess + kLdapSuccess}}, kServer},
      {"LDAP, the answer to another message",
       ldap,
       {{C, kLdapStartTls}, {S, "\x30\x0c\x02\x01\x07\x78\x07\x0a\x01\x00\x04\x00\x04\x00"s}},
       "another message"},
      {"LDAP, an indefinite length", ldap, {{C, "\x30\x80\x02\x01\x01"s}}, "forbids"},
      {"LDAP, a server that speaks first", ldap, {{S, kLdapSuccess}}, "out of turn"},
      {"XMPP, a stanza behind starttls",
       xmpp,
       {{C, kXmppOpen + "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><auth/>"}},
       kTurn},
      {"XMPP, a consent unasked",
       xmpp,
       {{C, kXmppOpen}, {S, kXmppAnswer + "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}},
       "nobody"},
      {"XMPP, something behind the consent",
       xmpp,
       {{C, kXmppOpen + "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
        {S, kXmppAnswer + "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><x/>"}},
       kServer},
      {"XMPP, a comment", xmpp, {{C, "<!-- x -->"}}, "comment"},
      {"XMPP, another namespace", xmpp, {{C, kXmppOpen + "<starttls xmlns='x'/>"}}, "namespace"},
      {"PostgreSQL, a startup behind SSLRequest", postgresql, {{C, kPgSsl + kPgStart}}, kTurn},
      {"PostgreSQL, a startup where TLS begins", postgresql, {{C, kPgSsl}, {S, "S"}, {C, kPgStart}}, kBehind},
      {"PostgreSQL, bytes behind the consent", postgresql, {{C, kPgSsl}, {S, "SR"}}, kServer},
      {"PostgreSQL, an error as answer", postgresql, {{C, kPgSsl}, {S, "E"}}, "neither yes nor no"},
      {"PostgreSQL, asked twice", postgresql, {{C, kPgSsl}, {S, "N"}, {C, kPgSsl}}, "second request"},
      {"PostgreSQL, a user twice", postgresql, {{C, pg_packet("\0\3\0\0user\0a\0user\0b\0\0"s)}}, "twice"},
      {"PostgreSQL, no user", postgresql, {{C, pg_packet("\0\3\0\0database\0b\0\0"s)}}, "without user"},
      {"PostgreSQL, bytes left over", postgresql, {{C, pg_packet("\0\3\0\0user\0a\0\0x"s)}}, "behind the last"},
      {"PostgreSQL, version 2", postgresql, {{C, pg_packet("\0\2\0\0user\0a\0\0"s)}}, "version"},
      {"PostgreSQL, too long", postgresql, {{C, "\0\0\xff\xff\0\3\0\0"s}}, "impossible length"},
      {"PostgreSQL, a line end in a name", postgresql, {{C, pg_packet("\0\3\0\0user\0a\nb\0\0"s)}}, "control"},
      {"MySQL, a login with the flag for TLS",
       mysql,
       {{S, my_greeting(kMyFlags)}, {C, my_login(kMyClient | 8 | 1u << 11 | 1u << 20)}},
       "behind it"},
      {"MySQL, TLS that is not offered",
       mysql,
       {{S, my_greeting(kMyFlags & ~(1u << 11))},
        {C, my_packet(1, little(kMyClient | 1u << 11, 4) + std::string(28, '\0'))}},
       "does not offer"},
      {"MySQL, plaintext behind the request",
       mysql,
       {{S, my_greeting(kMyFlags)},
        {C, my_packet(1, little(kMyClient | 1u << 11, 4) + std::string(28, '\0')) + my_login(kMyClient)}},
       kBehind},
      {"MySQL, a client that speaks first", mysql, {{C, my_login(kMyClient)}}, kTurn},
      {"MySQL, out of sequence", mysql, {{S, my_packet(1, "\x0a")}}, "sequence"},
      {"MySQL, fields left over",
       mysql,
       {{S, my_greeting(kMyFlags)}, {C, my_login(kMyClient & ~(1u << 20))}},
       "do not fill"},
      {"MySQL, the form before 4.1",
       mysql,
       {{S, my_greeting(kMyFlags)}, {C, my_packet(1, std::string(40, '\0'))}},
       "4.1"},
      {"Redis, a length that lies", redis, {{C, "*2\r\n$4\r\nAUTHx\r\n$1\r\na\r\n"}}, "its length says"},
      {"Redis, a signed length", redis, {{C, "*2\r\n$+4\r\nAUTH\r\n$1\r\na\r\n"}}, "malformed length"},
      {"Redis, a bare LF", redis, {{C, "AUTH a\nSELECT 1\r\n"}}, "bare LF"},
      {"Redis, quotes", redis, {{C, "\"AUTH\" a\r\n"}}, "quotes"},
      {"Redis, an AUTH without end", redis, {{C, "*99\r\n$4\r\nAUTH\r\n"}}, "too many arguments"},
      {"MongoDB, another command",
       mongodb,
       {{C, mongo(2013, little(0, 4) + '\0' + bson("\x10ping\0"s + little(1, 4)))}},
       "not hello"},
      {"MongoDB, a field twice",
       mongodb,
       {{C, mongo(2013, little(0, 4) + '\0' +
                            bson("\x10hello\0"s + little(1, 4) + bson_string("a", "b") + bson_string("a", "c")))}},
       "twice"},
      {"MongoDB, a document that is too short",
       mongodb,
       {{C, mongo(2013, little(0, 4) + '\0' + bson("\x10hello\0"s + little(1, 4)) + "xx")}},
       "length"},
      {"MongoDB, a second section", mongodb, {{C, mongo(2013, little(0, 4) + "\1" + bson(""))}}, "one body"},
      {"SSH, a client that greets", ssh, {{C, "hello\r\n"}}, "begin with SSH-"},
      {"SSH, version 1", ssh, {{C, "SSH-1.5-x\r\n"}}, "2.0"},
      {"SSH, a line too long", ssh, {{C, "SSH-2.0-" + std::string(300, 'x')}}, "too long"},
      {"SSH, another first packet", ssh, {{C, "SSH-2.0-x\r\n\0\0\0\x0c\x0a\x15"s}}, "not KEXINIT"},
      {"git, another service", git, {{C, git_packet("git-shell /a/b.git\0"s)}}, "does not have"},
      {"git, two hosts", git, {{C, git_packet("git-upload-pack /a\0host=a.example\0\0host=b\0"s)}}, "second host"},
      {"git, no length", git, {{C, "GET / HTTP/1.1\r\n"}}, "without a length"},
      {"AMQP, a frame with another end",
       amqp,
       {{C, "AMQP\0\0\x09\x01\1\0\0\0\0\0\4\0\x0a\0\x1fx"s}},
       "without its end"},
      {"AMQP, plaintext where TLS begins", amqp, {{C, "AMQP\2\1\0\0"s}, {S, "AMQP\2\1\0\0"s}, {C, "AMQP"}}, kBehind},
      {"AMQP, bytes before the consent", amqp, {{C, "AMQP\2\1\0\0\x16"s}}, kTurn},
      {"MQTT, another first packet", mqtt, {{C, "\x30\x02"s}}, "not CONNECT"},
      {"MQTT, fields left over", mqtt, {{C, "\x10\x0f\0\4MQTT\4\2\0\x3c\0\1axx"s}}, "do not fill"},
      {"MQTT, a length of five bytes", mqtt, {{C, "\x10\xff\xff\xff\xff\x01"s}}, "impossible length"},
      {"NATS, plaintext where TLS is demanded",
       nats,
       {{S, "INFO {\"tls_required\":true}\r\n"}, {C, "CONNECT {}\r\n"}},
       "demands TLS"},
      {"NATS, a name twice", nats, {{S, "INFO {}\r\n"}, {C, "CONNECT {\"user\":\"a\",\"user\":\"b\"}\r\n"}}, "twice"},
      {"NATS, names in capitals", nats, {{S, "INFO {}\r\n"}, {C, "CONNECT {\"USER\":\"a\"}\r\n"}}, "lower case"},
  };
}

TEST(Startup, RefusesWhatServersCouldReadOtherwise) {
  for (const auto& test : hostile()) {
    const auto heard = listen(test.protocol, test.dialogue);
    EXPECT_NE(heard.error.find(test.reason), std::string::npos) << test.name << ": " << heard.error;
  }
}

TEST(Startup, StaysRefused) {
  const auto parser = make_startup_parser(git);
  ASSERT_FALSE(parser->feed(C, "GET /"));
  const auto again = parser->feed(C, git_packet("git-upload-pack /a\0"s));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().message(), "git: a packet line without a length");
}

TEST(Startup, HoldsNoPassword) {
  const std::vector<std::pair<StartupProtocol, Dialogue>> dialogues = {
      {redis, {{C, "AUTH alice SECRET\r\n"}}},
      {redis, {{C, "*2\r\n$4\r\nAUTH\r\n$6\r\nSECRET\r\n"}}},
      {smtp, {{S, "220 x\r\n"}, {C, "AUTH PLAIN AGFsaWNlAFNFQ1JFVA==\r\n"}}},
      {smtp,
       {{S, "220 x\r\n"},
        {C, "AUTH LOGIN\r\n"},
        {S, "334 x\r\n"},
        {C, "YQ==\r\n"},
        {S, "334 x\r\n"},
        {C, "U0VDUkVU\r\n"}}},
      {imap, {{S, "* OK\r\n"}, {C, "a LOGIN alice SECRET\r\n"}}},
      {imap, {{S, "* OK\r\n"}, {C, "a LOGIN {5+}\r\nalice {6+}\r\nSECRET\r\n"}}},
      {pop3, {{S, "+OK\r\n"}, {C, "USER a\r\nPASS SECRET\r\n"}}},
      {ftp, {{S, "220 x\r\n"}, {C, "USER a\r\n"}, {S, "331 x\r\n"}, {C, "PASS SECRET\r\n"}}},
      {ldap,
       {{C,
         "\x30\x17\x02\x01\x02\x60\x12\x02\x01\x03\x04\x05"
         "alice"
         "\x80\x06SECRET"s}}},
      {nats, {{S, "INFO {}\r\n"}, {C, "CONNECT {\"auth_token\":\"SECRET\",\"pass\":\"SECRET\"}\r\n"}}},
      {mqtt, {{C, "\x10\x18\0\4MQTT\4\xc2\0\x3c\0\1a\0\1b\0\6SECRET"s}}}};
  for (const auto& [protocol, dialogue] : dialogues) {
    const auto heard = listen(protocol, dialogue);
    EXPECT_EQ(heard.error, "") << startup_protocol_name(protocol);
    const auto& facts = heard.facts;
    for (const auto& text : {facts.user, facts.database, facts.application, facts.server, facts.host, facts.path,
                             facts.request, facts.mechanism})
      EXPECT_EQ(text.find("SECRET"), std::string::npos) << startup_protocol_name(protocol);
  }
}

TEST(Startup, BoundsMessagesValuesListsAndCounts) {
  const std::string long_name(kStartupValueLimit + 1, 'x');
  EXPECT_NE(listen(smtp, {{S, "220 x\r\n"}, {C, "EHLO " + long_name + "\r\n"}}).error, "");
  EXPECT_EQ(listen(smtp, {{S, "220 x\r\n"}, {C, "EHLO " + long_name.substr(1) + "\r\n"}}).error, "");
  EXPECT_NE(listen(smtp, {{S, "220 x\r\n"}, {C, std::string(kStartupMessageLimit, 'x')}}, 4096).error, "");
  EXPECT_NE(listen(xmpp, {{C, "<" + std::string(kStartupMessageLimit, 'x')}}, 4096).error, "");

  Dialogue mails = {{S, "220 x\r\n"}};
  for (size_t i = 0; i < kStartupListLimit; ++i) {
    mails.push_back({C, "RCPT TO:<a@b>\r\n"});
    mails.push_back({S, "250 ok\r\n"});
  }
  EXPECT_EQ(listen(smtp, mails, 4096).error, "");
  mails.push_back({C, "RCPT TO:<a@b>\r\n"});
  EXPECT_NE(listen(smtp, mails, 4096).error, "");

  std::string many;
  for (size_t i = 0; i <= kStartupMessageCount; ++i) many += "PING\r\n";
  EXPECT_NE(listen(redis, {{C, many}}, 4096).error.find("too many messages"), std::string::npos);
}

}  // namespace
}  // namespace stockade::net
