#include "egress/egress_link.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "egress/dialer.h"
#include "egress/roots.h"
#include "egress/worker.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

std::string_view kind_word(NoticeKind kind) {
  switch (kind) {
    case NoticeKind::connect:
      return event::kind::kConnect;
    case NoticeKind::request:
      return event::kind::kRequest;
    case NoticeKind::name:
      return event::kind::kName;
    case NoticeKind::datagram:
      return "datagram";
    case NoticeKind::upstream:
      return "upstream";
    case NoticeKind::session:
      return "session";
  }
  return "connect";
}

event::Decision decision_of(NoticeDecision decision) {
  if (decision == NoticeDecision::allow) return event::Decision::allow;
  if (decision == NoticeDecision::ask) return event::Decision::ask;
  return decision == NoticeDecision::log ? event::Decision::log : event::Decision::deny;
}

const policy::NetworkRule* rule_at(const policy::Network& network, int32_t index, bool deny) {
  const auto& rules = deny ? network.deny : network.allow;
  if (index < 0 || static_cast<size_t>(index) >= rules.size()) return nullptr;
  return &rules[static_cast<size_t>(index)];
}

std::string rule_text(const policy::NetworkRule* rule, int32_t index, bool deny) {
  if (!rule) return "network.allow";
  return fmt::format("network.{}[{}]: {}", deny ? "deny" : "allow", index, rule->subject());
}

// Where it would have to be written: what the judgement of the same destination points to.
std::string section_place(const policy::Network& network, std::string_view host, uint16_t port) {
  if (const auto address = IpAddress::parse(host))
    return policy::judge_connect(network, *address, port).where.to_string();
  if (const auto name = policy::canonical_host(host))
    return policy::judge_connect(network, *name, port).where.to_string();
  return {};
}

// A worker that is on its way out gets a moment to arrive.
std::optional<ExitStatus> exit_status_of(Pid& process) {
  constexpr int kPatienceMilliseconds = 100;
  pollfd end{process.pidfd(), POLLIN, 0};
  (void)::poll(&end, 1, kPatienceMilliseconds);
  return process.poll().value_or(std::nullopt);
}

}  // namespace

class EgressLink::InspectorSide final : public RecordHandler {
 public:
  explicit InspectorSide(EgressLink& link) : link_(link) {}
  Result<void> on_record(RecordType type, WireReader& in, ArrivedFds&) override {
    if (type == RecordType::notice) {
      STOCKADE_ASSIGN(const Notice notice, decoded<Notice>(in));
      return link_.on_notice(notice, seq_, *link_.inspector_, "inspector");
    }
    if (type == RecordType::drained) {
      link_.authority_->drained();
      return {};
    }
    if (type == RecordType::authority) {
      STOCKADE_ASSIGN(AuthorityMade made, decoded<AuthorityMade>(in));
      link_.authority_->authority_made(std::move(made.certificate));
      return {};
    }
    return fail(ErrorKind::protocol, "a record that an inspector may not send");
  }

 private:
  EgressLink& link_;
  uint64_t seq_ = 0;
};

class EgressLink::DialerSide final : public RecordHandler {
 public:
  explicit DialerSide(EgressLink& link) : link_(link) {}
  Result<void> on_record(RecordType type, WireReader& in, ArrivedFds&) override {
    if (type == RecordType::notice) {
      STOCKADE_ASSIGN(const Notice notice, decoded<Notice>(in));
      return link_.on_notice(notice, seq_, *link_.dialer_, "dialer");
    }
    if (type == RecordType::admit) {
      STOCKADE_ASSIGN(const Admit admit, decoded<Admit>(in));
      return link_.on_admit(admit);
    }
    if (type == RecordType::traffic) {
      STOCKADE_ASSIGN(const Traffic traffic, decoded<Traffic>(in));
      link_.authority_->traffic(traffic);
      return {};
    }
    return fail(ErrorKind::protocol, "a record that a dialer may not send");
  }

 private:
  EgressLink& link_;
  uint64_t seq_ = 0;
};

Result<std::unique_ptr<EgressLink>> EgressLink::start(const policy::Policy& policy, const Workers& workers) {
  STOCKADE_ASSIGN(auto to_inspector, make_socket_pair(SOCK_SEQPACKET));
  STOCKADE_ASSIGN(auto to_dialer, make_socket_pair(SOCK_SEQPACKET));
  STOCKADE_ASSIGN(auto between, make_socket_pair(SOCK_SEQPACKET));
  std::unique_ptr<EgressLink> link(new EgressLink(policy));
  const pid_t self = ::getpid();
  std::array<Fd, 2> inspector_sealer, dialer_sealer;
  if (policy::intercepts(policy.network)) {
    STOCKADE_ASSIGN(std::string roots, read_roots(policy.network.trust));
    STOCKADE_ASSIGN(inspector_sealer, make_socket_pair(SOCK_SEQPACKET));
    STOCKADE_ASSIGN(dialer_sealer, make_socket_pair(SOCK_SEQPACKET));
    STOCKADE_ASSIGN(auto lifeline, make_socket_pair(SOCK_SEQPACKET));
    STOCKADE_ASSIGN(link->sealer_process_, fork_child([&] {
                      return workers.sealer({std::move(roots), std::move(dialer_sealer[1]),
                                             std::move(inspector_sealer[1]), std::move(lifeline[1]), self});
                    }));
    link->sealer_lifeline_ = std::move(lifeline[0]);
  }
  STOCKADE_ASSIGN(link->inspector_process_, fork_child([&] {
                    return workers.inspector({policy.network, std::move(to_inspector[1]), std::move(between[0]),
                                              std::move(inspector_sealer[0]), self});
                  }));
  STOCKADE_ASSIGN(link->dialer_process_, fork_child([&] {
                    return run_dialer({policy.network, policy.limits, std::move(to_dialer[1]), std::move(between[1]),
                                       std::move(dialer_sealer[0]), self});
                  }));
  link->inspector_socket_ = std::move(to_inspector[0]);
  link->dialer_socket_ = std::move(to_dialer[0]);
  return link;
}

EgressLink::EgressLink(const policy::Policy& policy) : policy_(policy) {}

void EgressLink::signal(int number) const {
  (void)inspector_process_.signal(number);
  (void)dialer_process_.signal(number);
  if (sealer_process_) (void)sealer_process_.signal(number);
}

std::vector<pid_t> EgressLink::pids() const {
  std::vector<pid_t> pids = {inspector_process_.get(), dialer_process_.get()};
  if (sealer_process_) pids.push_back(sealer_process_.get());
  return pids;
}

EgressLink::~EgressLink() {
  for (const auto task : tasks_) loop_->cancel(task);
}

Result<void> EgressLink::attach(loop::Loop& loop, Authority& authority) {
  loop_ = &loop;
  authority_ = &authority;
  STOCKADE_ASSIGN(inspector_, Channel::open(loop, std::move(inspector_socket_)));
  STOCKADE_ASSIGN(dialer_, Channel::open(loop, std::move(dialer_socket_)));
  inspector_side_ = std::make_unique<InspectorSide>(*this);
  dialer_side_ = std::make_unique<DialerSide>(*this);
  tasks_.push_back(loop.spawn(watch(true)));
  tasks_.push_back(loop.spawn(watch(false)));
  tasks_.push_back(loop.spawn(inspector_->run_writer()));
  tasks_.push_back(loop.spawn(dialer_->run_writer()));
  return {};
}

loop::Task<void> EgressLink::watch(bool inspector) {
  Result<void> outcome;
  if (inspector)
    co_await inspector_->run_reader(*inspector_side_, outcome);
  else
    co_await dialer_->run_reader(*dialer_side_, outcome);
  const std::string reason = outcome ? std::string("its process ended") : outcome.error().message();
  if (!outcome && accused_.empty()) accused_ = inspector ? "inspector" : "dialer";
  authority_->worker_failed(inspector ? "inspector" : "dialer", reason);
}

std::string EgressLink::culprit(std::string_view reported) {
  if (!accused_.empty()) return accused_;
  const auto inspector = exit_status_of(inspector_process_), dialer = exit_status_of(dialer_process_);
  const auto fell = [](const auto& status) { return status && (status->signalled || status->code != kWorkerDone); };
  const auto accuses = [](const auto& status) {
    return status && !status->signalled && status->code == kWorkerProtocol;
  };
  if (accuses(dialer) || (fell(inspector) && !fell(dialer))) return "inspector";
  if (accuses(inspector) || (fell(dialer) && !fell(inspector))) return "dialer";
  return std::string(reported);
}

void EgressLink::pass_listeners(net::TransparentListeners listeners) {
  std::vector<Fd> fds;
  for (Fd* fd : {&listeners.tcp4, &listeners.udp4, &listeners.dns4, &listeners.dns_tcp4, &listeners.icmp4,
                 &listeners.tcp6, &listeners.udp6, &listeners.dns6, &listeners.dns_tcp6, &listeners.icmp6,
                 &listeners.proxy_http, &listeners.proxy_socks})
    if (*fd) fds.push_back(std::move(*fd));
  inspector_->send_with(Listeners{true}, std::move(fds));
}

void EgressLink::pass_proxy_listener(Fd listener) {
  std::vector<Fd> fds;
  fds.push_back(std::move(listener));
  inspector_->send_with(Listeners{false}, std::move(fds));
}

void EgressLink::drain() { inspector_->send(Drain{}); }

void EgressLink::cut(uint64_t flow) { dialer_->send(Cut{flow}); }

event::Event EgressLink::to_event(const Notice& notice, std::string_view worker) const {
  event::Event event;
  event.wall = event::Wall::network;
  event.kind = kind_word(notice.kind);
  event.subject = notice.subject;
  event.decision = decision_of(notice.decision);
  const policy::NetworkRule* rule = rule_at(policy_.network, notice.rule, notice.by_deny_rule);
  event.rule = rule_text(rule, notice.rule, notice.by_deny_rule);
  event.where = rule ? rule->where.to_string() : section_place(policy_.network, notice.host, notice.port);
  event.reason = notice.reason;
  event.hint = notice.hint;
  event.count = notice.count;
  event.evidence = notice.evidence;
  event.evidence.emplace_back("by", worker);
  return event;
}

Result<void> EgressLink::on_notice(const Notice& notice, uint64_t& last_seq, Channel& from, std::string_view worker) {
  if (notice.seq != last_seq + 1) return fail(ErrorKind::protocol, "a notice out of order");
  last_seq = notice.seq;
  // What is let through is the dialer's and the supervisor's word; of an inspector only what it read is heard.
  const bool was_read = notice.kind == NoticeKind::request || notice.kind == NoticeKind::session;
  const bool by_itself = notice.decision == NoticeDecision::allow || notice.decision == NoticeDecision::ask;
  if (by_itself && (!was_read || &from != inspector_.get()))
    return fail(ErrorKind::protocol, "a worker that allows by itself");
  if (notice.decision == NoticeDecision::ask) {
    const auto then = [&from, seq = notice.seq](const Answer& answer) {
      from.send(Answered{seq, answer.granted, answer.reason});
    };
    STOCKADE_ASSIGN(const uint64_t asked, authority_->ask(to_event(notice, worker), AskScope::once, then));
    from.send(Acked{notice.seq, asked, !authority_->ended()});
    return {};
  }
  STOCKADE_ASSIGN(const uint64_t number, authority_->record(to_event(notice, worker)));
  from.send(Acked{notice.seq, number, !authority_->ended()});
  return {};
}

event::Event EgressLink::admission_event(const Admit& admit, const AdmissionVerdict& verdict) const {
  event::Event event;
  event.wall = event::Wall::network;
  event.kind = event::kind::kConnect;
  event.subject = admit.to.subject();
  event.decision = verdict.allowed ? event::Decision::allow : event::Decision::deny;
  const policy::NetworkRule* rule = rule_at(policy_.network, admit.to.rule, false);
  event.rule = rule_text(rule, admit.to.rule, false);
  event.where = rule->where.to_string();
  event.reason = verdict.allowed ? fmt::format("{} is allowed", admit.to.subject()) : verdict.reason;
  event.hint = verdict.hint;
  event.evidence = verdict.evidence;
  event.evidence.emplace_back("flow", fmt::format("{}", admit.flow));
  return event;
}

Result<void> EgressLink::on_admit(const Admit& admit) {
  const policy::NetworkRule* rule = rule_at(policy_.network, admit.to.rule, false);
  if (!rule) return fail(ErrorKind::protocol, "a connection by a rule that does not exist");
  const FlowRequest request{admit.flow,    *rule,        admit.to.host,  admit.to.address,
                            admit.to.port, admit.client, admit.original, admit.new_name};
  AdmissionVerdict verdict = authority_->admit(request);
  if (verdict.allowed && policy::asks_at_connect(*rule)) return ask_first(admit, std::move(verdict));
  return conclude(admit, verdict);
}

// The dialer resolves and connects to nothing before the answer: an inspector that was taken over has no way past it.
Result<void> EgressLink::ask_first(const Admit& admit, AdmissionVerdict verdict) {
  event::Event asked = admission_event(admit, verdict);
  asked.decision = event::Decision::ask;
  asked.reason = "the rule asks a person first";
  auto then = [this, admit, verdict = std::move(verdict)](const Answer& answer) mutable {
    verdict.allowed = answer.granted;
    verdict.reason = answer.reason;
    if (!answer.granted) verdict.hint = "the rule says ask: true; each try asks again";
    if (answer.approval != 0) verdict.evidence.emplace_back("approval", fmt::format("{}", answer.approval));
    // What can't be recorded ends the run; the dialer then gets no answer.
    (void)conclude(admit, verdict);
  };
  STOCKADE_TRY(authority_->ask(std::move(asked), AskScope::destination, std::move(then)));
  return {};
}

Result<void> EgressLink::conclude(const Admit& admit, const AdmissionVerdict& verdict) {
  STOCKADE_TRY(authority_->record(admission_event(admit, verdict)));
  if (verdict.allowed && admit.new_name) {
    event::Event name = admission_event(admit, verdict);
    name.kind = event::kind::kName;
    name.subject = admit.to.host;
    name.reason = "asked of the resolver for the first time in this run";
    STOCKADE_TRY(authority_->record(std::move(name)));
  }
  if (verdict.allowed && authority_->ended())
    dialer_->send(Admission{admit.flow, false, "the run has ended"});
  else
    dialer_->send(Admission{admit.flow, verdict.allowed, verdict.reason});
  return {};
}

}  // namespace stockade::egress
