// The agent's privileges: none. Called in the child after its last privileged step and after its ids are set (setgroups
// and ids are the engine's). Each call verifies what it did and fails closed; neither can be undone.
#pragma once

#include "base/error.h"

namespace stockade::sandbox {

// Before setresuid() to a uid that isn't 0: the capabilities survive it, so that drop_capabilities() can still empty
// the bounding set afterwards. Needs CAP_SETPCAP.
Result<void> keep_capabilities_across_ids();

// Empties bounding, ambient, inheritable, permitted and effective; locks the securebits (no root by uid, no ambient
// raise, no fixup). Needs CAP_SETPCAP in the process's user namespace: call it while that is still there.
Result<void> drop_capabilities();

// no_new_privs: setuid and file capabilities have no effect from the next execve on; seccomp and Landlock need it.
Result<void> set_no_new_privileges();

}  // namespace stockade::sandbox
