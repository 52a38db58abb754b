// Read-only overlays: a directory of the host below a layer of ours. They refuse the host's unix sockets for free
// (ECONNREFUSED), and what is hidden is a whiteout, so its name does not exist, however it is reached. Options:
// nothing that the lower tree says about itself is believed (redirects, metadata-only copies, origin indexes).
// A lower tree that can't be stacked (too deep already, a locked submount of an ordinary user) becomes a plain
// read-only bind with masks, and `notify_sockets` is asked for.
// Facts: Linux Documentation/filesystems/overlayfs.rst; measured on 6.18: native.md, sections 2, 4, 5.
#include <sys/sysmacros.h>

#include <algorithm>

#include "sandbox/root_fs_builder.h"

namespace stockade::sandbox {

namespace {

// The hidden paths that lie in the mount at `below` (relative to the source), relative to it; those that lie in one of
// its own submounts belong to that one.
std::vector<std::string> hidden_in(const std::vector<std::string>& hidden, const std::string& below,
                                   const std::vector<std::string>& submounts) {
  const auto lies_in = [](const std::string& path, const std::string& place) {
    return place.empty() || path.starts_with(place + "/");
  };
  std::vector<std::string> out;
  for (const std::string& path : hidden) {
    if (!lies_in(path, below)) continue;
    const bool deeper = std::any_of(submounts.begin(), submounts.end(), [&](const std::string& submount) {
      return submount.size() > below.size() && lies_in(submount, below) && lies_in(path, submount);
    });
    if (!deeper) out.push_back(below.empty() ? path : path.substr(below.size() + 1));
  }
  return out;
}

}  // namespace

Result<void> RootBuilder::add_overlay(const Mount& mount, const Source& source) {
  // An ordinary user can't take a tree apart that has mounts below it: they are locked to it.
  const bool locked = launch_.identity.mode == Mode::user && !source.submounts.empty();
  if (locked) {
    out_.notify_sockets = true;
    return add_bind(mount, source, true);
  }
  STOCKADE_ASSIGN(const Place place, place_of(mount.target));
  STOCKADE_TRY(make_mount_point(place, true));
  // Attached first: older kernels stack only on a mount of this namespace. The overlay then covers it.
  STOCKADE_ASSIGN(const Fd lower, clone_tree(AT_FDCWD, source.path, false));
  STOCKADE_ASSIGN(const struct stat info, stat_of(lower.get()));
  if (info.st_dev != source.info.st_dev || info.st_ino != source.info.st_ino)
    return fail(ErrorKind::denied, "{} was exchanged while the sandbox was built", source.path);
  if (auto done = set_mount_attributes(lower.get(), {.exec = mount.exec, .recursive = false, .idmap = source.idmap});
      !done)
    return std::unexpected(
        std::move(done).error().hint("its filesystem makes no idmapped mounts: run as the person who owns it"));
  STOCKADE_TRY(attach_mount(lower.get(), place.directory, place.name));

  STOCKADE_ASSIGN(const Fd upper, make_layer(hidden_in(mount.hidden, "", source.submounts), mount.added, lower.get()));
  auto overlay = make_overlay(mount, upper.get(), lower.get());
  if (!overlay) {
    const int number = overlay.error().error_number();
    if (number != EINVAL && number != ELOOP && number != EOPNOTSUPP) return std::unexpected(std::move(overlay).error());
    out_.notify_sockets = true;
    return add_bind(mount, source, true);
  }
  STOCKADE_TRY(attach_mount(overlay->get(), place.directory, place.name));
  return add_submount_overlays(mount, source);
}

// Each filesystem that is mounted inside a tree of root's gets an overlay of its own at its place.
Result<void> RootBuilder::add_submount_overlays(const Mount& mount, const Source& source) {
  for (const std::string& below : source.submounts) {
    Mount part = mount;
    part.added.clear();
    part.source = source.path + "/" + below;
    part.target = mount.target + "/" + below;
    part.hidden = hidden_in(mount.hidden, below, source.submounts);
    Source part_source;
    part_source.path = part.source;
    part_source.idmap = source.idmap;
    auto opened = open_below(AT_FDCWD, part.source, O_PATH | O_NOFOLLOW);
    if (!opened) return std::unexpected(std::move(opened).error().context(fmt::format("mount {}", part.target)));
    STOCKADE_ASSIGN(part_source.info, stat_of(opened->get()));
    // Its mount point may lie in something that is hidden.
    STOCKADE_ASSIGN(const Place place, place_of(part.target));
    struct stat there{};
    if (::fstatat(place.directory, place.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) continue;
    STOCKADE_TRY(part_source.is_directory() ? add_overlay(part, part_source) : add_bind(part, part_source, true));
  }
  return {};
}

Result<Fd> RootBuilder::make_overlay(const Mount& mount, int upper, int lower) {
  // The descriptors by name: older kernels know no descriptor options. This is the host's /proc, before the pivot.
  const std::string layers = fmt::format("/proc/self/fd/{}:/proc/self/fd/{}", upper, lower);
  std::vector<FilesystemOption> options = {{"source", "stockade"},
                                           {"lowerdir", layers.c_str()},
                                           {"metacopy", "off"},
                                           {"redirect_dir", "nofollow"},
                                           {"index", "off"}};
  if (launch_.identity.mode == Mode::user) options.push_back({"userxattr", nullptr});
  return make_filesystem("overlay", options, {.read_only = true, .exec = mount.exec});
}

// The upper layer: empty, or with the hidden names as whiteouts in directories that look like the lower ones, and with
// the added ones as empty files.
Result<Fd> RootBuilder::make_layer(const std::vector<std::string>& hidden, const std::vector<std::string>& added,
                                   int lower) {
  if (hidden.empty() && added.empty()) {
    STOCKADE_ASSIGN(Fd layer, open_below(store_.get(), "empty_layer", O_PATH | O_DIRECTORY));
    return layer;
  }
  const std::string name = fmt::format("layers/{}", layers_++);
  if (::mkdirat(store_.get(), name.c_str(), 0755) < 0) return fail_errno("make a layer");
  STOCKADE_ASSIGN(Fd layer, open_below(store_.get(), name, O_PATH | O_DIRECTORY));
  STOCKADE_TRY(copy_attributes(lower, layer.get()));
  for (const std::string& relative : hidden) {
    if (auto done = make_whiteout(layer.get(), lower, relative); !done)
      return std::unexpected(std::move(done).error().context(fmt::format("hide {}", relative)));
  }
  for (const std::string& file : added)
    if (::mknodat(layer.get(), file.c_str(), S_IFREG | 0444, 0) < 0) return fail_errno("add {} to a layer", file);
  return layer;
}

// A merged directory has the owner and mode of its upper part: they must be those of the lower one as the agent sees
// it, or hiding one file would open its directory.
Result<void> RootBuilder::copy_attributes(int from, int to) {
  STOCKADE_ASSIGN(const struct stat info, stat_of(from));
  if (launch_.identity.mode == Mode::root && ::fchownat(to, "", info.st_uid, info.st_gid, AT_EMPTY_PATH) < 0)
    return fail_errno("give a layer its owner");
  if (::chmod(fmt::format("/proc/self/fd/{}", to).c_str(), info.st_mode & 01777) < 0)
    return fail_errno("give a layer its mode");
  return {};
}

Result<void> RootBuilder::make_whiteout(int layer, int lower, const std::string& relative) {
  Fd upper_at, lower_at;
  size_t begin = 0;
  while (true) {
    const int up = upper_at ? upper_at.get() : layer;
    const int low = lower_at ? lower_at.get() : lower;
    const size_t slash = relative.find('/', begin);
    const std::string part = relative.substr(begin, slash - begin);
    if (slash == std::string::npos) {
      if (::mknodat(up, part.c_str(), S_IFCHR, makedev(0, 0)) < 0 && errno != EEXIST)
        return fail_errno("make a whiteout");
      return {};
    }
    auto next_lower = open_below(low, part, O_PATH | O_DIRECTORY);
    if (!next_lower && next_lower.error().error_number() == ENOENT) return {};  // gone since the plan was made
    if (!next_lower) return std::unexpected(std::move(next_lower).error());
    if (::mkdirat(up, part.c_str(), 0700) < 0 && errno != EEXIST) return fail_errno("make a directory of a layer");
    auto next_upper = open_below(up, part, O_PATH | O_DIRECTORY);
    if (!next_upper && next_upper.error().error_number() == ENOTDIR) return {};  // a whiteout covers all of it
    if (!next_upper) return std::unexpected(std::move(next_upper).error());
    STOCKADE_TRY(copy_attributes(next_lower->get(), next_upper->get()));
    upper_at = std::move(*next_upper);
    lower_at = std::move(*next_lower);
    begin = slash + 1;
  }
}

}  // namespace stockade::sandbox
