// Ending, stopping and continuing everything in a sandbox, by the strongest means that this host has.
#pragma once

#include "base/pid.h"
#include "sandbox/cgroup.h"

namespace stockade::sandbox {

// cgroup.kill where there is one (27 ms for 250 forking processes; a signal to init alone can take seconds), then
// init by its pidfd, and what it does not get to kill soon one by one, found in the sandbox's `proc`; returns when init
// and with it everything inside is reaped.
Result<void> kill_everything(RunCgroup& cgroup, Pid& init, int proc);

// cgroup.freeze or the v1 freezer; else SIGSTOP to all, by init (`control`) and by us, repeated until all have stopped.
Result<void> freeze_everything(RunCgroup& cgroup, int control, int proc);
Result<void> thaw_everything(RunCgroup& cgroup, int control);

}  // namespace stockade::sandbox
