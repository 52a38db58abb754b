// The `files` section as mounts: each source resolved once and judged by what it really is, its protections and the
// matches of `hide` found. A policy that mounts nothing gets nothing. What a person did not say clearly enough
// (no such file, the home without a reason, a place inside that belongs to the system) is refused with what to do.
#pragma once

#include <string>
#include <vector>

#include "policy/policy.h"
#include "sandbox/plan.h"
#include "sandbox/survey.h"

namespace stockade::sandbox {

struct FileMounts {
  std::vector<Mount> mounts;  // by target, parents first
  std::vector<std::string> notes;
  bool default_workspace = false;  // the default preset's entry made the current directory writable
};

Result<FileMounts> compile_files(const policy::Policy& policy, const Surroundings& surroundings, const HostTree& tree);

// Fills `hidden` of all mounts. Globs beginning with "**/" are searched for in the first `file_mounts` mounts' trees
// (the policy's own), absolute ones also in installations and system trees.
Result<void> hide_matches_in(const policy::Policy& policy, const HostTree& tree, std::vector<Mount>& files,
                             std::vector<Mount>& others);

// Each mount point below another mount of the host must exist there: nothing is ever made in a person's tree.
Result<void> check_mount_points(const HostTree& tree, const std::vector<Mount>& files, const std::vector<Mount>& all);

// The host's path of a path inside, along the deepest mount that covers it; nothing where that has no source.
std::optional<std::string> outside_of(const std::vector<Mount>& mounts, const std::string& inside);
// The deepest mount whose target is at or above `inside`.
const Mount* mount_of(const std::vector<Mount>& mounts, std::string_view inside);

}  // namespace stockade::sandbox
