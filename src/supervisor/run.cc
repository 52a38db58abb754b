#include "supervisor/run.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/confine.h"
#include "sandbox/host_tree.h"
#include "sandbox/seccomp_filter.h"
#include "supervisor/run_parts.h"

namespace stockade::supervisor {

namespace {

// The signals that a person or a service manager sends to `stockade run`: the agent gets them, as without Stockade.
constexpr std::array kForwarded = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

// LeakSanitizer looks at the process by ptrace when it ends, which the filter refuses.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kLooksForLeaks = true;
#else
constexpr bool kLooksForLeaks = false;
#endif

Result<Fd> catch_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : kForwarded) ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0) return fail_errno("block signals");
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("make a signal descriptor");
  return fd;
}

Result<void> write_new_file(const std::string& path, std::string_view content) {
  STOCKADE_ASSIGN(auto fd, open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return write_all(fd.get(), content);
}

Event to_event(const sandbox::ObserverNotice& notice) {
  const bool refused = notice.kind == sandbox::NoticeKind::socket;
  Event event;
  event.wall = Wall::data;
  event.kind = refused ? "socket" : "mask";
  event.decision = refused ? Decision::deny : Decision::log;
  event.subject = notice.path;
  event.reason = notice.reason;
  if (refused) event.hint = "name the socket in `sockets` of the entry of `files` that it lies in";
  return event;
}

}  // namespace

Run::Run(RunSettings settings, const Clock& clock)
    : settings_(std::move(settings)),
      clock_(clock),
      limits_(settings_.policy.limits, settings_.policy.limits.where.to_string()) {}

Run::~Run() = default;

Result<void> Run::open_directory() {
  STOCKADE_ASSIGN(directory_, RunDirectory::create(settings_.places, settings_.name));
  settings_.plan.staging_root = staging_path(directory_->state_path());
  if (::mkdir(settings_.plan.staging_root.c_str(), 0700) < 0) return fail_errno("make the run's work directory");
  STOCKADE_TRY(write_new_file(directory_->state_path() + "/policy.json", settings_.effective_policy));
  record_.id = directory_->id();
  record_.name = settings_.name;
  record_.command = settings_.plan.command;
  record_.workdir = settings_.plan.workdir;
  record_.policy_sources = settings_.policy_sources;
  record_.supervisor_pid = ::getpid();
  record_.started = format_time(clock_.wall());
  return directory_->write_record(record_, true);
}

Result<void> Run::open_log() {
  event::AuditLog::Options options;
  options.user_directory = settings_.places.state;
  options.run_directory = directory_->state_path();
  options.run = directory_->id();
  options.clock = &clock_;
  options.start_evidence = {{"name", settings_.name},
                            {"policy", settings_.policy_digest},
                            {"runtime", "native"},
                            {"program", settings_.plan.command.front()}};
  STOCKADE_ASSIGN(log_, event::AuditLog::start(std::move(options)));
  return {};
}

// Puts masks back, where the plan has any in a writable tree.
bool Run::needs_mask_keeper() const {
  return !settings_.weakening.seccomp && sandbox::needs_mask_keeper(settings_.plan);
}

Result<void> Run::start_mask_keeper() {
  STOCKADE_ASSIGN(auto keeper, sandbox::start_mask_keeper(settings_.plan, sandbox_->handles()));
  add_observer("mask keeper", std::move(keeper));
  return {};
}

// Answers the agent's connects, which wait for it.
Result<void> Run::start_observer() {
  if (!sandbox_->handles().notify) return {};
  STOCKADE_ASSIGN(auto observer, sandbox::Observer::start(settings_.plan, sandbox_->handles()));
  add_observer("observer", std::move(observer));
  // The observer's alone from here on: the kernel takes the mounts down in its end, beside ours.
  sandbox::Handles& handles = sandbox_->handles();
  for (Fd* handle : {&handles.notify, &handles.user_namespace, &handles.mount_namespace, &handles.observer_diag})
    handle->reset();
  return {};
}

void Run::add_observer(std::string name, sandbox::Observer process) {
  observers_.push_back({std::move(name), std::move(process)});
  loop_->spawn(watch_process(observers_.back().process.pidfd(), observers_.back().name));
  loop_->spawn(hear_observer(observers_.size() - 1));
}

loop::Task<void> Run::hear_observer(size_t index) {
  sandbox::Observer& observer = observers_[index].process;
  auto line = loop::AsyncFd::adopt(*loop_, Fd(::fcntl(observer.fd(), F_DUPFD_CLOEXEC, 3)));
  if (!line) co_return;
  while (!ended_by_) {
    auto notice = observer.receive();
    if (!notice) {
      end(EndedBy{EndCause::error, observers_[index].name}, notice.error().message());
      co_return;
    }
    if (*notice) {
      if (!record(to_event(**notice))) co_return;
      if (auto told = observer.acknowledge(); !told) {
        end(EndedBy{EndCause::error, observers_[index].name}, told.error().message());
        co_return;
      }
      continue;
    }
    line->exhausted_read();
    co_await line->readable();
  }
}

Result<void> Run::start_workers() {
  if (!settings_.plan.network) return {};
  STOCKADE_ASSIGN(egress_, egress::EgressLink::start(settings_.policy));
  STOCKADE_TRY(egress_->attach(*loop_, *this));
  loop_->spawn(watch_process(egress_->inspector_pidfd(), "inspector"));
  loop_->spawn(watch_process(egress_->dialer_pidfd(), "dialer"));
  return {};
}

Result<void> Run::begin_sandbox() {
  sandbox::NativeSandbox::Options options;
  options.run_id = directory_->id();
  options.weakening = settings_.weakening;
  for (size_t i = 0; i < 3; ++i) options.stdio[i] = settings_.stdio[i];
  for (size_t i = 0; i < 3; ++i) options.pty[i] = settings_.pty[i];
  STOCKADE_ASSIGN(auto sandbox,
                  sandbox::NativeSandbox::begin(settings_.plan, options, std::move(settings_.namespaces)));
  sandbox_.emplace(std::move(sandbox));
  return {};
}

// All that must stand before the agent's first instruction.
Result<void> Run::connect_parts() {
  sandbox::Handles& handles = sandbox_->handles();
  if (egress_) {
    if (!handles.listeners) return fail(ErrorKind::internal, "the sandbox made no listeners");
    egress_->pass_listeners(std::move(*handles.listeners));
  }
  if (settings_.relay) {
    STOCKADE_TRY(settings_.relay->hand_over(handles.pty_master.get()));
    handles.pty_master.reset();
  }
  if (!needs_mask_keeper()) return {};
  STOCKADE_TRY(sandbox_->await_agent());
  return start_mask_keeper();
}

std::string Run::path_of_agent() const {
  for (const std::string& variable : settings_.plan.environment)
    if (variable.starts_with("PATH=")) return variable.substr(5);
  return {};
}

bool Run::has_polled_limit() const {
  const sandbox::Limits& limits = settings_.plan.limits;
  for (const auto* limit : {&limits.memory, &limits.cpus, &limits.pids, &limits.disk, &limits.inodes})
    if (*limit && (*limit)->strength == sandbox::Strength::polled) return true;
  return false;
}

// The last of our processes has been forked.
Result<void> Run::confine_itself() {
  STOCKADE_TRY(forbid_new_privileges());
  if (kLooksForLeaks) return {};
  return sandbox::install_seccomp_filter(sandbox::supervisor_filter());
}

Result<void> Run::start() {
  // A worker's death must not be a signal's to us; nothing of ours may be looked into by the agent's user.
  ::signal(SIGPIPE, SIG_IGN);
  ::prctl(PR_SET_DUMPABLE, 0);
  STOCKADE_ASSIGN(auto signals, catch_signals());
  STOCKADE_TRY(open_directory());
  // Init builds the walls on another core, while everything around them is made here.
  STOCKADE_TRY(begin_sandbox());
  STOCKADE_ASSIGN(loop_, loop::Loop::create(clock_));
  STOCKADE_TRY(open_log());
  STOCKADE_TRY(start_workers());
  // Before the agent: whoever sees it can kill it.
  STOCKADE_ASSIGN(control_, ControlServer::create(*loop_, directory_->socket_path(), *this));
  snapshot_trees();
  STOCKADE_TRY(sandbox_->await_root());
  STOCKADE_TRY(connect_parts());
  limits_.start(clock_.now());
  STOCKADE_TRY(sandbox_->start_exec());
  STOCKADE_TRY(sandbox_->await_agent());
  programs_.emplace(sandbox_->handles().socket_diag.get(), sandbox_->handles().agent, path_of_agent());
  // What the agent can do without, or waits for, is made while the kernel loads its program.
  STOCKADE_TRY(start_observer());
  STOCKADE_TRY(confine_itself());
  STOCKADE_ASSIGN(signals_, loop::AsyncFd::adopt(*loop_, std::move(signals)));
  loop_->spawn(forward_signals());
  loop_->spawn(watch_sandbox());
  loop_->spawn(keep_log());
  if (has_polled_limit()) loop_->spawn(poll_limits());
  if (settings_.relay) loop_->spawn(watch_relay());
  if (limits_.deadline()) loop_->spawn(keep_time(*limits_.deadline()));
  STOCKADE_TRY(log_->prepare_signing());
  return sandbox_->await_exec();
}

void Run::snapshot_trees() {
  if (settings_.writable_trees.empty()) return;
  auto tree = sandbox::HostTree::open();
  if (!tree) return;
  for (const std::string& root : settings_.writable_trees)
    watches_.push_back(sandbox::PersistenceWatch::before(*tree, root));
}

Result<RunOutcome> Run::to_end() {
  if (auto started = start(); !started) {
    abandon(started.error());
    return std::unexpected(std::move(started).error());
  }
  if (!ended_by_)
    if (auto ran = loop_->run(); !ran) end(EndedBy{EndCause::error, "loop"}, ran.error().message());
  return finish();
}

Result<RunOutcome> run_to_end(RunSettings settings, const Clock& clock) {
  return Run(std::move(settings), clock).to_end();
}

}  // namespace stockade::supervisor
