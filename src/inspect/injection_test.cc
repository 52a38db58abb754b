#include "inspect/injection.h"

#include <gtest/gtest.h>

#include "inspect/injection_stretch.h"
#include "inspect/injection_terms.h"

namespace stockade::inspect {
namespace {

const InjectionDetector& detector() {
  static const InjectionDetector instance = InjectionDetector::create().value();
  return instance;
}

RuleSet rules_met(const std::string& text) {
  const Folder folder;
  const InjectionRules& rules = detector().rules();
  static const TermFinder finder = TermFinder::create(rules, folder).value();
  std::vector<TermHit> hits;
  const std::string view = folder.fold(text).text;
  finder.find(view, hits);
  return best_stretch(view, hits, {}, rules, StretchModel::from(rules), nullptr).rules;
}

TEST(InjectionRules, EveryRuleMeetsItsExamplesAndNoneOfTheOthers) {
  const InjectionRules& rules = detector().rules();
  ASSERT_GE(rules.rules.size(), 60u);
  for (size_t i = 0; i < rules.rules.size(); ++i) {
    for (const std::string& example : rules.rules[i].match)
      EXPECT_TRUE(rules_met(example)[i]) << rules.rules[i].id << ": " << example;
    for (const std::string& example : rules.rules[i].differ)
      EXPECT_FALSE(rules_met(example)[i]) << rules.rules[i].id << ": " << example;
  }
}

}  // namespace
}  // namespace stockade::inspect
