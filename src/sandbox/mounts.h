// The mount system calls as Results, each on descriptors: a tree is cloned detached, given its attributes while nobody
// can see it, and only then attached to a verified directory. No function here resolves a path twice, none follows a
// symbolic link. Used by init only, in its own mount namespace.
// Facts: mount_setattr(2), open_tree(2), move_mount(2), fsopen(2); Linux Documentation/filesystems/mount_api.rst.
#pragma once

#include <sys/stat.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"

namespace stockade::sandbox {

struct MountAttributes {
  bool read_only = true;
  bool exec = true;
  bool devices = false;  // nosuid always
  bool recursive = true;
  int idmap = -1;  // user namespace whose map the mount is to apply
};

// A detached copy of what is mounted at `name` below `directory` (AT_FDCWD: an absolute path); the last component is
// not followed. An empty name means the descriptor itself.
Result<Fd> clone_tree(int directory, const std::string& name, bool recursive);
Result<void> set_mount_attributes(int mount, const MountAttributes& attributes);
// A copy of a read-only mount of ours that is to be writable (/dev/shm); not executable.
Result<void> clear_read_only(int mount);
// Attaches a detached mount on `name` below `directory` (an empty name: on the directory itself).
Result<void> attach_mount(int mount, int directory, const std::string& name);

// A new filesystem, mounted nowhere. A null value sets a flag.
using FilesystemOption = std::pair<const char*, const char*>;
Result<Fd> make_filesystem(const char* type, const std::vector<FilesystemOption>& options,
                           const MountAttributes& attributes);

// Other limits for a mounted tmpfs: what it holds already, and this on top.
Result<void> leave_room(int tmpfs, uint64_t bytes, uint64_t inodes);

// Everything that is mounted becomes private: nothing propagates in or out.
Result<void> make_all_mounts_private();

// openat2(2) below `root`, symbolic links and magic links refused; O_CLOEXEC added.
Result<Fd> open_below(int root, const std::string& path, uint64_t flags);

Result<struct stat> stat_of(int fd);

}  // namespace stockade::sandbox
