#include "sandbox/staging.h"

#include <dirent.h>
#include <linux/fs.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace stockade::sandbox {

namespace {

constexpr int kDepthLimit = 128;
// A file with several names took room once inside, and becomes several files outside: that much more, and no further.
constexpr uint64_t kDuplicatedLimit = 256 << 20;

class Publisher {
 public:
  Result<void> publish_directory(int from, int to, const std::string& prefix, int depth);
  Published take() { return std::move(published_); }

 private:
  Result<void> publish_entry(int from, int to, const std::string& name, const std::string& path, int depth);
  Result<void> publish_subdirectory(int from, int to, const std::string& name, const std::string& path, mode_t mode,
                                    int depth);
  Result<void> publish_file(int from, int to, const std::string& name, const std::string& path, mode_t mode);
  void keep(const std::string& path, std::string reason);

  Published published_;
  uint64_t duplicated_ = 0;
};

Result<std::vector<std::string>> names_in(int directory) {
  STOCKADE_ASSIGN(auto again, open_at(directory, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(again.get()), ::closedir);
  if (!stream) return fail_errno("list a directory");
  again.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return fail_errno("list a directory");
  return names;
}

// Mode and owner as they may be outside: no set-id bits, and the owner of the directory that takes the file.
Result<void> settle_attributes(int fd, int to, mode_t mode) {
  struct stat owner;
  struct stat own;
  if (::fstat(to, &owner) < 0 || ::fstat(fd, &own) < 0) return fail_errno("look at a file to publish");
  if ((own.st_uid != owner.st_uid || own.st_gid != owner.st_gid) && ::geteuid() == 0 &&
      ::fchown(fd, owner.st_uid, owner.st_gid) < 0)
    return fail_errno("give a published file its owner");
  if (::fchmod(fd, mode & 0777) < 0) return fail_errno("set a published file's mode");
  return {};
}

// Holes stay holes: what takes no room inside must take none outside.
Result<void> copy_data(int source, int to, const std::string& name) {
  struct stat info;
  if (::fstat(source, &info) < 0) return fail_errno("look at {}", name);
  off_t at = 0;
  while ((at = ::lseek(source, at, SEEK_DATA)) >= 0) {
    const off_t end = ::lseek(source, at, SEEK_HOLE);
    if (end < 0 || ::lseek(to, at, SEEK_SET) < 0) return fail_errno("copy {}", name);
    while (at < end) {
      const ssize_t count = ::sendfile(to, source, &at, static_cast<size_t>(end - at));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail_errno("copy {}", name);
      if (count == 0) return fail(ErrorKind::unavailable, "copy {}: it became shorter meanwhile", name);
    }
  }
  if (errno != ENXIO) return fail_errno("copy {}", name);
  if (::ftruncate(to, info.st_size) < 0) return fail_errno("copy {}", name);
  return {};
}

// True: published. False: the name is taken.
Result<bool> copy_file(int source, int to, const std::string& name, mode_t mode) {
  STOCKADE_ASSIGN(auto copy, open_at(to, ".", O_TMPFILE | O_RDWR, 0600));
  STOCKADE_TRY(copy_data(source, copy.get(), name));
  STOCKADE_TRY(settle_attributes(copy.get(), to, mode));
  const std::string link = fmt::format("/proc/self/fd/{}", copy.get());
  if (::linkat(AT_FDCWD, link.c_str(), to, name.c_str(), AT_SYMLINK_FOLLOW) == 0) return true;
  if (errno == EEXIST) return false;
  return fail_errno("publish {}", name);
}

Result<bool> move_file(int source, int from, int to, const std::string& name, const struct stat& found) {
  if (found.st_nlink == 1) {
    STOCKADE_TRY(settle_attributes(source, to, found.st_mode));
    if (::syscall(SYS_renameat2, from, name.c_str(), to, name.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno == EEXIST) return false;
    if (errno != EXDEV && errno != EINVAL) return fail_errno("publish {}", name);
  }
  STOCKADE_ASSIGN(const bool copied, copy_file(source, to, name, found.st_mode));
  if (copied) ::unlinkat(from, name.c_str(), 0);
  return copied;
}

void Publisher::keep(const std::string& path, std::string reason) {
  ++published_.kept_count;
  if (published_.kept.size() == kKeptNames) return;
  published_.kept.push_back({path.size() <= kKeptLength ? path : path.substr(0, kKeptLength) + "…", std::move(reason)});
}

Result<void> Publisher::publish_file(int from, int to, const std::string& name, const std::string& path, mode_t mode) {
  STOCKADE_ASSIGN(auto source, open_at(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat found;
  if (::fstat(source.get(), &found) < 0) return fail_errno("look at {}", path);
  if (!S_ISREG(found.st_mode)) {
    keep(path, "not a regular file");
    return {};
  }
  found.st_mode = S_IFREG | (mode & 0777);
  if (found.st_nlink > 1) {
    const uint64_t room = std::max<uint64_t>(static_cast<uint64_t>(found.st_blocks) * 512, 4096);
    if (room > kDuplicatedLimit - duplicated_) {
      keep(path, fmt::format("one of several names of a file, and these would take more than {} MiB",
                             kDuplicatedLimit >> 20));
      return {};
    }
    duplicated_ += room;
  }
  STOCKADE_ASSIGN(const bool moved, move_file(source.get(), from, to, name, found));
  if (!moved) {
    keep(path, "the name is taken");
    return {};
  }
  ++published_.file_count;
  if (published_.files.size() < kPublishedNames) published_.files.push_back(path);
  return {};
}

Result<void> Publisher::publish_subdirectory(int from, int to, const std::string& name, const std::string& path,
                                             mode_t mode, int depth) {
  if (depth >= kDepthLimit) {
    keep(path, fmt::format("more than {} directories deep", kDepthLimit));
    return {};
  }
  const bool made = ::mkdirat(to, name.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return fail_errno("make {}", path);
  auto inner = open_at(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!inner) {
    keep(path, "the name is taken");
    return {};
  }
  STOCKADE_ASSIGN(auto source, open_at(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  STOCKADE_TRY(publish_directory(source.get(), inner->get(), path + "/", depth + 1));
  if (made) STOCKADE_TRY(settle_attributes(inner->get(), to, mode));  // last: the mode may close it to us
  ::unlinkat(from, name.c_str(), AT_REMOVEDIR);                       // stays where something was kept aside in it
  return {};
}

Result<void> Publisher::publish_entry(int from, int to, const std::string& name, const std::string& path, int depth) {
  struct stat found;
  if (::fstatat(from, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) < 0) return fail_errno("look at {}", path);
  // What its maker closed to itself is opened again; nobody else is left who could exchange the name meanwhile.
  const mode_t needed = S_ISDIR(found.st_mode) ? 0700 : 0400;
  if (!S_ISLNK(found.st_mode) && (found.st_mode & needed) != needed &&
      ::fchmodat(from, name.c_str(), (found.st_mode & 0777) | needed, 0) < 0)
    return fail_errno("open {} for publishing", path);
  if (S_ISDIR(found.st_mode)) return publish_subdirectory(from, to, name, path, found.st_mode, depth);
  if (S_ISREG(found.st_mode)) return publish_file(from, to, name, path, found.st_mode);
  keep(path, S_ISLNK(found.st_mode) ? "a symbolic link" : "not a regular file");
  return {};
}

Result<void> Publisher::publish_directory(int from, int to, const std::string& prefix, int depth) {
  STOCKADE_ASSIGN(auto names, names_in(from));
  for (const std::string& name : names) STOCKADE_TRY(publish_entry(from, to, name, prefix + name, depth));
  return {};
}

}  // namespace

Result<Published> publish_staging(const std::string& staging, const std::string& target) {
  STOCKADE_ASSIGN(auto from, open_at(AT_FDCWD, staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  STOCKADE_ASSIGN(auto to, open_at(AT_FDCWD, target, O_RDONLY | O_DIRECTORY));
  Publisher publisher;
  auto done = publisher.publish_directory(from.get(), to.get(), "", 0);
  if (!done) return std::unexpected(std::move(done).error().context("publish to " + target));
  return publisher.take();
}

}  // namespace stockade::sandbox
