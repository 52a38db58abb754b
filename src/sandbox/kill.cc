#include "sandbox/kill.h"

#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "sandbox/init.h"
#include "sandbox/usage.h"

namespace stockade::sandbox {

namespace {

constexpr int kStopRounds = 500;

Result<void> order(int control, Order what) {
  const char byte = static_cast<char>(what);
  if (::send(control, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) return fail_errno("tell init");
  return {};
}

}  // namespace

Result<void> kill_everything(RunCgroup& cgroup, Pid& init) {
  if (!init) return {};
  if (cgroup.can_kill()) (void)cgroup.kill();
  STOCKADE_TRY(init.signal(SIGKILL));
  // A v1 freezer holds the dying back.
  if (cgroup.can_freeze()) (void)cgroup.thaw();
  auto end = init.wait();
  if (!end) return std::unexpected(std::move(end).error().context("wait for the sandbox's end"));
  return {};
}

Result<void> freeze_everything(RunCgroup& cgroup, int control, int proc) {
  if (cgroup.can_freeze()) return cgroup.freeze();
  for (int round = 0; round < kStopRounds; ++round) {
    STOCKADE_TRY(order(control, Order::stop_all));
    const timespec pause{0, 500'000};
    ::nanosleep(&pause, nullptr);
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
