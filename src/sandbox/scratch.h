// Scratch on disk: the private directories of a run (HOME, /tmp, …) where its disk limit is larger than its memory, in
// the run's state. The agent may have filled them with anything, of any mode; here they are emptied, following no link.
//
// What is empty again serves a later run of the same person: ext4 gives no inode number away for a minute or more after
// its file was removed, and looks through all such numbers for each file that is made (recently_deleted(), ialloc.c), so
// that a few hundred runs in a row, each with directories of its own, would make every start slower by milliseconds.
#pragma once

#include <string>

#include "base/error.h"
#include "sandbox/plan.h"

namespace stockade::sandbox {

// Where a mount of kind scratch lives: the first one of every plan has the same name, and so on.
std::string scratch_directory(const SandboxPlan& plan, size_t mount_index);

// Empties it. It stays if nothing of the agent's is left on it (no attribute, no flag, no size that tells of many
// names), else it is removed.
Result<void> clear_scratch(const std::string& path);

// Removes a directory that the agent may have filled.
Result<void> remove_tree(const std::string& path);

// All scratch of a run, then `staging_root` itself if nothing else is in it. What was staged stays: it is the person's.
Result<void> remove_scratch(const std::string& staging_root);

// Whether all that is in `staging_root` is scratch.
bool holds_only_scratch(const std::string& staging_root);

}  // namespace stockade::sandbox
