// Bytes and files in a directory of the run's state that the agent fills (scratch on disk, staging), measured a slice
// at a time so that the supervisor's loop never waits for a large tree. Links are not followed, other filesystems not
// entered. What a walk can't see (files that are open and unlinked, directories that their owner closed) shows in the
// filesystem's free space and inodes: when those fell by the limit as well and there are such blind spots, the limit
// counts as exceeded. A snapshot that is always a little old: `explain` calls it polled.
#pragma once

#include <dirent.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"

namespace stockade::sandbox {

class DiskMeter {
 public:
  struct Limits {
    uint64_t bytes = UINT64_MAX;
    uint64_t entries = UINT64_MAX;
  };
  DiskMeter(std::string path, Limits limits);

  // Looks at a few hundred names more. `proc` is the sandbox's /proc, for open files. The limit that is exceeded:
  // "disk" or "inodes"; else null.
  const char* exceeded(int proc);

 private:
  struct CloseDir {
    void operator()(DIR* stream) const { ::closedir(stream); }
  };
  using Directory = std::unique_ptr<DIR, CloseDir>;

  void begin();
  void visit(int directory, const char* name);
  bool enter(int directory, const char* name);
  bool has_unlinked_open_files(int proc) const;
  Limits free() const;

  const std::string path_;
  const Limits limits_;
  const Limits free_at_start_;
  uint64_t device_ = 0;
  std::vector<Directory> open_;  // from the top down
  uint64_t bytes_ = 0, entries_ = 0;
  bool blind_ = false;
};

}  // namespace stockade::sandbox
