#include "egress/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

namespace stockade::egress {

namespace {

void wipe_environment() {
  for (char** entry = environ; entry && *entry; ++entry) ::explicit_bzero(*entry, ::strlen(*entry));
  if (environ) environ[0] = nullptr;
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  // The terminal's signals are for the agent; a worker ends when its supervisor does.
  for (const int number : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE, SIGUSR1, SIGUSR2})
    ::signal(number, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

Result<void> silence_stdio() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return fail_errno("open /dev/null");
  for (int fd = 0; fd < 3; ++fd)
    if (::dup2(null, fd) < 0) return fail_errno("silence a worker");
  if (null > 2) ::close(null);
  return {};
}

}  // namespace

Result<void> become_worker(std::initializer_list<int> keep) {
  close_all_except(keep);
  reset_signals();
  wipe_environment();
  return silence_stdio();
}

size_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0) ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur == RLIM_INFINITY ? size_t{1} << 20 : static_cast<size_t>(limit.rlim_cur);
}

Result<void> confine_egress_worker(WorkerKind) {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return fail_errno("make a worker unreadable");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return fail_errno("give up new privileges");
  return {};
}

}  // namespace stockade::egress
