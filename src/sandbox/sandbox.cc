#include "sandbox/sandbox.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/wire.h"
#include "sandbox/cpu_throttle.h"
#include "sandbox/disk_meter.h"
#include "sandbox/init.h"
#include "sandbox/kill.h"
#include "sandbox/launch.h"
#include "sandbox/launch_channel.h"
#include "sandbox/memory_meter.h"
#include "sandbox/scratch.h"
#include "sandbox/standard_stream.h"
#include "sandbox/usage.h"

namespace stockade::sandbox {

namespace {

// A source on a dead network filesystem must not hold the start forever.
constexpr int kLaunchPatience = 30'000;  // milliseconds
constexpr double kCpuInterval = 0.005;   // seconds between two measurements of a polled CPU limit

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
constexpr unsigned kSignalProcessGroup = 1U << 2;  // PIDFD_SIGNAL_PROCESS_GROUP, 6.9
#else
constexpr unsigned kSignalProcessGroup = PIDFD_SIGNAL_PROCESS_GROUP;
#endif

Report tag_of(const LaunchMessage& message) {
  return message.bytes.empty() ? Report::failed : static_cast<Report>(message.bytes[0]);
}

std::string_view body_of(const LaunchMessage& message) {
  return std::string_view(message.bytes).substr(std::min<size_t>(1, message.bytes.size()));
}

std::optional<uint64_t> cgroup_limit(const std::optional<Limit>& limit) {
  return limit && limit->strength == Strength::hard ? std::optional(limit->value) : std::nullopt;
}

double seconds_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

}  // namespace

class NativeSandbox::Impl {
 public:
  Impl(const SandboxPlan& plan, const Options& options) : plan_(plan), options_(options) {}
  ~Impl() {
    (void)kill();
    for (const std::string& directory : scratch_)
      (void)(options_.keep_scratch ? clear_scratch(directory) : remove_tree(directory));
  }

  Result<void> begin(std::optional<NamespaceMaker> maker);
  Result<void> await_root();
  Result<void> await_agent();
  Result<void> start_exec() { return tell_agent(Order::release); }
  Result<void> await_exec();
  std::optional<Status> poll_status();
  Result<void> signal_agent(int number);
  Result<void> freeze();
  Result<void> thaw();
  Result<void> kill();
  Result<uint32_t> process_count() const { return init_ ? count_processes(proc_.get()) : Result<uint32_t>(0); }
  std::optional<std::string> exceeded_limit();
  std::optional<std::string> kernel_limit_event();

  Handles handles_;
  std::string authority_;
  Fd control_;

 private:
  bool is_on_pty(int stream) const { return plan_.terminal && options_.pty[stream]; }
  Result<void> check_stdio() const;
  Result<void> make_cgroup();
  Result<void> start_maker(std::optional<NamespaceMaker> given);
  Result<void> hand_over_namespaces();
  Result<void> clone();
  Result<void> hear_from(std::initializer_list<int> sockets);
  Result<void> hear(int socket);
  Result<void> take_root(LaunchMessage& message);
  Result<void> take_ready(LaunchMessage& message);
  Result<void> tell_agent(Order order);
  Error launch_died();
  Result<void> stand_still(bool still);
  bool is_our_own_stop(Report report);
  void signal_foreground_job(int number);
  void throttle();
  std::optional<std::string> over_memory();
  std::optional<std::string> over_disk();

  const SandboxPlan plan_;
  const Options options_;
  // Until init and the agent's process have done what it says.
  std::optional<Launch> launch_;
  std::optional<NamespaceMaker> maker_;
  RunCgroup cgroup_;
  Pid init_;
  Fd agent_;  // the agent's process until its exec
  Fd agent_pidfd_;
  Fd terminal_;  // the master
  Fd proc_;
  Fd usage_;
  std::vector<std::string> scratch_;
  bool has_root_ = false, is_ready_ = false;
  bool reported_end_ = false;
  uint64_t reported_kills_ = 0;
  std::unique_ptr<DiskMeter> disk_;
  std::unique_ptr<MemoryMeter> memory_;
  std::optional<CpuThrottle> throttle_;
  double cpu_measured_ = 0;
  bool paused_ = false;                                 // by freeze()
  bool throttled_ = false;                              // by the CPU limit
  bool still_ = false;                                  // what was done about the two
  bool awaits_stop_ = false, awaits_continue_ = false;  // init's report of it
};

Result<void> NativeSandbox::Impl::stand_still(bool still) {
  if (still == still_) return {};
  STOCKADE_TRY(still ? freeze_everything(cgroup_, control_.get(), proc_.get())
                     : thaw_everything(cgroup_, control_.get()));
  still_ = still;
  (still ? awaits_stop_ : awaits_continue_) = true;
  return {};
}

Result<void> NativeSandbox::Impl::freeze() {
  paused_ = true;
  return stand_still(true);
}

Result<void> NativeSandbox::Impl::thaw() {
  paused_ = false;
  return stand_still(throttled_);
}

void NativeSandbox::Impl::throttle() {
  const auto& limit = plan_.limits.cpus;
  if (!limit || limit->strength != Strength::polled || !init_ || paused_) return;
  const double now = seconds_now();
  if (now - cpu_measured_ < kCpuInterval) return;
  cpu_measured_ = now;
  if (!throttle_) throttle_ = CpuThrottle(limit->value, ::sysconf(_SC_CLK_TCK));
  const auto ticks = cpu_ticks(proc_.get());
  if (!ticks) return;
  throttled_ = throttle_->must_stop(*ticks, now);
  (void)stand_still(throttled_);
}

// Where we stop everything by signal, init sees the agent stop and go on: nothing that the agent did. Its report may
// come when the next order is given already.
bool NativeSandbox::Impl::is_our_own_stop(Report report) {
  if (cgroup_.can_freeze()) return false;
  if (report == Report::stopped) return std::exchange(awaits_stop_, false);
  if (report == Report::continued) return std::exchange(awaits_continue_, false);
  return false;
}

Result<void> NativeSandbox::Impl::make_cgroup() {
  const Limits& limits = plan_.limits;
  const CgroupRequest request{options_.run_id, cgroup_limit(limits.memory), cgroup_limit(limits.cpus),
                              cgroup_limit(limits.pids)};
  STOCKADE_ASSIGN(cgroup_, RunCgroup::create(request, options_.cgroups ? *options_.cgroups : find_own_cgroups()));
  // A limit that the plan calls hard, and that no cgroup here holds, is not run.
  if (request.memory && !cgroup_.has_memory())
    return std::unexpected(
        Error(ErrorKind::unavailable, "no cgroup here can hold the memory limit").hint("run 'stockade doctor'"));
  if (request.cpus && !cgroup_.has_cpus())
    return std::unexpected(
        Error(ErrorKind::unavailable, "no cgroup here can hold the CPU limit").hint("run 'stockade doctor'"));
  return {};
}

Result<void> NativeSandbox::Impl::check_stdio() const {
  static constexpr const char* kNames[] = {"stdin", "stdout", "stderr"};
  if (plan_.terminal && !is_on_pty(0) && !is_on_pty(1) && !is_on_pty(2))
    return fail(ErrorKind::invalid_input, "the plan has a terminal, but no standard stream is on it");
  for (int i = 0; i < 3; ++i) {
    if (is_on_pty(i)) continue;
    if (const std::string_view why = why_not_a_standard_stream(options_.stdio[i]); !why.empty())
      return std::unexpected(Error(ErrorKind::denied, fmt::format("{} {}", kNames[i], why))
                                 .hint("redirect it from or to a file, a pipe or /dev/null"));
  }
  return {};
}

Result<void> NativeSandbox::Impl::begin(std::optional<NamespaceMaker> maker) {
  STOCKADE_TRY(check_stdio());
  STOCKADE_TRY(start_maker(std::move(maker)));
  STOCKADE_ASSIGN(launch_, prepare_launch(plan_, maker_->mode()));
  launch_->weakening = options_.weakening;
  for (int i = 0; launch_->identity.mode == Mode::root && i < 3; ++i) {
    if (!is_on_pty(i)) open_pipe_to_others(options_.stdio[i]);
  }
  if (launch_->scratch_on_disk) {
    for (size_t i = 0; i < plan_.mounts.size(); ++i) {
      if (plan_.mounts[i].kind == MountKind::scratch) scratch_.push_back(scratch_directory(plan_, i));
    }
  }
  STOCKADE_TRY(make_cgroup());
  if (launch_->identity.mode == Mode::user) {
    STOCKADE_ASSIGN(handles_.user_namespace, maker_->take_user_namespace());
  }
  return clone();
}

// One that was started before the plan was known may have made what this plan does not want.
Result<void> NativeSandbox::Impl::start_maker(std::optional<NamespaceMaker> given) {
  using Network = NamespaceMaker::Network;
  const Network network = options_.weakening.network ? Network::of_the_launcher
                          : plan_.network            ? Network::redirected
                                                     : Network::loopback_only;
  if (given && given->network() == network) {
    maker_ = std::move(given);
    return {};
  }
  STOCKADE_ASSIGN(maker_, NamespaceMaker::start(network));
  return {};
}

// To init, which builds the root meanwhile.
Result<void> NativeSandbox::Impl::hand_over_namespaces() {
  STOCKADE_ASSIGN(MadeNamespaces made, maker_->take(plan_.explicit_proxy));
  if (launch_->identity.mode == Mode::root) STOCKADE_TRY(map_ids_of(maker_->pid(), launch_->identity));
  maker_->let_go();
  LateNamespaces late{.network = std::move(made.network), .user = std::move(made.user)};
  late.authority = authority_;
  if (auto told = send_namespaces(control_.get(), late); !told) return std::unexpected(launch_died());
  if (late.user) handles_.user_namespace = std::move(late.user);
  handles_.listeners = std::move(made.listeners);
  handles_.socket_diag = std::move(made.socket_diag);
  return {};
}

Result<void> NativeSandbox::Impl::clone() {
  STOCKADE_ASSIGN(auto control, make_launch_channel());
  STOCKADE_ASSIGN(auto agent, make_launch_channel());
  STOCKADE_ASSIGN(const std::vector<Fd> entrances, cgroup_.entrances());
  InitChannels channels{.control = control[1].get(), .agent = agent[1].get()};
  for (int i = 0; i < 3; ++i) channels.stdio[i] = is_on_pty(i) ? -1 : options_.stdio[i];
  for (const Fd& entrance : entrances) channels.entrances.push_back(entrance.get());
  channels.keep_kill = launch_->identity.mode == Mode::root && !cgroup_.can_freeze();
  const int born_in = launch_->identity.mode == Mode::user ? handles_.user_namespace.get() : -1;
  auto pid = clone_init({.user_namespace = born_in, .cgroup = cgroup_.leaf()});
  if (!pid && cgroup_.leaf() >= 0 && cgroup_.do_without_leaf()) pid = clone_init({.user_namespace = born_in});
  if (!pid) return std::unexpected(std::move(pid).error());
  if (!*pid) run_init(*launch_, channels);
  init_ = std::move(**pid);
  init_.move_to_another_core();
  control_ = std::move(control[0]);
  agent_ = std::move(agent[0]);
  return {};
}

// Whoever failed said why before it ended, perhaps behind messages that nobody took yet.
Error NativeSandbox::Impl::launch_died() {
  for (const int socket : {control_.get(), agent_.get()}) {
    for (auto said = receive_launch_message(socket, false); said && said->state == ReceiveState::message;
         said = receive_launch_message(socket, false)) {
      if (tag_of(*said) == Report::failed) return decode_failure(body_of(*said));
    }
  }
  std::string how = "without a word";
  if (auto end = init_.poll(); end && *end)
    how = fmt::format("by {} {}", (*end)->signalled ? "signal" : "status", (*end)->code);
  return Error(ErrorKind::internal, fmt::format("the sandbox ended while it was built, {}", how));
}

Result<void> NativeSandbox::Impl::await_root() {
  STOCKADE_TRY(hand_over_namespaces());
  // init's reason first: when it fails, the agent's process only notices.
  while (!has_root_) STOCKADE_TRY(hear_from({control_.get(), agent_.get()}));
  return {};
}

// Not from init: where the agent was released early, its end may be told already.
Result<void> NativeSandbox::Impl::await_agent() {
  while (!is_ready_) STOCKADE_TRY(hear_from({agent_.get()}));
  return {};
}

Result<void> NativeSandbox::Impl::hear_from(std::initializer_list<int> sockets) {
  std::vector<pollfd> watched;
  for (const int socket : sockets) watched.push_back({socket, POLLIN, 0});
  const int count = ::poll(watched.data(), watched.size(), kLaunchPatience);
  if (count < 0 && errno != EINTR) return fail_errno("wait for the sandbox");
  if (count == 0)
    return fail(ErrorKind::unavailable, "the sandbox was not built within 30 seconds (a dead filesystem?)");
  for (const pollfd& each : watched) {
    if (count > 0 && each.revents) STOCKADE_TRY(hear(each.fd));
  }
  return {};
}

Result<void> NativeSandbox::Impl::hear(int socket) {
  STOCKADE_ASSIGN(LaunchMessage message, receive_launch_message(socket, false));
  if (message.state == ReceiveState::would_block) return {};
  if (message.state == ReceiveState::closed) return std::unexpected(launch_died());
  switch (tag_of(message)) {
    case Report::root:
      return take_root(message);
    case Report::ready:
      return take_ready(message);
    case Report::failed:
      return std::unexpected(decode_failure(body_of(message)));
    case Report::exited:
      return std::unexpected(launch_died());
    case Report::namespaces:
    case Report::exec_failed:
    case Report::stopped:
    case Report::continued:
      break;
  }
  return fail(ErrorKind::internal, "the sandbox's set-up said something unexpected");
}

Result<void> NativeSandbox::Impl::take_root(LaunchMessage& message) {
  if (message.fds.size() != 2 + size_t{plan_.terminal})
    return fail(ErrorKind::internal, "the sandbox's root is incomplete");
  proc_ = std::move(message.fds[0]);
  usage_ = std::move(message.fds[1]);
  if (plan_.terminal) {
    terminal_ = std::move(message.fds[2]);
    handles_.pty_master = Fd(::fcntl(terminal_.get(), F_DUPFD_CLOEXEC, 3));
    if (!handles_.pty_master) return fail_errno("copy the terminal");
  }
  has_root_ = true;
  return {};
}

Result<void> NativeSandbox::Impl::take_ready(LaunchMessage& message) {
  const bool notify = message.bytes.size() > 1 && message.bytes[1] == 1;
  if (message.fds.size() != (notify ? 4 : 1) || message.sender <= 0)
    return fail(ErrorKind::internal, "the agent's process is incomplete");
  handles_.agent = message.sender;
  agent_pidfd_ = std::move(message.fds[0]);
  if (notify) {
    Fd* const handles[] = {&handles_.notify, &handles_.mount_namespace, &handles_.observer_diag};
    for (size_t i = 0; i < 3; ++i) *handles[i] = std::move(message.fds[i + 1]);
  }
  if (!notify) handles_.user_namespace.reset();
  is_ready_ = true;
  return {};
}

Result<void> NativeSandbox::Impl::tell_agent(Order order) {
  const char byte = static_cast<char>(order);
  if (::send(agent_.get(), &byte, 1, MSG_NOSIGNAL) != 1) return fail_errno("tell the agent's process");
  return {};
}

Result<void> NativeSandbox::Impl::await_exec() {
  // Its end of the socket is closed by a successful exec.
  STOCKADE_ASSIGN(const LaunchMessage answer, receive_launch_message(agent_.get(), true));
  agent_.reset();
  launch_.reset();
  maker_.reset();
  if (answer.state == ReceiveState::closed) return {};
  WireReader reader(body_of(answer));
  const int number = reader.get<int32_t>();
  const std::string program = reader.get_string(kMessageLimit);
  if (tag_of(answer) != Report::exec_failed || !reader.finished())
    return fail(ErrorKind::internal, "the agent's process said something unexpected");
  if (number == ENOENT) {
    return std::unexpected(
        Error::from_errno(fmt::format("run {}", program), ENOENT)
            .kind(ErrorKind::invalid_input)
            .hint("no such program is visible inside: mount its installation, or add it to tools.programs"));
  }
  return std::unexpected(Error::from_errno(fmt::format("run {}", program), number));
}

std::optional<NativeSandbox::Status> NativeSandbox::Impl::poll_status() {
  if (reported_end_) return std::nullopt;
  auto message = receive_launch_message(control_.get(), false);
  if (message && message->state == ReceiveState::would_block) return std::nullopt;
  if (!message || message->state == ReceiveState::closed) {
    reported_end_ = true;
    return Status{EventKind::init_died, {}};
  }
  if (is_our_own_stop(tag_of(*message))) return poll_status();
  WireReader reader(body_of(*message));
  switch (tag_of(*message)) {
    case Report::stopped:
      return Status{EventKind::stopped, {true, reader.get<int32_t>()}};
    case Report::continued:
      return Status{EventKind::continued, {}};
    case Report::exited: {
      reported_end_ = true;
      const bool signalled = reader.get<uint8_t>() != 0;
      return Status{EventKind::exited, {signalled, reader.get<int32_t>()}};
    }
    default:
      return std::nullopt;
  }
}

Result<void> NativeSandbox::Impl::signal_agent(int number) {
  if (!agent_pidfd_) return fail(ErrorKind::invalid_input, "there is no agent to signal");
  if (terminal_ && (number == SIGINT || number == SIGQUIT || number == SIGTSTP)) signal_foreground_job(number);
  if (::syscall(SYS_pidfd_send_signal, agent_pidfd_.get(), number, nullptr, kSignalProcessGroup) == 0) return {};
  // Before 6.9 (EINVAL): the number can't be another's while the agent lives.
  if (errno == EINVAL && ::syscall(SYS_pidfd_send_signal, agent_pidfd_.get(), 0, nullptr, 0) == 0 &&
      ::kill(-handles_.agent, number) == 0)
    return {};
  if (errno != ESRCH) return fail_errno("signal the agent");
  // Gone, or in another group: never that one, which may be init's.
  if (::syscall(SYS_pidfd_send_signal, agent_pidfd_.get(), number, nullptr, 0) < 0 && errno != ESRCH)
    return fail_errno("signal the agent");
  return {};
}

// By the terminal itself, which knows the group: no number of ours that could meanwhile be another's.
void NativeSandbox::Impl::signal_foreground_job(int number) {
  pid_t group = 0;
  if (::ioctl(terminal_.get(), TIOCGPGRP, &group) < 0 || group == handles_.agent) return;
  (void)::ioctl(terminal_.get(), TIOCSIG, number);
}

Result<void> NativeSandbox::Impl::kill() {
  agent_.reset();
  return kill_everything(cgroup_, init_, proc_.get());
}

std::optional<std::string> NativeSandbox::Impl::over_memory() {
  const auto& limit = plan_.limits.memory;
  if (!limit || limit->strength != Strength::polled || !init_) return std::nullopt;
  if (!memory_) memory_ = std::make_unique<MemoryMeter>(proc_.get(), usage_.get(), limit->value);
  const auto over = memory_->exceeded(seconds_now());
  return over && *over ? std::optional<std::string>("memory") : std::nullopt;
}

std::optional<std::string> NativeSandbox::Impl::over_disk() {
  const auto polled = [](const std::optional<Limit>& limit) {
    return limit && limit->strength == Strength::polled ? limit->value : UINT64_MAX;
  };
  if (plan_.staging_root.empty() || !init_) return std::nullopt;
  if (polled(plan_.limits.disk) == UINT64_MAX && polled(plan_.limits.inodes) == UINT64_MAX) return std::nullopt;
  if (!disk_)
    disk_ = std::make_unique<DiskMeter>(plan_.staging_root,
                                        DiskMeter::Limits{polled(plan_.limits.disk), polled(plan_.limits.inodes)});
  const char* limit = disk_->exceeded(proc_.get());
  return limit ? std::optional<std::string>(limit) : std::nullopt;
}

std::optional<std::string> NativeSandbox::Impl::exceeded_limit() {
  throttle();
  if (auto over = over_memory()) return over;
  if (auto over = over_disk()) return over;
  return std::nullopt;
}

std::optional<std::string> NativeSandbox::Impl::kernel_limit_event() {
  const uint64_t kills = cgroup_.out_of_memory_kills();
  if (kills <= reported_kills_) return std::nullopt;
  reported_kills_ = kills;
  return "memory";
}

NativeSandbox::NativeSandbox(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NativeSandbox::NativeSandbox(NativeSandbox&&) noexcept = default;
NativeSandbox& NativeSandbox::operator=(NativeSandbox&&) noexcept = default;
NativeSandbox::~NativeSandbox() = default;

Result<NativeSandbox> NativeSandbox::begin(const SandboxPlan& plan, const Options& options,
                                           std::optional<NamespaceMaker> maker) {
  auto impl = std::make_unique<Impl>(plan, options);
  if (auto done = impl->begin(std::move(maker)); !done)
    return std::unexpected(std::move(done).error().context("start the sandbox"));
  return NativeSandbox(std::move(impl));
}

namespace {

Result<void> at_start(Result<void> done) {
  if (!done) return std::unexpected(std::move(done).error().context("start the sandbox"));
  return {};
}

}  // namespace

Result<void> NativeSandbox::await_root() { return at_start(impl_->await_root()); }
Result<void> NativeSandbox::await_agent() { return at_start(impl_->await_agent()); }

Result<NativeSandbox> NativeSandbox::launch(const SandboxPlan& plan, const Options& options) {
  STOCKADE_ASSIGN(NativeSandbox sandbox, begin(plan, options));
  STOCKADE_TRY(sandbox.await_root());
  STOCKADE_TRY(sandbox.await_agent());
  return sandbox;
}

Handles& NativeSandbox::handles() { return impl_->handles_; }
Result<void> NativeSandbox::start_exec() { return impl_->start_exec(); }
Result<void> NativeSandbox::await_exec() { return impl_->await_exec(); }
Result<void> NativeSandbox::release() {
  STOCKADE_TRY(start_exec());
  return await_exec();
}
int NativeSandbox::status_fd() const { return impl_->control_.get(); }
std::optional<NativeSandbox::Status> NativeSandbox::poll_status() { return impl_->poll_status(); }
Result<void> NativeSandbox::signal_agent(int number) { return impl_->signal_agent(number); }
Result<void> NativeSandbox::freeze() { return impl_->freeze(); }
Result<void> NativeSandbox::thaw() { return impl_->thaw(); }
void NativeSandbox::trust(std::string authority) { impl_->authority_ = std::move(authority); }
Result<void> NativeSandbox::kill() { return impl_->kill(); }
Result<uint32_t> NativeSandbox::process_count() const { return impl_->process_count(); }
std::optional<std::string> NativeSandbox::exceeded_limit() { return impl_->exceeded_limit(); }
std::optional<std::string> NativeSandbox::kernel_limit_event() { return impl_->kernel_limit_event(); }

}  // namespace stockade::sandbox
