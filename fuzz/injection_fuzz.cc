// Hidden text, the views of a text, the rules' own format, and the judge of instructions to a model.
// covers: src/inspect/hidden_text.cc src/inspect/hidden_text_html.cc src/inspect/injection_fold.cc
// src/inspect/injection_views.cc src/inspect/injection_tokens.cc src/inspect/injection_reading.cc
// src/inspect/injection_stretch.cc src/inspect/injection.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/hidden_text.h"
#include "inspect/injection.h"
#include "inspect/injection_fold.h"
#include "inspect/injection_tokens.h"

namespace {

using namespace stockade::inspect;

void require(bool condition) {
  if (!condition) std::abort();
}

const InjectionDetector& detector() {
  static const InjectionDetector instance = InjectionDetector::create().value();
  return instance;
}

void fuzz_reading(std::string_view text) {
  for (const TextFormat format :
       {TextFormat::plain, TextFormat::html, TextFormat::markdown, TextFormat::json, TextFormat::code}) {
    const TextReading reading = read_text(text, format);
    require(reading.visible.size() <= 2 * text.size() + 16);
    require(reading.hidden.size() <= kHiddenPieceLimit);
    size_t size = 0;
    for (const HiddenText& piece : reading.hidden) {
      require(piece.begin <= piece.end && piece.end <= text.size());
      require(!hidden_kind_name(piece.kind).empty());
      size += piece.text.size();
    }
    require(size <= kHiddenTextLimit);
  }
}

void fuzz_views(std::string_view text) {
  static const Folder folder;
  require(folder.fold(text).text.size() <= 12 * text.size() + 16);
  require(joined_letters(text).size() <= 2 * text.size() + 16);
  const std::string plain = without_leet(text);
  require(plain.empty() || plain.size() == text.size());
  std::vector<Token> tokens;
  static const WordClasses classes = WordClasses::parse(bundled_word_classes(), folder).value();
  tokenize(text, classes, tokens);
  uint32_t last = 0;
  for (const Token& token : tokens) {
    require(token.begin >= last && token.begin < token.end && token.end <= text.size());
    last = token.end;
  }
  const auto runs = decoded_runs(text, true);
  require(runs.size() <= 3 * kDecodedRunLimit + 2);
  for (const DecodedRun& run : runs)
    require(run.begin < run.end && run.end <= text.size() && run.text.size() <= text.size());
}

// The window's edge falls inside of the text, and the pieces fall anywhere.
void fuzz_scanner(std::string_view text, size_t piece) {
  const std::string padded = std::string(kInjectionWindow - text.size() / 2 - 1, '.') + "\n" + std::string(text);
  const InjectionScore whole = detector().score(padded);
  require(whole.score >= 0 && whole.score <= 1);
  require(whole.reasons.size() <= kReasonLimit);
  for (const InjectionReason& reason : whole.reasons)
    require(reason.begin <= reason.end && reason.end <= padded.size() && reason.excerpt.size() <= 160);
  InjectionScanner scanner(detector());
  for (size_t at = 0; at < padded.size(); at += piece) scanner.feed(std::string_view(padded).substr(at, piece));
  const InjectionScore cut = scanner.finish();
  require(cut.score == whole.score && cut.reasons.size() == whole.reasons.size());
}

void fuzz_rules(std::string_view text) {
  static const Folder folder;
  if (const auto classes = WordClasses::parse(text, folder)) (void)classes->of(static_cast<uint32_t>(text.size()));
  const auto rules = parse_injection_rules(text);
  if (!rules) return;
  require(!rules->rules.empty() && rules->rules.size() < kInjectionRuleLimit && rules->concepts.size() <= kConceptLimit);
  for (const InjectionRule& rule : rules->rules) require(rule.concepts != 0 && rule.span <= kInjectionSpanLimit);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  // Exactly as long as it is, so that a read past the end is seen.
  const std::vector<char> exact(data + 1, data + size);
  const std::string_view text(exact.data(), exact.size());
  switch (data[0] % 4) {
    case 0:
      fuzz_reading(text);
      break;
    case 1:
      fuzz_views(text);
      break;
    case 2:
      if (text.size() < kInjectionWindow) fuzz_scanner(text, 1 + data[0] * 257u);
      break;
    case 3:
      fuzz_rules(text);
      break;
  }
  return 0;
}
