// What a mounted tree of the person needs before an agent may work in it: is the place too broad to be given away by
// itself (home, /, /etc, our own state), which files in it run by themselves later (git hooks, .envrc, editor tasks)
// and must be read-only, and where the repositories in it are. The search for nested repositories is bounded, so that a
// huge workspace costs no more than a small one; what is beyond it is named as not looked at.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "policy/policy.h"
#include "sandbox/host_tree.h"
#include "sandbox/survey.h"

namespace stockade::sandbox {

// Depth 3 below the mount and 512 directories: some 2 ms with a warm cache. Dependencies and build outputs are passed
// over.
inline constexpr int kScanDepth = 3;
inline constexpr size_t kScanDirectories = 512;

// Why mounting this real path needs a reason; empty if it doesn't: "it is your home".
std::string why_broad(const Surroundings& surroundings, std::string_view real_path);

// Our own directories (state, control sockets, configuration) at or below this tree, relative, as far as they exist.
std::vector<std::string> own_state_below(const HostTree& tree, const Surroundings& surroundings,
                                         const std::string& real_path);

// Visits the directories of a workspace breadth first within the bounds: `visit(relative, entry)` for each entry of
// each directory. False when the bound was reached before the end.
bool scan_workspace(const HostTree& tree, const std::string& root,
                    const std::function<void(const std::string& directory, const HostTree::Entry& entry)>& visit);

struct Protections {
  std::vector<std::string> read_only;  // relative, existing: .git/hooks, .envrc, .husky, .vscode/tasks.json, .mcp.json
  bool complete = true;                // the whole tree was looked through
};
Protections protections_of(const HostTree& tree, const std::string& root);

}  // namespace stockade::sandbox
