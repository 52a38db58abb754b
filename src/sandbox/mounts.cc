#include "sandbox/mounts.h"

#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace stockade::sandbox {

Result<Fd> clone_tree(int directory, const std::string& name, bool recursive) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW |
                         (name.empty() ? AT_EMPTY_PATH : 0U) | (recursive ? AT_RECURSIVE : 0U);
  Fd fd(static_cast<int>(::syscall(SYS_open_tree, directory, name.c_str(), flags)));
  if (!fd) return fail_errno("copy the mount of {}", name.empty() ? "a descriptor" : name);
  return fd;
}

Result<void> set_mount_attributes(int mount, const MountAttributes& attributes) {
  mount_attr change{};
  change.attr_set = MOUNT_ATTR_NOSUID;
  if (attributes.read_only) change.attr_set |= MOUNT_ATTR_RDONLY;
  if (!attributes.exec) change.attr_set |= MOUNT_ATTR_NOEXEC;
  if (!attributes.devices) change.attr_set |= MOUNT_ATTR_NODEV;
  if (attributes.idmap >= 0) {
    change.attr_set |= MOUNT_ATTR_IDMAP;
    change.userns_fd = static_cast<uint64_t>(attributes.idmap);
  }
  const unsigned flags = AT_EMPTY_PATH | (attributes.recursive ? AT_RECURSIVE : 0U);
  if (::syscall(SYS_mount_setattr, mount, "", flags, &change, sizeof(change)) < 0)
    return fail_errno("set the flags of a mount");
  return {};
}

Result<void> clear_read_only(int mount) {
  mount_attr change{};
  change.attr_clr = MOUNT_ATTR_RDONLY;
  change.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  if (::syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &change, sizeof(change)) < 0)
    return fail_errno("set the flags of a mount");
  return {};
}

Result<void> attach_mount(int mount, int directory, const std::string& name) {
  const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (name.empty() ? static_cast<unsigned>(MOVE_MOUNT_T_EMPTY_PATH) : 0U);
  if (::syscall(SYS_move_mount, mount, "", directory, name.c_str(), flags) < 0) return fail_errno("attach a mount");
  return {};
}

Result<Fd> make_filesystem(const char* type, const std::vector<FilesystemOption>& options,
                           const MountAttributes& attributes) {
  Fd context(static_cast<int>(::syscall(SYS_fsopen, type, FSOPEN_CLOEXEC)));
  if (!context) return fail_errno("open filesystem {}", type);
  for (const auto& [key, value] : options) {
    if (::syscall(SYS_fsconfig, context.get(), value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0) < 0)
      return fail_errno("set {}={} of filesystem {}", key, value ? value : "", type);
  }
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
    return fail_errno("make filesystem {}", type);
  unsigned flags = MOUNT_ATTR_NOSUID;
  if (attributes.read_only) flags |= MOUNT_ATTR_RDONLY;
  if (!attributes.exec) flags |= MOUNT_ATTR_NOEXEC;
  if (!attributes.devices) flags |= MOUNT_ATTR_NODEV;
  Fd mount(static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, flags)));
  if (!mount) return fail_errno("mount filesystem {}", type);
  return mount;
}

Result<void> leave_room(int tmpfs, uint64_t bytes, uint64_t inodes) {
  struct statfs now{};
  if (::fstatfs(tmpfs, &now) < 0) return fail_errno("ask how full the private filesystem is");
  const std::string size = std::to_string((now.f_blocks - now.f_bfree) * static_cast<uint64_t>(now.f_bsize) + bytes);
  const std::string count = std::to_string(now.f_files - now.f_ffree + inodes);
  const Fd context(static_cast<int>(::syscall(SYS_fspick, tmpfs, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH)));
  if (!context) return fail_errno("open the private filesystem's settings");
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, "size", size.c_str(), 0) < 0 ||
      ::syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, "nr_inodes", count.c_str(), 0) < 0 ||
      ::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0) < 0)
    return fail_errno("set the limits of the private filesystem to {} bytes and {} inodes", size, count);
  return {};
}

Result<void> make_all_mounts_private() {
  mount_attr change{};
  change.propagation = MS_PRIVATE;
  if (::syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &change, sizeof(change)) < 0)
    return fail_errno("make mounts private");
  return {};
}

Result<Fd> open_below(int root, const std::string& path, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  Fd fd(static_cast<int>(::syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof(how))));
  if (!fd) return fail_errno("open {} inside", path);
  return fd;
}

Result<struct stat> stat_of(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) < 0) return fail_errno("look at a descriptor");
  return info;
}

}  // namespace stockade::sandbox
