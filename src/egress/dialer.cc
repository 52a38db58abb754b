#include "egress/dialer.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "egress/worker.h"
#include "net/address_classes.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

constexpr Duration kFirstTry = std::chrono::milliseconds(1500);
constexpr Duration kSecondTry = std::chrono::seconds(8);
constexpr size_t kReservedDescriptors = 600;

Result<loop::AsyncFd> begin_connect(loop::Loop& loop, const Endpoint& to) {
  Fd fd(::socket(to.address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("open a socket");
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  sockaddr_storage address;
  const socklen_t size = to.to_sockaddr(address);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) < 0 && errno != EINPROGRESS)
    return fail_errno("connect to {}", to.to_string());
  return loop::AsyncFd::adopt(loop, std::move(fd));
}

loop::Task<Result<Fd>> connect_once(loop::Loop& loop, Endpoint to, TimePoint deadline) {
  STOCKADE_CO_ASSIGN(loop::AsyncFd socket, begin_connect(loop, to));
  socket.exhausted_write();
  const loop::Wake wake = co_await socket.writable(deadline);
  if (wake == loop::Wake::timeout) co_return fail(ErrorKind::unavailable, "{} does not answer", to.to_string());
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) < 0) error = errno;
  if (error != 0) {
    errno = error;
    co_return fail_errno("connect to {}", to.to_string());
  }
  co_return socket.release();
}

}  // namespace

class Dialer::InspectorSide final : public RecordHandler {
 public:
  explicit InspectorSide(Dialer& dialer) : dialer_(dialer) {}
  Result<void> on_record(RecordType type, WireReader& in, ArrivedFds&) override {
    if (type == RecordType::dial) {
      STOCKADE_ASSIGN(Dial dial, decoded<Dial>(in));
      return dialer_.on_dial(std::move(dial));
    }
    if (type == RecordType::seal_flow) {
      STOCKADE_ASSIGN(SealFlow asked, decoded<SealFlow>(in));
      return dialer_.on_seal_flow(std::move(asked));
    }
    if (type == RecordType::closed) {
      STOCKADE_ASSIGN(const Closed closed, decoded<Closed>(in));
      return dialer_.on_closed(closed);
    }
    return fail(ErrorKind::protocol, "a record that an inspector may not send");
  }

 private:
  Dialer& dialer_;
};

class Dialer::SupervisorSide final : public RecordHandler {
 public:
  explicit SupervisorSide(Dialer& dialer) : dialer_(dialer) {}
  Result<void> on_record(RecordType type, WireReader& in, ArrivedFds&) override {
    if (type == RecordType::admission) {
      STOCKADE_ASSIGN(Admission admission, decoded<Admission>(in));
      return dialer_.on_admission(std::move(admission));
    }
    if (type == RecordType::acked) {
      STOCKADE_ASSIGN(const Acked acked, decoded<Acked>(in));
      if (!dialer_.notices_->on_acked(acked)) return fail(ErrorKind::protocol, "an acknowledgement of nothing");
      return {};
    }
    if (type == RecordType::cut) {
      STOCKADE_ASSIGN(const Cut cut, decoded<Cut>(in));
      dialer_.on_cut(cut);
      return {};
    }
    return fail(ErrorKind::protocol, "a record that a supervisor does not send");
  }

 private:
  Dialer& dialer_;
};

// It says nothing to the dialer; its end is ours.
class Dialer::SealerSide final : public RecordHandler {
 public:
  Result<void> on_record(RecordType, WireReader&, ArrivedFds&) override {
    return fail(ErrorKind::protocol, "a record that a sealer may not send");
  }
};

Dialer::Dialer(loop::Loop& loop, const policy::Network& network, const policy::Limits& limits, HostView host,
               size_t max_flows)
    : loop_(loop),
      network_(network),
      limits_(limits),
      host_(std::move(host)),
      resolver_(loop, host_),
      max_flows_(max_flows),
      meter_(limits.bytes_out, [this](const Traffic& traffic) { supervisor_->send(traffic); }),
      meter_wanted_(loop) {}

Result<void> Dialer::open(Fd supervisor, Fd inspector, Fd sealer) {
  if (sealer) {
    STOCKADE_ASSIGN(sealer_, Channel::open(loop_, std::move(sealer)));
  }
  sealer_side_ = std::make_unique<SealerSide>();
  STOCKADE_ASSIGN(supervisor_, Channel::open(loop_, std::move(supervisor)));
  STOCKADE_ASSIGN(inspector_, Channel::open(loop_, std::move(inspector)));
  notices_ = std::make_unique<NoticeSink>(loop_, *supervisor_);
  inspector_side_ = std::make_unique<InspectorSide>(*this);
  supervisor_side_ = std::make_unique<SupervisorSide>(*this);
  return {};
}

Result<void> Dialer::run() {
  loop_.spawn(watch(*inspector_, *inspector_side_));
  loop_.spawn(watch(*supervisor_, *supervisor_side_));
  loop_.spawn(supervisor_->run_writer());
  loop_.spawn(inspector_->run_writer());
  if (sealer_) {
    loop_.spawn(watch(*sealer_, *sealer_side_));
    loop_.spawn(sealer_->run_writer());
  }
  loop_.spawn(meter_flows());
  STOCKADE_TRY(loop_.run());
  return outcome_;
}

loop::Task<void> Dialer::watch(Channel& channel, RecordHandler& side) {
  Result<void> outcome;
  co_await channel.run_reader(side, outcome);
  if (!outcome) outcome_ = std::move(outcome);
  loop_.stop();
}

Result<void> Dialer::on_dial(Dial dial) {
  if (pending_.contains(dial.flow) || meter_.contains(dial.flow) || dial.flow == 0)
    return fail(ErrorKind::protocol, "a flow id that is in use");
  if (pending_.size() >= kPendingDials || meter_.size() + pending_.size() >= max_flows_) {
    inspector_->send(Dialed{dial.flow, DialResult::limit, "too many connections at once"});
    return {};
  }
  if (dial.sealed && !sealer_) return fail(ErrorKind::protocol, "nothing is intercepted here");
  pending_.emplace(dial.flow, std::make_unique<Pending>(loop_));
  loop_.spawn(serve(std::move(dial)));
  return {};
}

// The sealer is told where this flow leads by what was dialled, not by what is asked now.
Result<void> Dialer::on_seal_flow(SealFlow asked) {
  if (!sealer_) return fail(ErrorKind::protocol, "nothing is intercepted here");
  auto handed = meter_.hand_over(asked.flow);
  if (!handed && handed.error().kind() == ErrorKind::protocol) return std::unexpected(std::move(handed).error());
  if (!handed) {
    inspector_->send(Dialed{asked.flow, DialResult::failed, handed.error().message()});
    return {};
  }
  std::vector<Fd> fds;
  fds.push_back(std::move(handed->socket));
  sealer_->send_with(Seal{asked.flow, std::move(handed->to), std::move(asked.alpn)}, std::move(fds));
  inspector_->send(Dialed{asked.flow, DialResult::connected, ""});
  return {};
}

Result<void> Dialer::on_closed(const Closed& closed) {
  if (const auto found = pending_.find(closed.flow); found != pending_.end())
    found->second->cancelled = true;
  else
    meter_.remove(closed.flow, closed.abort);
  return {};
}

Result<void> Dialer::on_admission(Admission admission) {
  const auto found = pending_.find(admission.flow);
  if (found == pending_.end() || found->second->admission)
    return fail(ErrorKind::protocol, "an admission that nobody asked for");
  found->second->admission = std::move(admission);
  found->second->answered.notify_all();
  return {};
}

void Dialer::on_cut(const Cut& cut) {
  if (cut.flow == 0) {
    for (auto& [id, pending] : pending_) pending->cancelled = true;
    meter_.cut_all();
  } else if (const auto found = pending_.find(cut.flow); found != pending_.end()) {
    found->second->cancelled = true;
  } else {
    meter_.cut(cut.flow);
  }
}

loop::Task<void> Dialer::serve(Dial dial) {
  const uint64_t flow = dial.flow;
  const bool sealed = dial.sealed, http2 = dial.http2;
  const Destination to = dial.to;
  Outcome outcome = co_await connect_to(std::move(dial));
  const bool cancelled = pending_.at(flow)->cancelled;
  pending_.erase(flow);
  Dialed reply{flow, outcome.result, std::move(outcome.reason)};
  std::vector<Fd> handed;
  if (reply.result == DialResult::connected && cancelled) {
    reply.result = DialResult::failed;
    reply.reason = "cancelled";
  } else if (reply.result == DialResult::connected) {
    auto duplicate = outcome.socket.duplicate();
    if (!duplicate) {
      reply.result = DialResult::limit;
      reply.reason = duplicate.error().message();
    } else {
      std::optional<Destination> sealable;
      if (!sealed && policy::reads_plain(network_.allow[static_cast<size_t>(to.rule)])) sealable = to;
      meter_.add(flow, std::move(*duplicate), std::move(sealable));
      handed.push_back(std::move(outcome.socket));
      if (meter_idle_) meter_wanted_.notify_all();
    }
  }
  if (sealed && !handed.empty()) {
    std::vector<std::string> protocols = {"http/1.1"};
    if (http2) protocols.insert(protocols.begin(), "h2");
    sealer_->send_with(Seal{flow, to, std::move(protocols)}, std::move(handed));
    handed.clear();
  }
  inspector_->send_with(reply, std::move(handed));
}

const policy::NetworkRule* Dialer::judged_rule(const Destination& to) const {
  policy::Verdict verdict;
  if (to.host.empty()) {
    verdict = policy::judge_connect(network_, to.address, to.port);
  } else {
    const auto canonical = policy::canonical_host(to.host);
    if (!canonical || *canonical != to.host) return nullptr;
    verdict = policy::judge_connect(network_, to.host, to.port);
  }
  if (verdict.action == policy::Action::deny) return nullptr;
  if (verdict.rule < 0 || verdict.rule != to.rule || static_cast<size_t>(verdict.rule) >= network_.allow.size())
    return nullptr;
  return &network_.allow[static_cast<size_t>(verdict.rule)];
}

std::optional<std::string> Dialer::wildcard_refusal(const policy::NetworkRule& rule, const std::string& host) const {
  if (!rule.host.starts_with("*.") || resolver_.has_asked(host)) return std::nullopt;
  if (wildcard_names_ >= kWildcardNames)
    return fmt::format("more than {} different names under wildcards in one run", kWildcardNames);
  return suspicious_wildcard_name(rule.host, host);
}

loop::Task<Dialer::Outcome> Dialer::refuse(Destination to, std::string reason, std::string detail) {
  Notice notice;
  notice.rule = to.rule;
  notice.host = to.host;
  notice.port = to.port;
  notice.subject = to.subject();
  notice.reason = reason;
  if (!detail.empty()) notice.evidence.emplace_back("answer", std::move(detail));
  co_await notices_->written(std::move(notice));
  Outcome outcome;
  outcome.result = DialResult::denied;
  outcome.reason = std::move(reason);
  co_return outcome;
}

loop::Task<Admission> Dialer::ask_admission(Admit admit) {
  Pending& pending = *pending_.at(admit.flow);
  supervisor_->send(admit);
  co_await pending.answered.wait();
  co_return std::move(*pending.admission);
}

loop::Task<Dialer::Outcome> Dialer::connect_to(Dial dial) {
  const policy::NetworkRule* rule = judged_rule(dial.to);
  if (!rule) co_return co_await refuse(dial.to, "the inspector asked for a destination that no rule allows", "");
  if (!dial.to.host.empty()) {
    auto suspicious = wildcard_refusal(*rule, dial.to.host);
    if (net::is_metadata_name(dial.to.host) && rule->host != dial.to.host)
      suspicious = fmt::format("{} is a cloud's metadata service", dial.to.host);
    if (suspicious) co_return co_await refuse(dial.to, std::move(*suspicious), "");
  }
  if (meter_.limit_reached()) {
    Outcome full;
    full.result = DialResult::limit;
    full.reason = "the limit on bytes out is reached";
    co_return full;
  }
  const bool new_name = !dial.to.host.empty() && !resolver_.has_asked(dial.to.host);
  Admit admit{dial.flow, dial.to, dial.client, dial.original, new_name};
  const Admission admission = co_await ask_admission(std::move(admit));
  Outcome outcome;
  if (!admission.allowed) {
    outcome.result = DialResult::denied;
    outcome.reason = admission.reason;
    co_return outcome;
  }
  std::vector<IpAddress> addresses;
  if (dial.to.host.empty()) {
    addresses.push_back(dial.to.address);
  } else {
    if (new_name && rule->host.starts_with("*.")) ++wildcard_names_;
    auto resolved = co_await resolver_.resolve(dial.to.host);
    if (!resolved) {
      outcome.reason = fmt::format("resolve {}: {}", dial.to.host, resolved.error().message());
      co_return outcome;
    }
    addresses = std::move(*resolved);
  }
  // One forbidden answer refuses them all: an honest name does not mix them, and rebinding lives off those that do.
  for (const IpAddress& address : addresses) {
    if (auto forbidden = forbidden_destination(*rule, address, host_))
      co_return co_await refuse(dial.to, fmt::format("{}: {}", dial.to.subject(), *forbidden), address.to_string());
  }
  auto socket = co_await connect_in_turn(std::move(addresses), dial.to.port);
  if (!socket) {
    outcome.reason = socket.error().message();
    co_return outcome;
  }
  outcome.result = DialResult::connected;
  outcome.socket = std::move(*socket);
  co_return outcome;
}

loop::Task<Result<Fd>> Dialer::connect_in_turn(std::vector<IpAddress> addresses, uint16_t port) {
  Error last(ErrorKind::unavailable, "there is no address");
  for (const Duration patience : {kFirstTry, kSecondTry}) {
    bool timed_out = false;
    for (const IpAddress& address : addresses) {
      const Duration longest = addresses.size() == 1 ? kFirstTry + kSecondTry : patience;
      auto socket = co_await connect_once(loop_, Endpoint{address, port}, loop_.now() + longest);
      if (socket) co_return socket;
      timed_out = timed_out || socket.error().error_number() == 0;
      last = std::move(socket).error();
    }
    // What was refused at once will be refused again.
    if (!timed_out || addresses.size() == 1) break;
  }
  co_return std::unexpected(std::move(last));
}

loop::Task<void> Dialer::meter_flows() {
  while (true) {
    if (meter_.size() == 0) {
      meter_idle_ = true;
      co_await meter_wanted_.wait();
      meter_idle_ = false;
    }
    co_await loop_.sleep(meter_.interval());
    if (!meter_.look()) continue;
    Notice notice;
    notice.kind = NoticeKind::upstream;
    notice.subject = "limits.bytes_out";
    notice.reason = fmt::format("{} bytes have left; the limit is {}", meter_.total_out(), *limits_.bytes_out);
    notices_->post(std::move(notice));
  }
}

int run_dialer(DialerOptions options) {
  if (!become_worker({options.supervisor.get(), options.inspector.get(), options.sealer.get()}))
    return kWorkerSetUpFailed;
  const size_t descriptors = raise_descriptor_limit();
  auto host = read_host_view(options.network.resolver);
  if (!host) return kWorkerSetUpFailed;
  const SystemClock clock;
  auto loop = loop::Loop::create(clock);
  if (!loop) return kWorkerSetUpFailed;
  const size_t max_flows =
      descriptors > 2 * kReservedDescriptors ? descriptors - kReservedDescriptors : descriptors / 2;
  Dialer dialer(**loop, options.network, options.limits, std::move(*host), max_flows);
  if (!dialer.open(std::move(options.supervisor), std::move(options.inspector), std::move(options.sealer)))
    return kWorkerSetUpFailed;
  if (!confine_egress_worker(WorkerKind::dialer, options.parent, options.network)) return kWorkerSetUpFailed;
  const int status = dialer.run() ? kWorkerDone : kWorkerProtocol;
  // Tasks refer to the dialer: they go first.
  (*loop)->cancel_all();
  return status;
}

}  // namespace stockade::egress
