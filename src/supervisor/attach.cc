#include "supervisor/attach.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include <memory>
#include <optional>

#include "base/confine.h"
#include "egress/egress_link.h"
#include "egress/worker_program.h"
#include "event/log.h"
#include "loop/loop.h"
#include "monitor/limits.h"
#include "net/outer_links.h"
#include "policy/decision.h"
#include "policy/effective.h"
#include "sandbox/seccomp_filter.h"
#include "supervisor/approval_desk.h"
#include "supervisor/attach_entry.h"
#include "supervisor/attach_survey.h"
#include "supervisor/control_socket.h"
#include "supervisor/program_lookup.h"
#include "supervisor/run_parts.h"

namespace stockade::supervisor {

namespace {

constexpr auto kLogInterval = std::chrono::seconds(1);
constexpr auto kMembersInterval = std::chrono::seconds(1);
constexpr auto kAuthorityPatience = std::chrono::seconds(10);
constexpr size_t kRefusalsShown = 10;
constexpr const char* kUsualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Result<Fd> catch_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM}) ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0) return fail_errno("block signals");
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("make a signal descriptor");
  return fd;
}

Event network_event(std::string kind, std::string subject, std::string reason) {
  Event event;
  event.wall = Wall::network;
  event.kind = std::move(kind);
  event.decision = Decision::log;
  event.subject = std::move(subject);
  event.reason = std::move(reason);
  return event;
}

Error refusal(const AttachTarget& target, const std::vector<std::string>& reasons) {
  std::string text = target.words + " could undo it:";
  for (size_t i = 0; i < std::min(reasons.size(), kRefusalsShown); ++i) text += "\n  " + reasons[i];
  if (reasons.size() > kRefusalsShown) text += fmt::format("\n  and {} more reasons", reasons.size() - kRefusalsShown);
  return Error(ErrorKind::denied, std::move(text))
      .hint(
          "start it without those: docker run --cap-drop NET_RAW …, setpriv --no-new-privs --bounding-set=-all "
          "--inh-caps=-all …; or start it with stockade run");
}

// What `programs` of a rule is looked up along.
std::string path_of(pid_t pid) {
  const auto environment = read_file(fmt::format("/proc/{}/environ", pid), 1 << 20);
  for (size_t start = 0; environment && start < environment->size();) {
    const std::string_view variable(environment->c_str() + start);
    if (variable.starts_with("PATH=")) return std::string(variable.substr(5));
    start += variable.size() + 1;
  }
  return kUsualPath;
}

// What becomes of the target's processes at the end.
enum class Fate { live, die };

class Attachment final : public ControlHandler, public egress::Authority {
 public:
  Attachment(AttachSettings settings, const Clock& clock)
      : settings_(std::move(settings)),
        policy_(settings_.layered.policy),
        clock_(clock),
        limits_(policy_.limits, policy_.limits.where.to_string()) {}
  Result<RunOutcome> to_end();

  // egress::Authority
  Result<uint64_t> record(Event event) override;
  bool ended() const override { return lost_ || ended_by_.has_value(); }
  Result<uint64_t> ask(Event event, egress::AskScope scope, egress::OnAnswer then) override {
    return approvals_->ask(std::move(event), scope, std::move(then));
  }
  egress::AdmissionVerdict admit(const egress::FlowRequest& request) override;
  void traffic(const egress::Traffic& traffic) override;
  void worker_failed(std::string_view worker, std::string reason) override;
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
  void open_approvals();
  Result<event::AuditLog::Recorded> write(const Event& event);
  Result<void> start_workers();
  Result<void> keep_authority();
  Result<void> record_takeover(const AttachSurvey& survey);

  loop::Task<void> obey_signals();
  loop::Task<void> keep_log();
  loop::Task<void> keep_time(TimePoint deadline);
  loop::Task<void> watch_worker(int pidfd, std::string name);
  loop::Task<void> watch_target();
  void end(EndedBy ended_by, std::string sentence, Fate fate);
  void end_by_verdict(const monitor::LimitVerdict& verdict);
  void lose(std::string part, std::string reason);

  void fill_counters(RunRecord& record) const;
  void give_back();
  void take_down();
  RunOutcome finish();
  void abandon(const Error& error);

  AttachSettings settings_;
  const policy::Policy& policy_;
  const Clock& clock_;
  RunRecord record_;
  std::optional<RunDirectory> directory_;
  std::optional<event::AuditLog> log_;
  monitor::LimitMonitor limits_;
  std::optional<net::Takeover> taken_;
  Fd closed_links_;                   // the socket that an nft table of ours lives with
  std::unique_ptr<loop::Loop> loop_;  // outlives what lives in it
  std::optional<ApprovalDesk> approvals_;
  std::unique_ptr<egress::EgressLink> egress_;
  std::unique_ptr<ControlServer> control_;
  std::optional<ProgramLookup> programs_;
  loop::AsyncFd signals_;
  std::string authority_;  // PEM

  std::optional<EndedBy> lost_;  // a part of ours: the target is cut off
  std::optional<EndedBy> ended_by_;
  std::string sentence_;
  Fate fate_ = Fate::live;
  bool paused_ = false;
};

// ---- the start --------------------------------------------------------------------------------------------------

Result<void> Attachment::open_directory() {
  STOCKADE_ASSIGN(directory_, RunDirectory::create(settings_.places, settings_.name));
  STOCKADE_ASSIGN(auto file,
                  open_at(AT_FDCWD, directory_->state_path() + "/policy.json", O_WRONLY | O_CREAT | O_NOFOLLOW, 0600));
  STOCKADE_TRY(write_all(file.get(), policy::to_json(policy_)));
  record_.id = directory_->id();
  record_.name = settings_.name;
  record_.command = {"stockade", "attach", settings_.target.words};
  record_.runtime = "attach";
  for (const auto& source : settings_.layered.sources) record_.policy_sources.push_back(source.name);
  record_.supervisor_pid = ::getpid();
  record_.started = format_time(clock_.wall());
  return directory_->write_record(record_, true);
}

Result<void> Attachment::open_log() {
  event::AuditLog::Options options;
  options.user_directory = settings_.places.state;
  options.run_directory = directory_->state_path();
  options.run = directory_->id();
  options.clock = &clock_;
  options.start_evidence = {{"name", settings_.name},
                            {"policy", policy::policy_hash(policy_)},
                            {"runtime", "attach"},
                            {"target", settings_.target.words}};
  STOCKADE_ASSIGN(log_, event::AuditLog::start(std::move(options)));
  return {};
}

void Attachment::open_approvals() {
  ApprovalDesk::Host host;
  // Questions and answers count for no limit: what follows from them does.
  host.record = [this](const Event& event) -> Result<uint64_t> {
    STOCKADE_ASSIGN(const auto recorded, write(event));
    return recorded.seq;
  };
  host.announce = [this](const Event& asked) { settings_.say(waiting_line(directory_->id(), asked)); };
  approvals_.emplace(*loop_, policy_.limits.approval.value_or(policy::kDefaultApprovalTime), std::move(host));
}

Result<void> Attachment::start_workers() {
  STOCKADE_ASSIGN(const auto program, egress::WorkerProgram::find());
  STOCKADE_ASSIGN(const auto workers, program.workers(policy_));
  STOCKADE_ASSIGN(egress_, egress::EgressLink::start(policy_, workers));
  STOCKADE_TRY(egress_->attach(*loop_, *this));
  loop_->spawn(watch_worker(egress_->inspector_pidfd(), "inspector"));
  loop_->spawn(watch_worker(egress_->dialer_pidfd(), "dialer"));
  if (egress_->sealer_pidfd() >= 0) loop_->spawn(watch_worker(egress_->sealer_pidfd(), "sealer"));
  return policy::intercepts(policy_.network) ? keep_authority() : Result<void>{};
}

// Nothing can be put into a file system that runs already: whoever attached gives the target what it must trust.
Result<void> Attachment::keep_authority() {
  const TimePoint deadline = clock_.now() + kAuthorityPatience;
  while (authority_.empty() && !ended() && clock_.now() < deadline)
    STOCKADE_TRY(loop_->run_once(std::chrono::milliseconds(100)));
  if (authority_.empty()) return fail(ErrorKind::unavailable, "the inspector made no certificate authority");
  const std::string path = directory_->state_path() + "/authority.pem";
  STOCKADE_ASSIGN(auto file, open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600));
  STOCKADE_TRY(write_all(file.get(), authority_));
  settings_.say(fmt::format("rules open TLS: programs of the target must trust the certificate in {}", path));
  return {};
}

Result<void> Attachment::record_takeover(const AttachSurvey& survey) {
  const AttachTarget& target = settings_.target;
  Event event = network_event("attach", target.words,
                              fmt::format("its network was taken over: {} members, {} open connections cut",
                                          survey.members.size(), taken_->connections_cut));
  event.evidence = {{"members", std::to_string(survey.members.size())},
                    {"connections_cut", std::to_string(taken_->connections_cut)},
                    {"namespace", fmt::format("net:[{}]", target.network_id.inode)}};
  STOCKADE_TRY(record(std::move(event)));
  for (const std::string& channel : survey.uncovered) {
    STOCKADE_TRY(record(network_event("uncovered", target.words, channel)));
    record_.notes.push_back("not covered: " + channel);
  }
  settings_.say(fmt::format("attached to {} as run {}: {} open connections were cut; Ctrl-C gives its network back",
                            target.words, record_.id, taken_->connections_cut));
  for (const std::string& note : record_.notes) settings_.say(note);
  return {};
}

Result<void> Attachment::start() {
  ::signal(SIGPIPE, SIG_IGN);
  ::prctl(PR_SET_DUMPABLE, 0);
  STOCKADE_ASSIGN(auto signals, catch_signals());
  STOCKADE_ASSIGN(auto entry, AttachEntry::start(settings_.target));
  STOCKADE_ASSIGN(const auto outer_links, net::find_outer_links(settings_.target.network.get(), entry.links()));
  const bool closes_links = outer_links && !settings_.target.enter_owner;
  STOCKADE_ASSIGN(const auto survey, survey_target(settings_.target, {entry.diag(), entry.pid(), closes_links}));
  if (!survey.refusals.empty()) return std::unexpected(refusal(settings_.target, survey.refusals));
  STOCKADE_TRY(open_directory());
  STOCKADE_ASSIGN(loop_, loop::Loop::create(clock_));
  STOCKADE_TRY(open_log());
  open_approvals();
  STOCKADE_TRY(start_workers());
  STOCKADE_ASSIGN(control_, ControlServer::create(*loop_, directory_->socket_path(), *this));
  STOCKADE_ASSIGN(taken_, entry.take_over(survey.closed_ports));
  if (closes_links) {
    auto closed = net::close_outer_links(*outer_links, "stockade-" + record_.id);
    // A second wall; where somebody inside can send packets past the first one, there is no doing without it.
    if (!closed && survey.sends_packets) return std::unexpected(std::move(closed).error());
    if (closed) closed_links_ = std::move(*closed);
  }
  egress_->pass_listeners(std::move(taken_->listeners));
  STOCKADE_TRY(record_takeover(survey));
  if (settings_.target.pid != 0)
    programs_.emplace(taken_->diag.get(), settings_.target.pid, path_of(settings_.target.pid));
  STOCKADE_ASSIGN(signals_, loop::AsyncFd::adopt(*loop_, std::move(signals)));
  loop_->spawn(obey_signals());
  loop_->spawn(keep_log());
  if (settings_.target.process) loop_->spawn(watch_target());
  limits_.start(clock_.now());
  if (limits_.deadline()) loop_->spawn(keep_time(*limits_.deadline()));
  STOCKADE_TRY(log_->prepare_signing());
  STOCKADE_TRY(directory_->write_record(record_, true));
  return confine_supervisor();
}

// ---- while it lasts ----------------------------------------------------------------------------------------------

void Attachment::end(EndedBy ended_by, std::string sentence, Fate fate) {
  if (ended_by_) return;
  ended_by_ = std::move(ended_by);
  sentence_ = std::move(sentence);
  fate_ = fate;
  // Both ends of every connection are theirs: with them, all of it stops.
  if (egress_) egress_->dismiss();
  if (approvals_) approvals_->close();
  loop_->stop();
}

void Attachment::end_by_verdict(const monitor::LimitVerdict& verdict) {
  (void)log_->record(verdict.to_event());
  end(verdict.ended_by, verdict.sentence, Fate::die);
}

void Attachment::lose(std::string part, std::string reason) {
  if (ended()) return;
  lost_ = EndedBy{EndCause::error, std::move(part)};
  egress_->dismiss();
  approvals_->close();
  const std::string what = fmt::format("the {} failed: {}", lost_->name, reason);
  if (settings_.loss != Loss::cut) return end(*lost_, what, settings_.loss == Loss::kill ? Fate::die : Fate::live);
  (void)log_->record(control_event("lost", Decision::deny, lost_->name, what + "; the target is cut off"));
  record_.notes.push_back(what);
  settings_.say(what + "; the target has no network until you detach (Ctrl-C) or kill it (stockade kill)");
}

Result<event::AuditLog::Recorded> Attachment::write(const Event& event) {
  auto recorded = log_->record(event);
  if (!recorded) lose("log", recorded.error().message());
  return recorded;
}

Result<uint64_t> Attachment::record(Event event) {
  if (ended()) return fail(ErrorKind::limit, "the attachment has ended");
  const auto recorded = write(event);
  if (!recorded) return std::unexpected(recorded.error());
  if (auto verdict = limits_.feed(event, recorded->repeated)) {
    end_by_verdict(*verdict);
    return fail(ErrorKind::limit, "{}", verdict->sentence);
  }
  return recorded->seq;
}

egress::AdmissionVerdict Attachment::admit(const egress::FlowRequest& request) {
  if (ended()) return {false, "the attachment has ended", "", {}};
  if (request.rule.programs.empty()) return {};
  if (!programs_)
    return {false,
            "the rule names programs, and which made a connection can't be told for a network namespace alone",
            "attach with --pid or --container, or take `programs` out of the rule",
            {}};
  return judge_program(*programs_, request);
}

void Attachment::traffic(const egress::Traffic& traffic) {
  if (auto verdict = limits_.add(monitor::Counter::bytes_out, traffic.out)) end_by_verdict(*verdict);
}

void Attachment::worker_failed(std::string_view worker, std::string reason) {
  lose(std::string(worker), std::move(reason));
}

loop::Task<void> Attachment::watch_worker(int pidfd, std::string name) {
  auto process = loop::AsyncFd::adopt(*loop_, Fd(::fcntl(pidfd, F_DUPFD_CLOEXEC, 3)));
  if (!process) co_return;
  process->exhausted_read();
  co_await process->readable();
  worker_failed(name, "its process ended");
}

// The end of the process is the end of the attachment, once nothing that it left lives in its network any more.
loop::Task<void> Attachment::watch_target() {
  auto process = loop::AsyncFd::adopt(*loop_, Fd(::fcntl(settings_.target.process.get(), F_DUPFD_CLOEXEC, 3)));
  if (!process) co_return;
  process->exhausted_read();
  co_await process->readable();
  while (!ended_by_) {
    const auto members = members_of(settings_.target.network_id);
    if (members && members->empty()) {
      end(lost_.value_or(EndedBy{EndCause::agent, ""}), "", Fate::live);
      co_return;
    }
    co_await loop_->sleep(kMembersInterval);
  }
}

loop::Task<void> Attachment::obey_signals() {
  while (!ended_by_) {
    signalfd_siginfo info;
    if (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      end(lost_.value_or(EndedBy{EndCause::signal, ::strsignal(static_cast<int>(info.ssi_signo))}), "", Fate::live);
      co_return;
    }
    signals_.exhausted_read();
    co_await signals_.readable();
  }
}

loop::Task<void> Attachment::keep_log() {
  while (!ended_by_) {
    co_await loop_->sleep(kLogInterval);
    if (ended_by_) co_return;
    if (auto written = log_->tick(); !written) lose("log", written.error().message());
  }
}

loop::Task<void> Attachment::keep_time(TimePoint deadline) {
  co_await loop_->sleep_until(deadline);
  if (ended_by_) co_return;
  if (auto verdict = limits_.check_time(clock_.now())) end_by_verdict(*verdict);
}

// ---- the control socket -----------------------------------------------------------------------------------------

void Attachment::fill_counters(RunRecord& record) const {
  using monitor::Counter;
  for (const Counter counter :
       {Counter::connections, Counter::requests, Counter::names, Counter::bytes_out, Counter::denials})
    record.counters[std::string(monitor::to_string(counter))] = limits_.used(counter);
  record.counters["events"] = log_ ? log_->recorded() : 0;
}

Result<std::string> Attachment::control_status() {
  RunRecord record = record_;
  fill_counters(record);
  record.counters["waiting"] = approvals_->waiting();
  std::string json = to_json(record, true);
  if (paused_) json.replace(json.find("\"running\""), 9, "\"paused\"");
  return json;
}

// Its traffic stands still; its processes go on, for what is stopped could be left so by our own end.
Result<std::string> Attachment::control_pause(const std::string& who) {
  if (paused_) return "true";
  STOCKADE_TRY(record(control_event("pause", Decision::pause, who, "asked for through the control socket")));
  egress_->signal(SIGSTOP);
  paused_ = true;
  return "true";
}

Result<std::string> Attachment::control_resume(const std::string& who) {
  if (!paused_) return "true";
  STOCKADE_TRY(record(control_event("resume", Decision::log, who, "asked for through the control socket")));
  egress_->signal(SIGCONT);
  paused_ = false;
  return "true";
}

Result<std::string> Attachment::control_kill(const std::string& who, const std::string& reason) {
  const std::string why = reason.empty() ? "the kill switch" : reason;
  (void)log_->record(control_event("kill", Decision::kill, who, why));
  end({EndCause::kill, ""}, why, Fate::die);
  return R"({"killed": true})";
}

// ---- the end ------------------------------------------------------------------------------------------------------

void Attachment::give_back() {
  closed_links_.reset();
  if (!taken_) return;
  remove_anchor(*taken_);
  taken_.reset();
}

void Attachment::take_down() {
  if (loop_) loop_->cancel_all();
  control_.reset();
  approvals_.reset();
  signals_ = {};
  egress_.reset();
  loop_.reset();
}

RunOutcome Attachment::finish() {
  const auto cause = ended_by_->cause;
  take_down();
  // Before it has its network again.
  if (fate_ == Fate::die && !kill_members(settings_.target.network_id))
    record_.notes.push_back("some processes of the target were not gone when its network was given back");
  give_back();
  (void)log_->record(network_event("detach", settings_.target.words, "its network was given back as it was"));
  if (auto ended = log_->finish(ended_by_->to_string()); !ended)
    record_.notes.push_back("the log has no signed end: " + ended.error().message());
  RunOutcome outcome;
  outcome.id = directory_->id();
  outcome.ended_by = *ended_by_;
  outcome.sentence = sentence_;
  outcome.exit_status =
      cause == EndCause::signal || cause == EndCause::agent ? 0 : monitor::exit_status(*ended_by_, {});
  outcome.denials = limits_.used(monitor::Counter::denials);
  fill_counters(record_);
  record_.ended = format_time(clock_.wall());
  record_.ended_by = ended_by_;
  record_.exit_code = outcome.exit_status;
  outcome.notes = record_.notes;
  if (auto written = directory_->write_record(record_, false); !written)
    outcome.notes.push_back(written.error().render());
  directory_->finish();
  return outcome;
}

void Attachment::abandon(const Error& error) {
  take_down();
  give_back();
  if (log_) (void)log_->finish("error:start");
  if (!directory_) return;
  record_.ended = format_time(clock_.wall());
  record_.ended_by = EndedBy{EndCause::error, "start"};
  record_.notes.push_back(error.render());
  (void)directory_->write_record(record_, false);
  directory_->finish();
}

Result<RunOutcome> Attachment::to_end() {
  if (auto started = start(); !started) {
    abandon(started.error());
    return std::unexpected(std::move(started).error());
  }
  if (!ended_by_)
    if (auto ran = loop_->run(); !ran) end({EndCause::error, "loop"}, ran.error().message(), Fate::live);
  return finish();
}

}  // namespace

Result<RunOutcome> attach_to_end(AttachSettings settings, const Clock& clock) {
  return Attachment(std::move(settings), clock).to_end();
}

}  // namespace stockade::supervisor
