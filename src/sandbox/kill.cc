#include "sandbox/kill.h"

#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "sandbox/init.h"
#include "sandbox/usage.h"

namespace stockade::sandbox {

namespace {

constexpr int kStopRounds = 2000;
constexpr int kRoundsPerOrder = 10;
constexpr int kPatience = 2;  // milliseconds, before what holds init back is killed one by one

Result<void> order(int control, Order what) {
  const char byte = static_cast<char>(what);
  if (::send(control, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) return fail_errno("tell init");
  return {};
}

// Init takes one order after the other: what came before the last one is done by then.
Result<bool> has_taken_every_order(int control) {
  int unread = 0;
  if (::ioctl(control, SIOCOUTQ, &unread) < 0) return fail_errno("ask which orders init has taken");
  return unread == 0;
}

// By us, not by init: the agent's load may keep init from running for seconds. What is forked meanwhile is missed.
// A directory in /proc stands for its process (pidfd_send_signal(2)), so its number can't be another's.
void signal_each(int proc, int number) {
  if (proc < 0) return;
  (void)for_each_process(proc, [&](const char* pid) {
    if (std::string_view(pid) == "1") return;
    if (auto process = open_at(proc, pid, O_RDONLY | O_DIRECTORY))
      (void)::syscall(SYS_pidfd_send_signal, process->get(), number, nullptr, 0);
  });
}

bool ends_within(const Pid& process, int milliseconds) {
  pollfd end{process.pidfd(), POLLIN, 0};
  return ::poll(&end, 1, milliseconds) > 0;
}

}  // namespace

Result<void> kill_everything(RunCgroup& cgroup, Pid& init, int proc) {
  if (!init) return {};
  if (cgroup.can_kill()) (void)cgroup.kill();
  STOCKADE_TRY(init.signal(SIGKILL));
  // A v1 freezer holds the dying back.
  if (cgroup.can_freeze()) (void)cgroup.thaw();
  while (!cgroup.can_kill() && !ends_within(init, kPatience)) signal_each(proc, SIGKILL);
  auto end = init.wait();
  if (!end) return std::unexpected(std::move(end).error().context("wait for the sandbox's end"));
  return {};
}

Result<void> freeze_everything(RunCgroup& cgroup, int control, int proc) {
  if (cgroup.can_freeze()) return cgroup.freeze();
  bool ordered = false, taken = false;
  for (int round = 0; round < kStopRounds; ++round) {
    // Init stops all of them at once, which no fork slips through, but only when it gets to run.
    if (!ordered || (taken && round % kRoundsPerOrder == 0)) {
      auto told = order(control, Order::stop_all);
      if (!told && told.error().error_number() != EAGAIN) return told;
      ordered = told.has_value();
    }
    signal_each(proc, SIGSTOP);
    const timespec pause{0, 500'000};
    ::nanosleep(&pause, nullptr);
    // It may still have to continue all of them, as an earlier thaw told it.
    STOCKADE_ASSIGN(taken, has_taken_every_order(control));
    if (!ordered || !taken) continue;
    STOCKADE_ASSIGN(const bool stopped, all_stopped(proc));
    if (stopped) return {};
  }
  return fail(ErrorKind::unavailable, "not every process inside stopped");
}

Result<void> thaw_everything(RunCgroup& cgroup, int control) {
  if (cgroup.can_freeze()) return cgroup.thaw();
  return order(control, Order::continue_all);
}

}  // namespace stockade::sandbox
