#include "sandbox/socket_notice.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

#include "net/socket_diag.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL  // 6.9
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace stockade::sandbox {

namespace {

constexpr timespec kLookAgain{0, 100'000'000};  // how often a blocked connect looks whether its caller still waits
constexpr size_t kMountTableLimit = 4 << 20;
constexpr size_t kKnownSockets = 256;
constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);

// A connect's address, read once.
struct Address {
  alignas(sockaddr_storage) char bytes[sizeof(sockaddr_storage) + 1] = {};  // one zero byte always follows
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(bytes); }
  sa_family_t family() const {
    sa_family_t family = AF_UNSPEC;
    if (size >= sizeof(family)) std::memcpy(&family, bytes, sizeof(family));
    return family;
  }
  // unix(7): no path follows, or an abstract name.
  bool names_file() const {
    return family() == AF_UNIX && size > kPathOffset && size <= sizeof(sockaddr_un) && bytes[kPathOffset] != 0;
  }
  std::string path() const { return bytes + kPathOffset; }
};

int read_address(const seccomp_notif& notification, Address& address) {
  const int size = static_cast<int>(notification.data.args[2]);
  if (size < 0 || size > static_cast<int>(sizeof(sockaddr_storage))) return -EINVAL;
  address.size = static_cast<socklen_t>(size);
  if (size == 0) return 0;
  const iovec to{address.bytes, address.size};
  const iovec from{reinterpret_cast<void*>(notification.data.args[1]), address.size};
  const ssize_t count = ::process_vm_readv(static_cast<pid_t>(notification.pid), &to, 1, &from, 1, 0);
  if (count < 0 && errno == EPERM) return -EACCES;
  return count == size ? 0 : -EFAULT;
}

template <typename T>
bool get_option(int socket, int option, T& value) {
  socklen_t size = sizeof(value);
  return ::getsockopt(socket, SOL_SOCKET, option, &value, &size) == 0;
}

// Threads may have descriptor tables of their own; before 6.9 only the group's leader can be named.
Fd open_thread(uint32_t thread, uint32_t leader) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, thread, PIDFD_THREAD)));
  if (!fd && errno == EINVAL) fd.reset(static_cast<int>(::syscall(SYS_pidfd_open, leader != 0 ? leader : thread, 0)));
  return fd;
}

// The number behind `field` in a file of /proc; the last one of the line where there are several.
std::optional<uint64_t> last_number(std::string_view text, std::string_view field) {
  const size_t at = text.find(field);
  if (at == text.npos) return std::nullopt;
  std::string_view line = text.substr(at + field.size());
  line = line.substr(0, line.find('\n'));
  const size_t begin = line.find_last_of(" \t:");
  if (begin != line.npos) line.remove_prefix(begin + 1);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (error != std::errc() || end != line.data() + line.size()) return std::nullopt;
  return value;
}

std::string read_below(int directory, const std::string& path, size_t limit) {
  auto fd = open_at(directory, path, O_RDONLY);
  if (!fd) return {};
  auto text = read_file(fd->get(), limit);
  return text ? *text : std::string();
}

// A signal to this thread alone, again and again while it lives: what blocks returns EINTR.
class Interrupter {
 public:
  Result<void> prepare() {
    struct sigaction nothing{};
    nothing.sa_handler = [](int) {};  // without SA_RESTART
    if (::sigaction(SIGALRM, &nothing, nullptr) < 0) return fail_errno("handle a timer's signal");
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGALRM;
    event._sigev_un._tid = ::gettid();
    if (::timer_create(CLOCK_MONOTONIC, &event, &timer_) < 0) return fail_errno("make a thread's timer");
    return {};
  }
  void run(const timespec& every) const {
    const itimerspec times{every, every};
    ::timer_settime(timer_, 0, &times, nullptr);
  }

 private:
  timer_t timer_{};
};
thread_local Interrupter interrupter;

}  // namespace

SocketNotices::SocketNotices(Sources sources) : sources_(std::move(sources)) {}

Result<void> SocketNotices::prepare() {
  if (!get_option(sources_.diag, SO_NETNS_COOKIE, network_cookie_))
    return std::unexpected(
        Error::from_errno("identify the sandbox's network namespace").hint("Linux 5.14 or newer is needed"));
  return {};
}

// From here "N" names descriptor N, which is how a verified file is connected to.
Result<void> SocketNotices::enter_thread() {
  STOCKADE_TRY(interrupter.prepare());
  if (::unshare(CLONE_FS) < 0) return fail_errno("give a thread a working directory of its own");
  STOCKADE_ASSIGN(const Fd descriptors, open_at(sources_.host_proc, "self/fd", O_RDONLY | O_DIRECTORY));
  if (::fchdir(descriptors.get()) < 0) return fail_errno("enter the directory of descriptors");
  return {};
}

SocketNotices::Next SocketNotices::receive(seccomp_notif& notification) const {
  std::memset(&notification, 0, sizeof(notification));
  if (::ioctl(sources_.notify, SECCOMP_IOCTL_NOTIF_RECV, &notification) == 0) return Next::notification;
  if (errno == EINTR) return Next::nothing;
  // ENOENT: the caller died meanwhile; or, at once and for ever, nobody is left who could call (then it is hung up,
  // too).
  pollfd listener{sources_.notify, 0, 0};
  const bool hung_up = errno != ENOENT || ::poll(&listener, 1, 0) > 0;
  return hung_up ? Next::finished : Next::nothing;
}

bool SocketNotices::is_still_waiting(uint64_t id) const {
  return ::ioctl(sources_.notify, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

void SocketNotices::answer(const seccomp_notif& notification) {
  seccomp_notif_resp response{};
  response.id = notification.id;
  response.error = decide(notification);
  (void)::ioctl(sources_.notify, SECCOMP_IOCTL_NOTIF_SEND, &response);  // ENOENT: the caller is gone
}

// 0 or a negative errno, in the order in which the kernel itself would find it.
int SocketNotices::decide(const seccomp_notif& notification) {
  if (notification.data.nr != SYS_connect) return -EPERM;
  uint32_t leader = 0;
  Fd thread = open_thread(notification.pid, 0);
  if (!thread && errno == EINVAL) {
    const std::string status = read_below(sources_.host_proc, std::to_string(notification.pid) + "/status", 16384);
    leader = static_cast<uint32_t>(last_number(status, "Tgid:").value_or(0));
    thread = open_thread(notification.pid, leader);
  }
  if (!thread) return -EACCES;
  Address address;
  const int unreadable = read_address(notification, address);
  // Only now is it certain that the number still meant the caller when it was used.
  if (!is_still_waiting(notification.id)) return -EINTR;
  const Fd socket(
      static_cast<int>(::syscall(SYS_pidfd_getfd, thread.get(), static_cast<int>(notification.data.args[0]), 0)));
  if (!socket) return errno == EBADF ? -EBADF : -EACCES;
  uint64_t cookie = 0;
  if (!get_option(socket.get(), SO_NETNS_COOKIE, cookie)) return errno == ENOTSOCK ? -ENOTSOCK : -EACCES;
  if (unreadable != 0) return unreadable;
  if (address.names_file()) return connect_path(notification, socket.get(), address.path());
  if (cookie != network_cookie_) {
    sources_.refused("socket of another network", "a socket that was not made inside can't be connected");
    return -EACCES;
  }
  return connect_until_gone(notification.id, socket.get(), address.get(), address.size);
}

// A caller that was killed or interrupted must not hold a thread of ours. Where the socket has a timeout of its own
// that ends the wait, and starting anew would extend it.
int SocketNotices::connect_until_gone(uint64_t id, int socket, const sockaddr* address, unsigned size) const {
  timeval timeout{};
  const bool is_blocking = (::fcntl(socket, F_GETFL) & O_NONBLOCK) == 0 && get_option(socket, SO_SNDTIMEO, timeout) &&
                           timeout.tv_sec == 0 && timeout.tv_usec == 0;
  if (!is_blocking) return ::connect(socket, address, size) == 0 ? 0 : -errno;
  interrupter.run(kLookAgain);
  int result;
  do {
    result = ::connect(socket, address, size) == 0 ? 0 : -errno;
  } while (result == -EINTR && is_still_waiting(id));
  interrupter.run({});
  return result;
}

int SocketNotices::connect_path(const seccomp_notif& notification, int socket, const std::string& path) {
  int domain = 0;
  if (!get_option(socket, SO_DOMAIN, domain)) return -EACCES;
  if (domain != AF_UNIX) return -EAFNOSUPPORT;
  auto file = open_as_caller(notification.pid, path);
  if (!is_still_waiting(notification.id)) return -EINTR;
  if (!file) return file.error().error_number() != 0 ? -file.error().error_number() : -EACCES;
  struct stat info{};
  if (::fstat(file->get(), &info) < 0) return -EACCES;
  if (!S_ISSOCK(info.st_mode)) return -ECONNREFUSED;
  std::string reason;
  const Verdict verdict = judge(file->get(), {info.st_dev, info.st_ino}, reason);
  if (verdict == Verdict::stale) return -ECONNREFUSED;
  if (verdict == Verdict::refused) {
    sources_.refused(path, reason);
    return -EACCES;
  }
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::string number = std::to_string(file->get());
  number.copy(name.sun_path, sizeof(name.sun_path) - 1);
  const auto size = static_cast<socklen_t>(kPathOffset + number.size() + 1);
  return connect_until_gone(notification.id, socket, reinterpret_cast<const sockaddr*>(&name), size);
}

// Our root is the sandbox's; "self" in its /proc would be us, whom it doesn't show.
Result<Fd> SocketNotices::open_as_caller(uint32_t thread, const std::string& path) const {
  const std::string host_entry = std::to_string(thread);
  if (!path.starts_with('/')) {
    STOCKADE_ASSIGN(const Fd directory, open_at(sources_.host_proc, host_entry + "/cwd", O_PATH | O_DIRECTORY));
    return open_at(directory.get(), path, O_PATH);
  }
  for (const std::string_view self : {"/proc/self/", "/proc/thread-self/", "/dev/fd/"}) {
    if (!path.starts_with(self)) continue;
    const std::string rest = (self == "/dev/fd/" ? "fd/" : "") + path.substr(self.size());
    const std::string status = read_below(sources_.host_proc, host_entry + "/status", 16384);
    const auto inner = last_number(status, "NSpid:");
    if (!inner) return fail(ErrorKind::unavailable, "the caller's own number is unknown");
    return open_at(AT_FDCWD, fmt::format("/proc/{}/{}", *inner, rest), O_PATH);
  }
  return open_at(AT_FDCWD, path, O_PATH);
}

SocketNotices::Verdict SocketNotices::judge(int file, const FileIdentity& identity, std::string& reason) {
  if (std::ranges::find(sources_.allowed, identity) != sources_.allowed.end()) return Verdict::allowed;
  if (identity.inode > UINT32_MAX) {
    reason = "its inode number is too long to tell who bound it";
    return Verdict::refused;
  }
  const std::lock_guard lock(mutex_);
  const Verdict verdict = bound_inside(file, identity);
  if (verdict == Verdict::refused) reason = "it was not bound inside the sandbox, and files[].sockets does not name it";
  const bool is_known = std::ranges::find(known_, identity) != known_.end();
  // Programs take EACCES for somebody else's socket, and ECONNREFUSED for their own that they may replace.
  if (verdict == Verdict::refused) return is_known ? Verdict::stale : Verdict::refused;
  if (!is_known && known_.size() < kKnownSockets)
    known_.push_back(identity);
  else if (!is_known)
    known_[next_known_++ % kKnownSockets] = identity;
  return verdict;
}

SocketNotices::Verdict SocketNotices::bound_inside(int file, const FileIdentity& identity) {
  const auto bound = net::list_bound_unix_sockets(sources_.diag);
  if (!bound) return Verdict::refused;
  const auto has = [&](uint64_t device) {
    return std::ranges::any_of(*bound, [&](const net::BoundUnixSocket& each) {
      return each.device == device && each.inode == static_cast<uint32_t>(identity.inode);
    });
  };
  if (has(identity.device)) return Verdict::allowed;
  // stat(2) has a device of its own for each btrfs subvolume, unix_diag the filesystem's.
  const bool same_inode = std::ranges::any_of(
      *bound, [&](const auto& each) { return each.inode == static_cast<uint32_t>(identity.inode); });
  if (!same_inode) return Verdict::refused;
  const auto device = filesystem_device(file);
  return device && has(*device) ? Verdict::allowed : Verdict::refused;
}

// As the mount table has it: the third field of the line that begins with the descriptor's mount.
std::optional<uint64_t> SocketNotices::filesystem_device(int file) const {
  const auto mount = last_number(read_below(sources_.host_proc, fmt::format("self/fdinfo/{}", file), 4096), "mnt_id:");
  if (!mount) return std::nullopt;
  const std::string table = "\n" + read_below(sources_.host_proc, "thread-self/mountinfo", kMountTableLimit);
  const size_t at = table.find(fmt::format("\n{} ", *mount));
  if (at == table.npos) return std::nullopt;
  unsigned id = 0, parent = 0, major_number = 0, minor_number = 0;
  if (std::sscanf(table.c_str() + at + 1, "%u %u %u:%u", &id, &parent, &major_number, &minor_number) != 4)
    return std::nullopt;
  return makedev(major_number, minor_number);
}

}  // namespace stockade::sandbox
