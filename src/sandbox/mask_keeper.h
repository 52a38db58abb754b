// The mask keeper: a process of ours that puts masks back. In a plain writable tree a mask (`hide`, or a path that is
// read-only because it runs later: .git/hooks, .envrc) is a mount on a name, and it falls when somebody outside renames
// another file over that name or recreates its directory. The keeper watches all directories on the way by inotify and
// mounts the mask anew: hygiene, not a wall. Between the rename and the mask (60 to 110 µs, at times some milliseconds)
// a program inside that waits for it can open the new file, and what it has open stays open.
//
// It is in the sandbox's mount namespace with CAP_SYS_ADMIN over it (as root that is the machine's, behind a filter
// that lets it mount and look, and open nothing but places), reads no file, and is told nothing by the agent but names
// of directory entries, which it compares with the plan's. Same socket, notices and end as the observer's (observer.h).
// A name that becomes a symbolic link can't be masked: what it names is seen only if that is visible anyway.
#pragma once

#include "sandbox/observer.h"

namespace stockade::sandbox {

// Whether the plan has masks that can fall.
bool needs_mask_keeper(const SandboxPlan& plan);

// Between launch() and release(), as Observer::start; uses the handles' namespaces.
Result<Observer> start_mask_keeper(const SandboxPlan& plan, const Handles& handles);

}  // namespace stockade::sandbox
