// Is somebody here giving orders to the model? Judges text that comes in (pages, mails, tool results and descriptions,
// files) before any model reads it, in every view in which a model could read it (injection_reading.h): as it is,
// folded, with its letters joined, its encodings undone, and each hidden piece by itself. In each view the stretch of
// words that speaks most for an order is weighed by a linear model over words and over concepts in twelve languages
// (injection_words.h, injection_stretch.h); rules that are data (injection_rules.h) name the attack. The score is
// calibrated so that 0.5 is passed by about one in a hundred harmless texts. What it catches and what it misses is
// measured in tests/corpora/injection/README.md: it is one voice among several, not the last word.
//
// Text of any length is judged in windows of kInjectionWindow bytes that overlap by kInjectionOverlap; the score is the
// greatest. Memory is bounded by one window and its views. Quoting and explaining lower the score of visible text, by
// context and never by site; they do not help hidden or encoded text. It sees no meaning: an order in words that
// neither the model nor a concept knows passes, and a polite wish to an agent looks like a wish to a person. One object
// a thread; no files, no clock.
#pragma once

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
// What may be refused without asking anybody: about one harmless text in a thousand of the held-out split passes it.
inline constexpr double kInjectionCertain = 0.99;

struct InjectionContext {
  // None: guessed from the first bytes.
  std::optional<TextFormat> format;
};

struct InjectionReason {
  std::string rule = "words";  // its id; "words" where none is met and the words alone speak for an order
  std::string attack_class = "unnamed";
  size_t begin = 0;  // in the whole text; of the piece, where the text was hidden or encoded
  size_t end = 0;
  std::string through;             // "html comment", "base64", "letter-spacing"; empty where it is plain to see
  std::string excerpt;             // at most 160 bytes, not escaped
  std::vector<std::string> words;  // that weighed most, most first; not escaped
};

struct InjectionScore {
  double score = 0;  // 0 to 1
  std::vector<InjectionReason> reasons;
};

class InjectionDetector {
 public:
  // Once a process; then clone() for each thread.
  static Result<InjectionDetector> create();
  static Result<InjectionDetector> create(const InjectionRules& rules);
  Result<InjectionDetector> clone() const;

  InjectionScore score(std::string_view text, const InjectionContext& context = {}) const;

  // One window, no longer than kInjectionWindow; `offset` is added to the places of reasons.
  InjectionScore score_window(std::string_view text, TextFormat format, size_t offset) const;
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
