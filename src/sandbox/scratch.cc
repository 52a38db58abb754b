#include "sandbox/scratch.h"

#include <dirent.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/fd.h"

namespace stockade::sandbox {

namespace {

constexpr std::string_view kScratchPrefix = "scratch-";
constexpr off_t kSizeOfFewNames = 4096;

// Makes the names of a directory go away, at any depth with two descriptors: a directory in it that is not empty is
// moved up to `top` under a new name, where a later round finds it.
class TreeRemover {
 public:
  explicit TreeRemover(int top) : top_(top) {}

  Result<void> run() {
    do {
      moved_ = false;
      STOCKADE_TRY(for_each(top_, [&](const char* name) { return remove_child(name); }));
    } while (moved_);
    return {};
  }

  // The agent may have closed it to its owner. Not a link: it was no file to unlink.
  static Result<Fd> open_directory(int parent, const char* name) {
    auto child = open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (child || child.error().error_number() != EACCES) return child;
    if (::fchmodat(parent, name, 0700, 0) < 0) return fail_errno("open a scratch directory");
    return open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }

 private:
  template <typename Visit>
  Result<void> for_each(int directory, const Visit& visit) {
    STOCKADE_ASSIGN(Fd copy, open_at(directory, ".", O_RDONLY | O_DIRECTORY));
    DIR* stream = ::fdopendir(copy.get());
    if (!stream) return fail_errno("read a scratch directory");
    copy.release();
    Result<void> outcome;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") outcome = visit(entry->d_name);
      if (!outcome) break;
    }
    ::closedir(stream);
    return outcome;
  }

  static bool goes(int directory, const char* name) {
    return ::unlinkat(directory, name, 0) == 0 || ::unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
  }

  Result<void> remove_child(const char* name) {
    if (goes(top_, name)) return {};
    STOCKADE_ASSIGN(const Fd child, open_directory(top_, name));
    if (::fchmod(child.get(), 0700) < 0) return fail_errno("open a scratch directory");
    STOCKADE_TRY(for_each(child.get(), [&](const char* inner) {
      return goes(child.get(), inner) ? Result<void>{} : move_up(child.get(), inner);
    }));
    if (::unlinkat(top_, name, AT_REMOVEDIR) < 0) return fail_errno("remove a scratch directory");
    return {};
  }

  Result<void> move_up(int from, const char* name) {
    STOCKADE_ASSIGN(const Fd child, open_directory(from, name));
    if (::fchmod(child.get(), 0700) < 0) return fail_errno("open a scratch directory");
    // The agent may have taken such a name itself.
    while (::renameat2(from, name, top_, fmt::format(".stockade-removing-{}", serial_++).c_str(), RENAME_NOREPLACE) <
           0) {
      if (errno != EEXIST) return fail_errno("move a scratch directory");
    }
    moved_ = true;
    return {};
  }

  const int top_;
  uint64_t serial_ = 0;
  bool moved_ = false;
};

bool is_as_new(int directory) {
  struct stat info;
  if (::fstat(directory, &info) < 0 || info.st_size > kSizeOfFewNames) return false;
  if (::flistxattr(directory, nullptr, 0) != 0 && errno != ENOTSUP) return false;
  int flags = 0;
  return ::ioctl(directory, FS_IOC_GETFLAGS, &flags) < 0 || (flags & ~FS_EXTENT_FL & FS_FL_USER_MODIFIABLE) == 0;
}

Result<Fd> empty(const std::string& path) {
  STOCKADE_ASSIGN(Fd directory, TreeRemover::open_directory(AT_FDCWD, path.c_str()));
  if (::fchmod(directory.get(), 0700) < 0) return fail_errno("empty {}", path);
  STOCKADE_TRY(TreeRemover(directory.get()).run());
  return directory;
}

Result<std::vector<std::string>> names_in(const std::string& path) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return fail_errno("open {}", path);
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

bool is_scratch(const std::string& name) { return name.starts_with(kScratchPrefix); }

}  // namespace

std::string scratch_directory(const SandboxPlan& plan, size_t mount_index) {
  const auto before = std::count_if(plan.mounts.begin(), plan.mounts.begin() + static_cast<ptrdiff_t>(mount_index),
                                    [](const Mount& mount) { return mount.kind == MountKind::scratch; });
  return fmt::format("{}/{}{}", plan.staging_root, kScratchPrefix, before);
}

Result<void> clear_scratch(const std::string& path) {
  STOCKADE_ASSIGN(const Fd directory, empty(path));
  if (is_as_new(directory.get())) return {};
  if (::rmdir(path.c_str()) < 0) return fail_errno("remove {}", path);
  return {};
}

Result<void> remove_tree(const std::string& path) {
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
  STOCKADE_TRY(empty(path));
  if (::rmdir(path.c_str()) < 0) return fail_errno("remove {}", path);
  return {};
}

Result<void> remove_scratch(const std::string& staging_root) {
  auto names = names_in(staging_root);
  if (!names) return names.error().error_number() == ENOENT ? Result<void>() : std::unexpected(names.error());
  for (const std::string& name : *names)
    if (is_scratch(name)) STOCKADE_TRY(remove_tree(staging_root + "/" + name));
  (void)::rmdir(staging_root.c_str());  // stays where something was staged
  return {};
}

bool holds_only_scratch(const std::string& staging_root) {
  const auto names = names_in(staging_root);
  return names && std::all_of(names->begin(), names->end(), is_scratch);
}

}  // namespace stockade::sandbox
