#include "sandbox/root_fs.h"

#include <sys/mount.h>
#include <sys/syscall.h>

#include <algorithm>
#include <set>

#include "sandbox/root_fs_builder.h"

namespace stockade::sandbox {

namespace {

std::optional<uint64_t> mount_id(int fd) {
  struct statx info;
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) < 0 || !(info.stx_mask & STATX_MNT_ID)) return std::nullopt;
  return info.stx_mnt_id;
}

// "/a/b" → "a/b"; the plan's targets are absolute and normalised.
Result<std::string> relative_target(const std::string& target) {
  if (!target.starts_with('/') || target.find("//") != std::string::npos ||
      (target + "/").find("/../") != std::string::npos)
    return fail(ErrorKind::invalid_input, "{} is no normalised absolute path", target);
  std::string relative = target.substr(1);
  while (relative.ends_with('/')) relative.pop_back();
  return relative;
}

Error&& at_target(Error&& error, const std::string& target) {
  return std::move(error).context(fmt::format("mount {}", target));
}

}  // namespace

Result<RootFs> build_root(const Launch& launch, int terminals) { return RootBuilder(launch, terminals).build(); }

// pivot_root(2), "pivot_root(".", ".")": the old root is what is mounted on the working directory.
Result<void> drop_old_root() {
  if (::umount2(".", MNT_DETACH) < 0) return fail_errno("drop the old root");
  if (::chdir("/") < 0) return fail_errno("enter the new root");
  return {};
}

Result<RootFs> RootBuilder::build() {
  STOCKADE_TRY(make_all_mounts_private());
  STOCKADE_TRY(make_skeleton());
  STOCKADE_TRY(add_devices());
  STOCKADE_TRY(add_proc());
  for (size_t i = 0; i < plan_.mounts.size(); ++i) {
    if (auto done = add(i); !done) return std::unexpected(at_target(std::move(done).error(), plan_.mounts[i].target));
  }
  STOCKADE_TRY(leave_room(store_.get(), launch_.tmpfs_bytes, launch_.tmpfs_inodes));
  STOCKADE_TRY(enter());
  return std::move(out_);
}

// Where the tmpfs is attached while the root is built (older kernels attach nothing to a detached tree): any directory
// of the old root that no source lies in. Not `/`: there it would come to lie between the new root and the old one.
const char* RootBuilder::building_site() const {
  for (const char* place : {"/sys", "/run", "/mnt", "/media", "/srv", "/boot", "/tmp"}) {
    const std::string prefix = std::string(place) + "/";
    const auto lies_in = [&](const Source& source) { return source.path == place || source.path.starts_with(prefix); };
    if (::access(place, F_OK) == 0 && std::none_of(launch_.sources.begin(), launch_.sources.end(), lies_in))
      return place;
  }
  return nullptr;
}

// The tmpfs holds root/, which becomes the new root, and layers and masks, which stay behind.
Result<void> RootBuilder::make_skeleton() {
  ::umask(0);
  const std::string size = std::to_string(launch_.tmpfs_bytes + launch_.own_bytes);
  const std::string inodes = std::to_string(launch_.tmpfs_inodes + launch_.own_inodes);
  STOCKADE_ASSIGN(store_,
                  make_filesystem("tmpfs", {{"size", size.c_str()}, {"nr_inodes", inodes.c_str()}, {"mode", "0755"}},
                                  {.read_only = false, .devices = true}));
  for (const char* name : {"root", "layers", "empty", "empty_layer"}) {
    if (::mkdirat(store_.get(), name, 0755) < 0) return fail_errno("make {} in the private filesystem", name);
  }
  const char* site = building_site();
  if (!site)
    return fail(ErrorKind::unavailable, "no directory of the host is free to build the root in (/sys, /run, /mnt, …)");
  STOCKADE_TRY(attach_mount(store_.get(), AT_FDCWD, site));
  STOCKADE_ASSIGN(root_, clone_tree(store_.get(), "root", false));
  STOCKADE_TRY(attach_mount(root_.get(), AT_FDCWD, "/"));
  STOCKADE_ASSIGN(empty_, clone_tree(store_.get(), "empty", false));
  STOCKADE_TRY(set_mount_attributes(empty_.get(), {.read_only = true, .exec = false, .recursive = false}));
  STOCKADE_TRY(attach_mount(empty_.get(), store_.get(), "empty"));
  STOCKADE_ASSIGN(const struct stat info, stat_of(root_.get()));
  device_ = info.st_dev;
  return {};
}

Result<void> RootBuilder::add(size_t index) {
  const Mount& mount = plan_.mounts[index];
  const Source& source = launch_.sources[index];
  switch (mount.kind) {
    case MountKind::bind:
      return source.present ? add_bind(mount, source, !mount.writable) : Result<void>{};
    case MountKind::overlay_read:
      if (!source.present) return {};
      if (!source.is_directory()) return add_bind(mount, source, true);
      return add_overlay(mount, source);
    case MountKind::staging:
      return add_bind(mount, source, false);
    case MountKind::scratch:
      return add_scratch(mount, source);
    case MountKind::trust:
      return add_trust(mount);
    case MountKind::content:
      return add_content(mount);
    case MountKind::symlink:
      return add_symlink(mount);
    case MountKind::directory:
      return add_directory(mount);
  }
  return fail(ErrorKind::internal, "unknown kind of mount");
}

// Opens the directory of `target`, making what is missing of it in our own tmpfs.
Result<RootBuilder::Place> RootBuilder::place_of(const std::string& target) {
  STOCKADE_ASSIGN(const std::string relative, relative_target(target));
  Place place;
  const size_t slash = relative.rfind('/');
  const std::string parent = slash == std::string::npos ? "" : relative.substr(0, slash);
  place.name = slash == std::string::npos ? relative : relative.substr(slash + 1);
  if (place.name.empty()) return fail(ErrorKind::invalid_input, "the root itself is made by us");
  if (!parent_.directory || parent_.path != parent) STOCKADE_TRY(open_parent(parent));
  place.directory = parent_.directory.get();
  place.ours = parent_.ours;
  place.uid = parent_.uid;
  place.gid = parent_.gid;
  return place;
}

Result<void> RootBuilder::open_parent(const std::string& path) {
  auto directory = open_below(root_.get(), path, O_PATH | O_DIRECTORY);
  if (!directory && directory.error().error_number() == ENOENT) {
    STOCKADE_TRY(make_directories(path));
    directory = open_below(root_.get(), path, O_PATH | O_DIRECTORY);
  }
  if (!directory) return std::unexpected(std::move(directory).error());
  STOCKADE_ASSIGN(const struct stat info, stat_of(directory->get()));
  const bool ours = info.st_dev == device_ || is_disk_scratch(directory->get());
  parent_ = {std::move(*directory), path, ours, info.st_uid, info.st_gid};
  return {};
}

// Whether a directory lies in scratch of ours on disk: told by the mount, since the person's trees may be on that
// device.
bool RootBuilder::is_disk_scratch(int directory) const {
  const auto id = mount_id(directory);
  return id && std::find(disk_scratch_.begin(), disk_scratch_.end(), *id) != disk_scratch_.end();
}

Result<void> RootBuilder::make_directories(const std::string& relative) {
  auto place = place_of("/" + relative);
  if (!place) return std::unexpected(std::move(place).error());
  return make_mount_point(*place, true);
}

// In our tmpfs the mount point is made; in a tree of the host it must be there already.
Result<void> RootBuilder::make_mount_point(const Place& place, bool directory) {
  if (place.ours) {
    if (directory) {
      if (::mkdirat(place.directory, place.name.c_str(), 0755) == 0) return inherit_owner(place);
      if (errno == EEXIST) return {};
    } else if (::mknodat(place.directory, place.name.c_str(), S_IFREG | 0444, 0) == 0 || errno == EEXIST) {
      return {};
    }
    return fail_errno("make {} in the new root", place.name);
  }
  struct stat info{};
  if (::fstatat(place.directory, place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno == ENOENT)
      return fail(ErrorKind::invalid_input, "there is no {} in the mounted tree, and none is made there", place.name);
    return fail_errno("look for {} in the mounted tree", place.name);
  }
  if (S_ISDIR(info.st_mode) != directory)
    return fail(ErrorKind::invalid_input, "{} in the mounted tree is {} directory", place.name, directory ? "no" : "a");
  return {};
}

// What we make inside the agent's scratch directories is the agent's.
Result<void> RootBuilder::inherit_owner(const Place& place) {
  if (place.uid == ::geteuid()) return {};
  if (::fchownat(place.directory, place.name.c_str(), place.uid, place.gid, AT_SYMLINK_NOFOLLOW) < 0)
    return fail_errno("give {} to the agent", place.name);
  return {};
}

bool RootBuilder::is_in_scratch(const std::string& target) const {
  for (const Mount& mount : plan_.mounts) {
    if (mount.kind == MountKind::scratch && target.starts_with(mount.target + "/")) return true;
  }
  return false;
}

// A detached, attributed copy of a source that is what the parent saw.
Result<Fd> RootBuilder::clone_source(const Source& source, const Mount& mount, bool read_only) {
  STOCKADE_ASSIGN(Fd tree, clone_tree(AT_FDCWD, source.path, true));
  STOCKADE_ASSIGN(const struct stat info, stat_of(tree.get()));
  if (info.st_dev != source.info.st_dev || info.st_ino != source.info.st_ino)
    return fail(ErrorKind::denied, "{} was exchanged while the sandbox was built", source.path);
  auto done = set_mount_attributes(tree.get(), {.read_only = read_only, .exec = mount.exec, .idmap = source.idmap});
  if (!done) {
    const int number = done.error().error_number();
    if (source.idmap < 0 || (number != EINVAL && number != EPERM)) return std::unexpected(std::move(done).error());
    return std::unexpected(std::move(done)
                               .error()
                               .kind(ErrorKind::unavailable)
                               .hint("its filesystem, or one mounted below it, can't show its files as the agent's (no "
                                     "idmapped mounts): run as "
                                     "the person who owns it instead of root"));
  }
  return tree;
}

Result<void> RootBuilder::add_bind(const Mount& mount, const Source& source, bool read_only) {
  STOCKADE_ASSIGN(const Place place, place_of(mount.target));
  STOCKADE_TRY(make_mount_point(place, source.is_directory()));
  STOCKADE_ASSIGN(const Fd tree, clone_source(source, mount, read_only));
  STOCKADE_TRY(attach_mount(tree.get(), place.directory, place.name));
  if (!source.is_directory()) return {};
  if (!read_only) {
    STOCKADE_TRY(hold_hidden_directories(tree.get(), mount.read_only));
    for (const std::string& relative : mount.read_only) STOCKADE_TRY(protect_below(tree.get(), relative));
  }
  for (const std::string& relative : mount.hidden) STOCKADE_TRY(mask_below(tree.get(), relative));
  return {};
}

// Hides what is at `relative` now: a file behind /dev/null, a directory behind an empty one.
Result<void> RootBuilder::mask_below(int mount, const std::string& relative) {
  auto target = open_below(mount, relative, O_PATH | O_NOFOLLOW);
  if (!target && target.error().error_number() == ENOENT) return {};  // gone since the plan was made
  if (!target) return std::unexpected(std::move(target).error().context(fmt::format("hide {}", relative)));
  STOCKADE_ASSIGN(const struct stat info, stat_of(target->get()));
  STOCKADE_ASSIGN(const Fd mask, clone_tree(S_ISDIR(info.st_mode) ? empty_.get() : null_.get(), "", false));
  return attach_mount(mask.get(), target->get(), "");
}

Result<void> RootBuilder::protect_below(int mount, const std::string& relative) {
  auto target = open_below(mount, relative, O_PATH | O_NOFOLLOW);
  if (!target && target.error().error_number() == ENOENT) return {};
  if (!target) return std::unexpected(std::move(target).error().context(fmt::format("protect {}", relative)));
  STOCKADE_ASSIGN(const Fd copy, clone_tree(target->get(), "", true));
  STOCKADE_TRY(set_mount_attributes(copy.get(), {.read_only = true}));
  return attach_mount(copy.get(), target->get(), "");
}

// A mount point can't be renamed: .git can't be moved away with its protected hooks and another one be put in its
// place. Only directories with a dot: what a person moves files into and out of stays one mount with its neighbours.
Result<void> RootBuilder::hold_hidden_directories(int mount, const std::vector<std::string>& paths) {
  std::set<std::string> held;  // in an order in which what holds another comes first
  for (const std::string& path : paths) {
    for (size_t start = 0, slash; (slash = path.find('/', start)) != std::string::npos; start = slash + 1) {
      if (path[start] == '.') held.insert(path.substr(0, slash));
    }
  }
  for (const std::string& directory : held) {
    auto target = open_below(mount, directory, O_PATH | O_NOFOLLOW | O_DIRECTORY);
    if (!target && target.error().error_number() == ENOENT) continue;
    if (!target) return std::unexpected(std::move(target).error().context(fmt::format("hold {}", directory)));
    STOCKADE_ASSIGN(const Fd copy, clone_tree(target->get(), "", true));
    STOCKADE_TRY(attach_mount(copy.get(), target->get(), ""));
  }
  return {};
}

// A directory of the tmpfs (or of the run's state) that is writable while the root around it is not.
Result<void> RootBuilder::add_scratch(const Mount& mount, const Source& source) {
  STOCKADE_ASSIGN(const Place place, place_of(mount.target));
  if (launch_.scratch_on_disk) {
    STOCKADE_TRY(make_mount_point(place, true));
    STOCKADE_ASSIGN(const Fd tree, clone_source(source, mount, false));
    STOCKADE_TRY(attach_mount(tree.get(), place.directory, place.name));
    const auto id = mount_id(tree.get());
    if (!id) return fail_errno("look at a scratch directory");
    disk_scratch_.push_back(*id);
    return {};
  }
  if (!place.ours) return fail(ErrorKind::invalid_input, "a private directory can't lie inside a tree of the host");
  STOCKADE_TRY(make_mount_point(place, true));
  STOCKADE_ASSIGN(const Fd tree, clone_tree(place.directory, place.name, false));
  const bool as_agent = launch_.identity.mode == Mode::root;
  if (as_agent &&
      ::fchownat(tree.get(), "", launch_.identity.agent_kuid, launch_.identity.agent_kgid, AT_EMPTY_PATH) < 0)
    return fail_errno("give the directory to the agent");
  if (::fchmodat(place.directory, place.name.c_str(), mount.mode & 01777, 0) < 0)
    return fail_errno("set the directory's mode");
  STOCKADE_TRY(set_mount_attributes(tree.get(), {.read_only = false, .exec = mount.exec, .recursive = false}));
  return attach_mount(tree.get(), place.directory, place.name);
}

Result<void> RootBuilder::add_content(const Mount& mount) {
  STOCKADE_ASSIGN(const Place place, place_of(mount.target));
  if (!place.ours) return fail(ErrorKind::invalid_input, "a file of ours can't lie inside a tree of the host");
  STOCKADE_ASSIGN(const Fd file,
                  open_at(place.directory, place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mount.mode & 0777));
  STOCKADE_TRY(write_all(file.get(), mount.content));
  // In a scratch directory the agent could replace it: there it gets a read-only mount of its own.
  if (!is_in_scratch(mount.target)) return {};
  STOCKADE_ASSIGN(const Fd tree, clone_tree(place.directory, place.name, false));
  STOCKADE_TRY(set_mount_attributes(tree.get(), {.read_only = true, .recursive = false}));
  return attach_mount(tree.get(), place.directory, place.name);
}

// A file of ours over one of the host's, or at a place of our own. What it ends with comes later. In a scratch
// directory it is the agent's own: programs add to such a store what they like.
Result<void> RootBuilder::add_trust(const Mount& mount) {
  STOCKADE_ASSIGN(const Place place, place_of(mount.target));
  if (is_in_scratch(mount.target)) {
    STOCKADE_ASSIGN(Fd file, open_at(place.directory, place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    STOCKADE_TRY(write_all(file.get(), mount.content));
    STOCKADE_TRY(inherit_owner(place));
    out_.trust.push_back({std::move(file), &mount});
    return {};
  }
  struct stat info{};
  if (mount.optional && !place.ours && ::fstatat(place.directory, place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0 &&
      errno == ENOENT)
    return {};
  STOCKADE_TRY(make_mount_point(place, false));
  const std::string name = fmt::format("trust-{}", out_.trust.size());
  STOCKADE_ASSIGN(Fd file, open_at(store_.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0444));
  STOCKADE_TRY(write_all(file.get(), mount.content));
  STOCKADE_ASSIGN(const Fd tree, clone_tree(store_.get(), name.c_str(), false));
  STOCKADE_TRY(set_mount_attributes(tree.get(), {.read_only = true, .exec = false, .recursive = false}));
  STOCKADE_TRY(attach_mount(tree.get(), place.directory, place.name));
  out_.trust.push_back({std::move(file), &mount});
  return {};
}

Result<void> RootBuilder::add_symlink(const Mount& mount) {
  STOCKADE_ASSIGN(const Place place, place_of(mount.target));
  if (!place.ours) return fail(ErrorKind::invalid_input, "a link of ours can't lie inside a tree of the host");
  if (::symlinkat(mount.content.c_str(), place.directory, place.name.c_str()) < 0) return fail_errno("make the link");
  return {};
}

Result<void> RootBuilder::add_directory(const Mount& mount) {
  STOCKADE_ASSIGN(const Place place, place_of(mount.target));
  STOCKADE_TRY(make_mount_point(place, true));
  if (place.ours && mount.mode != 0755 && ::fchmodat(place.directory, place.name.c_str(), mount.mode & 0777, 0) < 0)
    return fail_errno("set the directory's mode");
  return {};
}

Result<void> RootBuilder::enter() {
  STOCKADE_ASSIGN(out_.usage, open_at(root_.get(), ".", O_RDONLY | O_DIRECTORY));
  STOCKADE_TRY(set_mount_attributes(root_.get(), {.read_only = true, .recursive = false}));
  if (::fchdir(root_.get()) < 0) return fail_errno("enter the new root");
  if (::syscall(SYS_pivot_root, ".", ".") < 0)
    return std::unexpected(
        Error::from_errno("make the new root the root")
            .hint("the process's own root must be a mount (not a chroot or an initramfs): run 'stockade doctor'"));
  return {};
}

}  // namespace stockade::sandbox
