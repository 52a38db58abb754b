// Data files of rules/ as they are, in the program's read-only data: an assembler's .incbin costs no compile time.
#include "inspect/injection_tokens.h"
#include "inspect/injection_words.h"

#define STOCKADE_INCLUDE_FILE(name, path)                                                                        \
  __asm__(                                                                                                       \
      ".pushsection .rodata\n"                                                                                   \
      ".balign 64\n"                                                                                             \
      ".global " name "\n.hidden " name "\n" name ":\n.incbin \"" path "\"\n.global " name "_end\n.hidden " name \
      "_end\n" name                                                                                              \
      "_end:\n"                                                                                                  \
      ".byte 0\n.popsection\n")

STOCKADE_INCLUDE_FILE("stockade_word_weights", STOCKADE_WORD_WEIGHTS);
STOCKADE_INCLUDE_FILE("stockade_word_classes", STOCKADE_WORD_CLASSES);

extern "C" {
extern const int8_t stockade_word_weights[];
extern const int8_t stockade_word_weights_end[];
extern const char stockade_word_classes[];
extern const char stockade_word_classes_end[];
}

namespace stockade::inspect {

std::span<const int8_t> bundled_word_weights() { return {stockade_word_weights, stockade_word_weights_end}; }
std::string_view bundled_word_classes() { return {stockade_word_classes, stockade_word_classes_end}; }

}  // namespace stockade::inspect
