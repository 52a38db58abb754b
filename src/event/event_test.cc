#include "event/event.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "event/log_text.h"
#include "event/signing_key.h"

namespace stockade::event {
namespace {

Event sample() {
  Event event;
  event.seq = 7;
  event.time = WallTime(std::chrono::microseconds(1'700'000'000'123'456));
  event.run = "blue-fox-12";
  event.wall = Wall::network;
  event.kind = "connect";
  event.subject = "evil.example:443";
  event.decision = Decision::deny;
  event.rule = "network.allow";
  event.where = "policy.yaml:12:5";
  event.reason = "no rule of network.allow names evil.example";
  event.hint = "add { host: evil.example }";
  event.evidence = {{"port", "443"}, {"address", "198.18.0.4"}};
  return event;
}

std::string seal(Event& event) {
  const std::string body = encode_body(event);
  event.hash = sha256(body);
  std::string line = encode_line(body, event);
  line.pop_back();
  return line;
}

TEST(Event, ReadsBackWhatItWrote) {
  Event event = sample();
  event.count = 9;
  event.signature = Signature{1, 2, 3};
  const auto again = decode_line(seal(event));
  ASSERT_TRUE(again) << again.error().render();
  EXPECT_EQ(*again, event);
}

TEST(Event, IsJsonThatAnotherParserReadsTheSameWay) {
  Event event = sample();
  event.subject = "a\"b\\c\n\x1b[31m\u202e\U000e0041 \u4e2d\u6587 \U0001f600 \xff\xc0\x80";
  const auto json = nlohmann::ordered_json::parse(seal(event));
  EXPECT_EQ(json["subject"], "a\"b\\c\n\x1b[31m\u202e\U000e0041 \u4e2d\u6587 \U0001f600 \\xff\\xc0\\x80");
  EXPECT_EQ(json["seq"], 7);
  EXPECT_EQ(json["evidence"].begin().key(), "port");
  EXPECT_EQ(json["time"], "2023-11-14T22:13:20.123456Z");
}

TEST(Event, EscapesWhateverCouldMoveOrHideTextOnATerminal) {
  Event event = sample();
  event.subject = "\x1b]52;c;AAAA\x07\r\n\u202e\u2066\u200b\u0085\ufeff\u00ad\U000e0001\u2028";
  for (const char c : seal(event)) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << static_cast<int>(c);
}

TEST(Event, BoundsALineHoweverLargeItsTexts) {
  Event event = sample();
  const std::string huge(1 << 20, '\x01');
  event.run = event.kind = event.subject = event.rule = event.where = event.reason = event.hint = huge;
  event.evidence.clear();
  for (int i = 0; i < 100; ++i) event.evidence.emplace_back(huge, huge);
  event.signature = Signature{};
  const std::string line = seal(event);
  EXPECT_LT(line.size(), kLineLimit);
  ASSERT_TRUE(decode_line(line));
  EXPECT_EQ(decode_line(line)->evidence.back().second, "89 entries left out");
}

TEST(Event, CutsBetweenCharactersAndMarksTheCut) {
  std::string out;
  append_json_text(out, "\u4e2d\u4e2d\u4e2d\u4e2d", 10);
  EXPECT_EQ(out, "\u4e2d\u4e2d…");
  out.clear();
  append_json_text(out, "\u4e2d\u4e2d\u4e2d", 9);
  EXPECT_EQ(out, "\u4e2d\u4e2d\u4e2d");
}

TEST(Event, KeepsEvidenceKeysApart) {
  Event event = sample();
  event.evidence = {{"a", "1"}, {"a", "2"}, {"a#2", "3"}};
  const auto again = decode_line(seal(event)).value();
  EXPECT_EQ(again.evidence, (Evidence{{"a", "1"}, {"a#2", "2"}, {"a#2#2", "3"}}));
}

TEST(Event, RefusesEveryOtherSpellingOfARecord) {
  Event event = sample();
  const std::string line = seal(event);
  ASSERT_TRUE(decode_line(line));
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string copy = line;
    copy.replace(copy.find(from), from.size(), to);
    return copy;
  };
  for (const auto& bad :
       {changed("\"seq\":7", "\"seq\":07"), changed("\"seq\":7", "\"seq\": 7"), changed("evil", "\\u0065vil"),
        changed("\"deny\"", "\"Deny\""), changed("443\"", "443\",\"port\":\"1\""), line + " ", line + "}",
        changed("\"rule\":\"network.allow\"", "\"rule\":\"\""), changed("2023-11-14", "2023-02-30"),
        changed("\"kind\"", "\"x\":1,\"kind\""), changed("evil", "ev\u202eil"), changed("evil", "ev\\ud800il"),
        changed("T22", "T25"), changed("evil", "ev\\/il"), std::string("{}"), std::string()})
    EXPECT_FALSE(decode_line(bad)) << bad;
}

TEST(Event, SurvivesRandomBytesInEveryText) {
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    Event event = sample();
    for (std::string* text : {&event.subject, &event.reason, &event.rule}) {
      text->resize(random() % 700);
      for (char& c : *text) c = static_cast<char>(random() % 4 ? random() % 256 : random() % 128);
    }
    event.evidence.emplace_back(event.subject, event.reason);
    const std::string line = seal(event);
    const auto again = decode_line(line);
    ASSERT_TRUE(again) << line;
    ASSERT_TRUE(nlohmann::json::accept(line)) << line;
    ASSERT_EQ(encode_body(*again), encode_body(event));
  }
}

TEST(DisplayText, ShowsWhatIsHidden) {
  EXPECT_EQ(display_text("a\x1b[2J\u202e\xff\u00e9"), "a\\u{1b}[2J\\u{202e}\\xff\u00e9");
}

}  // namespace
}  // namespace stockade::event
