// What one key alone can't show: entries that contradict or never match (errors), places and names that are so broad
// that a person should have said why (errors without a `reason`, warnings with one). Pure; runs on the layered policy.
#pragma once

#include "policy/diagnostic.h"
#include "policy/surroundings.h"

namespace stockade::policy {

struct Checks {
  Diagnostics errors;
  Diagnostics warnings;
};

Checks check(const Policy& policy, const Surroundings& surroundings);

// The floor's part for files: wherever a mount reaches over our state, configuration or sockets, they are hidden.
void hide_our_directories(Policy& policy, const Surroundings& surroundings);

}  // namespace stockade::policy
