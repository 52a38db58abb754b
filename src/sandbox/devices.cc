// /dev: six devices, a devpts instance of its own with its ptmx, /dev/shm, the links into /proc/self/fd; nothing else.
// As root the nodes are made; an ordinary user can't make nodes and binds the host's, each verified to be the device
// that it should be before it is attached.
#include "sandbox/devices.h"

#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "sandbox/root_fs_builder.h"

namespace stockade::sandbox {

namespace {

struct Device {
  const char* name;
  unsigned major, minor;
};
constexpr Device kDevices[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                               {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

struct Link {
  const char* name;
  const char* target;
};
constexpr Link kLinks[] = {{"fd", "/proc/self/fd"},
                           {"stdin", "/proc/self/fd/0"},
                           {"stdout", "/proc/self/fd/1"},
                           {"stderr", "/proc/self/fd/2"},
                           {"ptmx", "pts/ptmx"}};

bool is_device(const struct stat& info, const Device& device) {
  return S_ISCHR(info.st_mode) && info.st_rdev == makedev(device.major, device.minor);
}

constexpr unsigned kFirstPtyMajor = 136;

}  // namespace

Result<void> RootBuilder::add_devices() {
  if (::mkdirat(root_.get(), "dev", 0755) < 0) return fail_errno("make /dev");
  STOCKADE_ASSIGN(Fd dev, open_below(root_.get(), "dev", O_PATH | O_DIRECTORY));
  for (const char* name : {"pts", "shm"}) {
    if (::mkdirat(dev.get(), name, 0755) < 0) return fail_errno("make /dev/{}", name);
  }
  for (const Link& link : kLinks) {
    if (::symlinkat(link.target, dev.get(), link.name) < 0) return fail_errno("make /dev/{}", link.name);
  }
  if (::fchmodat(dev.get(), "shm", 01777, 0) < 0) return fail_errno("set the mode of /dev/shm");
  const bool made = launch_.identity.mode == Mode::root && make_device_nodes(dev.get()).has_value();
  if (made) {
    // The rest of the root becomes nodev; this copy does not.
    STOCKADE_ASSIGN(Fd mount, clone_tree(root_.get(), "dev", false));
    STOCKADE_TRY(
        set_mount_attributes(mount.get(), {.read_only = true, .exec = false, .devices = true, .recursive = false}));
    STOCKADE_TRY(attach_mount(mount.get(), root_.get(), "dev"));
    STOCKADE_ASSIGN(dev, open_below(root_.get(), "dev", O_PATH | O_DIRECTORY));
  } else {
    STOCKADE_TRY(bind_device_nodes(dev.get()));
  }
  STOCKADE_ASSIGN(null_, open_below(dev.get(), "null", O_PATH));
  STOCKADE_ASSIGN(const struct stat null_info, stat_of(null_.get()));
  if (!is_device(null_info, kDevices[0])) return fail(ErrorKind::denied, "/dev/null is not the null device");

  STOCKADE_TRY(attach_mount(terminals_, dev.get(), "pts"));
  STOCKADE_ASSIGN(const Fd shm, clone_tree(dev.get(), "shm", false));
  STOCKADE_TRY(clear_read_only(shm.get()));
  return attach_mount(shm.get(), dev.get(), "shm");
}

Result<void> RootBuilder::make_device_nodes(int dev) {
  for (const Device& device : kDevices) {
    if (::mknodat(dev, device.name, S_IFCHR | 0666, makedev(device.major, device.minor)) < 0)
      return fail_errno("make /dev/{}", device.name);
  }
  return {};
}

Result<void> RootBuilder::bind_device_nodes(int dev) {
  for (const Device& device : kDevices) {
    const std::string path = fmt::format("/dev/{}", device.name);
    STOCKADE_ASSIGN(const Fd node, clone_tree(AT_FDCWD, path, false));
    STOCKADE_ASSIGN(const struct stat info, stat_of(node.get()));
    if (!is_device(info, device))
      return fail(ErrorKind::denied, "{} of the host is not device {}:{}", path, device.major, device.minor);
    STOCKADE_TRY(
        set_mount_attributes(node.get(), {.read_only = false, .exec = false, .devices = true, .recursive = false}));
    (void)::unlinkat(dev, device.name, 0);  // what mknod left when it failed half-way
    if (::mknodat(dev, device.name, S_IFREG | 0444, 0) < 0) return fail_errno("make {}", path);
    STOCKADE_TRY(attach_mount(node.get(), dev, device.name));
  }
  return {};
}

Result<Fd> make_terminals() {
  return make_filesystem("devpts", {{"newinstance", nullptr}, {"ptmxmode", "0666"}, {"mode", "0620"}},
                         {.read_only = false, .exec = false, .devices = true});
}

Result<Pty> open_own_pty(int terminals) {
  Pty pty;
  STOCKADE_ASSIGN(pty.master, open_at(terminals, "ptmx", O_RDWR | O_NOCTTY));
  struct statfs filesystem{};
  if (::fstatfs(pty.master.get(), &filesystem) < 0) return fail_errno("look at the terminal");
  const int unlocked = 0;
  if (::ioctl(pty.master.get(), TIOCSPTLCK, &unlocked) < 0) return fail_errno("unlock the terminal");
  pty.slave = Fd(::ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.slave) return fail_errno("open the terminal");
  STOCKADE_ASSIGN(const struct stat info, stat_of(pty.slave.get()));
  const unsigned major_number = major(info.st_rdev);
  if (filesystem.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(info.st_mode) || major_number < kFirstPtyMajor ||
      major_number > kFirstPtyMajor + 7)
    return fail(ErrorKind::denied, "/dev/pts/ptmx inside gave no terminal of the sandbox's own");
  return pty;
}

}  // namespace stockade::sandbox
