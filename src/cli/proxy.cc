// proxy: the firewall alone, as an explicit HTTP, CONNECT and SOCKS5 proxy on one port, with the same inspector,
// dialer, log and limits as a run; `ps`, `logs`, `why`, `pause` and `kill` see it as one. Of the policy, `network` and
// `limits` apply. It holds what speaks to it: nothing makes a program do so, and whoever reaches the port may use what
// is allowed. Which program made a connection can't be told here, so a rule with `programs` allows nothing.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "cli/arguments.h"
#include "cli/output.h"
#include "egress/egress_link.h"
#include "egress/worker_program.h"
#include "event/log.h"
#include "monitor/limits.h"
#include "policy/effective.h"
#include "policy/layer.h"
#include "supervisor/approval_desk.h"
#include "supervisor/control_socket.h"
#include "supervisor/prepare.h"
#include "supervisor/run_directory.h"

namespace stockade::cli {

using event::Decision;
using event::Event;
using monitor::EndCause;
using monitor::EndedBy;

namespace {

constexpr int kBacklog = 1024;
constexpr auto kLogInterval = std::chrono::seconds(1);

bool is_loopback_only(const IpAddress& address) {
  return Cidr::parse("127.0.0.0/8")->contains(address) || Cidr::parse("::1")->contains(address);
}

struct BoundSocket {
  Fd socket;
  Endpoint at;
};

// Bound but not yet listening: until the walls stand, a connection is refused by the kernel.
Result<BoundSocket> bind_socket(const std::string& listen) {
  const auto wanted = Endpoint::parse(listen);
  if (!wanted)
    return std::unexpected(Error(ErrorKind::invalid_input, fmt::format("--listen {} is no address and port", listen))
                               .hint("write 127.0.0.1:8080 or [::1]:8080; port 0 takes a free one"));
  const bool v4 = wanted->address.is_v4();
  Fd socket(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("make a socket for {}", listen);
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (!v4) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  sockaddr_storage address{};
  socklen_t size = wanted->to_sockaddr(address);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) < 0)
    return fail_errno("listen on {}", listen);
  size = sizeof(address);
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) < 0)
    return fail_errno("read the address of {}", listen);
  const auto at = Endpoint::from_sockaddr(address);
  if (!at) return fail(ErrorKind::internal, "the socket for {} has no address", listen);
  return BoundSocket{std::move(socket), *at};
}

Result<Fd> catch_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM}) ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0) return fail_errno("block signals");
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("make a signal descriptor");
  return fd;
}

Event control_event(std::string_view kind, Decision decision, const std::string& who, std::string reason) {
  Event event;
  event.kind = kind;
  event.decision = decision;
  event.subject = who;
  event.reason = std::move(reason);
  return event;
}

// One proxy from its directory to its record. One thread; every task lives in loop_. After end() nothing is decided.
class ProxyRun final : public supervisor::ControlHandler, public egress::Authority {
 public:
  explicit ProxyRun(const policy::Layered& layered)
      : layered_(layered), policy_(layered.policy), limits_(policy_.limits, policy_.limits.where.to_string()) {}

  int to_end(BoundSocket listener);

  // egress::Authority
  Result<uint64_t> record(Event event) override;
  bool ended() const override { return ended_by_.has_value(); }
  Result<uint64_t> ask(Event event, egress::AskScope scope, egress::OnAnswer then) override {
    return approvals_->ask(std::move(event), scope, std::move(then));
  }
  egress::AdmissionVerdict admit(const egress::FlowRequest& request) override;
  void traffic(const egress::Traffic& traffic) override;
  void worker_failed(std::string_view worker, std::string reason) override;

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
  Result<void> open_directory(const Endpoint& at);
  Result<void> start(BoundSocket listener);
  void open_approvals();
  Result<uint64_t> record_plainly(const Event& event);
  loop::Task<void> obey_signals();
  loop::Task<void> keep_log();
  loop::Task<void> keep_time(TimePoint deadline);
  void end(EndedBy ended_by, std::string sentence);
  void end_by_verdict(const monitor::LimitVerdict& verdict);
  void take_down();
  int finish();
  int abandon(const Error& error);

  const policy::Layered& layered_;
  const policy::Policy& policy_;
  const SystemClock clock_;
  supervisor::RunRecord record_;
  std::optional<supervisor::RunDirectory> directory_;
  std::optional<event::AuditLog> log_;
  monitor::LimitMonitor limits_;
  std::unique_ptr<loop::Loop> loop_;  // outlives what lives in it
  const UnwaitingStderr err_ = UnwaitingStderr::open();
  std::optional<supervisor::ApprovalDesk> approvals_;
  std::unique_ptr<egress::EgressLink> egress_;
  std::unique_ptr<supervisor::ControlServer> control_;
  loop::AsyncFd signals_;
  std::optional<EndedBy> ended_by_;
  std::string sentence_;
  bool paused_ = false;
};

// ---- the start
// -------------------------------------------------------------------------------------------------------

Result<void> ProxyRun::open_directory(const Endpoint& at) {
  const auto places = supervisor::find_places();
  STOCKADE_ASSIGN(directory_, supervisor::RunDirectory::create(places, ""));
  STOCKADE_ASSIGN(auto file, open_at(AT_FDCWD, directory_->state_path() + "/policy.json",
                                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  STOCKADE_TRY(write_all(file.get(), policy::to_json(policy_)));
  record_.id = directory_->id();
  record_.command = {"stockade", "proxy", "--listen", at.to_string()};
  record_.runtime = "proxy";
  for (const auto& source : layered_.sources) record_.policy_sources.push_back(source.name);
  record_.supervisor_pid = ::getpid();
  record_.started = supervisor::format_time(clock_.wall());
  STOCKADE_TRY(directory_->write_record(record_, true));
  event::AuditLog::Options options;
  options.user_directory = places.state;
  options.run_directory = directory_->state_path();
  options.run = directory_->id();
  options.clock = &clock_;
  options.start_evidence = {{"policy", policy::policy_hash(policy_)}, {"runtime", "proxy"}, {"listen", at.to_string()}};
  STOCKADE_ASSIGN(log_, event::AuditLog::start(std::move(options)));
  return {};
}

Result<void> ProxyRun::start(BoundSocket listener) {
  ::signal(SIGPIPE, SIG_IGN);
  ::prctl(PR_SET_DUMPABLE, 0);
  STOCKADE_TRY(open_directory(listener.at));
  STOCKADE_ASSIGN(const auto program, egress::WorkerProgram::find());
  STOCKADE_ASSIGN(const auto workers, program.workers(policy_));
  STOCKADE_ASSIGN(egress_, egress::EgressLink::start(policy_, workers));
  STOCKADE_ASSIGN(loop_, loop::Loop::create(clock_));
  open_approvals();
  STOCKADE_TRY(egress_->attach(*loop_, *this));
  STOCKADE_ASSIGN(control_, supervisor::ControlServer::create(*loop_, directory_->socket_path(), *this));
  STOCKADE_ASSIGN(auto signals, catch_signals());
  STOCKADE_ASSIGN(signals_, loop::AsyncFd::adopt(*loop_, std::move(signals)));
  loop_->spawn(obey_signals());
  loop_->spawn(keep_log());
  limits_.start(clock_.now());
  if (limits_.deadline()) loop_->spawn(keep_time(*limits_.deadline()));
  STOCKADE_TRY(log_->prepare_signing());
  if (::listen(listener.socket.get(), kBacklog) < 0) return fail_errno("listen on {}", listener.at.to_string());
  egress_->pass_proxy_listener(std::move(listener.socket));
  return {};
}

void ProxyRun::open_approvals() {
  const Duration patience = policy_.limits.approval.value_or(policy::kDefaultApprovalTime);
  supervisor::ApprovalDesk::Host host;
  host.record = [this](const Event& event) { return record_plainly(event); };
  host.announce = [this](const Event& asked) { err_.write(spoken(supervisor::waiting_line(record_.id, asked))); };
  approvals_.emplace(*loop_, patience, std::move(host));
}

// ---- while it runs
// ---------------------------------------------------------------------------------------------------

void ProxyRun::end(EndedBy ended_by, std::string sentence) {
  if (ended_by_) return;
  ended_by_ = std::move(ended_by);
  sentence_ = std::move(sentence);
  // Both ends of every connection are theirs: with them, all of it stops.
  egress_->dismiss();
  if (approvals_) approvals_->close();
  loop_->stop();
}

void ProxyRun::end_by_verdict(const monitor::LimitVerdict& verdict) {
  (void)log_->record(verdict.to_event());
  end(verdict.ended_by, verdict.sentence);
}

// Questions and answers count for no limit: what follows from them does.
Result<uint64_t> ProxyRun::record_plainly(const Event& event) {
  const auto recorded = log_->record(event);
  if (recorded) return recorded->seq;
  end({EndCause::error, "log"}, "the log can't be written: " + recorded.error().message());
  return std::unexpected(recorded.error());
}

// An error keeps the answer from the worker, so what passed a limit does not happen.
Result<uint64_t> ProxyRun::record(Event event) {
  if (ended_by_) return fail(ErrorKind::limit, "the proxy has ended");
  auto recorded = log_->record(event);
  if (!recorded) {
    end({EndCause::error, "log"}, "the log can't be written: " + recorded.error().message());
    return std::unexpected(std::move(recorded).error());
  }
  if (auto verdict = limits_.feed(event, recorded->repeated)) {
    end_by_verdict(*verdict);
    return fail(ErrorKind::limit, "{}", verdict->sentence);
  }
  return recorded->seq;
}

egress::AdmissionVerdict ProxyRun::admit(const egress::FlowRequest& request) {
  if (ended_by_) return {false, "the proxy has ended", "", {}};
  if (request.rule.programs.empty()) return {};
  return {false,
          "the rule names programs, and a proxy can't tell which program speaks to it",
          "take `programs` out of the rule, or use stockade run",
          {}};
}

void ProxyRun::traffic(const egress::Traffic& traffic) {
  if (auto verdict = limits_.add(monitor::Counter::bytes_out, traffic.out)) end_by_verdict(*verdict);
}

void ProxyRun::worker_failed(std::string_view worker, std::string reason) {
  end({EndCause::error, std::string(worker)}, std::move(reason));
}

loop::Task<void> ProxyRun::obey_signals() {
  while (!ended_by_) {
    signalfd_siginfo info;
    if (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      end({EndCause::signal, ::strsignal(static_cast<int>(info.ssi_signo))}, "");
      co_return;
    }
    signals_.exhausted_read();
    co_await signals_.readable();
  }
}

loop::Task<void> ProxyRun::keep_log() {
  while (!ended_by_) {
    co_await loop_->sleep(kLogInterval);
    if (ended_by_) co_return;
    if (auto written = log_->tick(); !written)
      end({EndCause::error, "log"}, "the log can't be written: " + written.error().message());
  }
}

loop::Task<void> ProxyRun::keep_time(TimePoint deadline) {
  co_await loop_->sleep_until(deadline);
  if (ended_by_) co_return;
  if (auto verdict = limits_.check_time(clock_.now())) end_by_verdict(*verdict);
}

// ---- the control socket
// ----------------------------------------------------------------------------------------------

void fill_counters(supervisor::RunRecord& record, const monitor::LimitMonitor& limits, uint64_t events) {
  using monitor::Counter;
  for (const Counter counter :
       {Counter::connections, Counter::requests, Counter::names, Counter::bytes_out, Counter::denials})
    record.counters[std::string(monitor::to_string(counter))] = limits.used(counter);
  record.counters["events"] = events;
}

Result<std::string> ProxyRun::control_status() {
  supervisor::RunRecord record = record_;
  fill_counters(record, limits_, log_->recorded());
  record.counters["waiting"] = approvals_->waiting();
  std::string json = to_json(record, true);
  if (paused_) json.replace(json.find("\"running\""), 9, "\"paused\"");
  return json;
}

// Both workers stand still: what is open moves no byte, what arrives waits.
Result<std::string> ProxyRun::control_pause(const std::string& who) {
  if (paused_) return "true";
  STOCKADE_TRY(record(control_event("pause", Decision::pause, who, "asked for through the control socket")));
  egress_->signal(SIGSTOP);
  paused_ = true;
  return "true";
}

Result<std::string> ProxyRun::control_resume(const std::string& who) {
  if (!paused_) return "true";
  STOCKADE_TRY(record(control_event("resume", Decision::log, who, "asked for through the control socket")));
  egress_->signal(SIGCONT);
  paused_ = false;
  return "true";
}

Result<std::string> ProxyRun::control_kill(const std::string& who, const std::string& reason) {
  const std::string why = reason.empty() ? "the kill switch" : reason;
  (void)log_->record(control_event("kill", Decision::kill, who, why));
  end({EndCause::kill, ""}, why);
  return R"({"killed": true})";
}

// ---- the end
// ---------------------------------------------------------------------------------------------------------

void ProxyRun::take_down() {
  if (loop_) loop_->cancel_all();
  control_.reset();
  approvals_.reset();
  signals_ = {};
  egress_.reset();
  loop_.reset();
}

int ProxyRun::finish() {
  const bool asked_to = ended_by_->cause == EndCause::signal;
  take_down();
  if (auto ended = log_->finish(ended_by_->to_string()); !ended)
    record_.notes.push_back("the log has no signed end: " + ended.error().message());
  fill_counters(record_, limits_, log_->recorded());
  record_.ended = supervisor::format_time(clock_.wall());
  record_.ended_by = ended_by_;
  record_.exit_code = asked_to ? 0 : 1;
  if (auto written = directory_->write_record(record_, false); !written)
    record_.notes.push_back(written.error().render());
  directory_->finish();
  for (const std::string& note : record_.notes) say(note);
  if (!asked_to)
    say(fmt::format("the proxy was ended by {}{}", ended_by_->to_string(), sentence_.empty() ? "" : ": " + sentence_));
  return *record_.exit_code;
}

int ProxyRun::abandon(const Error& error) {
  take_down();
  print_error(error);
  if (log_) (void)log_->finish("error:start");
  if (directory_) {
    record_.ended = supervisor::format_time(clock_.wall());
    record_.ended_by = EndedBy{EndCause::error, "start"};
    record_.notes.push_back(error.render());
    (void)directory_->write_record(record_, false);
    directory_->finish();
  }
  return exit_status(error);
}

int ProxyRun::to_end(BoundSocket listener) {
  const Endpoint at = listener.at;
  if (auto started = start(std::move(listener)); !started) return abandon(started.error());
  say(fmt::format("listening on {} as run {}; only `network` and `limits` of the policy apply", at.to_string(),
                  record_.id));
  if (!is_loopback_only(at.address))
    say(fmt::format("whoever reaches {} may use what the policy allows", at.to_string()));
  if (!ended_by_)
    if (auto ran = loop_->run(); !ran) end({EndCause::error, "loop"}, ran.error().message());
  return finish();
}

}  // namespace

int proxy(const ProxyOptions& options) {
  auto firewall = supervisor::layer_firewall_policy(options.policy);
  if (!firewall) {
    print_error(firewall.error());
    return exit_status(firewall.error());
  }
  for (const auto& error : firewall->errors) say(error.render());
  if (!firewall->usable()) return 1;
  for (const auto& warning : firewall->warnings) say(warning.render());
  for (const auto& note : firewall->notes) say(note.render());
  for (const auto& rule : firewall->policy.network.allow)
    if (!rule.programs.empty())
      say(fmt::format("{}: {} allows nothing here: a proxy can't tell which program speaks to it",
                      rule.where.to_string(), rule.subject()));
  auto listener = bind_socket(options.listen);
  if (!listener) {
    print_error(listener.error());
    return exit_status(listener.error());
  }
  return ProxyRun(*firewall).to_end(std::move(*listener));
}

}  // namespace stockade::cli
