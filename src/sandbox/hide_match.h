// hide: which paths of the mounted trees match the policy's `hide` globs at the start, and by which other names the
// same files can be reached. A match is masked as a whole; so is every hard link to it (or to a file below it) in any
// mounted tree, and what a matching symbolic link leads to, if that is mounted. Later files need an observer.
//
// A glob without wildcards costs one lookup. Others walk the trees from their fixed part on, without following links.
// The walk is bounded; a tree that is larger is an error, never a silent half.
#pragma once

#include <string>
#include <vector>

#include "sandbox/host_tree.h"

namespace stockade::sandbox {

inline constexpr size_t kHideEntryLimit = 2'000'000;

struct HideTree {
  std::string source;        // real path of a directory that is mounted
  bool masks_links = false;  // the mount can mask a link itself (an overlay); a mask on a bind falls on its target
  std::vector<std::string> hidden;  // out: relative paths, sorted, none below another
};

// `globs` as in policy::FileRule: absolute, or beginning with "**/". Fails where a glob hides a whole tree.
Result<void> find_hidden(const HostTree& tree, const std::vector<std::string>& globs, std::vector<HideTree>& trees,
                         size_t entry_limit = kHideEntryLimit);

}  // namespace stockade::sandbox
