#include <gtest/gtest.h>

#include "net/startup_dialogue_for_test.h"

namespace stockade::net {
namespace {

using namespace std::string_literals;
using namespace startup_test;
using enum StartupProtocol;

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
