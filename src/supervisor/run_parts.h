// Run: the parts of one run and how they act on each other; see run.h for the order. One thread: every task lives in
// loop_. Once end() was called nothing is decided any more: the sandbox is dead, and finish() writes the rest.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "egress/egress_link.h"
#include "egress/worker_program.h"
#include "event/log.h"
#include "loop/loop.h"
#include "monitor/limits.h"
#include "sandbox/mask_keeper.h"
#include "sandbox/observer.h"
#include "sandbox/persistence_watch.h"
#include "sandbox/sandbox.h"
#include "supervisor/approval_desk.h"
#include "supervisor/control_socket.h"
#include "supervisor/program_lookup.h"
#include "supervisor/run.h"

namespace stockade::supervisor {

using event::Decision;
using event::Event;
using event::Wall;
using monitor::EndCause;
using monitor::EndedBy;

// An event of the monitor wall: what was done to the run.
Event control_event(std::string kind, Decision decision, std::string subject, std::string reason);

// Once the last of our processes has been forked.
Result<void> confine_supervisor();

// Where the rule that allows a connection names programs: did one of them make it?
egress::AdmissionVerdict judge_program(ProgramLookup& programs, const egress::FlowRequest& request);

class Run final : public ControlHandler, public egress::Authority {
 public:
  Run(RunSettings settings, const Clock& clock);
  ~Run() override;
  Result<RunOutcome> to_end();

  // egress::Authority
  Result<uint64_t> record(event::Event event) override;
  bool ended() const override { return ended_by_.has_value(); }
  Result<uint64_t> ask(event::Event event, egress::AskScope scope, egress::OnAnswer then) override {
    return approvals_->ask(std::move(event), scope, std::move(then));
  }
  egress::AdmissionVerdict admit(const egress::FlowRequest& request) override;
  void traffic(const egress::Traffic& traffic) override;
  void worker_failed(std::string_view worker, std::string reason) override;
  void drained() override { drained_ = true; }
  void authority_made(std::string certificate) override { authority_ = std::move(certificate); }

  // ControlHandler
  Result<std::string> control_status() override;
  Result<std::string> control_pause(const std::string& who) override;
  Result<std::string> control_resume(const std::string& who) override;
  Result<std::string> control_kill(const std::string& who, const std::string& reason) override;
  Result<std::string> control_approvals() override { return approvals_->list(); }
  Result<std::string> control_decide(const std::string& who, uint64_t event, bool granted,
                                     const std::string& reason) override {
    return approvals_->decide(event, granted, who, reason);
  }

 private:
  Result<void> start();
  Result<void> open_directory();
  Result<void> open_log();
  Result<void> begin_sandbox();
  Result<void> connect_parts();
  void open_approvals();
  void snapshot_trees();
  std::string path_of_agent() const;
  bool has_polled_limit() const;

  // run_helpers.cc
  bool needs_mask_keeper() const;
  Result<void> start_mask_keeper();
  Result<void> prepare_helpers();
  loop::Task<void> await_first_use();
  Result<void> start_helpers();
  Result<void> start_observer();
  Result<void> start_workers();
  Result<void> start_workers_late();
  Result<void> start_early_workers();
  void pass_listeners();
  void add_observer(std::string name, sandbox::Observer process);
  loop::Task<void> hear_observer(size_t index);

  loop::Task<void> watch_process(int pidfd, std::string name);
  loop::Task<void> watch_sandbox();
  loop::Task<void> watch_relay();
  loop::Task<void> forward_signals();
  loop::Task<void> keep_log();
  loop::Task<void> keep_time(TimePoint deadline);
  loop::Task<void> poll_limits();
  void on_status(const sandbox::NativeSandbox::Status& status);
  void on_agent_exit(ExitStatus status);
  void on_relay_request(const terminal::RelayRequest& request);

  Result<event::AuditLog::Recorded> write(const event::Event& event);
  Result<uint64_t> record_plainly(event::Event event);
  void end(monitor::EndedBy ended_by, std::string sentence);
  void end_by_verdict(const monitor::LimitVerdict& verdict);
  void end_by_limit(const std::string& limit);

  RunOutcome finish();
  void abandon(const Error& error);
  void drain_workers();
  void dismiss_workers();
  void take_down();
  void publish_staging();
  void report_persistence();
  void fill_counters(RunRecord& record) const;

  RunSettings settings_;
  const Clock& clock_;
  RunRecord record_;
  std::optional<RunDirectory> directory_;
  std::optional<event::AuditLog> log_;
  monitor::LimitMonitor limits_;
  std::unique_ptr<loop::Loop> loop_;  // outlives what lives in it
  std::optional<ApprovalDesk> approvals_;
  std::optional<egress::WorkerProgram> worker_program_;
  std::unique_ptr<egress::EgressLink> egress_;
  std::optional<sandbox::NativeSandbox> sandbox_;
  struct NamedObserver {
    std::string name;
    sandbox::Observer process;
  };
  std::deque<NamedObserver> observers_;  // tasks hold references
  Fd first_use_;                         // until the helpers are started: readable when the agent needs them
  std::optional<ProgramLookup> programs_;
  std::unique_ptr<ControlServer> control_;
  loop::AsyncFd signals_;
  std::vector<sandbox::PersistenceWatch> watches_;

  std::optional<monitor::EndedBy> ended_by_;
  std::string sentence_;
  ExitStatus agent_status_;
  bool timed_out_ = false;
  bool paused_ = false;
  bool drained_ = false;
  std::string authority_;  // PEM
  bool stopping_ = false;  // the workers' end is expected
};

}  // namespace stockade::supervisor
