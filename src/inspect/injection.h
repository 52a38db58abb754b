// Is somebody here giving orders to the model? Judges text that comes in (pages, mails, tool results and descriptions,
// files) before any model reads it, by rules that are data (injection_rules.h), in twelve languages and in every view
// in which a model could read it: as it is, folded, with its letters joined, its encodings undone, and each hidden
// piece (hidden_text.h) by itself. What was found in the best stretch of text goes through a small logistic model; the
// score is calibrated so that 0.5 is passed by about one in a hundred harmless texts of the training split. What it
// catches and what it misses is measured in tests/corpora/injection/README.md: it is one voice among several, not the
// last word.
//
// Text of any length is judged in windows of kInjectionWindow bytes that overlap by kInjectionOverlap; the score is the
// greatest. Memory is bounded by one window and its views. Quoting and explaining lower the score of visible text, by
// context and never by site; they do not help hidden or encoded text. It sees no meaning beyond these rules: an order
// in words that no rule knows passes, and so does one in a language that is not listed. One object a thread; no files,
// no clock.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "inspect/hidden_text.h"
#include "inspect/injection_rules.h"

namespace stockade::inspect {

inline constexpr size_t kInjectionWindow = 64 * 1024;
inline constexpr size_t kInjectionOverlap = 4 * 1024;
inline constexpr size_t kReasonLimit = 16;
inline constexpr double kInjectionSuspicious = 0.5;
inline constexpr double kInjectionCertain = 0.9;  // what may be refused without asking anybody

struct InjectionContext {
  // None: guessed from the first bytes.
  std::optional<TextFormat> format;
};

struct InjectionReason {
  std::string rule;  // its id
  std::string attack_class;
  size_t begin = 0;  // in the whole text; of the piece, where the text was hidden or encoded
  size_t end = 0;
  std::string through;  // "html comment", "base64", "letter-spacing"; empty where it is plain to see
  std::string excerpt;  // at most 160 bytes, not escaped
};

struct InjectionScore {
  double score = 0;  // 0 to 1
  std::vector<InjectionReason> reasons;
};

using InjectionFeatures = std::map<std::string, double, std::less<>>;

class InjectionDetector {
 public:
  // Once a process; then clone() for each thread.
  static Result<InjectionDetector> create();
  static Result<InjectionDetector> create(const InjectionRules& rules);
  Result<InjectionDetector> clone() const;

  InjectionScore score(std::string_view text, const InjectionContext& context = {}) const;

  // One window, no longer than kInjectionWindow; `offset` is added to the places of reasons. For each stretch that met
  // a rule, its features go to `features`, for fitting the model.
  InjectionScore score_window(std::string_view text, TextFormat format, size_t offset,
                              std::vector<InjectionFeatures>* features = nullptr) const;
  const InjectionRules& rules() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// The same for text that arrives in pieces: however it is cut, the score is that of the whole.
class InjectionScanner {
 public:
  explicit InjectionScanner(const InjectionDetector& detector, InjectionContext context = {})
      : detector_(detector), context_(context) {}

  void feed(std::string_view bytes);
  // Judges what is left. The scanner starts again.
  InjectionScore finish();
  // So far; what is not judged yet is at most one window.
  const InjectionScore& so_far() const { return best_; }

 private:
  void judge(std::string_view window);

  const InjectionDetector& detector_;
  InjectionContext context_;
  std::optional<TextFormat> format_;
  std::string held_;
  size_t offset_ = 0;  // of held_
  InjectionScore best_;
};

}  // namespace stockade::inspect
