// Narrowing: a ceiling (/etc/stockade/policy.yaml, the person's own, or a workspace file that nobody trusted) takes
// away from a policy and never adds. What is absent in it is not limited; what it forbids, nothing below can allow.
// Each thing that it took away becomes a note, so that `run` and `explain` can say why something is missing.
#pragma once

#include "policy/load.h"

namespace stockade::policy {

void narrow(Policy& policy, const LoadOutcome& ceiling, const Surroundings& surroundings, Diagnostics& notes);

// Keys of a ceiling that forbid nothing (`run`, `env.set`, `user`, `resolver`): errors in a real ceiling, and for a
// workspace file the list of what does not apply until it is trusted.
Diagnostics meaningless_in_ceiling(const LoadOutcome& ceiling);

}  // namespace stockade::policy
