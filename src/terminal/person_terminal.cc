#include "terminal/person_terminal.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace stockade::terminal {
namespace {

constexpr size_t kBlockingPiece = 256;

// A new open file description of the same terminal; a duplicate where /proc or the permissions forbid it (after su).
Result<Fd> open_anew(int terminal, int flags, bool& shared) {
  auto opened = open_at(AT_FDCWD, fmt::format("/proc/self/fd/{}", terminal), flags | O_NONBLOCK | O_NOCTTY);
  shared = !opened;
  if (opened) return opened;
  const int copy = ::fcntl(terminal, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return fail_errno("duplicate the terminal");
  return Fd(copy);
}

bool is_ready(int fd, short events) {
  pollfd entry{fd, events, 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & events) != 0;
}

bool is_hung_up(int fd) {
  pollfd entry{fd, 0, 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

// What a failed call on the terminal means; EINTR can only be SIGTTIN or SIGTTOU, all else is blocked.
TerminalIo failure(int fd, int error_number) {
  if (error_number == EAGAIN) return TerminalIo::would_block;
  if (error_number == EINTR) return TerminalIo::background;
  if (error_number == EIO && !is_hung_up(fd)) return TerminalIo::background;  // an orphaned process group
  return TerminalIo::hang_up;
}

}  // namespace

Result<PersonTerminal> PersonTerminal::open(int input, int output) {
  bool shared_input = false, shared_output = false;
  STOCKADE_ASSIGN(Fd in, open_anew(input, O_RDONLY, shared_input));
  STOCKADE_ASSIGN(Fd out, open_anew(output, O_WRONLY, shared_output));
  PersonTerminal terminal(std::move(in), std::move(out));
  terminal.blocking_output_ = shared_output;
  if (::tcgetattr(terminal.input_.get(), &terminal.theirs_) < 0) return fail_errno("read the terminal's settings");
  terminal.derive_raw();
  return terminal;
}

void PersonTerminal::derive_raw() {
  ours_ = theirs_;
  ours_.c_iflag &= ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON | IXOFF);
  ours_.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  ours_.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
  ours_.c_cc[VMIN] = 1;
  ours_.c_cc[VTIME] = 0;
}

bool PersonTerminal::in_foreground() const {
  const pid_t group = ::tcgetpgrp(input_.get());
  return group < 0 ? errno == ENOTTY : group == ::getpgrp();  // ENOTTY: not our controlling terminal, no job control
}

bool PersonTerminal::is_canonical() const {
  termios now;
  return ::tcgetattr(input_.get(), &now) == 0 && (now.c_lflag & ICANON) != 0;
}

bool PersonTerminal::enter_raw() {
  termios now;
  if (!in_foreground() || ::tcgetattr(input_.get(), &now) < 0) return false;
  // What the person set while we were stopped is theirs from now on; our own setting is not.
  if (!same_settings(now, ours_)) {
    theirs_ = now;
    derive_raw();
  }
  raw_ = ::tcsetattr(input_.get(), TCSADRAIN, &ours_) == 0;
  return raw_;
}

void PersonTerminal::leave_raw() {
  if (!raw_) return;
  raw_ = false;
  termios now;
  // TCSADRAIN could wait for ever behind a stopped line.
  if (in_foreground() && ::tcgetattr(input_.get(), &now) == 0 && same_settings(now, ours_))
    (void)::tcsetattr(input_.get(), TCSANOW, &theirs_);
}

TerminalIo PersonTerminal::read(std::string& buffer, size_t limit) {
  if (!is_ready(input_.get(), POLLIN)) return is_hung_up(input_.get()) ? TerminalIo::hang_up : TerminalIo::would_block;
  const size_t before = buffer.size();
  buffer.resize(before + limit);
  const ssize_t count = ::read(input_.get(), buffer.data() + before, limit);
  const int error_number = errno;
  buffer.resize(before + static_cast<size_t>(std::max<ssize_t>(count, 0)));
  if (count > 0) return TerminalIo::done;
  if (count < 0) return failure(input_.get(), error_number);
  if (is_hung_up(input_.get())) return TerminalIo::hang_up;
  if (!raw_) buffer += static_cast<char>(theirs_.c_cc[VEOF]);  // ^D on an empty line
  return TerminalIo::done;
}

TerminalIo PersonTerminal::write(std::string& buffer) {
  while (!buffer.empty()) {
    if (blocking_output_ && !is_ready(output_.get(), POLLOUT)) return TerminalIo::would_block;
    const size_t size = blocking_output_ ? std::min(buffer.size(), kBlockingPiece) : buffer.size();
    const ssize_t count = ::write(output_.get(), buffer.data(), size);
    if (count < 0) return failure(output_.get(), errno);
    buffer.erase(0, static_cast<size_t>(count));
  }
  return TerminalIo::done;
}

}  // namespace stockade::terminal
