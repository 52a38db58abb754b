#include "sandbox/standard_stream.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace stockade::sandbox {

namespace {

#ifndef PID_FS_MAGIC
constexpr long PID_FS_MAGIC = 0x50494446;
#endif

// Files of these are the kernel's calls: what is written to them, and often what is read, acts on the host.
constexpr std::array<long, 12> kKernelFilesystems = {
    PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,  TRACEFS_MAGIC,
    SECURITYFS_MAGIC, NSFS_MAGIC,  BPF_FS_MAGIC,       EFIVARFS_MAGIC,      BINFMTFS_MAGIC, PID_FS_MAGIC};

bool is_of_the_kernel(int fd) {
  struct statfs filesystem{};
  if (::fstatfs(fd, &filesystem) < 0) return true;
  return std::ranges::find(kKernelFilesystems, static_cast<long>(filesystem.f_type)) != kKernelFilesystems.end();
}

// null, zero, full, random, urandom.
bool is_harmless_device(dev_t device) {
  const unsigned number = minor(device);
  return major(device) == 1 && (number == 3 || number == 5 || number == 7 || number == 8 || number == 9);
}

// A unix stream or seqpacket that has its peer keeps it. All else can be sent or connected elsewhere, in the network
// namespace where it was made: ours.
bool is_connected_for_good(int socket) {
  int domain = 0, type = 0;
  socklen_t size = sizeof(int);
  if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX) return false;
  if (::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || (type != SOCK_STREAM && type != SOCK_SEQPACKET))
    return false;
  sockaddr_storage peer;
  size = sizeof(peer);
  return ::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

}  // namespace

std::string_view why_not_a_standard_stream(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) < 0) return "is closed";
  if (S_ISDIR(info.st_mode)) return "is a directory";
  if (S_ISBLK(info.st_mode)) return "is a block device";
  if (::fcntl(fd, F_GETFL) & O_PATH) return "is a mere path (O_PATH)";
  if (S_ISSOCK(info.st_mode))
    return is_connected_for_good(fd) ? "" : "is a socket that could be connected to anything outside";
  if (S_ISFIFO(info.st_mode)) return "";
  // EIO: a terminal that was hung up, and may be another's by the next login.
  if (S_ISCHR(info.st_mode) && (::isatty(fd) || errno == EIO))
    return "is a terminal, and the agent may only have one of its own";
  if (S_ISCHR(info.st_mode)) return is_harmless_device(info.st_rdev) ? "" : "is a device of the host";
  // An eventfd, a pidfd, an inotify, epoll or perf descriptor: no type, or since Linux 6.9 a filesystem of its own.
  if (!S_ISREG(info.st_mode)) return "is neither a file, a pipe nor a socket";
  if (is_of_the_kernel(fd)) return "is a file of the kernel's (/proc, /sys)";
  return "";
}

void open_pipe_to_others(int fd) {
  struct stat info{};
  struct statfs filesystem{};
  if (::fstat(fd, &info) < 0 || !S_ISFIFO(info.st_mode)) return;
  if (::fstatfs(fd, &filesystem) < 0 || filesystem.f_type != PIPEFS_MAGIC) return;
  const bool writes = (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
  (void)::fchmod(fd, (info.st_mode & 07777) | (writes ? S_IWOTH : S_IROTH));
}

}  // namespace stockade::sandbox
