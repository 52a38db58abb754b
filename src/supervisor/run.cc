#include "supervisor/run.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/confine.h"
#include "event/log.h"
#include "loop/loop.h"
#include "monitor/limits.h"
#include "sandbox/host_tree.h"
#include "sandbox/launch.h"
#include "sandbox/persistence_watch.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp_filter.h"
#include "sandbox/staging.h"
#include "supervisor/run_parts.h"

namespace stockade::supervisor {

namespace {

using event::Decision;
using event::Event;
using event::Wall;
using monitor::EndCause;
using monitor::EndedBy;

constexpr auto kPollInterval = std::chrono::milliseconds(5);
constexpr auto kDrainPatience = std::chrono::seconds(5);

// The signals that a person or a service manager sends to `stockade run`: the agent gets them, as without Stockade.
constexpr std::array kForwarded = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

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

Event control_event(std::string kind, Decision decision, std::string subject, std::string reason) {
  Event event;
  event.wall = Wall::monitor;
  event.kind = std::move(kind);
  event.decision = decision;
  event.subject = std::move(subject);
  event.reason = std::move(reason);
  return event;
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

// ---- the start
// ---------------------------------------------------------------------------------------------------------

Result<void> Run::open_directory() {
  STOCKADE_ASSIGN(directory_, RunDirectory::create(settings_.places, settings_.name));
  settings_.plan.staging_root = directory_->state_path() + "/work";
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

// Puts masks back, where the plan has any in a writable tree: before the agent runs.
Result<void> Run::start_mask_keeper() {
  if (settings_.weakening.seccomp || !sandbox::needs_mask_keeper(settings_.plan)) return {};
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
  programs_.emplace(handles.socket_diag.get(), handles.agent, path_of_agent());
  if (egress_) {
    if (!handles.listeners) return fail(ErrorKind::internal, "the sandbox made no listeners");
    egress_->pass_listeners(std::move(*handles.listeners));
  }
  STOCKADE_TRY(start_mask_keeper());
  if (settings_.relay) {
    STOCKADE_TRY(settings_.relay->hand_over(handles.pty_master.get()));
    handles.pty_master.reset();
  }
  return {};
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
  STOCKADE_TRY(sandbox_->await_ready());
  STOCKADE_TRY(connect_parts());
  STOCKADE_TRY(sandbox_->start_exec());
  limits_.start(clock_.now());
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

// ---- while it runs
// -----------------------------------------------------------------------------------------------------

void Run::end(EndedBy ended_by, std::string sentence) {
  if (ended_by_) return;
  ended_by_ = std::move(ended_by);
  sentence_ = std::move(sentence);
  // Everything inside dies at once; the rest of the end (last records, publishing) follows outside the loop.
  if (auto killed = sandbox_->kill(); !killed) sentence_ += "; " + killed.error().message();
  loop_->stop();
}

void Run::end_by_verdict(const monitor::LimitVerdict& verdict) {
  (void)log_->record(verdict.to_event());
  end(verdict.ended_by, verdict.sentence);
}

Result<uint64_t> Run::record(Event event) {
  auto recorded = log_->record(event);
  if (!recorded) {
    end(EndedBy{EndCause::error, "log"}, "the log can't be written: " + recorded.error().message());
    return std::unexpected(std::move(recorded).error());
  }
  if (auto verdict = limits_.feed(event, recorded->repeated)) end_by_verdict(*verdict);
  return recorded->seq;
}

egress::AdmissionVerdict Run::admit(const egress::FlowRequest& request) {
  egress::AdmissionVerdict verdict;
  if (ended_by_) return {false, "the run has ended", "", {}};
  if (request.rule.programs.empty()) return verdict;
  auto made = programs_->is_made_by(request.client, request.original, request.rule.programs);
  if (made && *made) return verdict;
  verdict.allowed = false;
  const std::string& asked = programs_->asked();
  if (!made)
    verdict.reason = "which program made this connection can't be told: " + made.error().message();
  else
    verdict.reason = asked.empty() ? "no program that the rule names made this connection"
                                   : fmt::format("{} made this connection, and the rule does not name it", asked);
  verdict.hint = fmt::format("add {} to `programs` of the rule", asked.empty() ? "the program" : asked);
  return verdict;
}

void Run::traffic(const egress::Traffic& traffic) {
  if (auto verdict = limits_.add(monitor::Counter::bytes_out, traffic.out)) end_by_verdict(*verdict);
}

void Run::worker_failed(std::string_view worker, std::string reason) {
  if (stopping_ || ended_by_) return;
  end(EndedBy{EndCause::error, std::string(worker)}, std::move(reason));
  // Only now: everything inside is dead.
  ended_by_->name = egress_->culprit(worker);
}

loop::Task<void> Run::watch_process(int pidfd, std::string name) {
  Fd copy(::fcntl(pidfd, F_DUPFD_CLOEXEC, 3));
  auto process = loop::AsyncFd::adopt(*loop_, std::move(copy));
  if (!process) co_return;
  process->exhausted_read();
  co_await process->readable();
  if (name == "inspector" || name == "dialer")
    worker_failed(name, "its process ended");
  else if (!stopping_)
    end(EndedBy{EndCause::error, name}, fmt::format("the {} died", name));
}

loop::Task<void> Run::watch_sandbox() {
  auto status = loop::AsyncFd::adopt(*loop_, Fd(::fcntl(sandbox_->status_fd(), F_DUPFD_CLOEXEC, 3)));
  if (!status) co_return;
  while (!ended_by_) {
    while (auto news = sandbox_->poll_status()) {
      on_status(*news);
      if (ended_by_) co_return;
    }
    status->exhausted_read();
    co_await status->readable();
  }
}

void Run::on_status(const sandbox::NativeSandbox::Status& status) {
  switch (status.kind) {
    case sandbox::EventKind::exited:
      return on_agent_exit(status.agent);
    case sandbox::EventKind::init_died:
      return end(EndedBy{EndCause::error, "init"}, "the sandbox's init died");
    case sandbox::EventKind::stopped:
      if (settings_.relay && sandbox_->freeze()) (void)settings_.relay->frozen();
      return;
    case sandbox::EventKind::continued:
      return;
  }
}

void Run::on_agent_exit(ExitStatus status) {
  agent_status_ = status;
  if (timed_out_) return end_by_verdict(*limits_.check_time(clock_.now()));
  if (auto limit = sandbox_->kernel_limit_event()) return end_by_limit(*limit);
  if (status.signalled) return end(EndedBy{EndCause::signal, strsignal(status.code)}, "");
  end(EndedBy{EndCause::agent, ""}, "");
}

void Run::end_by_limit(const std::string& limit) {
  auto event = control_event("limit", Decision::kill, limit, fmt::format("the limit of {} was reached", limit));
  event.where = settings_.policy.sandbox.where.to_string();
  (void)log_->record(event);
  end(EndedBy{EndCause::limit, limit}, event.reason);
}

loop::Task<void> Run::poll_limits() {
  while (!ended_by_) {
    if (auto limit = sandbox_->exceeded_limit()) {
      end_by_limit(*limit);
      co_return;
    }
    co_await loop_->sleep(kPollInterval);
  }
}

// SIGTERM, the plan's grace, then the kill of the whole sandbox.
loop::Task<void> Run::keep_time(TimePoint deadline) {
  co_await loop_->sleep_until(deadline);
  if (ended_by_) co_return;
  timed_out_ = true;
  if (paused_) (void)sandbox_->thaw();
  (void)sandbox_->signal_agent(SIGTERM);
  co_await loop_->sleep(settings_.plan.grace);
  if (ended_by_) co_return;
  if (auto verdict = limits_.check_time(clock_.now())) end_by_verdict(*verdict);
}

loop::Task<void> Run::keep_log() {
  while (!ended_by_) {
    co_await loop_->sleep(std::chrono::milliseconds(250));
    if (ended_by_) co_return;
    // Out of memory, the kernel may have killed something else than the agent (cgroup v1 has no group kill).
    if (auto limit = sandbox_->kernel_limit_event()) {
      end_by_limit(*limit);
      co_return;
    }
    if (auto written = log_->tick(); !written)
      end(EndedBy{EndCause::error, "log"}, "the log can't be written: " + written.error().message());
  }
}

loop::Task<void> Run::forward_signals() {
  while (!ended_by_) {
    signalfd_siginfo info;
    const ssize_t count = ::read(signals_.get(), &info, sizeof(info));
    if (count == sizeof(info)) {
      (void)sandbox_->signal_agent(static_cast<int>(info.ssi_signo));
      continue;
    }
    signals_.exhausted_read();
    co_await signals_.readable();
  }
}

loop::Task<void> Run::watch_relay() {
  auto line = loop::AsyncFd::adopt(*loop_, Fd(::fcntl(settings_.relay->fd(), F_DUPFD_CLOEXEC, 3)));
  if (!line) co_return;
  while (!ended_by_) {
    auto requests = settings_.relay->on_readable();
    if (!requests) {
      end(EndedBy{EndCause::error, "relay"}, requests.error().message());
      co_return;
    }
    for (const auto& request : *requests) on_relay_request(request);
    if (ended_by_) co_return;
    line->exhausted_read();
    co_await line->readable();
  }
}

void Run::on_relay_request(const terminal::RelayRequest& request) {
  using Kind = terminal::RelayRequest::Kind;
  switch (request.kind) {
    case Kind::freeze:
      if (sandbox_->freeze()) (void)settings_.relay->frozen();
      return;
    case Kind::thaw:
      if (!paused_) (void)sandbox_->thaw();
      (void)sandbox_->signal_agent(SIGCONT);
      (void)sandbox_->signal_agent(SIGWINCH);
      return;
    case Kind::signal:
      (void)sandbox_->signal_agent(request.number);
      return;
    case Kind::closed:
      return end(EndedBy{EndCause::error, "relay"}, "the terminal relay is gone");
  }
}

// ---- the control socket
// ------------------------------------------------------------------------------------------------

Result<std::string> Run::control_status() {
  RunRecord record = record_;
  fill_counters(record);
  std::string json = to_json(record, true);
  if (paused_) json.replace(json.find("\"running\""), 9, "\"paused\"");
  return json;
}

Result<std::string> Run::control_pause(const std::string& who) {
  if (paused_) return "true";
  STOCKADE_TRY(record(control_event("pause", Decision::pause, who, "asked for through the control socket")));
  STOCKADE_TRY(sandbox_->freeze());
  paused_ = true;
  return "true";
}

Result<std::string> Run::control_resume(const std::string& who) {
  if (!paused_) return "true";
  STOCKADE_TRY(record(control_event("resume", Decision::log, who, "asked for through the control socket")));
  STOCKADE_TRY(sandbox_->thaw());
  paused_ = false;
  return "true";
}

Result<std::string> Run::control_kill(const std::string& who, const std::string& reason) {
  const TimePoint arrived = clock_.now();
  const std::string why = reason.empty() ? "the kill switch" : reason;
  (void)log_->record(control_event("kill", Decision::kill, who, why));
  end(EndedBy{EndCause::kill, ""}, why);
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(clock_.now() - arrived);
  return fmt::format("{{\"killed\": true, \"microseconds\": {}}}", took.count());
}

// ---- the end
// -----------------------------------------------------------------------------------------------------------

void Run::fill_counters(RunRecord& record) const {
  using monitor::Counter;
  for (const Counter counter :
       {Counter::connections, Counter::requests, Counter::names, Counter::bytes_out, Counter::denials})
    record.counters[std::string(monitor::to_string(counter))] = limits_.used(counter);
  record.counters["events"] = log_ ? log_->recorded() : 0;
}

void Run::drain_workers() {
  if (!egress_) return;
  egress_->drain();
  const TimePoint deadline = clock_.now() + kDrainPatience;
  while (!drained_ && clock_.now() < deadline && ended_by_->cause != EndCause::error)
    if (!loop_->run_once(std::chrono::milliseconds(100))) break;
}

// They die while the end is written down.
void Run::dismiss_workers() {
  stopping_ = true;
  for (const NamedObserver& observer : observers_) observer.process.dismiss();
  if (egress_) egress_->dismiss();
}

void Run::publish_staging() {
  const auto& mounts = settings_.plan.mounts;
  for (size_t i = 0; i < mounts.size(); ++i) {
    if (mounts[i].kind != sandbox::MountKind::staging) continue;
    const std::string staging = sandbox::staging_directory(settings_.plan, i);
    auto published = sandbox::publish_staging(staging, mounts[i].source);
    if (!published) {
      record_.notes.push_back(published.error().render() + "; what was made is in " + staging);
      continue;
    }
    for (const auto& kept : published->kept)
      record_.notes.push_back(
          fmt::format("{}/{} was kept aside in {}: {}", mounts[i].source, kept.path, staging, kept.reason));
    if (published->kept_count == 0) (void)sandbox::remove_tree(staging);
    Event event = control_event("publish", Decision::allow, mounts[i].source, "write-only files came out at the end");
    event.wall = Wall::data;
    event.evidence = {{"published", std::to_string(published->file_count)},
                      {"kept_aside", std::to_string(published->kept_count)}};
    (void)log_->record(event);
  }
}

void Run::report_persistence() {
  if (watches_.empty()) return;
  auto tree = sandbox::HostTree::open();
  if (!tree) return;
  for (const auto& watch : watches_) {
    const auto report = watch.after(*tree);
    if (report.findings.empty()) continue;
    const std::string what = sandbox::to_text(report.findings);
    record_.notes.push_back(fmt::format("in {}, files that run or are obeyed later: {}", watch.root(), what));
    Event event = control_event("persistence", Decision::log, watch.root(), what);
    event.wall = Wall::data;
    (void)log_->record(event);
  }
}

// What lives in the loop goes before it.
void Run::take_down() {
  stopping_ = true;
  if (loop_) loop_->cancel_all();
  control_.reset();
  signals_ = {};
  observers_.clear();
  egress_.reset();
  loop_.reset();
}

RunOutcome Run::finish() {
  drain_workers();
  dismiss_workers();
  control_.reset();
  RunOutcome outcome;
  publish_staging();
  report_persistence();
  if (auto ended = log_->finish(ended_by_->to_string()); !ended)
    record_.notes.push_back("the log has no signed end: " + ended.error().message());
  outcome.id = directory_->id();
  outcome.ended_by = *ended_by_;
  outcome.sentence = sentence_;
  outcome.exit_status = monitor::exit_status(*ended_by_, agent_status_);
  outcome.denials = limits_.used(monitor::Counter::denials);
  outcome.notes = record_.notes;
  fill_counters(record_);
  record_.ended = format_time(clock_.wall());
  record_.ended_by = ended_by_;
  record_.exit_code = outcome.exit_status;
  if (auto written = directory_->write_record(record_, false); !written)
    outcome.notes.push_back(written.error().render());
  take_down();
  sandbox_.reset();
  ::rmdir(settings_.plan.staging_root.c_str());  // stays where something was kept aside
  directory_->finish();
  if (settings_.relay) (void)settings_.relay->ended(outcome.exit_status);
  return outcome;
}

// What could not be started leaves no trace but its log.
void Run::abandon(const Error& error) {
  sandbox_.reset();
  take_down();
  if (log_) (void)log_->finish("error:start");
  if (!directory_) return;
  record_.ended = format_time(clock_.wall());
  record_.ended_by = EndedBy{EndCause::error, "start"};
  record_.notes.push_back(error.render());
  (void)directory_->write_record(record_, false);
  ::rmdir(settings_.plan.staging_root.c_str());  // stays where something was kept aside
  directory_->finish();
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
