// From the terms met in one view of a text to its best stretch: which rules its terms satisfy, what surrounds it, and
// what the logistic model makes of both. Work grows with the number of terms times those within kStretch of each.
#pragma once

#include <string_view>
#include <vector>

#include "inspect/injection.h"
#include "inspect/injection_terms.h"

namespace stockade::inspect {

// How the view was made.
struct ViewOrigin {
  bool hidden = false;       // by markup that exists to hide
  bool half_hidden = false;  // attributes, metadata, comments of code
  bool decoded = false;
  bool disguised = false;  // folded look-alikes, joined letters, leetspeak, invisible characters inside of words
  std::string_view through;
};

// The model, compiled for speed.
struct StretchModel {
  double bias = 0;
  double threshold = 0;
  std::vector<double> concepts;
  std::vector<double> rules;
  std::vector<double> classes;
  double hidden = 0, half_hidden = 0, decoded = 0, disguised = 0, quoted = 0, fenced = 0, mentioned = 0,
         mentioned_often = 0;
  double more_rules = 0, more_classes = 0, codeish = 0, crowded = 0, dense = 0;
  std::vector<uint8_t> class_of_rule;
  std::vector<std::string> class_names;
  std::vector<std::vector<uint8_t>> rules_with;  // by concept
  std::vector<size_t> spans;                     // by rule
  size_t mention = kConceptLimit;

  static StretchModel from(const InjectionRules& rules);
};

// The place in a RuleSet that says that many meanings stand close together, whatever rule they meet.
inline constexpr size_t kCrowded = kInjectionRuleLimit - 1;

struct Stretch {
  double logit = -1000;
  RuleSet rules;
  ConceptSet concepts = 0;
  size_t begin = 0;
  size_t end = 0;
};

Stretch best_stretch(std::string_view view, const std::vector<TermHit>& hits, const ViewOrigin& origin,
                     const InjectionRules& rules, const StretchModel& model, std::vector<InjectionFeatures>* features);

}  // namespace stockade::inspect
