// From one view of a text to the stretch in it that speaks most for an order to the model: what its words weigh
// (injection_words.h), what surrounds it, how the view was made, and which rules it meets, which name the attack.
// Explaining and quoting lower the score of visible text, by context and never by site; nobody explains to a reader
// what the reader can't see, so they do not help hidden or encoded text. Linear in the text and its terms.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/injection_reading.h"
#include "inspect/injection_rules.h"
#include "inspect/injection_terms.h"
#include "inspect/injection_words.h"

namespace stockade::inspect {

// What is known of a stretch beside its words. The weight of each is in the section `model` of the rules.
enum class Circumstance : uint8_t {
  hidden,
  half_hidden,
  decoded,
  disguised,
  quoted,
  fenced,
  codeish,  // between the brackets and semicolons of a program
  mentioned,
  mentioned_often,
};
inline constexpr size_t kCircumstances = 9;
inline constexpr std::array<std::string_view, kCircumstances> kCircumstanceNames = {
    "hidden", "half_hidden", "decoded", "disguised", "quoted", "fenced", "codeish", "mentioned", "mentioned_often"};
using Circumstances = std::array<bool, kCircumstances>;

struct StretchModel {
  double bias = 0;
  double threshold = 0;
  double scale = 0;  // of the words' weights
  double gate = 0;   // least sum of the gate's weights, in their own steps
  std::array<double, kCircumstances> circumstances{};
  size_t mention = kConceptLimit;

  static StretchModel from(const InjectionRules& rules);
};

Circumstances circumstances_of(std::string_view view, size_t begin, size_t end, const std::vector<TermHit>& hits,
                               const ViewOrigin& origin, size_t mention);

// The rules that the hits of [begin, end) satisfy, each within its span.
RuleSet rules_met(const std::vector<TermHit>& hits, size_t begin, size_t end, const InjectionRules& rules);

struct Stretch {
  double logit = -1000;
  size_t begin = 0;  // bytes of the view
  size_t end = 0;
  size_t first = 0;  // tokens
  size_t last = 0;
};

// Judges one view after another, in memory that is used again. One object a thread.
class StretchJudge {
 public:
  StretchJudge(const StretchModel& model, std::span<const int8_t> words, const WordClasses& classes,
               const TermFinder& finder)
      : model_(model), words_(words), classes_(classes), finder_(finder) {}

  Stretch best(std::string_view view, const ViewOrigin& origin);
  // Whether the view of the last best() has words of rot13, or speaks of it.
  bool saw_rot13() const { return saw_rot13_; }

  // Of a stretch of the last view: the rules that it meets, and the words that weigh most, most first.
  RuleSet rules_of(std::string_view view, const Stretch& stretch, const InjectionRules& rules);
  std::vector<std::string> strongest_words(std::string_view view, const Stretch& stretch, size_t count);

 private:
  struct Region {
    size_t first = 0;  // tokens
    size_t last = 0;
  };
  void pass_gate(const ViewOrigin& origin);
  void read_region(std::string_view view, Region region);

  const StretchModel& model_;
  std::span<const int8_t> words_;
  const WordClasses& classes_;
  const TermFinder& finder_;
  bool saw_rot13_ = false;
  std::vector<Token> tokens_;
  std::vector<int32_t> gate_;     // what the gate's features of each token weigh
  std::vector<Region> regions_;   // where the gate lets through
  std::vector<TermHit> hits_;     // of the region read last
  std::vector<int32_t> weights_;  // of its tokens
  std::vector<WordStretch> stretches_;
};

}  // namespace stockade::inspect
