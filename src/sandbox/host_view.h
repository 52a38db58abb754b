// What the agent sees as /: the host's system trees read-only, an /etc of our own (etc_files.h), an empty home at its
// usual path, empty /tmp, /var/tmp and XDG_RUNTIME_DIR. The rest of the host (its /home, /root, /var, /run, /srv, /mnt,
// /boot) has no name inside. /dev and /proc are the engine's.
#pragma once

#include <string>
#include <vector>

#include "sandbox/etc_files.h"
#include "sandbox/plan.h"
#include "sandbox/survey.h"

namespace stockade::sandbox {

// Who the agent is inside: the person's own ids and name; 1000 and "agent" where the person is root.
Inside choose_inside(const Surroundings& surroundings, const policy::Sandbox& sandbox, const std::string& hostname);

// /usr and the links or directories of the root that belong to it.
void add_system_trees(const HostTree& tree, std::vector<Mount>& mounts);

// Only the links among them (/bin → usr/bin), for a view whose /usr is made by program_dirs.h.
void add_root_links(const HostTree& tree, std::vector<Mount>& mounts);

// HOME, /tmp, /var/tmp, /run.
void add_scratch_places(const Inside& inside, std::vector<Mount>& mounts);

// Targets inside that the policy's mounts may not take: why, or empty. (Their parents are refused too.)
std::string why_not_a_target(std::string_view target);

}  // namespace stockade::sandbox
