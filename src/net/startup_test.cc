#include "net/startup.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace stockade::net {
namespace {

using namespace std::string_literals;
using enum StartupProtocol;

constexpr Speaker C = Speaker::client;
constexpr Speaker S = Speaker::server;

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
Heard listen(StartupProtocol protocol, const Dialogue& dialogue, size_t piece) {
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

Heard listen(StartupProtocol protocol, const Dialogue& dialogue) {
  const auto whole = listen(protocol, dialogue, SIZE_MAX / 2);
  for (const size_t piece : {1, 2, 3, 7}) {
    const auto cut = listen(protocol, dialogue, piece);
    EXPECT_EQ(whole.error, cut.error) << "in pieces of " << piece;
    EXPECT_TRUE(whole == cut) << "in pieces of " << piece;
  }
  return whole;
}

std::string big(uint64_t value, size_t width) {
  std::string out;
  for (size_t i = width; i-- > 0;) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}
std::string little(uint64_t value, size_t width) {
  std::string out = big(value, width);
  return {out.rbegin(), out.rend()};
}

const std::string kClientHello = "\x16\x03\x01\x02\x00\x01"s;

// ---- PostgreSQL

std::string pg_packet(const std::string& body) { return big(body.size() + 4, 4) + body; }
const std::string kPgSsl = "\0\0\0\x08\x04\xd2\x16\x2f"s;
const std::string kPgGss = "\0\0\0\x08\x04\xd2\x16\x30"s;
const std::string kPgStart = pg_packet("\0\3\0\0user\0alice\0database\0shop\0application_name\0psql\0\0"s);

TEST(PostgresqlStartup, ReadsWhoConnectsToWhat) {
  const auto heard = listen(postgresql, {{C, kPgStart + "p\0\0\0\x08pw1\0"s}});
  EXPECT_EQ(heard.error, "");
  EXPECT_TRUE(heard.done);
  EXPECT_EQ(heard.facts.user, "alice");
  EXPECT_EQ(heard.facts.database, "shop");
  EXPECT_EQ(heard.facts.application, "psql");
  EXPECT_EQ(heard.facts.tls, StartupTls::never);
  EXPECT_EQ(heard.rest, "p\0\0\0\x08pw1\0"s);
}

TEST(PostgresqlStartup, KnowsWhereTlsBegins) {
  const auto heard = listen(postgresql, {{C, kPgGss}, {S, "N"}, {C, kPgSsl}, {S, "S"}, {C, kClientHello}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.tls, StartupTls::now);
  EXPECT_EQ(heard.facts.tls_at, 16u);
  EXPECT_EQ(heard.rest, kClientHello);
}

TEST(PostgresqlStartup, GoesOnInPlaintextWhereTheServerDeclines) {
  const auto heard = listen(postgresql, {{C, kPgSsl}, {S, "N"}, {C, kPgStart}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.user, "alice");
  EXPECT_TRUE(listen(postgresql, {{C, kPgGss}, {S, "G"}}).facts.own_encryption);
}

TEST(PostgresqlStartup, TellsACancellationAndReplication) {
  EXPECT_EQ(listen(postgresql, {{C, pg_packet("\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2"s)}}).facts.request, "cancel");
  EXPECT_EQ(listen(postgresql, {{C, pg_packet("\0\3\0\0user\0a\0replication\0true\0\0"s)}}).facts.request,
            "replication");
}

// ---- MySQL

std::string my_packet(int sequence, const std::string& body) {
  return little(body.size(), 3) + static_cast<char>(sequence) + body;
}
std::string my_greeting(uint32_t flags) {
  return my_packet(0, "\x0a"s + "8.0.36\0"s + little(7, 4) + "abcdefgh\0"s + little(flags & 0xffff, 2) + "\xff" +
                          little(2, 2) + little(flags >> 16, 2) + "\x15" + std::string(10, '\0') + "ijklmnopqrst\0"s +
                          "caching_sha2_password\0"s);
}
constexpr uint32_t kMyFlags = 0xdfffffff;
constexpr uint32_t kMyClient = 0x00bfa68d & ~(1u << 11);  // of libmysqlclient, without TLS
std::string my_login(uint32_t flags) {
  return my_packet(1, little(flags, 4) + little(1 << 24, 4) + "\xff" + std::string(23, '\0') + "alice\0"s + "\x14" +
                          std::string(20, 'h') + "shop\0"s + "mysql_native_password\0"s + "\x12" + "\x0c" +
                          "program_name" + "\x04" + "demo");
}

TEST(MysqlStartup, ReadsALogin) {
  const auto heard = listen(mysql, {{S, my_greeting(kMyFlags)}, {C, my_login(kMyClient | 8 | 1u << 20)}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.server, "8.0.36");
  EXPECT_EQ(heard.facts.user, "alice");
  EXPECT_EQ(heard.facts.database, "shop");
  EXPECT_EQ(heard.facts.mechanism, "mysql_native_password");
  EXPECT_EQ(heard.facts.application, "demo");
  EXPECT_EQ(heard.facts.tls, StartupTls::never);
}

TEST(MysqlStartup, KnowsWhereTlsBegins) {
  const auto request =
      my_packet(1, little(kMyClient | 1u << 11, 4) + little(1 << 24, 4) + "\xff" + std::string(23, '\0'));
  const auto heard = listen(mysql, {{S, my_greeting(kMyFlags)}, {C, request + kClientHello}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.tls, StartupTls::now);
  EXPECT_EQ(heard.facts.tls_at, 36u);
  EXPECT_EQ(heard.rest, kClientHello);
}

// ---- Redis

TEST(RedisStartup, ReadsTheLoginAndLeavesTheFirstOtherCommand) {
  const std::string auth = "*3\r\n$4\r\nAUTH\r\n$5\r\nalice\r\n$6\r\nsecret\r\n";
  const std::string hello = "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$3\r\nbob\r\n$2\r\npw\r\n";
  const std::string select = "*2\r\n$6\r\nSELECT\r\n$1\r\n4\r\n";
  const std::string get = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
  const auto heard = listen(redis, {{C, auth}, {S, "+OK\r\n"}, {C, select + get}});
  EXPECT_EQ(heard.error, "");
  EXPECT_TRUE(heard.done);
  EXPECT_EQ(heard.facts.user, "alice");
  EXPECT_EQ(heard.facts.database, "4");
  EXPECT_EQ(heard.rest, get);
  EXPECT_EQ(listen(redis, {{C, hello}}).facts.user, "bob");
  EXPECT_EQ(listen(redis, {{C, "AUTH pw\r\nselect 2\r\nGET x\r\n"}}).facts.database, "2");
  EXPECT_EQ(listen(redis, {{C, "AUTH pw\r\n"}}).facts.user, "default");
}

TEST(RedisStartup, WaitsForNoMoreOfALongCommandThanItsName) {
  const auto heard = listen(redis, {{C, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$900000\r\nxxxx"}});
  EXPECT_EQ(heard.error, "");
  EXPECT_TRUE(heard.done);
  EXPECT_TRUE(listen(redis, {{C, "*5000\r\n$4\r\nMSET\r\n$1\r\n"}}).done);
}

// ---- MongoDB

std::string bson(const std::string& elements) { return little(elements.size() + 5, 4) + elements + '\0'; }
std::string bson_string(const std::string& name, const std::string& value) {
  return "\x02" + name + '\0' + little(value.size() + 1, 4) + value + '\0';
}
std::string bson_document(const std::string& name, const std::string& document, char type = 3) {
  return type + name + '\0' + document;
}
std::string mongo(uint32_t code, const std::string& body) {
  return little(16 + body.size(), 4) + little(1, 4) + little(0, 4) + little(code, 4) + body;
}

TEST(MongodbStartup, ReadsHello) {
  const auto login = bson(bson_string("mechanism", "SCRAM-SHA-256") + bson_string("db", "admin") + "\x05payload\0"s +
                          little(19, 4) + '\0' + "n,,n=alice,r=abcdef");
  const auto document =
      bson("\x10hello\0"s + little(1, 4) +
           bson_document("client", bson(bson_document("driver", bson(bson_string("name", "PyMongo"))) +
                                        bson_document("application", bson(bson_string("name", "demo"))))) +
           bson_document("compression", bson(bson_string("0", "zstd") + bson_string("1", "snappy")), 4) +
           bson_string("saslSupportedMechs", "admin.alice") + bson_document("speculativeAuthenticate", login) +
           bson_string("$db", "admin"));
  for (const auto& message : {mongo(2013, little(0, 4) + '\0' + document),
                              mongo(2004, little(4, 4) + "admin.$cmd\0"s + little(0, 4) + little(1, 4) + document)}) {
    const auto heard = listen(mongodb, {{C, message + "x"}});
    EXPECT_EQ(heard.error, "");
    EXPECT_TRUE(heard.done);
    EXPECT_EQ(heard.facts.user, "alice");
    EXPECT_EQ(heard.facts.database, "admin");
    EXPECT_EQ(heard.facts.application, "demo");
    EXPECT_EQ(heard.facts.mechanism, "SCRAM-SHA-256");
    EXPECT_EQ(heard.facts.offered, (std::vector<std::string>{"zstd", "snappy"}));
    EXPECT_EQ(heard.rest, "x");
  }
}

// ---- the mail protocols and FTP

TEST(SmtpStartup, KnowsWhereTlsBegins) {
  const auto heard = listen(smtp, {{S, "220 mx.example ESMTP\r\n"},
                                   {C, "EHLO me.example\r\n"},
                                   {S, "250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n"},
                                   {C, "STARTTLS\r\n"},
                                   {S, "220 2.0.0 go ahead\r\n"},
                                   {C, kClientHello}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.tls, StartupTls::now);
  EXPECT_EQ(heard.facts.tls_at, 27u);
  EXPECT_EQ(heard.facts.application, "me.example");
}

TEST(SmtpStartup, ReadsEveryMailOfAConnection) {
  const auto heard = listen(
      smtp, {{S, "220 x\r\n"},
             {C, "EHLO a\r\n"},
             {S, "250 x\r\n"},
             {C, "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"},
             {S, "235 ok\r\n"},
             {C, "MAIL FROM:<a@a.example> SIZE=10\r\nRCPT TO:<b@b.example>\r\nRCPT TO:<\"c>\"@c.example>\r\nDATA\r\n"},
             {S, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"},
             {C, "Subject: x\r\n\r\nRCPT TO:<no@no.example>\r\n..\r\n.\r\n"},
             {S, "250 queued\r\n"},
             {C, "MAIL FROM:<>\r\nRCPT TO:<d@d.example>\r\nBDAT 5\r\nab\ncdBDAT 0 LAST\r\n"},
             {S, "250 a\r\n250 b\r\n250 c\r\n250 d\r\n"},
             {C, "QUIT\r\n"},
             {S, "221 bye\r\n"}});
  EXPECT_EQ(heard.error, "");
  EXPECT_FALSE(heard.done);
  EXPECT_EQ(heard.facts.user, "alice");
  EXPECT_EQ(heard.facts.mechanism, "PLAIN");
  EXPECT_EQ(heard.facts.senders, (std::vector<std::string>{"a@a.example", ""}));
  EXPECT_EQ(heard.facts.recipients, (std::vector<std::string>{"b@b.example", "\"c>\"@c.example", "d@d.example"}));
  EXPECT_EQ(heard.facts.tls, StartupTls::never);
}

TEST(SmtpStartup, ReadsALoginInSteps) {
  const auto heard = listen(smtp, {{S, "220 x\r\n"},
                                   {C, "AUTH LOGIN\r\n"},
                                   {S, "334 VXNlcm5hbWU6\r\n"},
                                   {C, "YWxpY2U=\r\n"},
                                   {S, "334 UGFzc3dvcmQ6\r\n"},
                                   {C, "c2VjcmV0\r\n"},
                                   {S, "535 no\r\n"},
                                   {C, "NOOP\r\n"}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.user, "alice");
}

TEST(ImapStartup, KnowsWhereTlsBegins) {
  const auto heard = listen(imap, {{S, "* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n"},
                                   {C, "a0 CAPABILITY\r\n"},
                                   {S, "* CAPABILITY IMAP4rev1 STARTTLS\r\na0 OK done\r\n"},
                                   {C, "a1 STARTTLS\r\n"},
                                   {S, "a1 OK begin\r\n"},
                                   {C, kClientHello}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.tls, StartupTls::now);
  EXPECT_EQ(heard.facts.tls_at, 28u);
}

TEST(ImapStartup, ReadsTheUserInEverySpelling) {
  const std::vector<Dialogue> logins = {
      {{C, "a LOGIN alice secret\r\n"}},
      {{C, "a login \"al\\ice\" \"sec ret\"\r\n"}},
      {{C, "a LOGIN {5}\r\n"}, {S, "+ go\r\n"}, {C, "alice {6}\r\n"}, {S, "+ \r\n"}, {C, "secret\r\n"}},
      {{C, "a LOGIN {5+}\r\nalice {6+}\r\nsecret\r\n"}},
      {{C, "a AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n"}},
      {{C, "a AUTHENTICATE PLAIN\r\n"}, {S, "+\r\n"}, {C, "AGFsaWNlAHNlY3JldA==\r\n"}}};
  for (const auto& login : logins) {
    Dialogue dialogue = {{S, "* OK hi\r\n"}};
    dialogue.insert(dialogue.end(), login.begin(), login.end());
    dialogue.push_back({S, "a OK in\r\n"});
    const auto heard = listen(imap, dialogue);
    EXPECT_EQ(heard.error, "") << login[0].bytes;
    EXPECT_EQ(heard.facts.user, "alice") << login[0].bytes;
    EXPECT_TRUE(heard.done) << login[0].bytes;
  }
  EXPECT_TRUE(listen(imap, {{S, "* PREAUTH hi\r\n"}}).done);
}

TEST(Pop3Startup, KnowsWhereTlsBegins) {
  const auto heard = listen(pop3, {{S, "+OK hi\r\n"},
                                   {C, "CAPA\r\n"},
                                   {S, "+OK list\r\nSTLS\r\nUSER\r\n.\r\n"},
                                   {C, "STLS\r\n"},
                                   {S, "+OK begin\r\n"},
                                   {C, kClientHello}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.tls, StartupTls::now);
  EXPECT_EQ(heard.facts.tls_at, 12u);
}

TEST(Pop3Startup, ReadsALogin) {
  const auto heard = listen(
      pop3, {{S, "+OK hi\r\n"}, {C, "USER alice\r\nPASS secret\r\n"}, {S, "+OK\r\n+OK in\r\n"}, {C, "LIST\r\n"}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.user, "alice");
  EXPECT_TRUE(heard.done);
  EXPECT_EQ(heard.rest, "LIST\r\n");
}

TEST(FtpStartup, KnowsWhereTlsBegins) {
  const auto heard = listen(
      ftp,
      {{S, "220-hi\r\n 220 x\r\nany\r\n220 ready\r\n"}, {C, "AUTH TLS\r\n"}, {S, "234 go\r\n"}, {C, kClientHello}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.tls, StartupTls::now);
  EXPECT_EQ(heard.facts.tls_at, 10u);
  const auto plain = listen(ftp, {{S, "220 hi\r\n"},
                                  {C, "USER alice\r\n"},
                                  {S, "331 pw\r\n"},
                                  {C, "PASS x\r\n"},
                                  {S, "230 in\r\n"},
                                  {C, "LIST\r\n"}});
  EXPECT_EQ(plain.error, "");
  EXPECT_EQ(plain.facts.user, "alice");
  EXPECT_TRUE(plain.done);
}

// ---- the others

const std::string kLdapStartTls =
    "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
    "1.3.6.1.4.1.1466.20037"s;
const std::string kLdapSuccess = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"s;
const std::string kLdapBind =
    "\x30\x15\x02\x01\x02\x60\x10\x02\x01\x03\x04\x05"
    "alice"
    "\x80\x04"
    "pass"s;

TEST(LdapStartup, KnowsWhereTlsBegins) {
  const auto heard = listen(ldap, {{C, kLdapStartTls}, {S, kLdapSuccess}, {C, kClientHello}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.tls, StartupTls::now);
  EXPECT_EQ(heard.facts.tls_at, 31u);
}

TEST(LdapStartup, ReadsABind) {
  const auto heard = listen(ldap, {{C, kLdapBind + "\x30\x05\x02\x01\x03\x42\x00"s}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.user, "alice");
  EXPECT_EQ(heard.facts.mechanism, "simple");
  EXPECT_EQ(heard.rest.size(), 7u);
}

const std::string kXmppOpen =
    "<?xml version='1.0'?><stream:stream to='im.example' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>";
const std::string kXmppAnswer =
    "<?xml version='1.0'?><stream:stream from='im.example' id='1' xmlns='jabber:client'><stream:features>"
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls><mechanisms "
    "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>";

TEST(XmppStartup, KnowsWhereTlsBegins) {
  const std::string ask = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
  const auto heard = listen(xmpp, {{C, kXmppOpen},
                                   {S, kXmppAnswer},
                                   {C, ask},
                                   {S, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
                                   {C, kClientHello}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.tls, StartupTls::now);
  EXPECT_EQ(heard.facts.tls_at, kXmppOpen.size() + ask.size());
  EXPECT_EQ(heard.facts.host, "im.example");
}

TEST(XmppStartup, EndsAtALogin) {
  const std::string auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>";
  const auto heard = listen(xmpp, {{C, kXmppOpen}, {S, kXmppAnswer}, {C, auth}});
  EXPECT_EQ(heard.error, "");
  EXPECT_TRUE(heard.done);
  EXPECT_EQ(heard.facts.mechanism, "PLAIN");
  EXPECT_EQ(heard.rest, auth);
}

std::string ssh_packet(const std::string& kex) {
  std::string payload = "\x14"s + std::string(16, 'c') + big(kex.size(), 4) + kex;
  for (int i = 0; i < 9; ++i) payload += big(4, 4) + "none";
  payload += std::string(5, '\0');
  size_t padding = 4;
  while ((5 + payload.size() + padding) % 8 != 0) ++padding;
  return big(1 + payload.size() + padding, 4) + static_cast<char>(padding) + payload + std::string(padding, 'p');
}

TEST(SshStartup, ReadsBothSidesInAnyOrder) {
  const std::string kex = ssh_packet("curve25519-sha256,ecdh-sha2-nistp256");
  for (const auto& dialogue :
       {Dialogue{{C, "SSH-2.0-OpenSSH_9.2 x\r\n" + kex}, {S, "hello\r\nSSH-2.0-other\n" + ssh_packet("a")}},
        Dialogue{{S, "hello\r\nSSH-2.0-other\n" + ssh_packet("a")}, {C, "SSH-2.0-OpenSSH_9.2 x\r\n" + kex}}}) {
    const auto heard = listen(ssh, dialogue);
    EXPECT_EQ(heard.error, "");
    EXPECT_TRUE(heard.done);
    EXPECT_EQ(heard.facts.application, "SSH-2.0-OpenSSH_9.2 x");
    EXPECT_EQ(heard.facts.server, "SSH-2.0-other");
    EXPECT_EQ(heard.facts.offered, (std::vector<std::string>{"curve25519-sha256", "ecdh-sha2-nistp256"}));
    EXPECT_TRUE(heard.facts.own_encryption);
  }
}

std::string git_packet(const std::string& body) {
  char length[5];
  std::snprintf(length, sizeof(length), "%04zx", body.size() + 4);
  return length + body;
}

TEST(GitStartup, ReadsServiceHostAndPath) {
  const auto heard =
      listen(git, {{C, git_packet("git-upload-pack /a/b.git\0host=git.example:9418\0\0version=2\0"s) + "0000"}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.request, "git-upload-pack");
  EXPECT_EQ(heard.facts.path, "/a/b.git");
  EXPECT_EQ(heard.facts.host, "git.example:9418");
  EXPECT_EQ(heard.rest, "0000");
}

TEST(AmqpStartup, ReadsBothVersions) {
  const auto method = [](uint32_t id, const std::string& body) {
    return "\1\0\0"s + big(body.size() + 4, 4) + big(id, 4) + body + "\xce";
  };
  const std::string start_ok = method(10u << 16 | 11, big(0, 4) + "\x05PLAIN" + big(9, 4) + "\0alice\0pw"s + "\5en_US");
  const std::string open = method(10u << 16 | 40, "\5/shop\0\0"s);
  const auto old = listen(amqp, {{C, "AMQP\0\0\x09\x01"s}, {S, "any"}, {C, start_ok + open}});
  EXPECT_EQ(old.error, "");
  EXPECT_TRUE(old.done);
  EXPECT_EQ(old.facts.user, "alice");
  EXPECT_EQ(old.facts.database, "/shop");
  EXPECT_EQ(old.facts.request, "0-9-1");

  const auto tls = listen(amqp, {{C, "AMQP\2\1\0\0"s}, {S, "AMQP\2\1\0\0"s}, {C, kClientHello}});
  EXPECT_EQ(tls.error, "");
  EXPECT_EQ(tls.facts.tls, StartupTls::now);
  EXPECT_EQ(tls.facts.tls_at, 8u);

  const std::string init = "\0\x53\x41\xc0\x12\x02\xa3\x05PLAIN\xa0\x09\0alice\0pw"s;
  const auto sasl = listen(amqp, {{C, "AMQP\3\1\0\0"s + big(8 + init.size(), 4) + "\2\1\0\0"s + init}});
  EXPECT_EQ(sasl.error, "");
  EXPECT_EQ(sasl.facts.user, "alice");
}

TEST(MqttStartup, ReadsEveryVersion) {
  const auto text = [](const std::string& s) { return big(s.size(), 2) + s; };
  const auto packet = [](const std::string& body) { return "\x10"s + static_cast<char>(body.size()) + body; };
  const std::string tail = text("client-7") + text("topic") + text("gone") + text("alice") + text("secret");
  const std::string five = text("MQTT") + "\5\xc6\0\x3c"s + "\5\x11\0\0\0\1"s + text("client-7") + "\0"s +
                           text("topic") + text("gone") + text("alice") + text("secret");
  for (const auto& body : {text("MQTT") + "\4\xc6\0\x3c"s + tail, text("MQIsdp") + "\3\xc6\0\x3c"s + tail, five}) {
    const auto heard = listen(mqtt, {{C, packet(body) + "\x30"}});
    EXPECT_EQ(heard.error, "");
    EXPECT_EQ(heard.facts.user, "alice");
    EXPECT_EQ(heard.facts.application, "client-7");
    EXPECT_EQ(heard.rest, "\x30");
  }
}

TEST(NatsStartup, ReadsInfoAndConnect) {
  const auto heard =
      listen(nats, {{S, "INFO {\"server_name\":\"n1\",\"tls_available\":true}\r\n"},
                    {C, "CONNECT {\"user\":\"alice\",\"pass\":\"secret\",\"name\":\"demo\"}\r\nPING\r\n"}});
  EXPECT_EQ(heard.error, "");
  EXPECT_EQ(heard.facts.user, "alice");
  EXPECT_EQ(heard.facts.mechanism, "password");
  EXPECT_EQ(heard.rest, "PING\r\n");
  const auto tls = listen(nats, {{S, "INFO {\"tls_required\":true}\r\n"}, {C, kClientHello}});
  EXPECT_EQ(tls.error, "");
  EXPECT_EQ(tls.facts.tls, StartupTls::now);
  EXPECT_EQ(tls.facts.tls_at, 0u);
  EXPECT_EQ(tls.rest, kClientHello);
}

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

// ---- the choice

TEST(StartupChoice, GoesByTheFirstBytes) {
  const std::pair<StartupProtocol, std::string> cases[] = {{postgresql, kPgSsl},
                                                           {postgresql, kPgStart},
                                                           {ssh, "SSH-2.0-x"},
                                                           {git, "0032git-upload-pack /"},
                                                           {amqp, "AMQP\0\0\x09\x01"s},
                                                           {mqtt, "\x10\x10\0\4MQTT\4"s},
                                                           {mqtt, "\x10\xff\x01\0\6MQIsdp\3"s},
                                                           {ldap, kLdapStartTls},
                                                           {xmpp, kXmppOpen},
                                                           {redis, "*1\r\n$4\r\nPING\r\n"},
                                                           {mongodb, mongo(2013, std::string(30, 'x'))}};
  for (const auto& [protocol, bytes] : cases) {
    EXPECT_EQ(startup_by_first_bytes(bytes).protocol, protocol) << startup_protocol_name(protocol);
    for (size_t size = 0; size < bytes.size(); ++size) {
      const auto guess = startup_by_first_bytes(bytes.substr(0, size));
      EXPECT_TRUE(guess.need_more || guess.protocol == protocol) << startup_protocol_name(protocol) << " " << size;
    }
  }
  for (const auto& bytes : {kClientHello, "GET / HTTP/1.1\r\n"s, "EHLO a\r\n"s, "\xff\xff\xff\xff"s}) {
    const auto guess = startup_by_first_bytes(bytes);
    EXPECT_FALSE(guess.need_more || guess.protocol) << bytes;
  }
}

TEST(StartupChoice, GoesByThePort) {
  EXPECT_EQ(startup_by_port(5432), postgresql);
  EXPECT_EQ(startup_by_port(587), smtp);
  EXPECT_EQ(startup_by_port(443), std::nullopt);
  EXPECT_EQ(startup_by_port(993), std::nullopt);
  for (size_t i = 0; i < kStartupProtocols; ++i) {
    const auto protocol = static_cast<StartupProtocol>(i);
    EXPECT_EQ(make_startup_parser(protocol)->facts().protocol, protocol);
    EXPECT_FALSE(startup_protocol_name(protocol).empty());
  }
}

}  // namespace
}  // namespace stockade::net
