#include "terminal/relay.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <csignal>
#include <vector>

#include "base/confine.h"
#include "base/message_socket.h"
#include "base/pid.h"
#include "base/printable.h"
#include "filters/relay.h"
#include "terminal/escape_filter.h"
#include "terminal/person_terminal.h"
#include "terminal/relay_signals.h"

namespace stockade::terminal {
namespace {

constexpr size_t kReadSize = 32 * 1024;
constexpr size_t kInputLimit = 64 * 1024;
constexpr size_t kOutputLimit = 128 * 1024;  // above it the pty is not read: the agent waits, as for a slow terminal
constexpr size_t kDrainLimit = 4 * 1024 * 1024;
constexpr size_t kNoticeCount = 200;
constexpr int kBackgroundTickMs = 200;  // nothing announces that a running job was brought to the foreground
constexpr int kNoSlaveTickMs = 100;     // nobody has the pty open: poll would report the hang-up for ever
constexpr int kDrainWaitMs = 20;
constexpr uint64_t kDataLimit = 64ull << 20;
constexpr uint64_t kFileLimit = 64;
constexpr int kFlushWaitMs = 2000;  // without progress; the line may be stopped

class Relay {
 public:
  Relay(PersonTerminal& terminal, RelaySignals& signals, const RelayOptions& options)
      : terminal_(terminal), signals_(signals), options_(options) {}

  Result<RelayResult> run();

 private:
  enum class Phase { waiting, running, freezing };

  Result<void> send(const ToSupervisor& message) { return send_message(options_.supervisor, encode(message)); }
  void on_messages();
  void on_message(const ToRelay& message, Message& raw);
  void on_signal(int number);
  void on_keys();
  void on_agent_output();
  bool read_agent();
  void write_output();
  void write_input();
  void finish(RelayEnd end, int code = 0);

  void update_keyboard();
  bool reads_keys() const;
  bool agent_is_raw() const;
  int poll_timeout() const;

  void request_stop(int number);
  void suspend();
  void resume();
  void drain_agent();
  void flush_output();
  void show_notices();

  PersonTerminal& terminal_;
  RelaySignals& signals_;
  const RelayOptions& options_;
  EscapeFilter filter_;
  Fd master_;
  Phase phase_ = Phase::waiting;
  std::string input_;
  std::string output_;
  std::vector<std::string> notices_;
  size_t notices_lost_ = 0;
  std::string read_buffer_ = std::string(kReadSize, '\0');
  int stop_signal_ = SIGTSTP;
  bool stop_wanted_ = false;  // asked for before there was anything to freeze
  bool can_stop_ = true;
  bool restore_wanted_ = false;  // the agent's modes are to be set again once we are in the foreground
  bool no_slave_ = false;
  bool lines_ready_ = false;
  std::optional<RelayResult> result_;
};

Result<RelayResult> Relay::run() {
  Hello hello;
  hello.size = terminal_.size();
  hello.theirs = terminal_.theirs();
  hello.ours = terminal_.ours();
  hello.inside = hello.theirs;
  // The person's terminal echoes lines itself.
  if (options_.keyboard == Keyboard::lines) hello.inside.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  if (auto sent = send(hello); !sent) finish(RelayEnd::lost);
  while (!result_) {
    update_keyboard();
    const bool reads_agent = master_ && !no_slave_ && output_.size() < kOutputLimit;
    const bool writes = !output_.empty() && phase_ != Phase::freezing;
    const short agent_events = static_cast<short>((reads_agent ? POLLIN : 0) | (input_.empty() ? 0 : POLLOUT));
    pollfd polled[] = {{options_.supervisor, POLLIN, 0},
                       {signals_.fd(), POLLIN, 0},
                       {reads_keys() ? terminal_.input() : -1, POLLIN, 0},
                       {writes ? terminal_.output() : -1, POLLOUT, 0},
                       {agent_events && !no_slave_ ? master_.get() : -1, agent_events, 0}};
    if (::poll(polled, std::size(polled), poll_timeout()) < 0 && errno != EINTR)
      return fail_errno("wait for the terminal");
    no_slave_ = false;
    if (polled[1].revents)
      while (const auto number = signals_.next()) on_signal(*number);
    if (polled[0].revents) on_messages();
    if (result_) break;
    if (polled[2].revents) on_keys();
    if (polled[4].revents & (POLLIN | POLLHUP | POLLERR)) on_agent_output();
    if (!input_.empty()) write_input();
    if (!output_.empty() && phase_ != Phase::freezing) write_output();
  }
  if (result_->end != RelayEnd::signal) {
    drain_agent();
    filter_.finish(output_);
  }
  output_ += filter_.modes().reset_sequence();
  flush_output();
  terminal_.leave_raw();
  show_notices();
  return *result_;
}

void Relay::finish(RelayEnd end, int code) {
  if (!result_) result_ = RelayResult{end, code};
}

// --- the supervisor --------------------------------------------------------------------------------------------------

void Relay::on_messages() {
  Message raw;
  while (!result_) {
    pollfd readable{options_.supervisor, POLLIN, 0};
    if (::poll(&readable, 1, 0) <= 0) return;
    const auto state = receive_message(options_.supervisor, raw);
    if (state && *state == ReceiveState::would_block) return;
    if (!state || *state == ReceiveState::closed) return finish(RelayEnd::lost);
    const auto message = parse_to_relay(raw.bytes);
    if (!message) return finish(RelayEnd::lost);
    on_message(*message, raw);
  }
}

void Relay::on_message(const ToRelay& message, Message& raw) {
  if (const auto* ended = std::get_if<Ended>(&message)) return finish(RelayEnd::ended, ended->code);
  if (const auto* notice = std::get_if<Notice>(&message)) {
    if (notices_.size() < kNoticeCount)
      notices_.push_back(notice->text);
    else
      ++notices_lost_;
  } else if (std::holds_alternative<Master>(message)) {
    if (master_ || raw.fds.size() != 1 || !set_nonblocking(raw.fds[0].get())) return finish(RelayEnd::lost);
    master_ = std::move(raw.fds[0]);
    terminal_.size().apply(master_.get());
    phase_ = Phase::running;
    update_keyboard();  // now: the agent may have ended by the next message, and its output still comes raw
    if (stop_wanted_) request_stop(SIGTSTP);
  } else if (std::holds_alternative<Frozen>(message) && phase_ != Phase::waiting) {
    suspend();
  }
}

// --- signals and job control -----------------------------------------------------------------------------------------

void Relay::on_signal(int number) {
  switch (number) {
    case SIGWINCH:
      if (master_) terminal_.size().apply(master_.get());
      return;
    case SIGCONT:  // somebody else stopped us: whatever the terminal is now, begin anew
      if (phase_ == Phase::running) resume();
      return;
    case SIGTSTP:
      return request_stop(number);
    case SIGHUP:
      return finish(RelayEnd::signal, number);
    default:
      break;
  }
  if (phase_ == Phase::waiting) return finish(RelayEnd::signal, number);
  // From the keyboard of a terminal that is not raw: for the foreground job inside. From kill(1): for the agent.
  if (!terminal_.is_raw() && number != SIGTERM && ::ioctl(master_.get(), TIOCSIG, number) == 0) return;
  if (!send(SignalAgent{number})) finish(RelayEnd::lost);
}

void Relay::request_stop(int number) {
  stop_wanted_ = phase_ == Phase::waiting;
  if (phase_ != Phase::running || !can_stop_) return;
  stop_signal_ = number;
  phase_ = Phase::freezing;
  if (!send(Freeze())) finish(RelayEnd::lost);
}

void Relay::suspend() {
  drain_agent();
  output_ += filter_.modes().reset_sequence();
  flush_output();
  terminal_.leave_raw();
  show_notices();
  can_stop_ = signals_.stop_job(stop_signal_);
  stop_signal_ = SIGTSTP;
  resume();
}

void Relay::resume() {
  phase_ = Phase::running;
  restore_wanted_ = true;
  if (terminal_.is_raw() && !terminal_.enter_raw()) terminal_.leave_raw();
  update_keyboard();
  terminal_.size().apply(master_.get());
  if (!send(Thaw())) finish(RelayEnd::lost);
}

// --- bytes -----------------------------------------------------------------------------------------------------------

bool Relay::agent_is_raw() const {
  termios inside;
  return master_ && ::tcgetattr(master_.get(), &inside) == 0 && (inside.c_lflag & ICANON) == 0;
}

// Raw mode where it is ours to set; and an agent that wants the keys of a terminal that is in somebody else's hands
// stops, as it would have done without us.
void Relay::update_keyboard() {
  if (!master_ || result_) return;
  const bool wants_keys = options_.keyboard == Keyboard::raw || agent_is_raw();
  const bool foreground = terminal_.in_foreground();
  if (wants_keys && foreground) {
    if (!terminal_.is_raw()) terminal_.enter_raw();
  } else if (!wants_keys) {
    terminal_.leave_raw();
  } else if (phase_ == Phase::running && agent_is_raw()) {
    request_stop(SIGTTOU);
  }
  if (restore_wanted_ && foreground) {
    output_ += filter_.modes().restore_sequence();
    restore_wanted_ = false;
  }
  lines_ready_ = foreground && options_.keyboard == Keyboard::lines && !terminal_.is_raw() && terminal_.is_canonical();
}

bool Relay::reads_keys() const { return (terminal_.is_raw() || lines_ready_) && input_.size() < kInputLimit; }

int Relay::poll_timeout() const {
  if (!master_) return -1;
  if (no_slave_) return kNoSlaveTickMs;
  return terminal_.is_raw() || (lines_ready_ && !restore_wanted_) ? -1 : kBackgroundTickMs;
}

void Relay::on_keys() {
  if (!terminal_.is_raw() && !terminal_.is_canonical()) return;  // a pager has just taken the keys
  switch (terminal_.read(input_, kReadSize)) {
    case TerminalIo::hang_up:
      return finish(RelayEnd::signal, SIGHUP);
    case TerminalIo::background:
      terminal_.leave_raw();  // forgets it, as the terminal is another's
      return request_stop(SIGTTIN);
    default:
      return;
  }
}

void Relay::write_input() {
  while (!input_.empty()) {
    const ssize_t count = ::write(master_.get(), input_.data(), input_.size());
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) return input_.clear();  // nobody has the pty open
    input_.erase(0, static_cast<size_t>(count));
  }
}

// False when there is nothing to read now.
bool Relay::read_agent() {
  const ssize_t count = ::read(master_.get(), read_buffer_.data(), read_buffer_.size());
  if (count > 0) {
    filter_.feed(std::string_view(read_buffer_).substr(0, static_cast<size_t>(count)), output_);
    return true;
  }
  no_slave_ = count == 0 || errno == EIO;
  return false;
}

void Relay::on_agent_output() { (void)read_agent(); }

void Relay::write_output() {
  switch (terminal_.write(output_)) {
    case TerminalIo::hang_up:
      return finish(RelayEnd::signal, SIGHUP);
    case TerminalIo::background:
      if (!can_stop_) output_.clear();  // without us the agent's write would have failed
      return request_stop(SIGTTOU);
    default:
      return;
  }
}

// Everything inside stands still or is gone: what the pty holds is finite, and arrives by a kernel worker.
void Relay::drain_agent() {
  if (!master_) return;
  for (size_t total = 0; total < kDrainLimit; total += kReadSize) {
    pollfd readable{master_.get(), POLLIN, 0};
    if (::poll(&readable, 1, kDrainWaitMs) <= 0 || !read_agent()) return;
    if (output_.size() > kOutputLimit) flush_output();
  }
}

void Relay::flush_output() {
  while (!output_.empty()) {
    const size_t before = output_.size();
    const TerminalIo state = terminal_.write(output_);
    if (state == TerminalIo::hang_up || state == TerminalIo::background) return;
    if (state == TerminalIo::done) return;
    pollfd writable{terminal_.output(), POLLOUT, 0};
    if (::poll(&writable, 1, kFlushWaitMs) == 0 && output_.size() == before) return;
  }
}

void Relay::show_notices() {
  std::string text;
  for (const std::string& notice : notices_) text += escape_for_terminal(notice) + "\n";
  if (notices_lost_) text += fmt::format("stockade: {} more messages; see 'stockade logs'\n", notices_lost_);
  notices_.clear();
  notices_lost_ = 0;
  if (!text.empty()) (void)write_all(options_.notices, text);
}

// --- the arrangement -------------------------------------------------------------------------------------------------

// The relay parses what the agent writes: nothing of ours is left in it, and it can gain nothing. It must outlive
// whoever started it, as any job does, so it does not die with its parent.
Result<void> confine_relay(const PersonTerminal& terminal, const RelaySignals& signals, int supervisor, int pidfd) {
  close_all_except({terminal.input(), terminal.output(), signals.fd(), supervisor, pidfd});
  Confinement confinement;
  confinement.name = "relay";
  confinement.filter = filters::kRelayFilter;
  confinement.die_with_parent = false;
  confinement.scope_signals =
      false;  // a stop is for the whole job, also a script around us; the filter allows no other
  confinement.data_limit = kDataLimit;
  confinement.open_files = kFileLimit;
  return confine_worker(confinement);
}

int say(int status, std::string_view text) {
  (void)write_all(2, fmt::format("stockade: {}\n", escape_for_terminal(text)));
  return status;
}

int supervise_in_own_session(const std::function<int(RelayLink)>& supervise, Fd socket, pid_t relay, Fd terminal) {
  (void)::setsid();
  const long pidfd = ::syscall(SYS_pidfd_open, relay, 0);
  auto link = RelayLink::create(std::move(socket), Fd(static_cast<int>(pidfd)), std::move(terminal));
  if (!link) return say(125, link.error().render());
  return supervise(std::move(*link));
}

}  // namespace

StdioPlan plan_stdio(const std::array<bool, 3>& is_terminal) {
  StdioPlan plan;
  plan.pty = is_terminal;
  plan.relay = is_terminal[0] || is_terminal[1] || is_terminal[2];
  if (is_terminal[0]) plan.keyboard = is_terminal[1] ? Keyboard::raw : Keyboard::lines;
  return plan;
}

StdioPlan plan_stdio() { return plan_stdio({::isatty(0) == 1, ::isatty(1) == 1, ::isatty(2) == 1}); }

Result<RelayResult> run_relay(const RelayOptions& options) {
  STOCKADE_ASSIGN(RelaySignals signals, RelaySignals::take());
  STOCKADE_ASSIGN(PersonTerminal terminal, PersonTerminal::open(options.input, options.output));
  return Relay(terminal, signals, options).run();
}

int run_behind_relay(const StdioPlan& plan, const std::function<int(RelayLink)>& supervise) {
  RelayOptions options;
  options.keyboard = plan.keyboard;
  options.output = plan.pty[1] ? 1 : plan.pty[2] ? 2 : 0;
  options.input = plan.pty[0] ? 0 : options.output;
  (void)::signal(SIGCHLD, SIG_DFL);  // inherited as ignored, no child could be waited for
  auto pair = make_socket_pair(SOCK_SEQPACKET);
  if (!pair) return say(125, pair.error().render());
  auto supervisor = fork_child([&, relay = ::getpid()] {
    (*pair)[0].reset();
    return supervise_in_own_session(supervise, std::move((*pair)[1]), relay,
                                    Fd(::fcntl(options.input, F_DUPFD_CLOEXEC, 3)));
  });
  if (!supervisor) return say(125, supervisor.error().render());
  (*pair)[1].reset();
  options.supervisor = (*pair)[0].get();
  const auto result = [&]() -> Result<RelayResult> {
    STOCKADE_ASSIGN(RelaySignals signals, RelaySignals::take());
    STOCKADE_ASSIGN(PersonTerminal terminal, PersonTerminal::open(options.input, options.output));
    STOCKADE_TRY(confine_relay(terminal, signals, options.supervisor, supervisor->pidfd()));
    return Relay(terminal, signals, options).run();
  }();
  (*pair)[0].reset();  // the supervisor ends the sandbox, if it still runs, and then itself
  const auto status = supervisor->wait();
  if (!result) return say(125, result.error().render());
  if (result->end == RelayEnd::signal) return 128 + result->code;
  if (result->end == RelayEnd::ended) return result->code;
  if (status && !status->signalled) return status->code;
  return say(125, "the supervisor ended unexpectedly; the sandbox was killed with it");
}

}  // namespace stockade::terminal
