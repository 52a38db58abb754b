// Publishing a write-only mount: what the run made in its staging directory comes out under its names once every
// process inside is dead. Nothing that was there before is changed: a name that is taken stays in the staging directory
// and is reported, as is whatever is neither a directory nor a regular file (links, sockets, fifos, devices).
// Directories that exist already are entered, never through a link. Set-id bits are dropped, the owner is that of the
// target.
//
// Both trees are walked by descriptors only; nothing is opened twice by name. (renameat2(2) RENAME_NOREPLACE; open(2)
// O_TMPFILE with linkat(2) where the staging directory lies on another filesystem.)
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"

namespace stockade::sandbox {

struct KeptAside {
  std::string path;    // below the target, as it would have been
  std::string reason;  // "the name is taken", "a symbolic link", …
};

struct Published {
  std::vector<std::string> files;  // below the target; at most kPublishedNames, the rest is only counted
  uint64_t file_count = 0;
  std::vector<KeptAside> kept;  // the first kKeptNames, long paths cut
  uint64_t kept_count = 0;
};

inline constexpr size_t kPublishedNames = 1000;
inline constexpr size_t kKeptNames = 20;  // each becomes a line for the person
inline constexpr size_t kKeptLength = 200;

// An error ends the publishing where it was; what was not published is still in the staging directory.
Result<Published> publish_staging(const std::string& staging, const std::string& target);

}  // namespace stockade::sandbox
