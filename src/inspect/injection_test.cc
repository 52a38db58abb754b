#include "inspect/injection.h"

#include <gtest/gtest.h>

#include <set>

namespace stockade::inspect {
namespace {

const InjectionDetector& detector() {
  static const InjectionDetector instance = InjectionDetector::create().value();
  return instance;
}

// Every rule that some stretch of the text meets.
std::set<std::string> rules_met(const std::string& text) {
  std::vector<InjectionFeatures> features;
  detector().score_window(text, TextFormat::plain, 0, &features);
  std::set<std::string> out;
  for (const InjectionFeatures& stretch : features)
    for (const auto& [name, value] : stretch)
      if (name.starts_with("rule.")) out.insert(name.substr(5));
  return out;
}

TEST(InjectionRules, EveryRuleMeetsItsExamplesAndNoneOfTheOthers) {
  const InjectionRules& rules = detector().rules();
  ASSERT_GE(rules.rules.size(), 60u);
  for (size_t i = 0; i < rules.rules.size(); ++i) {
    for (const std::string& example : rules.rules[i].match)
      EXPECT_TRUE(rules_met(example).contains(rules.rules[i].id)) << rules.rules[i].id << ": " << example;
    for (const std::string& example : rules.rules[i].differ)
      EXPECT_FALSE(rules_met(example).contains(rules.rules[i].id)) << rules.rules[i].id << ": " << example;
  }
}

}  // namespace
}  // namespace stockade::inspect
