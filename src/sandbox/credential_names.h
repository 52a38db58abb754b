// Names under which credentials lie: files that are masked inside every install root that we mount, and environment
// variables that change what the loader or the C library does. The lists err on the side of hiding; a person who wants
// such a file inside mounts it by a rule of the policy. Not a secret scanner: unknown names pass.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/host_tree.h"

namespace stockade::sandbox {

bool is_credential_file(std::string_view name);  // a base name: ".npmrc", "auth.json", …
bool is_loader_variable(std::string_view name);  // LD_*, GCONV_PATH, …: runs code or reads files in each program

// Paths below the real directory `root`, relative, that hold credentials: its own entries, those of `etc`,
// `.git/config`.
std::vector<std::string> credentials_below(const HostTree& tree, const std::string& root);

}  // namespace stockade::sandbox
