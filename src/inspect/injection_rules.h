// What instructions to a model are found by, as data: concepts (words of one meaning in twelve languages), rules
// (concepts that must stand close together, which name an attack) and the few numbers of the model of words beside its
// table (injection_words.h): bias, scale, threshold, gate and what each circumstance of a stretch weighs. The bundled
// ones are rules/injection.yaml; others load the same way. The file is a small part of YAML, read strictly: two spaces
// a level, lists in brackets on one line, strings plain or in double quotes. Values, no files, any thread.
#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace stockade::inspect {

inline constexpr size_t kConceptLimit = 64;
inline constexpr size_t kInjectionRuleLimit = 128;
inline constexpr size_t kTermLimit = 20'000;
inline constexpr size_t kTermSizeLimit = 120;
inline constexpr size_t kInjectionSpanLimit = 240;

using ConceptSet = uint64_t;
using RuleSet = std::bitset<kInjectionRuleLimit>;

struct InjectionTerm {
  uint8_t concept_index = 0;
  std::string language;  // "any" for signs
  std::string text;      // as written
};

struct InjectionRule {
  std::string id;
  std::string attack_class;
  ConceptSet concepts = 0;
  size_t span = 0;  // in characters of Latin text
  std::vector<std::string> match;
  std::vector<std::string> differ;
};

struct InjectionRules {
  std::vector<std::string> concepts;
  std::vector<InjectionTerm> terms;
  std::vector<InjectionRule> rules;
  std::map<std::string, double, std::less<>> model;  // by name; "threshold" is the logit that scores 0.5

  // Index of a concept, or kConceptLimit.
  size_t concept_named(std::string_view name) const;
};

Result<InjectionRules> parse_injection_rules(std::string_view yaml);
std::string_view bundled_injection_rules();

}  // namespace stockade::inspect
