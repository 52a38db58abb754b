#include "inspect/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stockade::inspect {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::shared_ptr<const Engine> engine() {
  static const auto made = [] {
    EngineOptions options{.rules = *CompiledRules::builtin(), .known = {}, .key = {7}};
    options.known.push_back({"RUN_SECRET", "zebra-Quartz-41-lantern-Violet", false});
    options.known.push_back({"CANARY", "canary-9f8e7d6c5b4a39281706", true});
    return *Engine::create(std::move(options));
  }();
  return made;
}

const std::string kToken = "glpat-Zk82hdKq01mmXv93bQwe";  // made up

struct Flow {
  std::vector<Finding> findings;
  std::string left;             // what has left so far
  uint64_t first_leak = ~0ull;  // a byte that left before its finding came
};

Flow pass(std::string_view text, size_t piece, bool events = false) {
  auto scanner = Scanner::create(engine());
  EXPECT_TRUE(scanner);
  StreamScanner stream(*scanner, {.direction = Direction::out, .place = "body", .release_at_empty_lines = events});
  Flow flow;
  std::string held;
  for (size_t at = 0; at < text.size() || at == 0; at += piece) {
    const auto bytes = text.substr(at, piece);
    held += bytes;
    auto fed = stream.feed(bytes, at + piece >= text.size());
    for (Finding& finding : fed.findings) {
      if (finding.begin < flow.left.size()) flow.first_leak = std::min(flow.first_leak, finding.begin);
      EXPECT_LT(finding.begin, flow.left.size() + fed.release);
      flow.findings.push_back(std::move(finding));
    }
    EXPECT_LE(fed.release, held.size());
    flow.left += held.substr(0, fed.release);
    held.erase(0, fed.release);
    EXPECT_EQ(stream.released(), flow.left.size());
    EXPECT_EQ(stream.held(), held.size());
  }
  EXPECT_EQ(flow.left, text);
  return flow;
}

std::string filler(size_t size) {
  std::string text;
  while (text.size() < size) text += "the quick brown fox jumps over the lazy dog, and goes on; ";
  text.resize(size);
  return text;
}

TEST(StreamScanner, FindsASecretHoweverTheBytesAreCutAndLetsNoByteOfItLeaveBefore) {
  const std::string text = filler(9000) + " token=" + kToken + " " + filler(9000);
  for (const size_t piece : {1u, 7u, 100u, 4096u, 5000u, 65536u, 100000u}) {
    const Flow flow = pass(text, piece);
    ASSERT_EQ(flow.findings.size(), 1u) << piece;
    EXPECT_EQ(flow.findings[0].rule, "gitlab-personal-access-token");
    EXPECT_EQ(text.substr(flow.findings[0].begin, flow.findings[0].end - flow.findings[0].begin), kToken);
    EXPECT_EQ(flow.first_leak, ~0ull) << piece;
  }
}

TEST(StreamScanner, HoldsALongKeyFromItsBeginning) {
  std::string key = "-----BEGIN RSA PRIVATE KEY-----\n";
  for (int i = 0; i < 50; ++i) key += "MIIEowIBAAKCAQEAtq0Zt3nQ8vC1yK7mLw2sXrVhJdPfUgEbNaTzRiOkWlHcYx4e\n";
  key += "-----END RSA PRIVATE KEY-----";
  const std::string text = filler(20'000) + "\n" + key + "\n" + filler(20'000);
  for (const size_t piece : {50u, 1000u, 30'000u}) {
    const Flow flow = pass(text, piece);
    ASSERT_EQ(flow.findings.size(), 1u) << piece;
    EXPECT_EQ(flow.findings[0].begin, 20'001u);
    EXPECT_GE(flow.findings[0].end, 20'001u + key.size() - 5);
    EXPECT_EQ(flow.first_leak, ~0ull) << piece;
  }
}

TEST(StreamScanner, MemoryDoesNotGrowWithTheStream) {
  auto scanner = Scanner::create(engine());
  ASSERT_TRUE(scanner);
  StreamScanner stream(*scanner, {});
  const std::string block = filler(50'000);
  const std::string word(50'000, 'x');  // a word that never ends
  uint64_t released = 0;
  for (int i = 0; i < 40; ++i) {
    released += stream.feed(i % 2 ? block : word, false).release;
    EXPECT_LE(stream.held(), std::max(engine()->longest_span(), kStreamHold));
  }
  EXPECT_EQ(released, stream.released());
}

TEST(StreamScanner, LetsEventsGoWhereTheyEnd) {
  auto scanner = Scanner::create(engine());
  ASSERT_TRUE(scanner);
  StreamScanner stream(*scanner, {.release_at_empty_lines = true});
  EXPECT_EQ(stream.feed("data: {\"text\": \"Hello\"}\n\n", false).release, 25u);
  EXPECT_EQ(stream.feed("data: {\"te", false).release, 0u);
  EXPECT_EQ(stream.feed("xt\": \" world\"}\n\n", false).release, 26u);
  const auto fed = stream.feed("data: " + kToken + "\n\n", false);
  ASSERT_EQ(fed.findings.size(), 1u);
  EXPECT_EQ(fed.findings[0].begin, 25u + 26u + 6u);
}

TEST(StreamScanner, ReportsWhatStandsTwiceTwice) {
  const std::string text = kToken + " and " + kToken + " " + filler(10'000) + " " + kToken;
  EXPECT_EQ(pass(text, 777).findings.size(), 3u);
}

TEST(KnownValues, AreFoundInManyEncodings) {
  auto scanner = Scanner::create(engine());
  ASSERT_TRUE(scanner);
  const std::pair<const char*, const char*> cases[] = {
      {"zebra-Quartz-41-lantern-Violet", ""},
      {"emVicmEtUXVhcnR6LTQxLWxhbnRlcm4tVmlvbGV0", "base64"},
      {"7a656272612d51756172747a2d34312d6c616e7465726e2d56696f6c6574", "hex"},
      {"zebra%2DQuartz%2D41%2Dlantern%2DViolet", "url"},
      {"mroen-Dhnegm-41-ynagrea-Ivbyrg", "rot13"},
      {"teloiV-nretnal-14-ztrauQ-arbez", "reversed"},
      {"&#122;ebra-Quartz-41-l&#x61;ntern-Violet", "html"},
      {"PJSWE4TBFVIXKYLSOR5C2NBRFVWGC3TUMVZG4LKWNFXWYZLU", "base32"},
  };
  for (const auto& [text, through] : cases) {
    const auto findings = scanner->scan_value(Direction::out, "query:q", text);
    ASSERT_EQ(findings.size(), 1u) << text;
    EXPECT_EQ(findings[0].rule, "known-value") << text;
    EXPECT_EQ(findings[0].title, "The value of RUN_SECRET");
    EXPECT_EQ(findings[0].through, through);
    EXPECT_EQ(findings[0].excerpt.find("zebra"), std::string::npos);
    EXPECT_EQ(findings[0].end - findings[0].begin, std::string_view(text).size()) << text;
  }
  EXPECT_EQ(scanner->scan_value(Direction::out, "body", "x canary-9f8e7d6c5b4a39281706 y")[0].rule, "canary");
  EXPECT_THAT(scanner->scan_value(Direction::out, "query:q", "zebra-Quartz"), IsEmpty());
  const auto piece = scanner->scan_value(Direction::out, "query:q", "Quartz-41-lantern-Vi");
  ASSERT_EQ(piece.size(), 1u);
  EXPECT_EQ(piece[0].title, "A piece of RUN_SECRET");
}

TEST(KnownValues, RefusesOneThatIsTooShortToBeLookedFor) {
  const auto engine =
      Engine::create({.rules = *CompiledRules::compile({}), .known = {{"PIN", "1234", false}}, .key = {}});
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().render().find("1234"), std::string::npos);
}

TEST(Scanner, TakesContextFromThePlace) {
  auto scanner = Scanner::create(engine());
  ASSERT_TRUE(scanner);
  const std::string value = "1c4e7d09ab4f39d8270611f2334e55aa";
  EXPECT_THAT(scanner->scan_value(Direction::out, "query:page", value), IsEmpty());
  const auto findings = scanner->scan_value(Direction::out, "header:datadog-api-key", value);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].begin, 0u);
  EXPECT_EQ(findings[0].end, value.size());
  EXPECT_EQ(findings[0].place, "header:datadog-api-key");
}

TEST(Scanner, FindsWhatLabelsOfAHostCarry) {
  auto scanner = Scanner::create(engine());
  ASSERT_TRUE(scanner);
  EXPECT_EQ(
      scanner
          ->scan_value(Direction::out, "host", "676c7061742d5a6b3832.68644b7130316d6d5876.3933625177.65.evil.example")
          .size(),
      1u);
}

TEST(Scanner, SaysWhereItsBudgetEnded) {
  auto scanner = Scanner::create(engine());
  ASSERT_TRUE(scanner);
  std::string text = kToken;
  for (int i = 0; i < 8; ++i) {  // deeper than it looks
    std::string next;
    for (const char c : text) next += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    text = next;
    if (text.size() > 300'000) break;
  }
  std::vector<std::string> rules;
  for (const Finding& finding : scanner->scan_value(Direction::out, "body", text)) rules.push_back(finding.rule);
  EXPECT_THAT(rules, ElementsAre("inspection-budget"));
}

// A dialogue: after each message the sender waits for an answer.
struct Dialogue {
  Dialogue() : scanner(Scanner::create(engine())), stream(*scanner, {}) {}
  std::string say(std::string_view bytes) {
    held += bytes;
    auto fed = stream.feed(bytes, false);
    auto rest = stream.pause();
    for (auto* list : {&fed.findings, &rest.findings})
      for (Finding& finding : *list) findings.push_back(std::move(finding));
    const std::string leaves = held.substr(0, fed.release + rest.release);
    held.erase(0, leaves.size());
    return leaves;
  }
  Result<Scanner> scanner;
  StreamScanner stream;
  std::string held;
  std::vector<Finding> findings;
};

TEST(StreamScanner, LetsAMessageGoAtAPause) {
  using namespace std::string_literals;
  Dialogue dialogue;
  for (const std::string& message : {"SELECT 1"s, "Q\0\0\0\x0dselect 2\0"s, "*1\r\n$4\r\nPING\r\n"s, "\1"s}) {
    EXPECT_EQ(dialogue.say(message), message);
    EXPECT_EQ(dialogue.stream.held(), 0u);
  }
  EXPECT_THAT(dialogue.findings, IsEmpty());
}

TEST(StreamScanner, HoldsTheBeginningOfASecretOverAPause) {
  for (const size_t cut : {6, 8, 15, 25}) {
    Dialogue dialogue;
    EXPECT_EQ(dialogue.say("set key " + kToken.substr(0, cut)), "set key ") << cut;
    EXPECT_THAT(dialogue.findings, IsEmpty());
    dialogue.say(kToken.substr(cut) + "\r\n");
    ASSERT_EQ(dialogue.findings.size(), 1u) << cut;
    EXPECT_EQ(dialogue.findings[0].begin, 8u);
  }
}

TEST(StreamScanner, FindsASecretWhosePrefixWasCutByAPause) {
  Dialogue dialogue;
  EXPECT_EQ(dialogue.say("glp"), "glp");
  EXPECT_EQ(dialogue.say(kToken.substr(3, 10)), "");
  dialogue.say(kToken.substr(13) + " ");
  EXPECT_EQ(dialogue.findings.size(), 1u);
}

TEST(StreamScanner, LetsAnUnfinishedWordGoWhenItTurnsOutToBeNone) {
  Dialogue dialogue;
  EXPECT_EQ(dialogue.say("glpat-"), "");
  EXPECT_EQ(dialogue.say("x, and more"), "glpat-x, and more");
  EXPECT_THAT(dialogue.findings, IsEmpty());
}

TEST(StreamScanner, HoldsAKeysBlockOverAPause) {
  Dialogue dialogue;
  EXPECT_EQ(dialogue.say("x\n-----BEGIN RSA PRIVATE KEY-----\nMIIB\n"), "x\n");
}

}  // namespace
}  // namespace stockade::inspect
