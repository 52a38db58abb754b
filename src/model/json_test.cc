#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

#include "model/json_cursor.h"
#include "model/json_value.h"

namespace stockade::model {
namespace {

using nlohmann::json;

struct Case {
  const char* name;
  std::string text;
};

const Case kAccepted[] = {
    {"null", "null"},
    {"a number alone", "-12.5e+3"},
    {"a text alone", R"("a\u00e9\ud83d\ude00\n\"\\\/")"},
    {"nothing in anything", "[{},[],\"\"]"},
    {"white space", " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } }\n"},
    {"words", "[true,false,null]"},
    {"numbers", "[0,-0,10,1.5,1e5,1E-5,0.0001,123456789012345678901234567890]"},
    {"UTF-8", "[\"\xc3\xa9\",\"\xe2\x82\xac\",\"\xf0\x9f\x98\x80\"]"},
    {"same key in different objects", R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]})"},
    {"DEL", "\"\x7f\""},
};

const Case kRefused[] = {
    {"nothing", ""},
    {"white space only", "  "},
    {"two values", "1 2"},
    {"garbage after it", "{}x"},
    {"NaN", "NaN"},
    {"infinity", "[-Infinity]"},
    {"a leading zero", "01"},
    {"a plus", "+1"},
    {"a bare dot", "1."},
    {"no digit before the dot", ".5"},
    {"an empty exponent", "1e"},
    {"only a minus", "-"},
    {"hex", "0x10"},
    {"a trailing comma in an array", "[1,]"},
    {"a trailing comma in an object", R"({"a":1,})"},
    {"a missing comma", "[1 2]"},
    {"a missing colon", R"({"a" 1})"},
    {"a key that is no string", "{1:2}"},
    {"single quotes", "{'a':1}"},
    {"a comment", "[1/*x*/]"},
    {"crossed brackets", "[{]}"},
    {"an open array", "[1"},
    {"an open text", "\"abc"},
    {"a cut escape", "\"abc\\"},
    {"a cut \\u", "\"\\u12"},
    {"a bad escape", R"("\x41")"},
    {"a bad \\u", R"("\u00g0")"},
    {"a NUL after a backslash", std::string("\"\\\0\"", 4)},
    {"a newline in a text", "\"a\nb\""},
    {"a NUL in a text", std::string("\"a\0b\"", 5)},
    {"Latin-1", "\"\xe9\""},
    {"overlong UTF-8", "\"\xc0\xaf\""},
    {"a surrogate in UTF-8", "\"\xed\xa0\x80\""},
    {"beyond Unicode", "\"\xf4\x90\x80\x80\""},
    {"a cut UTF-8 sequence", "\"\xe2\x82\""},
    {"a byte order mark", "\xef\xbb\xbf{}"},
    {"half a word", "tru"},
    {"a wrong word", "trux"},
    {"a longer word", "truee"},
};

std::string shape(const std::vector<JsonNode>& nodes) {
  std::string text;
  for (const JsonNode& node : nodes)
    text += fmt::format("{}:{}-{} {} {} {} {} {}\n", static_cast<int>(node.type), node.begin, node.end, node.next,
                        node.parent, node.index, node.count, node.escaped);
  return text;
}

// The nodes, or why not, when the text comes in pieces of that size.
std::string read_cut(std::string_view text, size_t piece) {
  JsonCursor cursor;
  std::string so_far;
  for (size_t at = 0; at < text.size(); at += piece) {
    so_far.append(text.substr(at, piece));
    const std::string exact(so_far);
    if (auto result = cursor.read(exact); !result) return "refused";
  }
  if (auto result = cursor.finish(so_far); !result) return "refused";
  return shape(cursor.nodes());
}

json rebuild(JsonValue value) {
  switch (value.node().type) {
    case JsonType::object: {
      json made = json::object();
      for (JsonValue member = value.first(); member; member = member.next())
        made[member.key().decode().value()] = rebuild(member);
      return made;
    }
    case JsonType::array: {
      json made = json::array();
      for (JsonValue element = value.first(); element; element = element.next()) made.push_back(rebuild(element));
      return made;
    }
    case JsonType::string:
      return value.text().decode().value();
    default:
      return json::parse(value.raw());
  }
}

TEST(JsonCursor, ReadsWhatRfc8259Allows) {
  for (const auto& [name, text] : kAccepted) {
    JsonDocument document;
    const auto result = document.read(text);
    ASSERT_TRUE(result) << name << ": " << result.error().message();
    EXPECT_EQ(rebuild(document.root()), json::parse(text)) << name;
  }
}

TEST(JsonCursor, RefusesWhatItDoesNot) {
  for (const auto& [name, text] : kRefused) {
    JsonDocument document;
    EXPECT_FALSE(document.read(text)) << name;
    const bool oracle_differs = std::string_view(name) == "a byte order mark";
    EXPECT_EQ(json::accept(text), oracle_differs) << name;
  }
}

TEST(JsonCursor, RefusesAKeyTwice) {
  const Case cases[] = {{"plain", R"({"a":1,"b":2,"a":3})"},
                        {"escaped", R"({"a":1,"\u0061":3})"},
                        {"after a nested object", R"({"a":1,"b":{"c":1,"d":2},"a":3})"},
                        {"empty", R"({"":1,"":3})"}};
  for (const auto& [name, text] : cases) {
    JsonDocument document;
    EXPECT_FALSE(document.read(text)) << name;
  }
  for (const size_t count : {24, 25, 26, 100, 5000}) {
    std::string text = "{";
    for (size_t i = 0; i < count; ++i) text += fmt::format("\"key{}\":{{\"key1\":{}}},", i, i);
    JsonDocument document;
    EXPECT_TRUE(document.read(text + "\"last\":1}")) << count;
    for (const size_t twice : {size_t{0}, count / 2, count - 1})
      EXPECT_FALSE(document.read(text + fmt::format("\"key{}\":1}}", twice))) << count << " " << twice;
    EXPECT_FALSE(document.read(text + "\"\\u006bey3\":1}")) << count;
  }
}

TEST(JsonCursor, RefusesLoneSurrogatesWhereTextIsDecoded) {
  for (const char* text : {R"("\ud800")", R"("\udc00")", R"("\ud800\u0041")", R"("\ud800x")", R"("\ude00\ud83d")"}) {
    JsonDocument document;
    ASSERT_TRUE(document.read(text)) << text;
    EXPECT_FALSE(document.root().text().decode()) << text;
    EXPECT_FALSE(document.read(fmt::format("{{{}:1}}", text))) << text;
  }
}

TEST(JsonCursor, ReadsTheSameHoweverItIsCut) {
  std::vector<std::string> texts;
  for (const Case& one : kAccepted) texts.push_back(one.text);
  for (const Case& one : kRefused) texts.push_back(one.text);
  for (const std::string& text : texts) {
    const std::string whole = read_cut(text, text.size() + 1);
    for (const size_t piece : {1, 2, 3, 5, 7})
      EXPECT_EQ(read_cut(text, piece), whole) << text << " in pieces of " << piece;
  }
}

TEST(JsonCursor, KeepsItsBounds) {
  const auto refused = [](const std::string& text, JsonLimits limits) {
    JsonDocument document(limits);
    const auto result = document.read(text);
    return !result && result.error().kind() == ErrorKind::limit;
  };
  EXPECT_FALSE(refused(std::string(128, '[') + std::string(128, ']'), {}));
  EXPECT_TRUE(refused(std::string(129, '[') + std::string(129, ']'), {}));
  EXPECT_FALSE(refused("[1,2,3]", {.nodes = 4}));
  EXPECT_TRUE(refused("[1,2,3]", {.nodes = 3}));
  EXPECT_FALSE(refused("[1,2,3]", {.bytes = 7}));
  EXPECT_TRUE(refused("[1,2,3]", {.bytes = 6}));
  EXPECT_FALSE(refused(std::string(512, '1'), {}));
  EXPECT_TRUE(refused(std::string(513, '1'), {}));
}

TEST(JsonCursor, AgreesWithAnotherParserOnRandomText) {
  std::mt19937 random(1);
  const std::string_view tokens[] = {"{",    "}",     "[",    "]",   ",",     ":",     "\"a\"", "\"b\"",
                                     "1",    "-0.5",  "true", "nul", "\"\\u", "0041",  "\"",    " ",
                                     "\\\"", "\"x\"", "null", "1.5", "\"\"",  "\"c\"", "-",     "\xc3\xa9"};
  size_t accepted = 0;
  for (int round = 0; round < 200000; ++round) {
    std::string text = round % 2 == 0 ? "[" : "{\"a\":";
    for (size_t i = random() % 8; i > 0; --i) text += tokens[random() % std::size(tokens)];
    text += round % 2 == 0 ? "]" : "}";
    JsonDocument document;
    const auto result = document.read(text);
    if (!json::accept(text)) {
      EXPECT_FALSE(result) << text;
      continue;
    }
    if (!result) {
      EXPECT_THAT(result.error().message(), testing::HasSubstr("the same key twice")) << text;
      continue;
    }
    ++accepted;
    EXPECT_EQ(rebuild(document.root()), json::parse(text)) << text;
  }
  EXPECT_GT(accepted, 1000u);
}

TEST(JsonValue, TellsPointersThatFindTheValueAgain) {
  const std::string text = R"({"a":[1,{"b/c":"x","d~e":["y"]}],"":{"\u0066":2}})";
  JsonDocument document;
  ASSERT_TRUE(document.read(text));
  const json oracle = json::parse(text);
  const auto check = [&](auto& self, JsonValue value) -> void {
    EXPECT_EQ(rebuild(value), oracle.at(json::json_pointer(value.pointer()))) << value.pointer();
    EXPECT_EQ(find_pointer(document, value.pointer()).range(), value.range()) << value.pointer();
    for (JsonValue child = value.first(); child; child = child.next()) self(self, child);
  };
  check(check, document.root());
  EXPECT_FALSE(find_pointer(document, "/a/2"));
  EXPECT_FALSE(find_pointer(document, "/b"));
  EXPECT_FALSE(find_pointer(document, "a"));
}

TEST(JsonValue, QuotesWhatReadsBack) {
  std::string all;
  for (int c = 0; c < 128; ++c) all.push_back(static_cast<char>(c));
  all += "\xc3\xa9\xf0\x9f\x98\x80";
  EXPECT_EQ(json::parse(json_quoted(all)).get<std::string>(), all);
  EXPECT_EQ(json_quoted("a\xff"), "\"a\xef\xbf\xbd\"");
}

double megabytes_per_second(const std::string& element) {
  std::string text = "[" + element;
  while (text.size() < (size_t{8} << 20)) text += "," + element;
  text += "]";
  JsonDocument document;
  EXPECT_TRUE(document.read(text));
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(document.read(text));
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  return 5.0 * static_cast<double>(text.size()) / spent.count() / 1e6;
}

TEST(JsonCursor, IsFast) {
  std::string prose = R"({"role":"user","content":[{"type":"text","text":")";
  for (int i = 0; i < 8; ++i)
    prose += R"(The quick brown fox jumps over the lazy dog, and then it says \"hello\" again. )";
  prose += R"("}],"id":12345})";
  const double in_prose = megabytes_per_second(prose);
  const double in_schemas = megabytes_per_second(
      R"({"type":"function","name":"read_file","parameters":{"type":"object","properties":{"path":{"type":"string"},)"
      R"("limit":{"type":"integer","minimum":0}},"required":["path"],"additionalProperties":false},"strict":true})");
  printf("JsonCursor: %.0f MB/s in prose, %.0f MB/s in tool schemas\n", in_prose, in_schemas);
  EXPECT_GT(std::min(in_prose, in_schemas), 10);  // also under a sanitizer and beside other jobs
}

}  // namespace
}  // namespace stockade::model
