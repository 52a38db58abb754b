// Finds the terms of the concepts in a text, in one pass: Vectorscan looks for the longest fixed piece of every term,
// and at a hit the whole term is compared, with any run of white space and markup standing for one space. Text beyond
// ASCII must be folded (injection_fold.h); in ASCII, case does not matter. One object a thread: it owns the scratch
// memory; copies share the compiled database.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "inspect/injection_fold.h"
#include "inspect/injection_rules.h"
#include "inspect/pattern_database.h"

namespace stockade::inspect {

inline constexpr size_t kHitLimit = 8192;  // hits in one text; the scanner's windows are shorter than that takes

struct TermHit {
  uint32_t begin = 0;
  uint32_t end = 0;
  uint8_t concept_index = 0;
  bool foreign = false;           // no English word: of another language, or a sign
  uint8_t bytes_a_character = 1;  // about as many bytes say in this script what one letter says in Latin, times 4
};

class TermFinder {
 public:
  // `compiled`: the database that the build made of the bundled rules, used if the terms are the same.
  static Result<TermFinder> create(const InjectionRules& rules, const Folder& folder, Image compiled = {});
  Result<TermFinder> clone() const;

  // By begin; a hit inside of a longer one is left out.
  void find(std::string_view text, std::vector<TermHit>& hits) const;
  Image image() const;

 private:
  struct Shared;
  struct Scratch;

  std::shared_ptr<const Shared> shared_;
  std::shared_ptr<Scratch> scratch_;
};

}  // namespace stockade::inspect
