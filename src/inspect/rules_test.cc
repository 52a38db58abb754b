#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "inspect/engine.h"

namespace stockade::inspect {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> ids_found(const std::vector<Rule>& rules, std::string_view text) {
  EngineOptions options{.rules = *CompiledRules::compile(rules), .key = {}};
  auto engine = Engine::create(std::move(options));
  EXPECT_TRUE(engine) << engine.error().render();
  auto scanner = Scanner::create(*engine);
  EXPECT_TRUE(scanner);
  std::vector<std::string> ids;
  for (const Match& match : scanner->scan(Direction::out, text))
    if (match.rule >= 0) ids.push_back(rules[static_cast<size_t>(match.rule)].id);
  return ids;
}

TEST(BuiltinRules, AreOverTwoHundredAndEachHasExamples) {
  const auto rules = builtin_rules();
  ASSERT_TRUE(rules) << rules.error().render();
  EXPECT_GE(rules->size(), 200u);
  for (const Rule& rule : *rules) {
    EXPECT_FALSE(rule.examples.empty()) << rule.id;
    EXPECT_FALSE(rule.counterexamples.empty()) << rule.id;
    EXPECT_TRUE(rule.out) << rule.id;
  }
}

TEST(BuiltinRules, MatchTheirExamplesAndNotTheirCounterexamples) {
  const auto rules = builtin_rules();
  ASSERT_TRUE(rules);
  for (const Rule& rule : *rules) {
    auto engine = Engine::create({.rules = *CompiledRules::compile({rule}), .known = {}, .key = {}});
    ASSERT_TRUE(engine) << engine.error().render();
    auto scanner = Scanner::create(*engine);
    ASSERT_TRUE(scanner);
    for (const std::string& example : rule.examples)
      EXPECT_FALSE(scanner->scan(Direction::out, example).empty()) << rule.id << " misses: " << example;
    for (const std::string& example : rule.counterexamples)
      EXPECT_TRUE(scanner->scan(Direction::out, example).empty()) << rule.id << " matches: " << example;
  }
}

TEST(BuiltinRules, AllTogetherFindEachExample) {
  const auto rules = builtin_rules();
  ASSERT_TRUE(rules);
  auto engine = Engine::create({.rules = *CompiledRules::builtin(), .known = {}, .key = {}});
  ASSERT_TRUE(engine) << engine.error().render();
  auto scanner = Scanner::create(*engine);
  ASSERT_TRUE(scanner);
  for (const Rule& rule : *rules)
    for (const std::string& example : rule.examples)
      EXPECT_FALSE(scanner->scan(Direction::out, "some text before\n" + example + "\nand behind").empty()) << rule.id;
}

struct BadFile {
  const char* yaml;
  const char* says;
};

TEST(Rules, SayWhatIsWrongWithAFile) {
  constexpr std::string_view kHead = "rules:\n- id: a\n  title: b\n";
  const BadFile files[] = {
      {"- a", "a mapping with the one key 'rules'"},
      {"rules:\n- id: a\n", "needs id and title"},
      {"  pattern: 'a('", "missing )"},
      {"  pattern: 'a*'", "matches nothing"},
      {"  pattern: 'abc'\n  severity: huge", "severity is"},
      {"  pattern: 'abc'\n  direction: up", "direction is"},
      {"  pattern: 'abc'\n  entropy: 9", "a number from 0 to 8"},
      {"  pattern: 'abc'\n  span: 999999", "a number from 16 to 16384"},
      {"  pattern: 'abc'\n  validators: [none]", "no validator 'none'"},
      {"  pattern: 'abc'\n  colour: red", "unknown key 'colour'"},
      {"  names: abc", "come together"},
      {"  severity: low", "a pattern is needed"},
      {"  pattern: 'abc'\n- id: a\n  title: c\n  pattern: 'def'", "given twice"},
  };
  for (const BadFile& file : files) {
    const std::string yaml = file.yaml[0] == ' ' ? std::string(kHead) + file.yaml : file.yaml;
    const auto rules = parse_rules(yaml, "mine.yaml");
    ASSERT_FALSE(rules) << yaml;
    EXPECT_THAT(rules.error().render(), HasSubstr(file.says)) << yaml;
    EXPECT_THAT(rules.error().render(), HasSubstr("mine.yaml"));
  }
}

TEST(Rules, OfAUserLoadTheSameWay) {
  const auto rules = parse_rules("rules:\n- id: mine\n  title: Ours\n  pattern: '(ours-[0-9]{12})'\n", "mine.yaml");
  ASSERT_TRUE(rules) << rules.error().render();
  EXPECT_THAT(ids_found(*rules, "x ours-123456789012 y"), testing::ElementsAre("mine"));
  EXPECT_THAT(ids_found(*rules, "x ours-12345678901 y"), testing::ElementsAre());
}

}  // namespace
}  // namespace stockade::inspect
