#include "base/pid.h"

#include <linux/sched.h>
#include <signal.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <vector>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace stockade {

Pid& Pid::operator=(Pid&& other) noexcept {
  if (this != &other) {
    Pid dying(std::move(*this));
    pid_ = std::exchange(other.pid_, 0);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

Pid::~Pid() {
  if (pid_ <= 0) return;
  (void)signal(SIGKILL);
  (void)wait();
}

Result<void> Pid::signal(int number) const {
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) < 0 && errno != ESRCH)
    return fail_errno("signal process {}", pid_);
  return {};
}

Result<std::optional<ExitStatus>> Pid::wait_with(int options) {
  siginfo_t info{};
  while (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED | options) < 0) {
    if (errno != EINTR) return fail_errno("wait for process {}", pid_);
  }
  if (info.si_pid == 0) return std::nullopt;
  pid_ = 0;
  pidfd_.reset();
  return ExitStatus{info.si_code != CLD_EXITED, info.si_status};
}

Result<ExitStatus> Pid::wait() {
  auto status = wait_with(0);
  if (!status) return std::unexpected(std::move(status).error());
  return **status;
}

Result<std::optional<ExitStatus>> Pid::poll() { return wait_with(WNOHANG); }

void Pid::move_to_another_core() const {
  cpu_set_t all;
  const int here = ::sched_getcpu();
  if (here < 0 || here >= CPU_SETSIZE || ::sched_getaffinity(0, sizeof(all), &all) < 0 || CPU_COUNT(&all) < 2) return;
  cpu_set_t others = all;
  CPU_CLR(here, &others);
  // A queued process is moved at once, and stays where it is when it may come back.
  if (::sched_setaffinity(pid_, sizeof(others), &others) == 0) (void)::sched_setaffinity(pid_, sizeof(all), &all);
}

Result<Pid> fork_child(const std::function<int()>& body) {
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
  if (pid < 0) return fail_errno("fork");
  if (pid == 0) ::_exit(body());
  return Pid(static_cast<pid_t>(pid), Fd(pidfd));
}

void close_all_except(const int* keep, size_t count) {
  std::vector<int> sorted(keep, keep + count);
  std::sort(sorted.begin(), sorted.end());
  unsigned next = 3;
  for (int fd : sorted) {
    if (fd < static_cast<int>(next)) continue;
    if (static_cast<unsigned>(fd) > next) ::syscall(SYS_close_range, next, static_cast<unsigned>(fd) - 1, 0);
    next = static_cast<unsigned>(fd) + 1;
  }
  ::syscall(SYS_close_range, next, ~0U, 0);
}

void close_all_except(std::initializer_list<int> keep) { close_all_except(keep.begin(), keep.size()); }

}  // namespace stockade
