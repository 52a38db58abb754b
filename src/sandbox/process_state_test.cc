#include "sandbox/process_state.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/pid.h"

namespace stockade::sandbox {
namespace {

constexpr uid_t kOrdinaryUser = 12345;

int in_child(const std::function<int()>& body) {
  auto child = fork_child(body);
  if (!child) return -1;
  const auto status = child->wait();
  return !status ? -1 : status->signalled ? 1000 + status->code : status->code;
}

TEST(ProcessState, ForgetsSignalsMasksAndTimers) {
  EXPECT_EQ(in_child([] {
              ::signal(SIGPIPE, SIG_IGN);
              ::signal(SIGCHLD, SIG_IGN);
              ::signal(SIGRTMIN + 1, [](int) {});
              sigset_t all;
              ::sigfillset(&all);
              ::sigprocmask(SIG_SETMASK, &all, nullptr);
              const itimerval soon{{}, {1000, 0}};
              ::setitimer(ITIMER_REAL, &soon, nullptr);
              ::umask(0);
              if (!reset_process_state({.umask = 027})) return 1;
              for (const int number : {SIGPIPE, SIGCHLD, SIGRTMIN + 1}) {
                struct sigaction action{};
                ::sigaction(number, nullptr, &action);
                if (action.sa_handler != SIG_DFL) return 2;
              }
              ::sigprocmask(SIG_SETMASK, nullptr, &all);
              for (int number = 1; number < 32; ++number)
                if (::sigismember(&all, number) == 1) return 3;
              itimerval left{};
              ::getitimer(ITIMER_REAL, &left);
              if (left.it_value.tv_sec != 0) return 4;
              return ::umask(0) == 027 ? 0 : 5;
            }),
            0);
}

TEST(ProcessState, ForgetsSchedulingAndPersonality) {
  EXPECT_EQ(in_child([] {
              sched_param none{};
              ::sched_setscheduler(0, SCHED_BATCH, &none);
              ::personality(ADDR_NO_RANDOMIZE);
              ::syscall(SYS_ioprio_set, 1, 0, 3 << 13);
              ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
              if (!reset_process_state({})) return 1;
              if (::sched_getscheduler(0) != SCHED_OTHER) return 2;
              if (::personality(0xffffffff) != PER_LINUX) return 3;
              if (::syscall(SYS_ioprio_get, 1, 0) >> 13 == 3) return 4;
              return ::prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 0 ? 0 : 5;
            }),
            0);
}

TEST(ProcessState, SetsLimitsAndNeverRaisesAHardOne) {
  EXPECT_EQ(in_child([] {
              const rlimit low{100, 200};
              ::setrlimit(RLIMIT_NOFILE, &low);
              const auto report = reset_process_state({.open_files = 1000, .file_size = 4096, .processes = 77});
              if (!report) return 1;
              auto is = [](__rlimit_resource resource, rlim_t soft, rlim_t hard) {
                rlimit limit{};
                ::getrlimit(resource, &limit);
                return limit.rlim_cur == soft && limit.rlim_max == hard;
              };
              if (!is(RLIMIT_NOFILE, 200, 200)) return 2;
              if (!is(RLIMIT_FSIZE, 4096, 4096) || !is(RLIMIT_NPROC, 77, 77)) return 3;
              if (!is(RLIMIT_CORE, 0, 0) || !is(RLIMIT_RTPRIO, 0, 0)) return 4;
              if (report->clamp_count != 1 || report->clamps[0].resource != RLIMIT_NOFILE) return 5;
              return report->clamps[0].wanted == 1000 && report->clamps[0].got == 200 ? 0 : 6;
            }),
            0);
}

int volunteers_and_joins() {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const long before = ::syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3 /* session */, 1);
  const auto report = reset_process_state({});
  if (!report) return 1;
  if (::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 2;
  const auto score = read_file("/proc/self/oom_score_adj", 64);
  if (!score || *score != "1000\n") return 3;
  if (report->keyring_is_fresh && ::syscall(SYS_keyctl, 0, -3, 0) == before) return 4;
  return 0;
}

TEST(ProcessState, GoesFirstWhenMemoryEndsAndLeavesTheKeyring) { EXPECT_EQ(in_child(volunteers_and_joins), 0); }

TEST(ProcessState, DoesTheSameAsAnOrdinaryUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  EXPECT_EQ(in_child([] {
              if (::setresgid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser) != 0 ||
                  ::setresuid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser) != 0)
                return 90;
              return volunteers_and_joins();
            }),
            0);
}

TEST(ProcessState, ReportsANicenessThatCanNotBeLowered) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  EXPECT_EQ(in_child([] {
              const rlimit none{0, 0};
              ::setrlimit(RLIMIT_NICE, &none);
              if (::setpriority(PRIO_PROCESS, 0, 7) != 0) return 1;
              if (::setresuid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser) != 0) return 2;
              const auto report = reset_process_state({});
              return report && report->niceness == 7 ? 0 : 3;
            }),
            0);
}

}  // namespace
}  // namespace stockade::sandbox
