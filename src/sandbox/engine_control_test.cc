// Ending, stopping and losing sandboxes: whatever dies, everything inside dies with it.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <chrono>

#include "sandbox/cgroup.h"
#include "sandbox/engine_fixture.h"
#include "sandbox/usage.h"

namespace stockade::sandbox {
namespace {

using testing::as_user;
using testing::count_litter;
using testing::shell_plan;
using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// A run whose agent says "up" on stdout once its processes are there; stdout closes when the last of them is gone.
struct Running {
  std::optional<NativeSandbox> sandbox;
  Fd output;

  explicit Running(const SandboxPlan& plan) {
    auto pipe = make_pipe();
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    static int serial = 0;
    auto made = NativeSandbox::launch(plan, {.run_id = fmt::format("test-control-{}-{}", ::getpid(), ++serial),
                                             .stdio = {null.get(), pipe->write.get(), null.get()}});
    if (!made || !made->release()) {
      std::fprintf(stderr, "%s\n", made ? "release failed" : made.error().render().c_str());
      return;
    }
    sandbox = std::move(*made);
    output = std::move(pipe->read);
    char up[2];
    if (::read(output.get(), up, 2) != 2) sandbox.reset();
  }
  bool is_silent() const {  // every writer is gone
    char byte;
    return ::read(output.get(), &byte, 1) == 0;
  }
};

SandboxPlan sleepers(int count) {
  SandboxPlan plan = shell_plan("");
  plan.command = {
      "python3", "-c",
      fmt::format(
          "import os,time\nfor i in range({}):\n  if os.fork()==0: time.sleep(600)\nos.write(1,b'up')\ntime.sleep(600)",
          count - 1)};
  return plan;
}

SandboxPlan fork_bomb(uint64_t limit) {
  SandboxPlan plan = shell_plan("");
  plan.limits.pids = Limit{limit, Strength::hard, ""};
  plan.command = {
      "python3", "-c",
      "import os,signal\nsignal.signal(signal.SIGCHLD,signal.SIG_IGN)\nfull=False\nwhile True:\n  try: os.fork()\n"
      "  except OSError:\n    if not full and os.getpid()==2: os.write(1,b'up'); full=True"};
  return plan;
}

class EngineControl : public testing::EngineTest {};
INSTANTIATE_TEST_SUITE_P(AsRootAndUser, EngineControl, ::testing::Values(0U, testing::kOrdinaryUser),
                         testing::user_name);

TEST_P(EngineControl, KillsTenProcessesAtOnce) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    Running run(sleepers(10));
    if (!run.sandbox) return false;
    const auto count = run.sandbox->process_count();
    const auto begin = Clock::now();
    const bool killed = run.sandbox->kill().has_value();
    std::fprintf(stderr, "10 processes: %.2f ms\n", milliseconds_since(begin));
    return killed && count == 11U && run.is_silent() && run.sandbox->process_count() == 0U;
  }));
}

TEST_P(EngineControl, KillsAForkBomb) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    Running run(fork_bomb(256));
    if (!run.sandbox) return false;
    const auto begin = Clock::now();
    const bool killed = run.sandbox->kill().has_value();
    std::fprintf(stderr, "fork bomb of 256: %.2f ms\n", milliseconds_since(begin));
    return killed && run.is_silent();
  }));
}

TEST_P(EngineControl, EndsEverythingInsideWhenTheAgentEnds) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    SandboxPlan plan = shell_plan("setsid sleep 600 & (sleep 600 &) ; printf up; exit 5");
    Running run(plan);
    if (!run.sandbox) return false;
    pollfd fd{run.sandbox->status_fd(), POLLIN, 0};
    ::poll(&fd, 1, 10'000);
    const auto status = run.sandbox->poll_status();
    return run.is_silent() && status && status->kind == EventKind::exited && status->agent.code == 5;
  }));
}

TEST_P(EngineControl, FreezesAndThawsEverything) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    SandboxPlan plan = shell_plan("");
    plan.command = {"python3", "-c", "import os\nos.fork()\nos.write(1,b'up')\nwhile True: os.write(1,b'.')"};
    Running run(plan);
    if (!run.sandbox || !run.sandbox->freeze()) return false;
    // Whatever is in the pipe was written before; then nothing comes.
    (void)set_nonblocking(run.output.get());
    char buffer[65536];
    while (::read(run.output.get(), buffer, sizeof(buffer)) > 0) {
    }
    pollfd fd{run.output.get(), POLLIN, 0};
    if (::poll(&fd, 1, 50) != 0) return false;
    if (!run.sandbox->thaw()) return false;
    return ::poll(&fd, 1, 10'000) == 1;
  }));
}

// As an ordinary user no cgroup freezes: init is told to stop and to continue everything, and may come late to it.
TEST(EngineControlBySignal, TakesNoStopThatInitIsStillToEndForAFreeze) {
  EXPECT_TRUE(as_user(testing::kOrdinaryUser, [] {
    Running run(sleepers(3));
    if (!run.sandbox || !run.sandbox->freeze()) return false;
    const std::string children = *read_file(fmt::format("/proc/{0}/task/{0}/children", ::getpid()), 100);
    const pid_t init = std::atoi(children.c_str());
    if (::kill(init, SIGSTOP) != 0 || !run.sandbox->thaw()) return false;
    const bool early = run.sandbox->freeze().has_value();
    if (::kill(init, SIGCONT) != 0) return false;
    return !early && run.sandbox->freeze() && run.sandbox->thaw();
  }));
}

TEST_P(EngineControl, KillsAFrozenSandbox) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    Running run(sleepers(5));
    return run.sandbox && run.sandbox->freeze() && run.sandbox->kill() && run.is_silent();
  }));
}

TEST_P(EngineControl, SignalsTheAgentsGroupAndReportsItsStops) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    // No shell: one that is stopped inside vfork(2) reports nothing before its child goes on.
    SandboxPlan plan = shell_plan("");
    plan.command = {"python3", "-c", "import os,signal\nos.write(1,b'up')\nwhile True: signal.pause()"};
    Running run(plan);
    if (!run.sandbox) return false;
    const auto next = [&] {
      pollfd fd{run.sandbox->status_fd(), POLLIN, 0};
      ::poll(&fd, 1, 10'000);
      return run.sandbox->poll_status();
    };
    if (!run.sandbox->signal_agent(SIGSTOP)) return false;
    if (const auto status = next(); !status || status->kind != EventKind::stopped || status->agent.code != SIGSTOP)
      return false;
    if (!run.sandbox->signal_agent(SIGCONT)) return false;
    if (const auto status = next(); !status || status->kind != EventKind::continued) return false;
    if (!run.sandbox->signal_agent(SIGTERM)) return false;
    const auto status = next();
    return status && status->kind == EventKind::exited && status->agent.signalled && status->agent.code == SIGTERM;
  }));
}

TEST_P(EngineControl, DiesWithItsSupervisor) {
  auto pipe = make_pipe();
  const pid_t supervisor = ::fork();
  if (supervisor == 0) {
    const bool held = !as_user(GetParam(), [&] {
      Running run(sleepers(10));
      if (!run.sandbox) return true;
      (void)!::write(pipe->write.get(), "up", 2);
      while (true) {
        char byte;
        if (::read(run.output.get(), &byte, 1) >= 0) ::raise(SIGKILL);
      }
    });
    ::_exit(held ? 0 : 1);
  }
  // The grandchild is the supervisor; find it through its parent, and see its sandbox's end by a pipe that init holds.
  char up[2];
  ASSERT_EQ(::read(pipe->read.get(), up, 2), 2);
  const std::string children = *read_file(fmt::format("/proc/{0}/task/{0}/children", supervisor), 100);
  const pid_t real = std::atoi(children.c_str());
  const std::string inits = *read_file(fmt::format("/proc/{0}/task/{0}/children", real), 100);
  const pid_t init = std::atoi(inits.c_str());
  ASSERT_GT(init, 0);
  const Fd watch(static_cast<int>(::syscall(SYS_pidfd_open, init, 0)));
  const auto begin = Clock::now();
  ASSERT_EQ(::kill(real, SIGKILL), 0);
  pollfd fd{watch.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&fd, 1, 5000), 1);
  EXPECT_LT(milliseconds_since(begin), 1000);
  std::fprintf(stderr, "supervisor killed: %.2f ms\n", milliseconds_since(begin));
  ::waitpid(supervisor, nullptr, 0);
  (void)remove_leftover_cgroups(fmt::format("test-control-{}-1", real));
}

TEST_P(EngineControl, ReportsTheDeathOfInit) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    Running run(sleepers(3));
    if (!run.sandbox) return false;
    const std::string inits = *read_file(fmt::format("/proc/{0}/task/{0}/children", ::getpid()), 100);
    ::kill(std::atoi(inits.c_str()), SIGKILL);
    pollfd fd{run.sandbox->status_fd(), POLLIN, 0};
    ::poll(&fd, 1, 10'000);
    const auto status = run.sandbox->poll_status();
    return status && status->kind == EventKind::init_died && run.is_silent();
  }));
}

TEST_P(EngineControl, EndsWhatExceedsItsMemory) {
  SandboxPlan plan = shell_plan("");
  plan.limits.memory = Limit{64U << 20, GetParam() == 0 ? probe_limit_support().memory.strength : Strength::polled, ""};
  plan.command = {
      "python3", "-c",
      "import time\nb=bytearray(256<<20)\nfor i in range(0,len(b),4096): b[i]=1\nprint('held')\ntime.sleep(600)"};
  EXPECT_TRUE(as_user(GetParam(), [&] {
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    auto sandbox = NativeSandbox::launch(
        plan, {.run_id = fmt::format("test-memory-{}", ::getpid()), .stdio = {null.get(), null.get(), null.get()}});
    if (!sandbox || !sandbox->release()) return false;
    const auto begin = Clock::now();
    while (milliseconds_since(begin) < 20'000) {
      if (sandbox->exceeded_limit() == "memory" || sandbox->kernel_limit_event() == "memory")
        return sandbox->kill().has_value();
      pollfd fd{sandbox->status_fd(), POLLIN, 0};
      ::poll(&fd, 1, 5);
    }
    return false;
  }));
}

TEST_P(EngineControl, KeepsAPolledCpuLimit) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    SandboxPlan plan = shell_plan("");
    plan.limits.cpus = Limit{250, Strength::polled, "supervisor"};
    plan.command = {"python3", "-c",
                    "import os,time\nos.write(1,b'up')\nend=time.monotonic()+1.5\nwhile time.monotonic()<end: "
                    "pass\nos.write(1,b'%f'%time.process_time())"};
    Running run(plan);
    if (!run.sandbox) return false;
    while (true) {
      if (run.sandbox->exceeded_limit()) return false;
      pollfd fd{run.sandbox->status_fd(), POLLIN, 0};
      ::poll(&fd, 1, 2);
      const auto status = run.sandbox->poll_status();
      if (status && status->kind == EventKind::exited) break;
      if (status) return false;  // our own stops are nothing that the agent did
    }
    char text[32] = {};
    (void)!::read(run.output.get(), text, sizeof(text) - 1);
    const double used = std::atof(text);
    std::fprintf(stderr, "a quarter of a CPU for 1.5 s: %.3f s\n", used);
    return used > 0.15 && used < 0.6;
  }));
}

TEST_P(EngineControl, CleansUpAfterALaunchThatFails) {
  SandboxPlan plan = shell_plan("true");
  plan.workdir = "/no/such/place";
  EXPECT_TRUE(as_user(GetParam(), [&] {
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    auto sandbox = NativeSandbox::launch(
        plan, {.run_id = fmt::format("test-failed-{}", ::getpid()), .stdio = {null.get(), null.get(), null.get()}});
    if (sandbox) return false;
    std::fprintf(stderr, "%s\n", sandbox.error().render().c_str());
    return sandbox.error().render().find("enter /no/such/place inside: no such file") != std::string::npos;
  }));
}

}  // namespace
}  // namespace stockade::sandbox
