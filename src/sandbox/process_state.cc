#include "sandbox/process_state.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"

namespace stockade::sandbox {

namespace {

// The kernel's own sigaction: libc's refuses its two internal signals, which are inherited like the others.
struct KernelSigaction {
  void (*handler)(int) = SIG_DFL;
  unsigned long flags = 0;
#if defined(__x86_64__)
  void (*restorer)() = nullptr;
#endif
  uint64_t mask = 0;
};
constexpr int kSignals = 64;

Result<void> reset_signals() {
  const KernelSigaction standard;
  for (int number = 1; number <= kSignals; ++number) {
    if (number == SIGKILL || number == SIGSTOP) continue;
    if (::syscall(SYS_rt_sigaction, number, &standard, nullptr, sizeof(standard.mask)) != 0)
      return fail_errno("reset signal {}", number);
  }
  const uint64_t none = 0;
  if (::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof(none)) != 0)
    return fail_errno("unblock signals");
  return {};
}

Result<void> reset_timers() {
  const itimerval off{};
  for (const __itimer_which which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF})
    if (::setitimer(which, &off, nullptr) != 0) return fail_errno("stop interval timers");
  if (::prctl(PR_SET_TIMERSLACK, 0, 0, 0, 0) != 0) return fail_errno("reset the timer slack");
  return {};
}

constexpr int kIoprioWhoProcess = 1;

Result<void> reset_scheduling(ProcessStateReport& report) {
  const int policy = ::sched_getscheduler(0);
  if (policy < 0) return fail_errno("read the scheduling policy");
  if (policy != SCHED_OTHER) {
    sched_param parameters{};
    if (::sched_setscheduler(0, SCHED_OTHER, &parameters) != 0 &&
        ::sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &parameters) != 0)
      return fail_errno("reset the scheduling policy");
  }
  errno = 0;
  report.niceness = ::getpriority(PRIO_PROCESS, 0);
  if (report.niceness == -1 && errno != 0) return fail_errno("read the niceness");
  if (report.niceness != 0 && ::setpriority(PRIO_PROCESS, 0, 0) == 0) report.niceness = 0;
  if (report.niceness < 0) return fail(ErrorKind::internal, "a raised priority could not be given up");
  if (::syscall(SYS_ioprio_set, kIoprioWhoProcess, 0, 0) != 0) return fail_errno("reset the I/O priority");
  return {};
}

Result<void> reset_personality() {
  constexpr unsigned long kQuery = 0xffffffff;
  const int current = ::personality(kQuery);
  if (current < 0) return fail_errno("read the personality");
  if (current != PER_LINUX && ::personality(PER_LINUX) < 0) return fail_errno("reset the personality");
  if (::prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) != 0 && errno != EINVAL) return fail_errno("reset huge pages");
#if defined(__x86_64__)
  if (::prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0) != 0) return fail_errno("reset the time stamp counter");
#endif
  return {};
}

// Sets a limit to `soft` and `hard`, as far as the hard limit that is there allows.
Result<void> set_limit(int resource, rlim_t soft, rlim_t hard) {
  rlimit limit{};
  const auto kind = static_cast<__rlimit_resource>(resource);
  if (::getrlimit(kind, &limit) != 0) return fail_errno("read limit {}", resource);
  const rlimit wanted{std::min(soft, limit.rlim_max), std::min(hard, limit.rlim_max)};
  if (wanted.rlim_cur == limit.rlim_cur && wanted.rlim_max == limit.rlim_max) return {};
  if (::setrlimit(kind, &wanted) != 0) return fail_errno("set limit {}", resource);
  return {};
}

// What was asked for holds soft and hard, and its loss is reported; else `soft` below whatever hard limit is there.
Result<void> set_asked_limit(int resource, const std::optional<uint64_t>& asked, rlim_t soft,
                             ProcessStateReport& report) {
  if (!asked) return set_limit(resource, soft, RLIM_INFINITY);
  STOCKADE_TRY(set_limit(resource, *asked, *asked));
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return fail_errno("read limit {}", resource);
  if (limit.rlim_cur < *asked && report.clamp_count < report.clamps.size())
    report.clamps[report.clamp_count++] = {resource, *asked, limit.rlim_cur};
  return {};
}

constexpr rlim_t kOpenFiles = 16384;  // some programs walk over all that they could have
constexpr rlim_t kStackSize = rlim_t{8} << 20;
constexpr rlim_t kLockedMemory = rlim_t{8} << 20;
constexpr rlim_t kMessageQueues = 819200;

Result<void> set_limits(const ProcessState& state, ProcessStateReport& report) {
  STOCKADE_TRY(set_asked_limit(RLIMIT_NOFILE, state.open_files, kOpenFiles, report));
  STOCKADE_TRY(set_asked_limit(RLIMIT_FSIZE, state.file_size, RLIM_INFINITY, report));
  STOCKADE_TRY(set_asked_limit(RLIMIT_NPROC, state.processes, RLIM_INFINITY, report));
  STOCKADE_TRY(set_asked_limit(RLIMIT_MEMLOCK, state.locked_memory, kLockedMemory, report));
  STOCKADE_TRY(set_asked_limit(RLIMIT_DATA, state.data_size, RLIM_INFINITY, report));
  STOCKADE_TRY(set_limit(RLIMIT_STACK, kStackSize, RLIM_INFINITY));
  for (const int resource : {RLIMIT_CPU, RLIMIT_AS, RLIMIT_RSS, RLIMIT_LOCKS, RLIMIT_SIGPENDING, RLIMIT_RTTIME})
    STOCKADE_TRY(set_limit(resource, RLIM_INFINITY, RLIM_INFINITY));
  STOCKADE_TRY(set_limit(RLIMIT_MSGQUEUE, kMessageQueues, kMessageQueues));
  for (const int resource : {RLIMIT_CORE, RLIMIT_NICE, RLIMIT_RTPRIO}) STOCKADE_TRY(set_limit(resource, 0, 0));
  return {};
}

// /proc/self belongs to root while we are not dumpable, so dumps are on for this one write; nothing else runs inside
// yet.
Result<void> volunteer_for_the_oom_killer() {
  if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) return fail_errno("prepare to set oom_score_adj");
  const Fd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  Result<void> written;
  if (!file)
    written = fail_errno("open /proc/self/oom_score_adj");
  else if (::write(file.get(), "1000", 4) != 4)
    written = fail_errno("write /proc/self/oom_score_adj");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("forbid dumps");
  return written;
}

Result<void> join_fresh_keyring(ProcessStateReport& report) {
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr, 0, 0, 0) >= 0) {
    report.keyring_is_fresh = true;
    return {};
  }
  // An ordinary user has 200 keys by default, and each run takes one.
  if (errno == ENOSYS || errno == EDQUOT) return {};
  return fail_errno("join a session keyring of its own");
}

}  // namespace

Result<ProcessStateReport> reset_process_state(const ProcessState& state) {
  ProcessStateReport report;
  STOCKADE_TRY(reset_signals());
  STOCKADE_TRY(reset_timers());
  STOCKADE_TRY(reset_scheduling(report));
  STOCKADE_TRY(reset_personality());
  ::umask(state.umask);
  STOCKADE_TRY(set_limits(state, report));
  if (state.fresh_keyring) STOCKADE_TRY(join_fresh_keyring(report));
  if (state.first_out_of_memory) STOCKADE_TRY(volunteer_for_the_oom_killer());
  return report;
}

}  // namespace stockade::sandbox
