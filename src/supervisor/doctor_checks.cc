#include "supervisor/doctor_checks.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <filesystem>
#include <functional>

#include "base/landlock_abi.h"
#include "base/pid.h"
#include "net/redirect_rules.h"
#include "net/transparent.h"
#include "sandbox/cgroup.h"
#include "sandbox/landlock.h"
#include "supervisor/run_directory.h"

namespace stockade::supervisor {

namespace {

constexpr const char* kDockerFlags =
    "in Docker or Podman: --security-opt systempaths=unconfined --security-opt seccomp=unconfined --security-opt "
    "apparmor=unconfined";

// 0 when `attempt` worked in a child, else its errno (EIO when the child died).
int try_in_child(const std::function<int()>& attempt) {
  auto child = fork_child([&] { return attempt(); });
  if (!child) return child.error().error_number();
  const auto status = child->wait();
  return !status || status->signalled ? EIO : status->code;
}

int errno_of(long result) { return result < 0 ? errno : 0; }

std::string answer(int number) { return number == 0 ? "works" : std::string(errno_name(number)); }

DoctorFinding finding(std::string feature, int number, DoctorVerdict otherwise, std::string cost, std::string remedy) {
  DoctorFinding made{std::move(feature), DoctorVerdict::ok, answer(number), {}, {}};
  if (number == 0) return made;
  made.verdict = otherwise;
  made.cost = std::move(cost);
  made.remedy = std::move(remedy);
  return made;
}

int write_text(const char* path, const std::string& text) {
  const Fd fd(::open(path, O_WRONLY | O_CLOEXEC));
  if (!fd) return errno;
  return ::write(fd.get(), text.data(), text.size()) < 0 ? errno : 0;
}

int enter_user_namespace(int flags) {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWUSER | flags) < 0) return errno;
  if (const int number = write_text("/proc/self/setgroups", "deny"); number != 0) return number;
  if (const int number = write_text("/proc/self/uid_map", fmt::format("{0} {0} 1", uid)); number != 0) return number;
  return write_text("/proc/self/gid_map", fmt::format("{0} {0} 1", gid));
}

// In new namespaces: as root without a user namespace (that is how `run` does it), else with one.
int enter_namespaces(int flags) {
  if (::geteuid() == 0) return errno_of(::unshare(flags));
  return enter_user_namespace(flags);
}

std::string first_line(const char* path) {
  auto text = read_file(path, 4096);
  if (!text) return {};
  return text->substr(0, text->find('\n'));
}

DoctorFinding check_user_namespace() {
  const int number = try_in_child([] {
    if (const int entered = enter_user_namespace(CLONE_NEWNS); entered != 0) return entered;
    // Ubuntu 24.04 lets the namespace be made and takes its capabilities away.
    return errno_of(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
  });
  std::string remedy = "sysctl kernel.unprivileged_userns_clone=1 and user.max_user_namespaces above 0; ";
  if (first_line("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1")
    remedy =
        "AppArmor restricts user namespaces here: install the profile of the package (deploy/apparmor), or sysctl "
        "kernel.apparmor_restrict_unprivileged_userns=0; ";
  return finding("user namespaces", number, DoctorVerdict::missing, "no sandbox can be made", remedy + kDockerFlags);
}

// A fresh /proc needs that nothing is mounted over the one outside, or the machine's root.
DoctorFinding check_proc() {
  const int number = try_in_child([] {
    if (const int entered = enter_namespaces(CLONE_NEWNS | CLONE_NEWPID); entered != 0) return entered;
    const pid_t child = ::fork();
    if (child < 0) return errno;
    if (child == 0) {
      if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) ::_exit(errno);
      ::_exit(errno_of(::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr)));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
  });
  return finding("/proc of its own", number, DoctorVerdict::missing,
                 "runs are refused: something is mounted over parts of /proc here",
                 std::string("run as root, or ") + kDockerFlags);
}

DoctorFinding check_landlock() {
  const int abi = landlock::kernel_abi();
  DoctorFinding made{
      "Landlock", DoctorVerdict::ok, abi < 0 ? std::string(errno_name(-abi)) : fmt::format("ABI {}", abi), {}, {}};
  if (abi < sandbox::kMinimumLandlockAbi) {
    made.verdict = DoctorVerdict::missing;
    made.cost = "runs are refused: at least ABI 2 is needed";
    made.remedy = abi == -EOPNOTSUPP ? "boot with lsm=landlock,… in the kernel's command line"
                                     : "Linux 5.19 or later with CONFIG_SECURITY_LANDLOCK";
  } else if (abi < 6) {
    made.verdict = DoctorVerdict::weaker;
    made.cost = abi < 4
                    ? "no second layer for signals, abstract sockets, device ioctls and our own processes' TCP ports"
                    : "no second layer for signals and abstract sockets: namespaces hold them alone";
    made.remedy = "Linux 6.12 or later";
  }
  return made;
}

DoctorFinding check_seccomp() {
  const int number = try_in_child([] {
    sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    sock_fprog program{1, allow};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return errno;
    const long listener = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    return errno_of(listener);
  });
  return finding("seccomp with notifications", number, DoctorVerdict::missing,
                 "runs are refused: no filter of system calls", std::string("CONFIG_SECCOMP_FILTER; ") + kDockerFlags);
}

DoctorFinding check_sync_wake_up() {
  const int number = try_in_child([] {
    sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    sock_fprog program{1, allow};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return errno;
    const int listener =
        static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
    if (listener < 0) return errno;
    constexpr unsigned long kSetFlags = 0x40082104;  // SECCOMP_IOCTL_NOTIF_SET_FLAGS, 6.6
    return errno_of(::syscall(SYS_ioctl, listener, kSetFlags, 1UL));
  });
  return finding("seccomp synchronous wake-up", number, DoctorVerdict::weaker,
                 "connects to socket files are decided more slowly", "Linux 6.6 or later");
}

DoctorFinding check_network() {
  const int number = try_in_child([] {
    if (const int entered = enter_namespaces(CLONE_NEWNET); entered != 0) return entered;
    for (const auto& step : {net::bring_up_loopback, net::route_everything_to_loopback, net::install_redirect_rules}) {
      const auto done = step();
      if (!done) return done.error().error_number() != 0 ? done.error().error_number() : EIO;
    }
    const auto listeners = net::open_transparent_listeners(false);
    return listeners ? 0 : listeners.error().error_number() != 0 ? listeners.error().error_number() : EIO;
  });
  return finding(
      "nftables tproxy in a network namespace", number, DoctorVerdict::missing,
      "runs with network rules are refused; runs without network work",
      "load nf_tables, nft_tproxy and nf_tproxy_ipv4/ipv6 (modprobe nft_tproxy), or a kernel with CONFIG_NFT_TPROXY");
}

DoctorFinding check_overlay() {
  const int number = try_in_child([] {
    if (const int entered = enter_namespaces(CLONE_NEWNS); entered != 0) return entered;
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) return errno;
    if (::mount("tmpfs", "/tmp", "tmpfs", 0, nullptr) < 0) return errno;
    for (const char* name : {"/tmp/a", "/tmp/b", "/tmp/m"})
      if (::mkdir(name, 0700) < 0) return errno;
    const char* options = ::geteuid() == 0 ? "lowerdir=/tmp/a:/tmp/b" : "lowerdir=/tmp/a:/tmp/b,userxattr";
    return errno_of(::mount("overlay", "/tmp/m", "overlay", MS_RDONLY, options));
  });
  return finding("overlayfs", number, DoctorVerdict::weaker,
                 "`read` trees are binds: connects to socket files in them are decided by notification (slower)",
                 "modprobe overlay; Linux 5.11 or later");
}

DoctorFinding check_idmap() {
  if (::geteuid() != 0) return {"idmapped mounts", DoctorVerdict::ok, "not needed for an ordinary user", {}, {}};
  const int number = try_in_child([] {
    if (::unshare(CLONE_NEWNS) < 0) return errno;
    auto sleeper = fork_child([] {
      if (::unshare(CLONE_NEWUSER) < 0) return errno;
      ::pause();
      return 0;
    });
    if (!sleeper) return EIO;
    // Until its namespace is another than ours.
    struct stat ours{}, theirs{};
    const std::string path = fmt::format("/proc/{}/ns/user", sleeper->get());
    ::stat("/proc/self/ns/user", &ours);
    for (int i = 0; i < 100'000 && (::stat(path.c_str(), &theirs) < 0 || ours.st_ino == theirs.st_ino); ++i)
      ::sched_yield();
    if (write_text(fmt::format("/proc/{}/uid_map", sleeper->get()).c_str(), "0 100000 1") != 0 ||
        write_text(fmt::format("/proc/{}/gid_map", sleeper->get()).c_str(), "0 100000 1") != 0)
      return EPERM;
    const Fd space(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::error_code ignored;
    const std::string here = std::filesystem::current_path(ignored).string();
    const Fd tree(static_cast<int>(
        ::syscall(SYS_open_tree, AT_FDCWD, here.empty() ? "/" : here.c_str(), 1 /* OPEN_TREE_CLONE */)));
    if (!tree || !space) return errno;
    struct {
      uint64_t set, clear, propagation, userns;
    } attributes{0x00100000 /* MOUNT_ATTR_IDMAP */, 0, 0, static_cast<uint64_t>(space.get())};
    return errno_of(::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)));
  });
  return finding("idmapped mounts (of the current directory)", number, DoctorVerdict::weaker,
                 "runs as root that mount trees of this filesystem are refused",
                 "run as an ordinary user, or keep the work on ext4, xfs, btrfs or tmpfs");
}

DoctorFinding check_small_calls() {
  const int number = try_in_child([] {
    const Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    if (!self) return errno;
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH;
    const Fd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    const Fd below(static_cast<int>(::syscall(SYS_openat2, root.get(), ".", &how, sizeof(how))));
    if (!below) return errno;
    clone_args args{};
    args.exit_signal = SIGCHLD;
    const long child = ::syscall(SYS_clone3, &args, sizeof(args));
    if (child == 0) ::_exit(0);
    if (child > 0) ::waitpid(static_cast<pid_t>(child), nullptr, 0);
    return errno_of(child);
  });
  return finding("pidfd, openat2, clone3", number, DoctorVerdict::missing, "runs are refused",
                 std::string("Linux 5.19 or later; ") + kDockerFlags);
}

DoctorFinding check_pty() {
  const Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  return finding("pseudo-terminals", master ? 0 : errno, DoctorVerdict::weaker, "no terminal for the agent: pipes only",
                 "mount devpts on /dev/pts");
}

void check_limits(std::vector<DoctorFinding>& findings) {
  const auto places = sandbox::find_own_cgroups();
  const auto support = sandbox::probe_limit_support(places);
  const auto control = sandbox::probe_control_support(places);
  const auto limit = [&](const char* feature, const sandbox::LimitSupport::Support& each) {
    const bool hard = each.strength == sandbox::Strength::hard;
    findings.push_back({feature, hard ? DoctorVerdict::ok : DoctorVerdict::weaker,
                        fmt::format("{} ({})",
                                    hard                                         ? "hard"
                                    : each.strength == sandbox::Strength::polled ? "polled"
                                                                                 : "refused",
                                    each.by),
                        hard ? "" : "measured every few milliseconds; `strictness: hard` refuses it",
                        hard ? "" : "delegate a cgroup: systemd-run --user --scope -p Delegate=yes stockade run …"});
  };
  limit("memory limit", support.memory);
  limit("CPU limit", support.cpus);
  limit("process limit", support.pids);
  findings.push_back(finding("cgroup.kill", control.kills_at_once ? 0 : EACCES, DoctorVerdict::weaker,
                             "kill goes through init: up to seconds for a fork bomb",
                             "a writable cgroup2 directory (Delegate=yes)"));
  findings.push_back(finding("freezer", control.freezes_at_once ? 0 : EACCES, DoctorVerdict::weaker,
                             "pause stops processes by signal, repeated until all stand",
                             "a writable cgroup2 directory (Delegate=yes)"));
}

DoctorFinding check_open_files() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  DoctorFinding made{"open files (hard limit)",
                     DoctorVerdict::ok,
                     limit.rlim_max == RLIM_INFINITY ? "unlimited" : std::to_string(limit.rlim_max),
                     {},
                     {}};
  if (limit.rlim_max >= 4096) return made;
  made.verdict = DoctorVerdict::weaker;
  made.cost = "the firewall serves fewer connections at once; hard limits are never raised";
  made.remedy = "ulimit -Hn 65536 in the calling service";
  return made;
}

DoctorFinding check_directories() {
  const Places places = find_places();
  std::string at;
  for (const std::string& wanted : {places.state, places.runtime}) {
    std::string path = wanted;
    while (path.size() > 1 && ::access(path.c_str(), F_OK) != 0) path.resize(std::max<size_t>(1, path.rfind('/')));
    if (::access(path.c_str(), W_OK) != 0) at = wanted;
  }
  return finding("state and runtime directories", at.empty() ? 0 : EACCES, DoctorVerdict::missing,
                 "no run can keep its log: runs are refused",
                 at.empty() ? "" : fmt::format("make {} writable, or set XDG_STATE_HOME and XDG_RUNTIME_DIR", at));
}

}  // namespace

std::string_view to_string(DoctorVerdict verdict) {
  return verdict == DoctorVerdict::ok ? "ok" : verdict == DoctorVerdict::weaker ? "weaker" : "missing";
}

std::vector<DoctorFinding> examine_machine() {
  std::vector<DoctorFinding> findings;
  for (const auto check :
       {check_user_namespace, check_proc, check_small_calls, check_landlock, check_seccomp, check_sync_wake_up,
        check_network, check_overlay, check_idmap, check_pty, check_open_files, check_directories})
    findings.push_back(check());
  check_limits(findings);
  return findings;
}

}  // namespace stockade::supervisor
