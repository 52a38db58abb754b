// Two policies compared by what they allow, in sentences, and whether the second widens the first. In doubt a change
// counts as widening.
#pragma once

#include "policy/diagnostic.h"
#include "policy/surroundings.h"

namespace stockade::policy {

struct Change {
  bool widens = false;
  std::string text;
};

std::vector<Change> compare(const Policy& before, const Policy& after, const Surroundings& surroundings);
bool widens(const std::vector<Change>& changes);

}  // namespace stockade::policy
