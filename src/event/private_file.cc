#include "event/private_file.h"

#include <poll.h>
#include <sys/file.h>

namespace stockade::event {
namespace {

Result<void> check_owner(int fd, const std::string& path, mode_t type) {
  struct stat info{};
  if (::fstat(fd, &info) < 0) return fail_errno("look at {}", path);
  if ((info.st_mode & S_IFMT) != type)
    return fail(ErrorKind::denied, "{} is not a {}", path, type == S_IFDIR ? "directory" : "regular file");
  if (info.st_uid != ::geteuid())
    return std::unexpected(Error(ErrorKind::denied, fmt::format("{} belongs to uid {}, not to you", path, info.st_uid))
                               .hint("remove it, or point XDG_STATE_HOME to a directory of your own"));
  if ((info.st_mode & 077) != 0)
    return std::unexpected(
        Error(ErrorKind::denied, fmt::format("{} is open to others (mode {:04o})", path, info.st_mode & 07777))
            .hint(fmt::format("see who could have changed it, then: chmod go= {}", path)));
  return {};
}

}  // namespace

Result<Fd> open_private_directory(const std::string& path, Missing missing) {
  if (missing == Missing::create && ::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST)
    return fail_errno("make {}", path);
  STOCKADE_ASSIGN(Fd fd, open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  STOCKADE_TRY(check_owner(fd.get(), path, S_IFDIR));
  return fd;
}

Result<Fd> open_private_file(int directory, const std::string& name, int flags) {
  // O_NONBLOCK: a fifo in its place must not hold us up; regular files ignore it.
  STOCKADE_ASSIGN(Fd fd, open_at(directory, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600));
  STOCKADE_TRY(check_owner(fd.get(), name, S_IFREG));
  return fd;
}

Result<void> lock_file(int fd, int operation, std::string_view what) {
  constexpr int kTries = 1000;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    if (::flock(fd, operation | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno("lock {}", what);
    ::poll(nullptr, 0, 1);
  }
  return std::unexpected(Error(ErrorKind::unavailable, fmt::format("another process holds the lock of {}", what))
                             .hint("see who with 'lslocks'"));
}

}  // namespace stockade::event
