// What the startup parsers read inside the TLS that the plaintext before it agreed on.
#include "net/startup_dialogue_for_test.h"

namespace stockade::net {
namespace {

using namespace startup_test;

std::string heard_inside(StartupProtocol protocol, const Dialogue& before, const Dialogue& inside,
                         StartupFacts& facts) {
  const auto outer = make_startup_parser(protocol);
  for (const auto& [speaker, bytes] : before)
    if (!outer->feed(speaker, bytes)) return "before TLS";
  if (!outer->done() || outer->facts().tls != StartupTls::now) return "no TLS";
  const auto parser = outer->inside_tls();
  if (!parser) return "nothing is read inside";
  for (const auto& [speaker, bytes] : inside) {
    const auto taken = parser->feed(speaker, bytes);
    if (!taken) return taken.error().message();
  }
  facts = parser->facts();
  return {};
}

struct Inside {
  StartupProtocol protocol;
  Dialogue before;
  Dialogue inside;
  std::string user;
};

const std::string kGreeting = "220 mx.example ESMTP\r\n";
const std::string kInfo = "INFO {\"tls_required\":true}\r\n";

std::string my_login_inside() {
  std::string packet = my_login(kMyClient | 1u << 11);
  packet[3] = 2;
  return packet;
}

const Inside kCases[] = {
    {postgresql, {{C, kPgSsl}, {S, "S"}}, {{C, kPgStart}}, "alice"},
    {mysql,
     {{S, my_greeting(kMyFlags)}, {C, my_packet(1, little(kMyClient | 1u << 11, 4) + std::string(28, '\0'))}},
     {{C, my_login_inside()}},
     "alice"},
    {smtp,
     {{S, kGreeting}, {C, "EHLO a\r\n"}, {S, "250 STARTTLS\r\n"}, {C, "STARTTLS\r\n"}, {S, "220 go\r\n"}},
     {{C, "EHLO a\r\n"}, {S, "250 AUTH PLAIN\r\n"}, {C, "AUTH PLAIN AGFsaWNlAHBhc3M=\r\n"}},
     "alice"},
    {imap,
     {{S, "* OK hi\r\n"}, {C, "a STARTTLS\r\n"}, {S, "a OK go\r\n"}},
     {{C, "b LOGIN alice pass\r\n"}, {S, "b OK in\r\n"}},
     "alice"},
    {pop3, {{S, "+OK hi\r\n"}, {C, "STLS\r\n"}, {S, "+OK go\r\n"}}, {{C, "USER alice\r\n"}}, "alice"},
    {ftp, {{S, "220 hi\r\n"}, {C, "AUTH TLS\r\n"}, {S, "234 go\r\n"}}, {{C, "USER alice\r\n"}}, "alice"},
    {ldap, {{C, kLdapStartTls}, {S, kLdapSuccess}}, {{C, kLdapBind}}, "alice"},
    {nats, {{S, kInfo}, {C, kClientHello}}, {{C, "CONNECT {\"user\":\"alice\",\"pass\":\"x\"}\r\n"}}, "alice"},
};

TEST(InsideTls, TheSessionGoesOn) {
  for (const auto& [protocol, before, inside, user] : kCases) {
    StartupFacts facts;
    EXPECT_EQ(heard_inside(protocol, before, inside, facts), "") << startup_protocol_name(protocol);
    EXPECT_EQ(facts.user, user) << startup_protocol_name(protocol);
  }
}

TEST(InsideTls, WhoAsksForTlsAgainIsRefused) {
  StartupFacts facts;
  EXPECT_NE(heard_inside(postgresql, kCases[0].before, {{C, kPgSsl}}, facts), "");
  // In MySQL the flag is repeated, and a packet without it is another client's.
  std::string denies = my_login(kMyClient);
  denies[3] = 2;
  EXPECT_NE(heard_inside(mysql, kCases[1].before, {{C, denies}}, facts), "");
}

TEST(StartupCredentials, AreThoseOfTheLoginAlone) {
  const auto told = [](StartupProtocol protocol, const Dialogue& dialogue) {
    const auto parser = make_startup_parser(protocol);
    std::string all;
    for (const auto& [speaker, bytes] : dialogue) {
      EXPECT_TRUE(parser->feed(speaker, bytes)) << startup_protocol_name(protocol);
      if (speaker == C)
        for (const auto& [begin, size] : parser->credentials()) all += bytes.substr(begin, size) + ";";
    }
    return all;
  };
  EXPECT_EQ(told(smtp, {{S, kGreeting},
                        {C, "EHLO a\r\n"},
                        {S, "250 ok\r\n"},
                        {C, "AUTH LOGIN\r\n"},
                        {S, "334 x\r\n"},
                        {C, "YWxpY2U=\r\n"},
                        {S, "334 y\r\n"},
                        {C, "cGFzcw==\r\n"}}),
            "YWxpY2U=;cGFzcw==;");
  EXPECT_EQ(told(imap, {{S, "* OK hi\r\n"}, {C, "a NOOP\r\n"}, {S, "a OK\r\n"}, {C, "b LOGIN alice \"p w\"\r\n"}}),
            "\"p w\";");
  EXPECT_EQ(told(pop3, {{S, "+OK hi\r\n"}, {C, "USER alice\r\n"}, {S, "+OK\r\n"}, {C, "PASS p w\r\n"}}), "p w;");
  EXPECT_EQ(told(ftp, {{S, "220 hi\r\n"}, {C, "USER a\r\n"}, {S, "331 go\r\n"}, {C, "PASS pass\r\n"}}), "pass;");
  EXPECT_EQ(told(redis, {{C, "PING\r\nAUTH alice pass\r\nSELECT 1\r\n"}}), "pass;");
  EXPECT_EQ(told(ldap, {{C, kLdapBind}}), "pass;");
}

TEST(InsideTls, NothingIsReadWhereNothingAsksForTls) {
  for (const auto protocol : {ssh, redis, git, mqtt, mongodb})
    EXPECT_EQ(make_startup_parser(protocol)->inside_tls(), nullptr);
}

TEST(InsideTls, GoesByThePortWhereTlsComesFirst) {
  EXPECT_EQ(startup_inside_tls_by_port(465), smtp);
  EXPECT_EQ(startup_inside_tls_by_port(993), imap);
  EXPECT_EQ(startup_inside_tls_by_port(443), std::nullopt);
  EXPECT_EQ(startup_inside_tls_by_port(25), std::nullopt);
}

}  // namespace
}  // namespace stockade::net
