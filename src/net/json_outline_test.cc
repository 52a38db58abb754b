#include "net/json_outline.h"

#include <gtest/gtest.h>

#include "net/strict_json.h"

namespace stockade::net {
namespace {

constexpr size_t kLimit = 1024 * 1024;

std::string outline(std::string_view json, size_t piece = std::string_view::npos) {
  JsonOutline outline(kLimit);
  for (size_t at = 0; at < json.size(); at += std::min(piece, json.size() - at))
    EXPECT_TRUE(outline.feed(json.substr(at, piece)));
  return outline.text();
}

TEST(JsonOutline, KeepsWhatIsShort) {
  const std::string json = R"({"a":[1,-2.5e3,true,null],"b\"":"x\\","\u00e9":"ü"})";
  EXPECT_EQ(outline(json), json);
}

TEST(JsonOutline, TakesRunsOfWhitespaceForOneSpaceAndJoinsNoTokens) {
  EXPECT_EQ(outline("{ \n\t \"a  b\" :\r\n\r\n1   2}"), R"({ "a  b" : 1 2})");
  EXPECT_FALSE(parse_strict_json(outline("[1  2]")));
}

TEST(JsonOutline, CutsLongStringsBetweenCharacters) {
  for (const std::string unit : {"a", "ü", "€", "\\n", "\\u20ac", "\\\"", "\\\\"}) {
    std::string text = "x";
    while (text.size() < 3 * kOutlineString) text += unit;
    const std::string cut = outline("{\"long\":\"" + text + "\",\"next\":\"" + text + "\",\"url\":\"u\"}");
    EXPECT_LT(cut.size(), 2 * kOutlineString + 100) << unit;
    const auto value = parse_strict_json(cut);
    ASSERT_TRUE(value) << unit << ": " << value.error().message();
    ASSERT_EQ(value->items.size(), 3u);
    EXPECT_EQ(value->find("url")->text, "u");
  }
}

TEST(JsonOutline, ReadsHalfASurrogatePairWhichTruncatingProgramsSend) {
  const auto value = parse_strict_json(outline(R"(["cut \ud83d","pair \uD83D\uDE00","\ud7ff\ue000"])"));
  ASSERT_TRUE(value);
  EXPECT_EQ(value->items[0].text, "cut \xef\xbf\xbd");
  EXPECT_EQ(value->items[2].text, "\xed\x9f\xbf\xee\x80\x80");
  EXPECT_FALSE(parse_strict_json(outline(R"(["\udzzz"])")));
}

TEST(JsonOutline, IsTheSameHoweverTheBytesAreCut) {
  std::string json =
      "{ \"a\" :  \"" + std::string(kOutlineString + 10, 'x') + "\\\"\\u12\", \"ü\\ud83d\\\\\": [ ] } trailing";
  const std::string whole = outline(json);
  for (const size_t piece : {1, 2, 3, 7, 1000}) EXPECT_EQ(outline(json, piece), whole) << piece;
}

TEST(JsonOutline, LeavesWhatIsNoJsonNone) {
  for (const char* json : {"{", "[1,]", "{\"a\":1,\"a\":2}", "\"\xff\"", "{\"a\" 1}", "\"open"})
    EXPECT_FALSE(parse_strict_json(outline(json))) << json;
}

TEST(JsonOutline, IsBounded) {
  JsonOutline outline(100);
  EXPECT_TRUE(outline.feed("[" + std::string(99, '1')));
  EXPECT_EQ(outline.feed("1").error().kind(), ErrorKind::limit);
  JsonOutline spaces(100);
  EXPECT_TRUE(spaces.feed(std::string(10'000'000, ' ')));
  // Bytes that are never a character's first are kept until the bound.
  JsonOutline broken(kOutlineString + 100);
  EXPECT_FALSE(broken.feed("\"" + std::string(3 * kOutlineString, '\x80')));
}

}  // namespace
}  // namespace stockade::net
