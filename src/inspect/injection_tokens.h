// A view of a text as the words that the linear model (injection_words.h) counts: ASCII letters without case, the first
// letters of a word as its stem, each ideograph, kana and Thai letter as a word, a number, an address of the web or of
// mail and a long run of signs each as one word, whoever it names. White space, line prefixes and emphasis between two
// words do not part them; what stands before a word (the end of a sentence, a run of markup) is kept beside it. One
// pass, any bytes, no files, any thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "inspect/injection_fold.h"

namespace stockade::inspect {

struct Token {
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t word = 0;     // hash of the word
  uint32_t meaning = 0;  // its class, or the hash of its first letters
  uint32_t markup = 0;   // hash of the run of markup before it, or 0
  bool begins = false;   // a sentence or a line after an empty one
};

// What Token::meaning is for the words of a class.
constexpr uint32_t class_named(std::string_view name) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash | 1;
}

// Words of one meaning (rules/injection_classes.txt), by the hashes of words.
class WordClasses {
 public:
  static Result<WordClasses> parse(std::string_view text, const Folder& folder);
  // The class, or 0.
  uint32_t of(uint32_t word) const;

 private:
  struct Slot {
    uint32_t word = 0;
    uint32_t meaning = 0;
  };
  std::vector<Slot> slots_;  // a power of two, at most half full
};
std::string_view bundled_word_classes();

// Text beyond ASCII must be folded (injection_fold.h).
void tokenize(std::string_view text, const WordClasses& classes, std::vector<Token>& tokens);

}  // namespace stockade::inspect
