#include "egress/inspector.h"

#include <netinet/tcp.h>
#include <sodium.h>
#include <sys/socket.h>

#include "egress/datagrams.h"
#include "egress/dns_service.h"
#include "egress/model_filter.h"
#include "egress/session.h"
#include "egress/upstream_pool.h"
#include "egress/worker.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

constexpr size_t kReservedDescriptors = 600;  // pipes, listeners, sockets in flight

uint64_t random_seed() {
  uint64_t seed = 0;
  ::randombytes_buf(&seed, sizeof(seed));
  return seed;
}

enum ListenerKind { kTransparent, kDnsOverTcp, kExplicitProxy };

loop::Task<void> accept_loop(Inspector& inspector, loop::AsyncFd listener, int kind) {
  inspector.add_listener();
  for (unsigned turn = 1;; ++turn) {
    if (turn % 64 == 0) co_await inspector.loop().yield();
    // The peer's address comes from accept: of a connection that was reset meanwhile nothing else tells it any more.
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    Fd client(::accept4(listener.get(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client) {
      const Endpoint peer = Endpoint::from_sockaddr(address).value_or(Endpoint{});
      if (kind == kDnsOverTcp)
        inspector.loop().spawn(serve_dns_stream(inspector, std::move(client)));
      else if (kind == kExplicitProxy)
        inspector.loop().spawn(serve_proxy_connection(inspector, std::move(client), peer));
      else
        inspector.loop().spawn(serve_connection(inspector, std::move(client), peer));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN) {
      listener.exhausted_read();
      inspector.listener_waits();
      co_await listener.readable();
      inspector.listener_goes_on();
    } else {
      // Out of descriptors or memory: the agent's connections wait in the backlog until others end.
      co_await inspector.loop().sleep(std::chrono::milliseconds(20));
    }
  }
}

}  // namespace

class Inspector::SupervisorSide final : public RecordHandler {
 public:
  explicit SupervisorSide(Inspector& inspector) : inspector_(inspector) {}
  Result<void> on_record(RecordType type, WireReader& in, ArrivedFds& fds) override {
    if (type == RecordType::acked) {
      STOCKADE_ASSIGN(const Acked acked, decoded<Acked>(in));
      if (!inspector_.notices_->on_acked(acked)) return fail(ErrorKind::protocol, "an acknowledgement of nothing");
      return {};
    }
    if (type == RecordType::answered) {
      STOCKADE_ASSIGN(Answered answered, decoded<Answered>(in));
      if (!inspector_.notices_->on_answered(std::move(answered))) return fail(ErrorKind::protocol, "an answer to nothing");
      return {};
    }
    if (type == RecordType::listeners) {
      STOCKADE_ASSIGN(const Listeners listeners, decoded<Listeners>(in));
      return inspector_.on_listeners(listeners, fds.take_all());
    }
    if (type == RecordType::drain) {
      inspector_.loop_.spawn(inspector_.drain());
      return {};
    }
    return fail(ErrorKind::protocol, "a record that a supervisor does not send");
  }

 private:
  Inspector& inspector_;
};

class Inspector::DialerSide final : public RecordHandler {
 public:
  explicit DialerSide(Inspector& inspector) : inspector_(inspector) {}
  Result<void> on_record(RecordType type, WireReader& in, ArrivedFds& fds) override {
    if (type != RecordType::dialed) return fail(ErrorKind::protocol, "a record that a dialer does not send");
    STOCKADE_ASSIGN(Dialed dialed, decoded<Dialed>(in));
    return inspector_.on_dialed(std::move(dialed), fds);
  }

 private:
  Inspector& inspector_;
};

class Inspector::SealerSide final : public RecordHandler {
 public:
  explicit SealerSide(Inspector& inspector) : inspector_(inspector) {}
  Result<void> on_record(RecordType type, WireReader& in, ArrivedFds& fds) override {
    if (type != RecordType::sealed) return fail(ErrorKind::protocol, "a record that a sealer does not send");
    STOCKADE_ASSIGN(Sealed sealed, decoded<Sealed>(in));
    return inspector_.on_sealed(std::move(sealed), fds);
  }

 private:
  Inspector& inspector_;
};

Inspector::Inspector(loop::Loop& loop, const policy::Network& network, size_t max_flows)
    : loop_(loop), network_(network), max_flows_(max_flows), exfiltration_(network, random_seed()), relay_house_(loop, [this](uint64_t flow, bool abort) {
        --relays_;
        flow_ended(flow, abort);
      }),
      judged_texts_(std::make_unique<JudgedTexts>()),
      upstreams_(std::make_unique<UpstreamPool>(*this)) {}

Inspector::~Inspector() = default;

Result<void> Inspector::open(Fd supervisor, Fd dialer, Fd sealer) {
  if (sealer) {
    STOCKADE_ASSIGN(sealer_, Channel::open(loop_, std::move(sealer)));
    sealer_side_ = std::make_unique<SealerSide>(*this);
  }
  STOCKADE_ASSIGN(supervisor_, Channel::open(loop_, std::move(supervisor)));
  STOCKADE_ASSIGN(dialer_, Channel::open(loop_, std::move(dialer)));
  notices_ = std::make_unique<NoticeSink>(loop_, *supervisor_);
  supervisor_side_ = std::make_unique<SupervisorSide>(*this);
  dialer_side_ = std::make_unique<DialerSide>(*this);
  return {};
}

Result<void> Inspector::run() {
  loop_.spawn(watch(*dialer_, *dialer_side_));
  loop_.spawn(watch(*supervisor_, *supervisor_side_));
  loop_.spawn(supervisor_->run_writer());
  loop_.spawn(dialer_->run_writer());
  if (sealer_) loop_.spawn(watch(*sealer_, *sealer_side_));
  STOCKADE_TRY(loop_.run());
  return outcome_;
}

bool Inspector::searches() const { return policy::inspects_secrets(network_); }

ContentGuard* Inspector::guard() {
  if (guard_) return &*guard_;
  auto guard = ContentGuard::create();
  if (guard) return &guard_.emplace(std::move(*guard));
  outcome_ = std::unexpected(std::move(guard).error());
  loop_.stop();
  return nullptr;
}

const inspect::InjectionDetector* Inspector::injection() {
  if (injection_) return &*injection_;
  auto detector = inspect::InjectionDetector::create();
  if (detector) return &injection_.emplace(std::move(*detector));
  outcome_ = std::unexpected(std::move(detector).error());
  loop_.stop();
  return nullptr;
}

loop::Task<void> Inspector::watch(Channel& channel, RecordHandler& side) {
  Result<void> outcome;
  co_await channel.run_reader(side, outcome);
  if (!outcome) outcome_ = std::move(outcome);
  loop_.stop();
}

Result<void> Inspector::on_listeners(const Listeners& record, std::vector<Fd> fds) {
  if (listening_) return fail(ErrorKind::protocol, "listeners for the second time");
  listening_ = true;
  if (!record.transparent) {
    for (Fd& fd : fds) STOCKADE_TRY(accept_on(std::move(fd), kExplicitProxy));
    return {};
  }
  STOCKADE_ASSIGN(auto listeners, net::TransparentListeners::from_descriptors(std::move(fds)));
  return serve_transparent(std::move(listeners));
}

Result<void> Inspector::serve_transparent(net::TransparentListeners listeners) {
  // The IPv6 ones are absent where the kernel has no IPv6.
  for (Fd* listener : {&listeners.tcp4, &listeners.tcp6})
    if (*listener) STOCKADE_TRY(accept_on(std::move(*listener), kTransparent));
  for (Fd* listener : {&listeners.dns_tcp4, &listeners.dns_tcp6})
    if (*listener) STOCKADE_TRY(accept_on(std::move(*listener), kDnsOverTcp));
  for (Fd* listener : {&listeners.proxy_http, &listeners.proxy_socks})
    if (*listener) STOCKADE_TRY(accept_on(std::move(*listener), kExplicitProxy));
  for (Fd* socket : {&listeners.dns4, &listeners.dns6}) {
    if (!*socket) continue;
    STOCKADE_ASSIGN(auto async, loop::AsyncFd::adopt(loop_, std::move(*socket)));
    loop_.spawn(serve_dns_datagrams(*this, std::move(async)));
  }
  STOCKADE_ASSIGN(auto udp4, loop::AsyncFd::adopt(loop_, std::move(listeners.udp4)));
  loop_.spawn(refuse_datagrams(*this, std::move(udp4), std::move(listeners.icmp4)));
  if (!listeners.udp6) return {};
  STOCKADE_ASSIGN(auto udp6, loop::AsyncFd::adopt(loop_, std::move(listeners.udp6)));
  loop_.spawn(refuse_datagrams(*this, std::move(udp6), std::move(listeners.icmp6)));
  return {};
}

Result<void> Inspector::accept_on(Fd listener, int kind) {
  // Accepted sockets inherit both.
  const int on = 1;
  ::setsockopt(listener.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(listener.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  STOCKADE_ASSIGN(auto async, loop::AsyncFd::adopt(loop_, std::move(listener)));
  loop_.spawn(accept_loop(*this, std::move(async), kind));
  return {};
}

loop::Task<void> Inspector::drain() {
  // Each yield lets the kernel report what is queued, and lets what was accepted log its judgement.
  for (int quiet = 0; quiet < 3;) {
    co_await loop_.yield();
    quiet = waiting_listeners_ == listeners_ ? quiet + 1 : 0;
  }
  supervisor_->send(Drained{});
}

void Inspector::intercept(Interception interception) {
  interception_.emplace(std::move(interception));
  supervisor_->send(AuthorityMade{interception_->authority.pem()});
}

loop::Task<Upstream> Inspector::dial(Destination to, Endpoint client, Endpoint original) {
  return dial_by(Dial{0, std::move(to), client, original, false, false});
}

loop::Task<Upstream> Inspector::dial_sealed(Destination to, Endpoint client, Endpoint original, bool http2) {
  return dial_by(Dial{0, std::move(to), client, original, true, http2});
}

loop::Task<Upstream> Inspector::dial_by(Dial dial) {
  if (dials_.size() >= kDialsAtOnce) {
    auto turn = std::make_shared<loop::Signal>(loop_);
    dial_queue_.push_back(turn);
    co_await turn->wait();
  }
  const uint64_t flow = ++last_flow_;
  const auto place = dials_.emplace(flow, std::make_unique<PendingDial>(loop_)).first;
  PendingDial& pending = *place->second;
  pending.sealed = dial.sealed;
  dial.flow = flow;
  dialer_->send(dial);
  co_await pending.answered.wait();
  Upstream upstream = std::move(*pending.upstream);
  dials_.erase(flow);
  if (!dial_queue_.empty()) {
    dial_queue_.front()->notify_all();
    dial_queue_.pop_front();
  }
  co_return upstream;
}

loop::Task<Upstream> Inspector::seal(uint64_t flow, std::vector<std::string> alpn) {
  PendingDial& pending = *dials_.emplace(flow, std::make_unique<PendingDial>(loop_)).first->second;
  pending.sealed = true;
  dialer_->send(SealFlow{flow, std::move(alpn)});
  co_await pending.answered.wait();
  Upstream upstream = std::move(*pending.upstream);
  dials_.erase(flow);
  co_return upstream;
}

Result<void> Inspector::on_dialed(Dialed dialed, ArrivedFds& fds) {
  const auto found = dials_.find(dialed.flow);
  if (found == dials_.end() || found->second->upstream)
    return fail(ErrorKind::protocol, "an answer that nobody waits for");
  Upstream upstream{dialed.flow, Fd(), dialed.result, std::move(dialed.reason)};
  PendingDial& pending = *found->second;
  if (pending.sealed) {
    if (pending.dialed) return fail(ErrorKind::protocol, "a second answer");
    pending.dialed = std::move(upstream);
    complete(pending);
    return {};
  }
  if (dialed.result == DialResult::connected) {
    upstream.socket = fds.take();
    if (!upstream.socket) return fail(ErrorKind::protocol, "a connection without its descriptor");
  }
  pending.upstream = std::move(upstream);
  pending.answered.notify_all();
  return {};
}

Result<void> Inspector::on_sealed(Sealed sealed, ArrivedFds& fds) {
  const auto found = dials_.find(sealed.flow);
  if (found == dials_.end() || !found->second->sealed || found->second->seal || found->second->upstream)
    return fail(ErrorKind::protocol, "an answer that nobody waits for");
  Upstream upstream{sealed.flow, Fd(), DialResult::failed, std::move(sealed.reason), std::move(sealed.alpn)};
  if (sealed.established) {
    upstream.result = DialResult::connected;
    upstream.socket = fds.take();
    if (!upstream.socket) return fail(ErrorKind::protocol, "a connection without its plain side");
  }
  found->second->seal = std::move(upstream);
  complete(*found->second);
  return {};
}

// The two answers come by ways of their own, in any order; without a connection there is only the dialer's.
void Inspector::complete(PendingDial& pending) {
  if (!pending.dialed) return;
  if (pending.dialed->result != DialResult::connected) {
    pending.upstream = std::move(*pending.dialed);
  } else if (pending.seal) {
    pending.upstream = std::move(*pending.seal);
    if (!pending.upstream->socket) flow_ended(pending.upstream->flow, true);
  } else {
    return;
  }
  pending.answered.notify_all();
}

void Inspector::flow_ended(uint64_t flow, bool abort) { dialer_->send(Closed{flow, abort}); }

void Inspector::start_relay(RelayEnds ends, uint64_t flow) {
  ++relays_;
  relay_house_.start(std::move(ends), flow);
}

namespace {

Result<Interception> make_interception(WallTime now) {
  STOCKADE_ASSIGN(auto authority, net::CertificateAuthority::create(std::string(net::kAuthorityName), now));
  STOCKADE_ASSIGN(auto context, net::TlsContext::for_server());
  return Interception{std::move(authority), std::move(context)};
}

}  // namespace

int run_inspector(InspectorOptions options) {
  if (!become_worker({options.supervisor.get(), options.dialer.get(), options.sealer.get()})) return kWorkerSetUpFailed;
  const size_t descriptors = raise_descriptor_limit();
  const SystemClock clock;
  auto loop = loop::Loop::create(clock);
  if (!loop) return kWorkerSetUpFailed;
  const size_t usable = descriptors > 2 * kReservedDescriptors ? descriptors - kReservedDescriptors : descriptors / 2;
  Inspector inspector(**loop, options.network, usable / 2);
  const bool intercepts = static_cast<bool>(options.sealer);
  if (!inspector.open(std::move(options.supervisor), std::move(options.dialer), std::move(options.sealer)))
    return kWorkerSetUpFailed;
  if (intercepts) {
    auto interception = make_interception(clock.wall());
    if (!interception) return kWorkerSetUpFailed;
    inspector.intercept(std::move(*interception));
  }
  if (!confine_egress_worker(WorkerKind::inspector, options.parent, options.network)) return kWorkerSetUpFailed;
  const int status = inspector.run() ? kWorkerDone : kWorkerProtocol;
  // Tasks refer to the inspector: they go first.
  (*loop)->cancel_all();
  return status;
}

}  // namespace stockade::egress
