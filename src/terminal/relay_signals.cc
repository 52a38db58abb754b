#include "terminal/relay_signals.h"

#include <sys/signalfd.h>

namespace stockade::terminal {
namespace {

void on_background_access(int) {}

struct sigaction handled_by(void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;  // without SA_RESTART: the interrupted call has to return
  sigemptyset(&action.sa_mask);
  return action;
}

bool is_ignored(int number) {
  struct sigaction action{};
  return ::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

Result<RelaySignals> RelaySignals::take() {
  RelaySignals signals;
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP})
    if (!is_ignored(number)) sigaddset(&wanted, number);
  sigaddset(&wanted, SIGWINCH);
  sigaddset(&wanted, SIGCONT);
  const int fd = ::signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0) return fail_errno("watch signals");
  signals.fd_.reset(fd);
  if (::sigprocmask(SIG_BLOCK, &wanted, &signals.old_mask_) < 0) return fail_errno("block signals");
  const struct sigaction caught = handled_by(on_background_access);
  (void)::sigaction(SIGTTIN, &caught, &signals.old_input_);
  (void)::sigaction(SIGTTOU, &caught, &signals.old_output_);
  sigset_t job;
  sigemptyset(&job);
  sigaddset(&job, SIGTTIN);
  sigaddset(&job, SIGTTOU);
  (void)::sigprocmask(SIG_UNBLOCK, &job, nullptr);
  signals.active_ = true;
  return signals;
}

RelaySignals::RelaySignals(RelaySignals&& other) noexcept
    : fd_(std::move(other.fd_)),
      old_mask_(other.old_mask_),
      old_input_(other.old_input_),
      old_output_(other.old_output_),
      active_(std::exchange(other.active_, false)) {}

RelaySignals::~RelaySignals() {
  if (!active_) return;
  (void)::sigaction(SIGTTIN, &old_input_, nullptr);
  (void)::sigaction(SIGTTOU, &old_output_, nullptr);
  (void)::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
}

std::optional<int> RelaySignals::next() {
  signalfd_siginfo info;
  if (::read(fd_.get(), &info, sizeof(info)) != sizeof(info)) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

bool RelaySignals::stop_job(int number) {
  struct sigaction before{};
  const struct sigaction standard = handled_by(SIG_DFL);
  (void)::sigaction(number, &standard, &before);
  sigset_t one, mask;
  sigemptyset(&one);
  sigaddset(&one, number);
  (void)::sigprocmask(SIG_UNBLOCK, &one, &mask);
  (void)::kill(0, number);  // delivered before this returns: we stop here
  (void)::sigprocmask(SIG_SETMASK, &mask, nullptr);
  (void)::sigaction(number, &before, nullptr);
  // Being continued leaves a CONT pending; other signals stay where the loop reads them.
  sigset_t cont;
  sigemptyset(&cont);
  sigaddset(&cont, SIGCONT);
  const timespec none{};
  return ::sigtimedwait(&cont, nullptr, &none) == SIGCONT;
}

}  // namespace stockade::terminal
