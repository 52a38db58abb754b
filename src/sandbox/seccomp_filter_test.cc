// The agent's filter, row by row of docs' hardening table: evaluated in user space, and loaded for real in a child.
#include "sandbox/seccomp_filter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <thread>

#include "base/confine.h"
#include "base/pid.h"
#include "filters/dialer.h"
#include "filters/inspector.h"
#include "sandbox/bpf_evaluator.h"
#include "sandbox/notify_filter.h"

namespace stockade::sandbox {
namespace {

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kNotify = SECCOMP_RET_USER_NOTIF;
constexpr uint32_t error(int number) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(number); }

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif

struct Row {
  const char* what;
  long number;
  std::array<uint64_t, 6> args;
  uint32_t expected;
};

void check(std::span<const sock_filter> filter, std::span<const Row> rows) {
  for (const Row& row : rows)
    EXPECT_EQ(evaluate_filter(filter, {kArch, static_cast<uint32_t>(row.number), row.args}), row.expected) << row.what;
}

constexpr uint64_t kGarbage = 0xdeadbeef00000000;

const Row kRefused[] = {
    {"77 niceness of init", SYS_setpriority, {PRIO_PROCESS, 1, 19}, error(EPERM)},
    {"77 niceness of init's user", SYS_setpriority, {PRIO_USER, 0, 19}, error(EPERM)},
    {"77 init's process group", SYS_setpgid, {0, 1}, error(EPERM)},
    {"77 io priority of init's user", SYS_ioprio_set, {3, 0, 0x6000}, error(EPERM)},
    {"77 affinity of init", SYS_sched_setaffinity, {kGarbage | 1}, error(EPERM)},
    {"77 scheduling of init", SYS_sched_setscheduler, {1, 5}, error(EPERM)},
    {"77 scheduling of init, newer", SYS_sched_setattr, {1}, error(EPERM)},
    {"77 limits of init", SYS_prlimit64, {1, RLIMIT_CPU}, error(EPERM)},
    {"1 TIOCSTI", SYS_ioctl, {0, 0x5412}, error(EPERM)},
    {"1 TIOCSTI with a dirty upper half", SYS_ioctl, {0, kGarbage | 0x5412}, error(EPERM)},
    {"2 TIOCLINUX", SYS_ioctl, {0, 0x541c}, error(EPERM)},
    {"2 TIOCSETD", SYS_ioctl, {0, 0x5423}, error(EPERM)},
    {"2 TIOCCONS", SYS_ioctl, {0, 0x541d}, error(EPERM)},
    {"2 KDSKBENT", SYS_ioctl, {0, 0x4b47}, error(EPERM)},
    {"2 VT_ACTIVATE", SYS_ioctl, {0, 0x5606}, error(EPERM)},
    {"13 mount", SYS_mount, {}, error(EPERM)},
    {"21 openat setuid", SYS_openat, {0, 0, O_CREAT | O_WRONLY, 04755}, error(EPERM)},
    {"21 openat tmpfile setuid", SYS_openat, {0, 0, O_TMPFILE | O_WRONLY, 04755}, error(EPERM)},
    {"21 openat2", SYS_openat2, {}, error(ENOSYS)},
    {"21 mkdirat setgid", SYS_mkdirat, {0, 0, 02755}, error(EPERM)},
    {"21 fchmod setuid", SYS_fchmod, {0, 04755}, error(EPERM)},
    {"21 fchmod setgid, dirty", SYS_fchmod, {0, kGarbage | 02755}, error(EPERM)},
    {"21 fchmodat setuid", SYS_fchmodat, {0, 0, 04755}, error(EPERM)},
    {"21 fchmodat2 setuid", 452, {0, 0, 04755}, error(EPERM)},
    {"21 mknodat setuid", SYS_mknodat, {0, 0, S_IFREG | 04755}, error(EPERM)},
    {"22 mknodat character device", SYS_mknodat, {0, 0, S_IFCHR | 0600}, error(EPERM)},
    {"22 mknodat block device", SYS_mknodat, {0, 0, S_IFBLK | 0600}, error(EPERM)},
    {"23 clone of a user namespace", SYS_clone, {CLONE_NEWUSER}, error(EPERM)},
    {"23 clone of a network namespace", SYS_clone, {CLONE_NEWNET | SIGCHLD}, error(EPERM)},
    {"24 unshare", SYS_unshare, {CLONE_NEWUSER}, error(EPERM)},
    {"24 unshare of files", SYS_unshare, {CLONE_FILES}, error(EPERM)},
    {"32 clone3", SYS_clone3, {}, error(ENOSYS)},
    {"25 setns", SYS_setns, {}, error(EPERM)},
    {"26 fsopen", SYS_fsopen, {}, error(EPERM)},
    {"26 open_tree", SYS_open_tree, {}, error(EPERM)},
    {"26 move_mount", SYS_move_mount, {}, error(EPERM)},
    {"26 mount_setattr", SYS_mount_setattr, {}, error(EPERM)},
    {"26 open_tree_attr", 467, {}, error(EPERM)},
    {"27 chroot", SYS_chroot, {}, error(EPERM)},
    {"27 pivot_root", SYS_pivot_root, {}, error(EPERM)},
    {"28 open_by_handle_at", SYS_open_by_handle_at, {}, error(EPERM)},
    {"28 name_to_handle_at", SYS_name_to_handle_at, {}, error(EPERM)},
    {"29 keyctl", SYS_keyctl, {}, error(EPERM)},
    {"29 add_key", SYS_add_key, {}, error(EPERM)},
    {"29 request_key", SYS_request_key, {}, error(EPERM)},
    {"30 userfaultfd", SYS_userfaultfd, {}, error(EPERM)},
    {"31 io_uring_setup", SYS_io_uring_setup, {}, error(ENOSYS)},
    {"31 io_uring_enter", SYS_io_uring_enter, {}, error(ENOSYS)},
    {"31 io_uring_register", SYS_io_uring_register, {}, error(ENOSYS)},
    {"33 bpf", SYS_bpf, {}, error(EPERM)},
    {"34 perf_event_open", SYS_perf_event_open, {}, error(EPERM)},
    {"35 pidfd_getfd", SYS_pidfd_getfd, {}, error(EPERM)},
    {"35 kcmp", SYS_kcmp, {}, error(EPERM)},
    {"39 AF_ALG", SYS_socket, {38, SOCK_SEQPACKET}, error(EAFNOSUPPORT)},
    {"40 AF_VSOCK", SYS_socket, {40, SOCK_STREAM}, error(EAFNOSUPPORT)},
    {"41 AF_PACKET", SYS_socket, {17, SOCK_RAW}, error(EAFNOSUPPORT)},
    {"41 raw", SYS_socket, {AF_INET, SOCK_RAW, 1}, error(EPERM)},
    {"41 raw with flags", SYS_socket, {AF_INET6, SOCK_RAW | SOCK_CLOEXEC, 58}, error(EPERM)},
    {"41 raw, dirty", SYS_socket, {kGarbage | AF_INET, kGarbage | SOCK_RAW, 255}, error(EPERM)},
    {"41 ping", SYS_socket, {AF_INET, SOCK_DGRAM, 1}, error(EPERM)},
    {"42 NETLINK_NETFILTER", SYS_socket, {AF_NETLINK, SOCK_RAW, 12}, error(EPERM)},
    {"43 SCTP", SYS_socket, {AF_INET, SOCK_STREAM, 132}, error(EPERM)},
    {"43 MPTCP", SYS_socket, {AF_INET, SOCK_STREAM, 262}, error(EPROTONOSUPPORT)},
    {"43 TIPC", SYS_socket, {30, SOCK_STREAM}, error(EAFNOSUPPORT)},
    {"43 TIPC pair", SYS_socketpair, {30, SOCK_STREAM}, error(EAFNOSUPPORT)},
    {"43 kernel TLS", SYS_setsockopt, {0, 6, 31}, error(ENOPROTOOPT)},
    {"52 READ_IMPLIES_EXEC", SYS_personality, {0x0400000}, error(EPERM)},
    {"52 ADDR_NO_RANDOMIZE", SYS_personality, {0x0040000}, error(EPERM)},
    {"54 syslog", SYS_syslog, {3}, error(EPERM)},
    {"56 clock_settime", SYS_clock_settime, {}, error(EPERM)},
    {"56 sethostname", SYS_sethostname, {}, error(EPERM)},
    {"72 PR_SET_MM", SYS_prctl, {PR_SET_MM}, error(EPERM)},
    {"72 PR_SCHED_CORE", SYS_prctl, {62}, error(EPERM)},
    {"72 an unknown prctl", SYS_prctl, {4711}, error(EINVAL)},
    {"72 a filter with a listener", SYS_seccomp, {1, 8}, error(EPERM)},
    {"72 a filter with a listener and more", SYS_seccomp, {1, kGarbage | 8 | 1}, error(EPERM)},
    {"kexec_load", SYS_kexec_load, {}, error(EPERM)},
    {"finit_module", SYS_finit_module, {}, error(EPERM)},
    {"reboot", SYS_reboot, {}, error(EPERM)},
    {"swapon", SYS_swapon, {}, error(EPERM)},
    {"quotactl", SYS_quotactl, {}, error(EPERM)},
    {"fanotify_init", SYS_fanotify_init, {}, error(EPERM)},
    {"fcntl F_SETLEASE", SYS_fcntl, {0, 1024}, error(EPERM)},
    {"a call of the future", 700, {}, error(ENOSYS)},
    {"statmount", 457, {}, error(ENOSYS)},
#if defined(__x86_64__)
    {"21 open setuid", SYS_open, {0, O_CREAT, 02755}, error(EPERM)},
    {"21 creat setuid", SYS_creat, {0, 04755}, error(EPERM)},
    {"21 chmod setuid", SYS_chmod, {0, 04755}, error(EPERM)},
    {"21 mkdir setuid", SYS_mkdir, {0, 04755}, error(EPERM)},
    {"22 mknod device", SYS_mknod, {0, S_IFBLK | 0600}, error(EPERM)},
    {"53 modify_ldt", SYS_modify_ldt, {}, error(EPERM)},
    {"53 an odd arch_prctl", SYS_arch_prctl, {0x2003}, error(EINVAL)},
    {"iopl", SYS_iopl, {3}, error(EPERM)},
#endif
};

const Row kNeeded[] = {
    {"TCGETS", SYS_ioctl, {0, 0x5401}, kAllow},
    {"TIOCSCTTY", SYS_ioctl, {0, 0x540e}, kAllow},
    {"FICLONE", SYS_ioctl, {0, 0x40049409}, kAllow},
    {"openat of a new file", SYS_openat, {0, 0, O_CREAT | O_WRONLY, 0644}, kAllow},
    {"openat without O_CREAT and a dirty mode", SYS_openat, {0, 0, O_RDONLY, 06777}, kAllow},
    {"fchmod sticky", SYS_fchmod, {0, 01777}, kAllow},
    {"a fifo", SYS_mknodat, {0, 0, S_IFIFO | 0600}, kAllow},
    {"a thread", SYS_clone, {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS}, kAllow},
    {"a process", SYS_clone, {SIGCHLD | CLONE_PIDFD}, kAllow},
    {"execve", SYS_execve, {}, kAllow},
    {"memfd_create", SYS_memfd_create, {}, kAllow},
    {"ptrace", SYS_ptrace, {}, kAllow},
    {"process_vm_readv", SYS_process_vm_readv, {}, kAllow},
    {"TCP", SYS_socket, {AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 6}, kAllow},
    {"UDP over IPv6", SYS_socket, {AF_INET6, SOCK_DGRAM, 17}, kAllow},
    {"unix datagrams", SYS_socket, {AF_UNIX, SOCK_DGRAM}, kAllow},
    {"getifaddrs", SYS_socket, {AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0}, kAllow},
    {"a pair", SYS_socketpair, {AF_UNIX, SOCK_STREAM}, kAllow},
    {"connect", SYS_connect, {}, kAllow},
    {"a filter of its own", SYS_seccomp, {1, 1}, kAllow},
    {"a Landlock domain of its own", SYS_landlock_restrict_self, {}, kAllow},
    {"PR_SET_VMA", SYS_prctl, {0x53564d41}, kAllow},
    {"PR_SET_PTRACER", SYS_prctl, {0x59616d61}, kAllow},
    {"PR_SET_NAME", SYS_prctl, {PR_SET_NAME}, kAllow},
    {"PR_SET_SECCOMP", SYS_prctl, {PR_SET_SECCOMP}, kAllow},
    {"personality query", SYS_personality, {0xffffffff}, kAllow},
    {"mseal", 462, {}, kAllow},
    {"futex_waitv", SYS_futex_waitv, {}, kAllow},
    {"pidfd_open", SYS_pidfd_open, {}, kAllow},
    {"io priority", SYS_ioprio_set, {}, kAllow},
    {"a process group of one's own", SYS_setpgid, {0, 0}, kAllow},
    {"niceness of another", SYS_setpriority, {PRIO_PROCESS, 7, 10}, kAllow},
    {"a limit of one's own", SYS_prlimit64, {0, RLIMIT_NOFILE}, kAllow},
    {"affinity of one's own", SYS_sched_setaffinity, {0}, kAllow},
    {"shmget", SYS_shmget, {}, kAllow},
    {"copy_file_range", SYS_copy_file_range, {}, kAllow},
    {"sendmmsg, glibc's resolver", SYS_sendmmsg, {}, kAllow},
};

TEST(AgentFilter, RefusesEveryRowOfTheHardeningTable) {
  for (const bool notify : {false, true})
    for (const bool programs : {false, true}) check(agent_filter({notify, programs}), kRefused);
}

TEST(AgentFilter, LeavesAWorkingDayAlone) { check(agent_filter({}), kNeeded); }

TEST(AgentFilter, KillsTheThirtyTwoBitEntry) {
  EXPECT_EQ(evaluate_filter(agent_filter({}), {AUDIT_ARCH_I386, 4, {}}), SECCOMP_RET_KILL_PROCESS);
#if defined(__x86_64__)
  EXPECT_EQ(evaluate_filter(agent_filter({}), {kArch, 0x40000000u | SYS_ioctl, {}}), SECCOMP_RET_KILL_PROCESS);
#endif
}

TEST(AgentFilter, AsksOutsideAboutConnectAndHasNoDatagramsThatNamePaths) {
  const Row rows[] = {
      {"connect", SYS_connect, {}, kNotify},
      {"unix datagrams", SYS_socket, {AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC}, error(EPERM)},
      {"unix raw is datagrams", SYS_socket, {AF_UNIX, SOCK_RAW}, error(EPERM)},
      {"a datagram pair", SYS_socketpair, {AF_UNIX, SOCK_DGRAM}, error(EPERM)},
      {"unix streams", SYS_socket, {AF_UNIX, SOCK_STREAM}, kAllow},
      {"unix packets", SYS_socket, {AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK}, kAllow},
      {"UDP", SYS_socket, {AF_INET, SOCK_DGRAM}, kAllow},
      {"sendto", SYS_sendto, {0, 0, 0, 0, 1, 16}, kAllow},
      {"sendmsg", SYS_sendmsg, {}, kAllow},
      {"memfd_create", SYS_memfd_create, {}, kAllow},
  };
  check(agent_filter({.notify_sockets = true}), rows);
}

TEST(AgentFilter, HasNoMemfdWithAProgramList) {
  const Row rows[] = {{"memfd_create", SYS_memfd_create, {}, error(ENOSYS)}, {"connect", SYS_connect, {}, kAllow}};
  check(agent_filter({.program_list = true}), rows);
}

// What moby's default profile lets through without a capability, and this one does not.
TEST(AgentFilter, RefusesWhatTheUsualProfileStillAllows) {
  const Row rows[] = {
      {"vmsplice", SYS_vmsplice, {}, error(ENOSYS)},
      {"memfd_secret", SYS_memfd_secret, {}, error(ENOSYS)},
      {"name_to_handle_at", SYS_name_to_handle_at, {}, error(EPERM)},
      {"io_setup", SYS_io_setup, {}, error(ENOSYS)},
      {"statmount", 457, {}, error(ENOSYS)},
      {"listmount", 458, {}, error(ENOSYS)},
      {"AF_PACKET", SYS_socket, {17, SOCK_RAW}, error(EAFNOSUPPORT)},
      {"AF_BLUETOOTH", SYS_socket, {31, SOCK_RAW}, error(EAFNOSUPPORT)},
      {"any netlink", SYS_socket, {AF_NETLINK, SOCK_RAW, 6}, error(EPERM)},
      {"TIOCSTI", SYS_ioctl, {0, 0x5412}, error(EPERM)},
      {"setuid by fchmodat", SYS_fchmodat, {0, 0, 04755}, error(EPERM)},
      {"PR_SET_MM", SYS_prctl, {PR_SET_MM}, error(EPERM)},
  };
  check(agent_filter({}), rows);
}

// What moby always refuses or gates behind a capability, by name; none of it may be plainly allowed here.
TEST(AgentFilter, AllowsNothingThatTheUsualProfileRefuses) {
  const long refused[] = {SYS_bpf,
                          SYS_fanotify_init,
                          SYS_fsconfig,
                          SYS_fsmount,
                          SYS_fsopen,
                          SYS_fspick,
                          SYS_mount,
                          SYS_mount_setattr,
                          SYS_move_mount,
                          SYS_open_tree,
                          SYS_perf_event_open,
                          SYS_quotactl,
                          SYS_setdomainname,
                          SYS_sethostname,
                          SYS_setns,
                          SYS_syslog,
                          SYS_umount2,
                          SYS_unshare,
                          SYS_open_by_handle_at,
                          SYS_reboot,
                          SYS_chroot,
                          SYS_init_module,
                          SYS_finit_module,
                          SYS_delete_module,
                          SYS_acct,
                          SYS_kcmp,
                          SYS_pidfd_getfd,
                          SYS_process_madvise,
                          SYS_settimeofday,
                          SYS_clock_settime,
                          SYS_vhangup,
                          SYS_get_mempolicy,
                          SYS_mbind,
                          SYS_set_mempolicy,
                          SYS_io_uring_setup,
                          SYS_io_uring_enter,
                          SYS_io_uring_register,
                          SYS_userfaultfd,
                          SYS_keyctl,
                          SYS_add_key,
                          SYS_request_key,
                          SYS_kexec_load,
                          SYS_kexec_file_load,
                          SYS_swapon,
                          SYS_swapoff,
                          SYS_pivot_root,
                          SYS_move_pages,
                          SYS_migrate_pages,
                          SYS_nfsservctl,
                          470 /* listns */,
                          467 /* open_tree_attr */};
  for (const long number : refused) {
    const uint32_t verdict = evaluate_filter(agent_filter({}), {kArch, static_cast<uint32_t>(number), {}});
    EXPECT_EQ(verdict & SECCOMP_RET_ACTION_FULL, SECCOMP_RET_ERRNO) << number;
  }
}

TEST(InspectorFilter, MakesNoConnectionAndNoSocket) {
  const Row rows[] = {
      {"connect", SYS_connect, {}, error(EPERM)},
      {"socket", SYS_socket, {AF_INET, SOCK_STREAM}, error(EPERM)},
      {"socketpair", SYS_socketpair, {AF_UNIX}, error(EPERM)},
      {"bind", SYS_bind, {}, error(EPERM)},
      {"listen", SYS_listen, {}, error(EPERM)},
      {"openat", SYS_openat, {}, error(EPERM)},
      {"execve", SYS_execve, {}, error(EPERM)},
      {"fast open", SYS_sendto, {0, 0, 0, 0x20000000, 1}, error(EPERM)},
      {"fast open by sendmsg", SYS_sendmsg, {0, 0, 0x20000000}, error(EPERM)},
      {"fast open by option", SYS_setsockopt, {0, 6, 30}, error(EPERM)},
      {"source route", SYS_setsockopt, {0, 0, 4}, error(EPERM)},
      {"routing header", SYS_setsockopt, {0, 41, 57}, error(EPERM)},
      {"executable memory", SYS_mmap, {0, 4096, 7}, error(EPERM)},
      {"made executable", SYS_mprotect, {0, 4096, 5}, error(EPERM)},
      {"a signal owner", SYS_fcntl, {0, 8, 1}, error(ENOSYS)},
      {"kill", SYS_kill, {1, 9}, error(EPERM)},
      {"prlimit of another", SYS_prlimit64, {1, 7, 0x7fff00000000, 0}, error(ENOSYS)},
      {"accept4", SYS_accept4, {}, kAllow},
      {"splice", SYS_splice, {}, kAllow},
      {"descriptors to the dialer", SYS_sendmsg, {}, kAllow},
      {"a DNS answer", SYS_sendto, {0, 0, 0, 0, 1, 16}, kAllow},
      {"no delay", SYS_setsockopt, {0, 6, 1}, kAllow},
  };
  check(filters::kInspectorFilter, rows);
}

TEST(DialerFilter, ConnectsTcpAndUdpOnly) {
  const Row rows[] = {
      {"TCP", SYS_socket, {AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC}, kAllow},
      {"UDP", SYS_socket, {AF_INET6, SOCK_DGRAM}, kAllow},
      {"unix", SYS_socket, {AF_UNIX, SOCK_STREAM}, error(EPERM)},
      {"raw", SYS_socket, {AF_INET, SOCK_RAW, 255}, error(EPERM)},
      {"connect", SYS_connect, {}, kAllow},
      {"bind", SYS_bind, {}, error(EPERM)},
      {"listen", SYS_listen, {}, error(EPERM)},
      {"accept4", SYS_accept4, {}, error(EPERM)},
      {"openat", SYS_openat, {}, error(EPERM)},
  };
  check(filters::kDialerFilter, rows);
}

TEST(InitFilter, ReapsAndReports) {
  const Row rows[] = {
      {"waitid", SYS_waitid, {}, kAllow},        {"kill", SYS_kill, {}, kAllow},
      {"openat", SYS_openat, {}, error(ENOSYS)}, {"execve", SYS_execve, {}, error(ENOSYS)},
      {"socket", SYS_socket, {}, error(ENOSYS)}, {"clone", SYS_clone, {}, error(ENOSYS)},
  };
  check(init_filter(), rows);
}

// --- in the kernel ---

int in_child(const std::function<int()>& body) {
  auto child = fork_child(body);
  if (!child) return -1;
  const auto status = child->wait();
  return !status ? -1 : status->signalled ? 1000 + status->code : status->code;
}

int install_and(const FilterChoice& choice, const std::function<int()>& body) {
  return in_child([&] {
    if (!forbid_new_privileges() || !install_seccomp_filter(choice)) return 99;
    return body();
  });
}

TEST(AgentFilter, HoldsInTheKernel) {
  EXPECT_EQ(install_and({}, [] { return ::unshare(CLONE_NEWUSER) == -1 ? errno : 0; }), EPERM);
  EXPECT_EQ(install_and({}, [] { return ::socket(38, SOCK_SEQPACKET, 0) == -1 ? errno : 0; }), EAFNOSUPPORT);
  EXPECT_EQ(install_and({}, [] { return ::syscall(SYS_io_uring_setup, 1, nullptr) == -1 ? errno : 0; }), ENOSYS);
  EXPECT_EQ(install_and({.program_list = true}, [] { return ::memfd_create("x", 0) == -1 ? errno : 0; }), ENOSYS);
}

TEST(AgentFilter, StartsThreadsAndProgramsAsUsual) {
  EXPECT_EQ(install_and({},
                        [] {
                          int seen = 0;
                          std::thread([&] { seen = 7; }).join();
                          return seen;
                        }),
            7);
  EXPECT_EQ(install_and({},
                        [] {
                          ::execl("/bin/sh", "sh", "-c", "cat /dev/null; (exit 5)", nullptr);
                          return 98;
                        }),
            5);
}

#if defined(__x86_64__)
TEST(AgentFilter, KillsInt80) {
  EXPECT_EQ(install_and({},
                        [] {
                          long result;
                          asm volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");  // getpid
                          return 0;
                        }),
            1000 + SIGSYS);
}
#endif

TEST(AgentFilter, LetsAgentsFilterThemselvesFurther) {
  EXPECT_EQ(install_and({}, [] { return load_seccomp_filter(agent_filter({}), 0) == 0 ? 0 : errno; }), 0);
  EXPECT_EQ(install_and({}, [] { return -load_seccomp_filter(agent_filter({}), SECCOMP_FILTER_FLAG_NEW_LISTENER); }),
            EPERM);
}

TEST(NotifyFilter, HandsConnectToItsListenerAndNothingElse) {
  auto pair = make_socket_pair(SOCK_STREAM);
  ASSERT_TRUE(pair);
  EXPECT_EQ(in_child([&] {
              if (!forbid_new_privileges()) return 99;
              auto listener = install_seccomp_filter_with_listener({.notify_sockets = true});
              if (!listener) return 98;
              // Nobody listens any more: refused, not let through.
              listener->reset();
              sockaddr_un address{AF_UNIX, "/nowhere"};
              const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
              if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != -1) return 97;
              return errno;
            }),
            ENOSYS);
}

TEST(NotifyFilter, RefusesToBeInstalledWithoutAListener) {
  EXPECT_FALSE(install_seccomp_filter({.notify_sockets = true}));
  EXPECT_FALSE(install_seccomp_filter_with_listener({}));
}

}  // namespace
}  // namespace stockade::sandbox
