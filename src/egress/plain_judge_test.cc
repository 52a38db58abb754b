#include "egress/plain_judge.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "policy/policy.h"

namespace stockade::egress {
namespace {

using namespace std::string_literals;

const std::string kToken = "glpat-Zk82hdKq01mmXv93bQwe";  // made up
const std::string kPgStart = "\0\0\0\x22\0\3\0\0user\0alice\0database\0shop\0\0"s;
const std::string kPgSsl = "\0\0\0\x08\x04\xd2\x16\x2f"s;
const std::string kHello = "\x16\x03\x01\0\xc8\x01\0\0\xc4\x03\x03"s;

ContentGuard* guard() {
  static auto made = ContentGuard::create();
  return made ? &*made : nullptr;
}

std::string client(PlainJudge& judge, std::string_view bytes) {
  auto passed = judge.from_client(bytes, false);
  auto rest = judge.pause();
  EXPECT_EQ(passed.refusal, "");
  EXPECT_TRUE(passed.found.empty() && rest.found.empty());
  return passed.leaves + rest.leaves;
}
std::string server(PlainJudge& judge, std::string_view bytes) {
  auto passed = judge.from_server(bytes);
  EXPECT_EQ(passed.refusal, "");
  return passed.leaves;
}

TEST(PlainJudge, KnowsAProtocolByRuleByPortAndByFirstBytes) {
  EXPECT_EQ(PlainJudge("mysql", 3307, nullptr).protocol(), "mysql");
  EXPECT_EQ(PlainJudge("mysql", 5432, nullptr).protocol(), "mysql");
  EXPECT_EQ(PlainJudge("", 5432, nullptr).protocol(), "postgresql");
  PlainJudge judge("", 7000, nullptr);
  EXPECT_EQ(judge.protocol(), "");
  EXPECT_EQ(client(judge, kPgStart.substr(0, 5)), "");  // may still become one
  EXPECT_TRUE(judge.waits());
  EXPECT_EQ(client(judge, kPgStart.substr(5)), kPgStart);
  EXPECT_EQ(judge.protocol(), "postgresql");
}

TEST(PlainJudge, TellsTheFactsWithTheBytesThatBringThem) {
  PlainJudge judge("", 5432, guard());
  auto passed = judge.from_client(kPgStart, false);
  ASSERT_TRUE(passed.facts);
  EXPECT_EQ(passed.facts->user, "alice");
  EXPECT_EQ(passed.facts->database, "shop");
  EXPECT_EQ(passed.leaves, kPgStart);
  EXPECT_FALSE(judge.from_client("Q\0\0\0\x0dselect 1\0"s, false).facts);
  EXPECT_FALSE(judge.untold_facts());
}

TEST(PlainJudge, TellsTheRecipientsOfEachMailBeforeItsContent) {
  PlainJudge judge("", 25, guard());
  server(judge, "220 mx\r\n");
  EXPECT_EQ(client(judge, "EHLO a\r\n"), "EHLO a\r\n");
  server(judge, "250 mx\r\n");
  for (const std::string name : {"first", "second"}) {
    client(judge, "MAIL FROM:<me@a.example>\r\n");
    server(judge, "250 ok\r\n");
    client(judge, "RCPT TO:<" + name + "@b.example>\r\n");
    server(judge, "250 ok\r\n");
    auto passed = judge.from_client("DATA\r\n", false);
    ASSERT_TRUE(passed.facts) << name;
    EXPECT_EQ(passed.facts->recipients.back(), name + "@b.example");
    server(judge, "354 go\r\n");
    EXPECT_FALSE(judge.from_client("hello\r\n.\r\n", false).facts);
    server(judge, "250 ok\r\n");
  }
}

TEST(PlainJudge, RefusesAStartupThatIsMalformed) {
  for (const auto& [port, bytes] : {std::pair{5432, "GET / HTTP/1.1\r\n"s}, {6379, "*1\r\n:1\r\n"s}, {9418, "zzzz"s}}) {
    PlainJudge judge("", static_cast<uint16_t>(port), guard());
    const auto passed = judge.from_client(bytes, false);
    EXPECT_NE(passed.refusal, "") << port;
    EXPECT_EQ(passed.leaves, "");
  }
  PlainJudge judge("", 25, guard());
  EXPECT_NE(judge.from_server("SSH-2.0-x\r\n").refusal, "");
}

TEST(PlainJudge, StopsWhereTlsIsAgreedOn) {
  PlainJudge judge("", 5432, guard());
  EXPECT_EQ(client(judge, kPgSsl), kPgSsl);
  EXPECT_FALSE(judge.tls_is_agreed());
  EXPECT_EQ(server(judge, "S"), "S");
  EXPECT_TRUE(judge.tls_is_agreed());
  EXPECT_EQ(client(judge, kHello), "");
  EXPECT_TRUE(judge.tls_begins());
  EXPECT_EQ(judge.take_hello(), kHello);
  judge.enter_tls();
  auto passed = judge.from_client(kPgStart, false);
  ASSERT_TRUE(passed.facts);
  EXPECT_EQ(passed.facts->user, "alice");
  EXPECT_EQ(passed.leaves, kPgStart);
}

TEST(PlainJudge, RefusesPlaintextAroundTheConsentToTls) {
  PlainJudge behind("", 5432, guard());
  client(behind, kPgSsl);
  EXPECT_NE(behind.from_server("Sx").refusal, "");
  PlainJudge early("", 5432, guard());
  client(early, kPgSsl);
  server(early, "S");
  EXPECT_NE(early.from_client(kPgStart, false).refusal, "");
}

TEST(PlainJudge, OpensTlsThatBeginsAtOnce) {
  for (const uint16_t port : {uint16_t{5432}, uint16_t{465}, uint16_t{7000}}) {
    PlainJudge judge("", port, guard());
    EXPECT_EQ(client(judge, "\x16"), "");
    EXPECT_EQ(client(judge, kHello.substr(1)), "");
    EXPECT_TRUE(judge.tls_begins()) << port;
    EXPECT_EQ(judge.take_hello(), kHello);
    judge.enter_tls();
    EXPECT_EQ(judge.protocol(), port == 5432 ? "postgresql" : port == 465 ? "smtp" : "");
    // Once more inside can't be read.
    EXPECT_NE(judge.from_client(kHello, false).refusal, "");
  }
}

TEST(PlainJudge, LetsNoTlsBeginInsideAProtocolThatNobodyKnows) {
  PlainJudge judge("", 7000, guard());
  EXPECT_EQ(client(judge, "upgrade please\n"), "upgrade please\n");
  EXPECT_EQ(server(judge, "yes\n"), "yes\n");
  EXPECT_NE(judge.from_client(kHello, false).refusal, "");
}

TEST(PlainJudge, LetsFirstBytesGoWhenNoMoreCome) {
  PlainJudge judge("", 7000, guard());
  EXPECT_EQ(client(judge, "*"), "");
  EXPECT_TRUE(judge.waits());
  EXPECT_EQ(judge.give_up_waiting().leaves, "*");
  EXPECT_FALSE(judge.waits());
  EXPECT_EQ(client(judge, "1\r\n"), "1\r\n");
}

TEST(PlainJudge, FindsSecretsInStartupAndBehindIt) {
  PlainJudge early("", 5432, guard());
  std::string start = kPgStart;
  start.insert(13, kToken + " ");
  start[3] = static_cast<char>(start[3] + kToken.size() + 1);
  auto passed = early.from_client(start, false);
  ASSERT_FALSE(passed.found.empty());
  // The log may say who it was, but not with these words.
  ASSERT_TRUE(passed.facts);
  EXPECT_EQ(passed.facts->user, "");
  PlainJudge late("", 5432, guard());
  client(late, kPgStart);
  passed = late.from_client("Q\0\0\0\x40insert into t values ('" + kToken + "')\0"s, false);
  EXPECT_TRUE(!passed.found.empty() || !late.pause().found.empty());
  PlainJudge unknown("", 7000, guard());
  passed = unknown.from_client("put " + kToken + "\n", false);
  EXPECT_TRUE(!passed.found.empty() || !unknown.pause().found.empty());
}

TEST(PlainJudge, LetsALoginPassWhereItBelongsAndNowhereElse) {
  const auto bulk = [](const std::string& text) { return fmt::format("${}\r\n{}\r\n", text.size(), text); };
  PlainJudge redis("", 6379, guard());
  const std::string login = "*2\r\n" + bulk("AUTH") + bulk(kToken);
  EXPECT_EQ(client(redis, login), login);
  EXPECT_TRUE(!redis.from_client("*3\r\n" + bulk("SET") + bulk("a") + bulk(kToken), false).found.empty() ||
              !redis.pause().found.empty());

  PlainJudge mail("", 25, guard());
  server(mail, "220 mx\r\n");
  const std::string plain = "AUTH PLAIN AGFwaWtleQBnbHBhdC1aazgyaGRLcTAxbW1YdjkzYlF3ZQ==\r\n";  // apikey, the token
  EXPECT_EQ(client(mail, plain), plain);
  server(mail, "235 ok\r\n");
  EXPECT_TRUE(!mail.from_client("MAIL FROM:<" + kToken + "@a.example>\r\n", false).found.empty() ||
              !mail.pause().found.empty());
}

// No more than a few: a login that is tried again and again would be a way out.
TEST(PlainJudge, SearchesLoginsThatDoNotEnd) {
  PlainJudge redis("", 6379, guard());
  bool found = false;
  for (int i = 0; i < 12 && !found; ++i) {
    auto passed = redis.from_client("AUTH " + kToken + "\r\n", false);
    found = !passed.found.empty() || !redis.pause().found.empty();
  }
  EXPECT_TRUE(found);
}

TEST(PlainJudge, FindsASecretThatComesInPieces) {
  PlainJudge judge("", 7000, guard());
  std::string left = client(judge, "put x " + kToken.substr(0, 12));
  EXPECT_EQ(left, "put x ");
  auto passed = judge.from_client(kToken.substr(12) + "\n", false);
  EXPECT_TRUE(!passed.found.empty() || !judge.pause().found.empty());
}

TEST(PlainJudge, PassesWhatIsEncryptedUnread) {
  PlainJudge judge("", 22, guard());
  const auto key_exchange = [] {
    std::string lists = "\x14"s + std::string(16, 'c');
    for (int i = 0; i < 10; ++i) lists += "\0\0\0\1x"s;
    lists += std::string(5, '\0');
    const size_t padding = 8 - (5 + lists.size()) % 8 + 8;
    const size_t length = 1 + lists.size() + padding;
    return "\0\0"s + static_cast<char>(length >> 8) + static_cast<char>(length) + static_cast<char>(padding) + lists +
           std::string(padding, 'p');
  }();
  EXPECT_EQ(client(judge, "SSH-2.0-test\r\n" + key_exchange), "SSH-2.0-test\r\n" + key_exchange);
  auto passed = judge.from_server("SSH-2.0-server\r\n" + key_exchange);
  ASSERT_TRUE(passed.facts);
  EXPECT_TRUE(passed.facts->own_encryption);
  const std::string random = "anything, and " + kToken;
  EXPECT_EQ(judge.from_client(random, false).leaves, random);
  EXPECT_EQ(judge.held(), 0u);
}

// Whatever the pieces, what leaves is what came.
TEST(PlainJudge, ForwardsExactlyWhatCame) {
  std::string bulk = kPgStart;
  for (int i = 0; i < 40000; ++i) bulk += static_cast<char>(i * 7919 >> 3);
  for (const size_t piece : {1, 7, 1000, 16384}) {
    PlainJudge judge("", 5432, guard());
    std::string left;
    for (size_t at = 0; at < bulk.size(); at += piece) {
      auto passed = judge.from_client(std::string_view(bulk).substr(at, piece), at + piece >= bulk.size());
      ASSERT_EQ(passed.refusal, "");
      left += passed.leaves;
      if (piece == 1000) left += judge.pause().leaves;
    }
    EXPECT_EQ(left, bulk) << piece;
  }
}

TEST(PlainJudge, KnowsEveryProtocolThatAPolicyMayName) {
  for (const std::string_view name : policy::kPlainProtocols) EXPECT_EQ(PlainJudge(name, 1, nullptr).protocol(), name);
  EXPECT_EQ(std::size(policy::kPlainProtocols), net::kStartupProtocols);
}

}  // namespace
}  // namespace stockade::egress
