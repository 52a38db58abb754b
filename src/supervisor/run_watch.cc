// A run while its agent runs: decisions, limits, the agent's state, the terminal and the control socket.
#include <sys/signalfd.h>

#include "supervisor/run_parts.h"

namespace stockade::supervisor {

namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(5);

}  // namespace

Event control_event(std::string kind, Decision decision, std::string subject, std::string reason) {
  Event event;
  event.wall = Wall::monitor;
  event.kind = std::move(kind);
  event.decision = decision;
  event.subject = std::move(subject);
  event.reason = std::move(reason);
  return event;
}

void Run::end(EndedBy ended_by, std::string sentence) {
  if (ended_by_) return;
  ended_by_ = std::move(ended_by);
  sentence_ = std::move(sentence);
  // Everything inside dies at once; the rest of the end (last records, publishing) follows outside the loop.
  if (auto killed = sandbox_->kill(); !killed) sentence_ += "; " + killed.error().message();
  if (approvals_) approvals_->close();
  loop_->stop();
}

void Run::end_by_verdict(const monitor::LimitVerdict& verdict) {
  (void)log_->record(verdict.to_event());
  end(verdict.ended_by, verdict.sentence);
}

Result<event::AuditLog::Recorded> Run::write(const Event& event) {
  auto recorded = log_->record(event);
  if (!recorded) end(EndedBy{EndCause::error, "log"}, "the log can't be written: " + recorded.error().message());
  return recorded;
}

// Questions and answers count for no limit: what follows from them does.
Result<uint64_t> Run::record_plainly(Event event) {
  STOCKADE_ASSIGN(const auto recorded, write(event));
  return recorded.seq;
}

Result<uint64_t> Run::record(Event event) {
  const auto recorded = write(event);
  if (!recorded) return std::unexpected(recorded.error());
  if (auto verdict = limits_.feed(event, recorded->repeated)) end_by_verdict(*verdict);
  return recorded->seq;
}

egress::AdmissionVerdict judge_program(ProgramLookup& programs, const egress::FlowRequest& request) {
  egress::AdmissionVerdict verdict;
  auto made = programs.is_made_by(request.client, request.original, request.rule.programs);
  if (made && *made) return verdict;
  verdict.allowed = false;
  const std::string& asked = programs.asked();
  if (!made)
    verdict.reason = "which program made this connection can't be told: " + made.error().message();
  else
    verdict.reason = asked.empty() ? "no program that the rule names made this connection"
                                   : fmt::format("{} made this connection, and the rule does not name it", asked);
  verdict.hint = fmt::format("add {} to `programs` of the rule", asked.empty() ? "the program" : asked);
  return verdict;
}

egress::AdmissionVerdict Run::admit(const egress::FlowRequest& request) {
  if (ended_by_) return {false, "the run has ended", "", {}};
  return request.rule.programs.empty() ? egress::AdmissionVerdict() : judge_program(*programs_, request);
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
  if (name == "inspector" || name == "dialer" || name == "sealer")
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

Result<std::string> Run::control_status() {
  RunRecord record = record_;
  fill_counters(record);
  record.counters["waiting"] = approvals_->waiting();
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

}  // namespace stockade::supervisor
