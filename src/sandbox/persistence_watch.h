// What would run later: files in a writable workspace that a shell, editor, build tool, CI or another agent reads and
// obeys when the person comes back (Makefile, package.json, workflows, CLAUDE.md, .git/config, hooks, …). A snapshot
// before the run and one after it tell which of them the run changed, made or removed; the end of the run names them.
//
// Reads within the bounds of scan_workspace() (workspace_guard.h); deeper ones are not seen, and `complete` says so.
// A change is told by inode, size and ctime, which the agent can't set; files up to 8 KiB are compared by content, so
// that a rewrite with the same bytes is none.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sandbox/host_tree.h"

namespace stockade::sandbox {

// Is this a file that runs, or is obeyed, later? `path` is relative to the workspace.
bool runs_later(std::string_view path);

class PersistenceWatch {
 public:
  // Takes the snapshot of one writable tree (a real path).
  static PersistenceWatch before(const HostTree& tree, std::string root);

  enum class Change { made, changed, removed };
  struct Finding {
    std::string path;  // relative to the tree
    Change change;
    bool operator==(const Finding&) const = default;
  };
  struct Report {
    std::vector<Finding> findings;  // sorted by path
    bool complete = true;           // the whole tree was looked through, before and now
  };
  Report after(const HostTree& tree) const;

  const std::string& root() const { return root_; }

 private:
  struct Seen {
    uint64_t inode = 0;
    int64_t size = 0;
    int64_t changed_seconds = 0;
    int64_t changed_nanoseconds = 0;
    uint32_t mode = 0;
    std::string content;  // of a small file, or a link's target
    bool has_content = false;
  };
  using Snapshot = std::map<std::string, Seen>;
  static Snapshot take(const HostTree& tree, const std::string& root, const Snapshot* earlier, bool& complete);

  std::string root_;
  Snapshot snapshot_;
  bool complete_ = true;
};

// "Makefile changed, .git/hooks/pre-commit made"
std::string to_text(const std::vector<PersistenceWatch::Finding>& findings);

}  // namespace stockade::sandbox
