// HostTree: the host's file system as the compiler reads it, through one directory descriptor. Every path is absolute
// and resolved by the kernel inside that directory (openat2(2) with RESOLVE_IN_ROOT), so tests hand in a directory that
// plays the host's root, and a link in it never leads out. Reads only; single thread; nothing is cached.
//
// What it tells may change right after: the engine opens each source anew and checks it.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace stockade::sandbox {

struct Located {
  std::string path;  // real path: no link left in it
  struct stat status{};
  bool is_directory() const { return S_ISDIR(status.st_mode); }
  bool is_file() const { return S_ISREG(status.st_mode); }
};

class HostTree {
 public:
  struct Entry {
    std::string_view name;  // valid during the call only
    unsigned char type;     // DT_*; never DT_UNKNOWN
    uint64_t inode;
  };

  static Result<HostTree> open(const std::string& root = "/");

  // Follows every link. An empty optional where nothing is there or we may not look.
  std::optional<Located> locate(const std::string& path) const;
  // The same with the reason.
  Result<Located> resolve(const std::string& path) const;
  // The way there: where each link on it stands, and what is at its end (real paths). Whoever can write one of them
  // chooses what the path means.
  std::vector<std::string> way(const std::string& path) const;
  std::optional<struct stat> status(const std::string& path) const;       // follows links
  std::optional<struct stat> link_status(const std::string& path) const;  // the entry itself
  std::optional<std::string> read_link(const std::string& path) const;
  // A regular file's bytes, all of them or an error; `limit` bounds them. Never blocks on a FIFO or device.
  Result<std::string> read(const std::string& path, size_t limit) const;
  // The first bytes of a regular file.
  std::optional<std::string> read_head(const std::string& path, size_t size) const;
  // Calls `visit` for each entry but "." and "..", in no order; false from it ends the listing.
  Result<void> list(const std::string& path, const std::function<bool(const Entry&)>& visit) const;

 private:
  Fd open_inside(const std::string& path, uint64_t flags, uint64_t resolve = 0) const;

  Fd root_;
  std::string prefix_;  // the root's real path, without a trailing slash; empty for "/"
};

// "/a/b" below "/a" is "b", "/a" itself is ""; no value where `path` is not at or below `base`. Lexical.
std::optional<std::string> relative_to(std::string_view path, std::string_view base);
bool is_at_or_below(std::string_view path, std::string_view base);
std::string join(std::string_view base, std::string_view name);
std::string parent_of(std::string_view path);  // "/" for "/x"
std::string_view base_name(std::string_view path);
// Removes "." and doubled slashes and applies ".." by text. For spelling only: links are the kernel's business.
std::string normalized(std::string_view path);

}  // namespace stockade::sandbox
