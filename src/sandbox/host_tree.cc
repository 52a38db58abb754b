#include "sandbox/host_tree.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <vector>

namespace stockade::sandbox {
namespace {

struct KernelEntry {  // struct linux_dirent64, which no header exports
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[1];
};

unsigned char type_of(mode_t mode) { return static_cast<unsigned char>((mode & S_IFMT) >> 12); }

std::optional<std::string> path_of(int fd) {
  char link[32];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  char target[PATH_MAX];
  const ssize_t size = ::readlink(link, target, sizeof target);
  if (size <= 0 || size == static_cast<ssize_t>(sizeof target) || target[0] != '/') return std::nullopt;
  return std::string(target, static_cast<size_t>(size));
}

}  // namespace

Result<HostTree> HostTree::open(const std::string& root) {
  HostTree tree;
  STOCKADE_ASSIGN(tree.root_, open_at(AT_FDCWD, root, O_PATH | O_DIRECTORY));
  if (root != "/") {
    auto path = path_of(tree.root_.get());
    if (!path) return fail(ErrorKind::unavailable, "the path of {} can't be read: /proc must be mounted", root);
    if (*path != "/") tree.prefix_ = std::move(*path);
  }
  return tree;
}

Fd HostTree::open_inside(const std::string& path, uint64_t flags, uint64_t resolve) const {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve;
  long fd;
  // EAGAIN: somebody renamed along the path while the kernel walked it.
  for (int attempt = 0; attempt < 8; ++attempt) {
    fd = ::syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return Fd(static_cast<int>(fd));
}

Result<Located> HostTree::resolve(const std::string& path) const {
  const Fd fd = open_inside(path, O_PATH);
  if (!fd) return fail_errno("find {}", path);
  Located found;
  if (::fstat(fd.get(), &found.status) != 0) return fail_errno("stat {}", path);
  auto real = path_of(fd.get());
  if (!real) return fail(ErrorKind::unavailable, "the real path of {} can't be read: /proc must be mounted", path);
  if (!prefix_.empty()) {
    auto inside = relative_to(*real, prefix_);
    if (!inside) return fail(ErrorKind::internal, "{} leads out of {}", path, prefix_);
    *real = "/" + *inside;
  }
  found.path = std::move(*real);
  return found;
}

std::vector<std::string> HostTree::way(const std::string& path) const {
  constexpr size_t kLinks = 40;  // as the kernel
  std::vector<std::string> places;
  std::vector<std::string> rest;  // components, the next one last
  const auto push = [&rest](std::string_view text) {
    while (!text.empty()) {
      const size_t slash = text.rfind('/');
      rest.emplace_back(text.substr(slash == std::string_view::npos ? 0 : slash + 1));
      text = text.substr(0, slash == std::string_view::npos ? 0 : slash);
    }
  };
  std::string at = "/";
  push(path);
  while (!rest.empty()) {
    const std::string name = std::move(rest.back());
    rest.pop_back();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      at = parent_of(at);
      continue;
    }
    std::string next = join(at, name);
    const auto target = places.size() < kLinks ? read_link(next) : std::nullopt;
    if (!target) {
      at = std::move(next);
      continue;
    }
    if (target->starts_with('/')) at.assign(1, '/');
    push(*target);
    places.push_back(std::move(next));
  }
  places.push_back(std::move(at));
  return places;
}

std::optional<Located> HostTree::locate(const std::string& path) const {
  auto found = resolve(path);
  if (!found) return std::nullopt;
  return std::move(*found);
}

std::optional<struct stat> HostTree::status(const std::string& path) const {
  struct stat status{};
  const Fd fd = open_inside(path, O_PATH);
  if (!fd || ::fstat(fd.get(), &status) != 0) return std::nullopt;
  return status;
}

std::optional<struct stat> HostTree::link_status(const std::string& path) const {
  struct stat status{};
  if (prefix_.empty()) {
    if (::fstatat(AT_FDCWD, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
    return status;
  }
  const Fd fd = open_inside(path, O_PATH | O_NOFOLLOW);
  if (!fd || ::fstat(fd.get(), &status) != 0) return std::nullopt;
  return status;
}

std::optional<std::string> HostTree::read_link(const std::string& path) const {
  char target[PATH_MAX];
  ssize_t size;
  if (prefix_.empty()) {
    size = ::readlink(path.c_str(), target, sizeof target);
  } else {
    const Fd fd = open_inside(path, O_PATH | O_NOFOLLOW);
    if (!fd) return std::nullopt;
    size = ::readlinkat(fd.get(), "", target, sizeof target);
  }
  if (size <= 0 || size == static_cast<ssize_t>(sizeof target)) return std::nullopt;
  return std::string(target, static_cast<size_t>(size));
}

Result<std::string> HostTree::read(const std::string& path, size_t limit) const {
  const Fd fd = open_inside(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) return fail_errno("open {}", path);
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return fail_errno("stat {}", path);
  if (!S_ISREG(status.st_mode)) return fail(ErrorKind::invalid_input, "{} is not a regular file", path);
  return read_file(fd.get(), limit);
}

std::optional<std::string> HostTree::read_head(const std::string& path, size_t size) const {
  const Fd fd = open_inside(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  ssize_t got = -1;
  std::string head;
  head.resize_and_overwrite(size, [&](char* data, size_t room) {
    got = ::pread(fd.get(), data, room, 0);
    return static_cast<size_t>(std::max<ssize_t>(got, 0));
  });
  if (got < 0) return std::nullopt;
  return head;
}

Result<void> HostTree::list(const std::string& path, const std::function<bool(const Entry&)>& visit) const {
  const Fd fd = open_inside(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
  if (!fd) return fail_errno("list {}", path);
  alignas(KernelEntry) char buffer[16 * 1024];
  while (true) {
    const long size = ::syscall(SYS_getdents64, fd.get(), buffer, sizeof buffer);
    if (size < 0) return fail_errno("list {}", path);
    if (size == 0) return {};
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const KernelEntry*>(buffer + at);
      at += entry->length;
      const std::string_view name = entry->name;
      if (name == "." || name == "..") continue;
      unsigned char type = entry->type;
      if (type == DT_UNKNOWN) {  // file systems that keep no type in the directory
        struct stat status{};
        if (::fstatat(fd.get(), entry->name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
        type = type_of(status.st_mode);
      }
      if (!visit({.name = name, .type = type, .inode = entry->inode})) return {};
    }
  }
}

bool is_at_or_below(std::string_view path, std::string_view base) {
  if (base == "/") return path.starts_with('/');
  return path.starts_with(base) && (path.size() == base.size() || path[base.size()] == '/');
}

std::optional<std::string> relative_to(std::string_view path, std::string_view base) {
  if (!is_at_or_below(path, base)) return std::nullopt;
  if (base == "/") return std::string(path.substr(1));
  return std::string(path.size() == base.size() ? std::string_view() : path.substr(base.size() + 1));
}

std::string join(std::string_view base, std::string_view name) {
  std::string path(base);
  if (name.empty()) return path;
  if (!path.ends_with('/')) path += '/';
  path += name;
  return path;
}

std::string parent_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return "/";
  return std::string(path.substr(0, slash));
}

std::string_view base_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string normalized(std::string_view path) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= path.size();) {
    size_t end = path.find('/', at);
    if (end == std::string_view::npos) end = path.size();
    const std::string_view part = path.substr(at, end - at);
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    at = end + 1;
  }
  std::string out;
  for (const std::string_view part : parts) out.append("/").append(part);
  return out.empty() ? "/" : out;
}

}  // namespace stockade::sandbox
