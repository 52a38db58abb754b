// Settling: completing what a run left whose supervisor died (kill -9, a crash, the machine's end). Called by every
// verb that looks at runs; never by `run` itself, whose start must not depend on history.
#pragma once

#include "supervisor/run_directory.h"

namespace stockade::supervisor {

// For each dead run: its sandbox is made sure to be gone, its cgroups and scratch are removed, its log gets the folded
// counts and an `unclean_end`, its record says so. What can't be settled now is left for the next verb.
void settle_dead_runs(const Places& places);

}  // namespace stockade::supervisor
