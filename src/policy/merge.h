// Putting one file over another (`extends`, `--preset` under `--policy`): lists are joined, single values of the upper
// file win. A mount at the same place, a variable of the same name: the upper one replaces the lower one.
#pragma once

#include "policy/load.h"

namespace stockade::policy {

void merge(LoadOutcome& lower, LoadOutcome&& upper);

}  // namespace stockade::policy
