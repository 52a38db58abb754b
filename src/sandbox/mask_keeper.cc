#include "sandbox/mask_keeper.h"

#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <set>

#include "base/confine.h"
#include "base/message_socket.h"
#include "base/printable.h"
#include "filters/mask_keeper.h"
#include "sandbox/init.h"
#include "sandbox/mounts.h"

namespace stockade::sandbox {

namespace {

constexpr uint32_t kWatched = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR | IN_EXCL_UNLINK;
constexpr uint64_t kDataLimit = 64 << 20;
constexpr uint64_t kOpenFiles = 256;

struct Mask {
  std::string root;                     // the mount's target inside
  std::vector<std::string> components;  // of the path below it
  bool hides = false;                   // else: read-only
  std::string path() const {
    std::string all = root;
    for (const std::string& each : components) all += "/" + each;
    return all;
  }
};

std::vector<std::string> split_path(const std::string& relative) {
  std::vector<std::string> out;
  for (size_t at = 0; at < relative.size();) {
    const size_t end = std::min(relative.find('/', at), relative.size());
    if (end > at) out.push_back(relative.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::vector<Mask> masks_of(const SandboxPlan& plan) {
  std::vector<Mask> masks;
  for (const Mount& mount : plan.mounts) {
    if (mount.kind != MountKind::bind || !mount.writable) continue;
    for (const std::string& relative : mount.read_only) masks.push_back({mount.target, split_path(relative), false});
    for (const std::string& relative : mount.hidden) masks.push_back({mount.target, split_path(relative), true});
  }
  return masks;
}

bool is_mount_root(int fd) {
  struct statx info{};
  return ::statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &info) == 0 &&
         (info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0 && (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

class Keeper {
 public:
  Keeper(const SandboxPlan& plan, const Handles& handles, int socket, pid_t parent)
      : masks_(masks_of(plan)), handles_(handles), socket_(socket), parent_(parent) {}

  int run() {
    if (auto done = start(); !done) {
      (void)send_message(socket_, encode_failure(done.error()));
      return 1;
    }
    return serve();
  }

 private:
  Result<void> start() {
    STOCKADE_TRY(let_go_of_all_but({socket_, handles_.user_namespace.get(), handles_.mount_namespace.get()}));
    STOCKADE_ASSIGN(const Fd descriptors, open_at(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY));
    for (const Mask& mask : masks_) names_.insert(mask.components.begin(), mask.components.end());
    // As root the mounts belong to the machine's root; as a user the user namespace gives the right.
    if (::setns(handles_.mount_namespace.get(), CLONE_NEWNS) < 0) {
      if (::setns(handles_.user_namespace.get(), CLONE_NEWUSER) < 0 ||
          ::setns(handles_.mount_namespace.get(), CLONE_NEWNS) < 0)
        return fail_errno("join the sandbox's mounts");
    }
    for (const Fd* handle : {&handles_.user_namespace, &handles_.mount_namespace}) ::close(handle->get());
    if (::fchdir(descriptors.get()) < 0) return fail_errno("enter the directory of descriptors");
    inotify_ = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!inotify_)
      return std::unexpected(
          Error::from_errno("watch for masks that fall").hint("raise fs.inotify.max_user_instances"));
    STOCKADE_ASSIGN(null_, open_at(AT_FDCWD, "/dev/null", O_PATH));
    STOCKADE_TRY(confine_worker({.name = "mask-keeper",
                                 .filter = filters::kMaskKeeperFilter,
                                 .parent = parent_,
                                 .data_limit = kDataLimit,
                                 .open_files = kOpenFiles,
                                 .keep_capabilities = uint64_t{1} << CAP_SYS_ADMIN | uint64_t{1} << CAP_DAC_READ_SEARCH,
                                 .landlock = false}));
    for (const Mask& mask : masks_) STOCKADE_TRY(restore(mask));
    ready_ = true;
    return send_message(socket_, std::string_view(&kObserverReady, 1));
  }

  int serve() {
    while (true) {
      pollfd watched[2] = {{inotify_.get(), POLLIN, 0}, {socket_, POLLIN, 0}};
      if (::poll(watched, 2, -1) < 0) continue;
      if (watched[1].revents) {  // an acknowledgement, or the supervisor's end
        char byte;
        if (::recv(socket_, &byte, 1, MSG_DONTWAIT) <= 0 && errno != EAGAIN) return 0;
      }
      if (!must_look()) continue;
      // A mask that can't be put back is a wall that is down: our end is the run's.
      for (const Mask& mask : masks_)
        if (!restore(mask)) return 3;
    }
  }

  // Reads what happened; true when it concerns a name of ours, or is not known.
  bool must_look() {
    alignas(inotify_event) char buffer[16384];
    bool concerns = false;
    ssize_t count;
    while ((count = ::read(inotify_.get(), buffer, sizeof(buffer))) > 0) {
      for (ssize_t at = 0; at < count;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        if (event->len == 0 || names_.contains(std::string_view(event->name))) concerns = true;
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      }
    }
    return concerns;
  }

  // Watches before it looks, each level: what changes after the look is an event.
  Result<void> restore(const Mask& mask) {
    auto place = open_at(AT_FDCWD, mask.root, O_PATH | O_NOFOLLOW | O_DIRECTORY);
    for (size_t level = 0; place && level < mask.components.size(); ++level) {
      if (is_masked_above(place->get(), level)) return {};
      STOCKADE_TRY(watch(place->get()));
      place = open_at(place->get(), mask.components[level], O_PATH | O_NOFOLLOW);
    }
    if (!place) {
      const int number = place.error().error_number();
      if (number == ENOENT || number == ENOTDIR || number == ELOOP) return {};  // nothing there to mask
      return std::unexpected(std::move(place).error());
    }
    STOCKADE_ASSIGN(const struct stat info, stat_of(place->get()));
    if (S_ISLNK(info.st_mode) || is_mount_root(place->get())) return {};
    STOCKADE_ASSIGN(const Fd cover, make_cover(place->get(), mask.hides, S_ISDIR(info.st_mode)));
    if (auto attached = attach_mount(cover.get(), place->get(), ""); !attached) {
      if (attached.error().error_number() == ENOENT) return {};  // gone again; that is an event as well
      return attached;
    }
    return report(mask);
  }

  // Below a directory that another mask covers there is nothing to do; the plan's mount itself is level 0.
  static bool is_masked_above(int directory, size_t level) { return level > 0 && is_mount_root(directory); }

  // Our working directory is the one of our descriptors, so its number names a directory without a second lookup.
  Result<void> watch(int directory) {
    if (::inotify_add_watch(inotify_.get(), std::to_string(directory).c_str(), kWatched) >= 0 || errno == ENOTDIR)
      return {};
    return std::unexpected(Error::from_errno("watch for masks that fall").hint("raise fs.inotify.max_user_watches"));
  }

  Result<Fd> make_cover(int place, bool hides, bool directory) const {
    if (!hides) {
      STOCKADE_ASSIGN(Fd copy, clone_tree(place, "", true));
      STOCKADE_TRY(set_mount_attributes(copy.get(), {.read_only = true}));
      return copy;
    }
    if (directory)
      return make_filesystem("tmpfs", {{"size", "4k"}, {"nr_inodes", "1"}, {"mode", "0555"}},
                             {.read_only = true, .exec = false});
    return clone_tree(null_.get(), "", false);
  }

  // What fell before the agent runs showed it nothing.
  Result<void> report(const Mask& mask) {
    if (!ready_) return {};
    const ObserverNotice notice{NoticeKind::mask, escape_for_terminal(mask.path()),
                                mask.hides ? "exchanged outside, hidden again" : "exchanged outside, read-only again"};
    STOCKADE_TRY(send_message(socket_, encode_notice(notice)));
    return {};
  }

  const std::vector<Mask> masks_;
  const Handles& handles_;
  const int socket_;
  const pid_t parent_;
  std::set<std::string, std::less<>> names_;
  Fd inotify_;
  Fd null_;
  bool ready_ = false;
};

}  // namespace

bool needs_mask_keeper(const SandboxPlan& plan) { return !masks_of(plan).empty(); }

Result<Observer> start_mask_keeper(const SandboxPlan& plan, const Handles& handles) {
  if (!handles.user_namespace || !handles.mount_namespace)
    return fail(ErrorKind::internal, "start the mask keeper: the sandbox did not hand out its namespaces");
  auto keeper = start_observing([&](int socket, pid_t parent) { return Keeper(plan, handles, socket, parent).run(); });
  if (!keeper) return std::unexpected(std::move(keeper).error().context("start the mask keeper"));
  return keeper;
}

}  // namespace stockade::sandbox
