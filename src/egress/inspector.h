// Inspector: the process that reads what the agent sends. It gets the listeners that were made inside the sandbox's
// network namespace, answers DNS with synthetic addresses, finds the name behind each connection, judges it by the
// policy and by its first bytes, and asks the dialer for a connected descriptor. It can connect to nothing itself. What
// it decides by itself (SNI, Host, method, path) falls with it when it is taken over; names, addresses, ports, counts
// and bytes do not, for those are the dialer's and the supervisor's (docs/egress.md).
//
// This class is what its parts share: policy, log line, names, dials, relays. The parts: dns_service, session (one
// connection), http_session, proxy_session, datagrams. One thread.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "egress/channel.h"
#include "egress/content_guard.h"
#include "egress/exfil_watch.h"
#include "egress/name_table.h"
#include "egress/notice_sink.h"
#include "egress/relay.h"
#include "net/tls_authority.h"
#include "net/tls_session.h"
#include "net/transparent.h"
#include "policy/policy.h"

namespace stockade::egress {

struct InspectorOptions {
  const policy::Network& network;
  Fd supervisor;
  Fd dialer;
  Fd sealer;  // none: nothing is intercepted
  pid_t parent = 0;
};

// The body of the forked process; returns its exit status.
int run_inspector(InspectorOptions options);

// Bounds of one run. Past them its connections are refused.
inline constexpr size_t kPendingSessions = 4096;  // not yet relayed: waiting for bytes, for the dialer, for the log
inline constexpr size_t kDialsAtOnce = 512;
inline constexpr size_t kBufferedBytes = 16 * 1024 * 1024;  // read and not yet judged or forwarded, over all sessions
inline constexpr Duration kFirstBytesDeadline = std::chrono::seconds(10);
inline constexpr Duration kHeadDeadline = std::chrono::seconds(30);

struct Upstream {
  uint64_t flow = 0;
  Fd socket;
  DialResult result = DialResult::failed;
  std::string reason;
  std::string alpn;  // sealed: what the server agreed to speak
};

// What the inspector needs to be the server that the agent meant, towards the agent.
struct Interception {
  net::CertificateAuthority authority;
  net::TlsContext context;
};

class UpstreamPool;
class JudgedTexts;

class Inspector {
 public:
  Inspector(loop::Loop& loop, const policy::Network& network, size_t max_flows);
  ~Inspector();

  Result<void> open(Fd supervisor, Fd dialer, Fd sealer = {});
  // Before run(), where rules inspect TLS. Tells the supervisor of the authority.
  void intercept(Interception interception);
  // Whether requests are searched for secrets, and by whom. Made at the first request, which takes some tenths of a
  // second: a run that sends none pays nothing. Null: it can't be made, and the process ends.
  bool searches() const;
  ContentGuard* guard();
  // The same for orders to the model in responses.
  const inspect::InjectionDetector* injection();
  JudgedTexts& judged_texts() { return *judged_texts_; }
  Interception* interception() { return interception_ ? &*interception_ : nullptr; }
  Result<void> run();

  loop::Loop& loop() { return loop_; }
  const policy::Network& network() const { return network_; }
  NameTable& names() { return names_; }
  NoticeSink& notices() { return *notices_; }
  ExfilWatch& exfiltration() { return exfiltration_; }
  UpstreamPool& upstreams() { return *upstreams_; }

  // Asks the dialer. The flow id is taken here; whoever gets a socket hands it to start_relay(), or closes it and then
  // calls flow_ended().
  loop::Task<Upstream> dial(Destination to, Endpoint client, Endpoint original);
  // The same behind TLS that the sealer speaks: the socket is the plain side.
  loop::Task<Upstream> dial_sealed(Destination to, Endpoint client, Endpoint original, bool http2);
  // What was dialled plain goes on inside TLS. Whoever asks has closed its socket before, and reads and writes there no
  // more; the answer's socket is the plain side.
  loop::Task<Upstream> seal(uint64_t flow, std::vector<std::string> alpn);
  void flow_ended(uint64_t flow, bool abort);
  void start_relay(RelayEnds ends, uint64_t flow);

  // A session counts from accept until it ends or becomes a relay.
  class SessionSlot {
   public:
    SessionSlot() = default;
    explicit SessionSlot(Inspector& inspector) : inspector_(&inspector) { ++inspector.sessions_; }
    SessionSlot(SessionSlot&& other) noexcept : inspector_(std::exchange(other.inspector_, nullptr)) {}
    SessionSlot& operator=(SessionSlot&& other) noexcept {
      std::swap(inspector_, other.inspector_);
      return *this;
    }
    ~SessionSlot() {
      if (inspector_) --inspector_->sessions_;
    }

   private:
    Inspector* inspector_ = nullptr;
  };
  bool has_room() const { return sessions_ < kPendingSessions && sessions_ + relays_ < max_flows_; }
  size_t sessions() const { return sessions_; }
  size_t& buffered_bytes() { return buffered_bytes_; }

  // What reads a listener says when it has emptied it and waits, and when it goes on.
  void listener_waits() { ++waiting_listeners_; }
  void listener_goes_on() { --waiting_listeners_; }
  void add_listener() { ++listeners_; }

 private:
  struct PendingDial {
    explicit PendingDial(loop::Loop& loop) : answered(loop) {}
    loop::Signal answered;
    std::optional<Upstream> upstream;
    bool sealed = false;  // complete when both have answered
    std::optional<Upstream> dialed, seal;
  };
  loop::Task<Upstream> dial_by(Dial dial);
  void complete(PendingDial& pending);
  class SupervisorSide;
  class DialerSide;
  class SealerSide;
  friend class SupervisorSide;
  friend class DialerSide;
  friend class SealerSide;

  Result<void> on_listeners(const Listeners& record, std::vector<Fd> fds);
  Result<void> on_dialed(Dialed dialed, ArrivedFds& fds);
  Result<void> on_sealed(Sealed sealed, ArrivedFds& fds);
  Result<void> serve_transparent(net::TransparentListeners listeners);
  Result<void> accept_on(Fd listener, int kind);
  loop::Task<void> drain();
  loop::Task<void> watch(Channel& channel, RecordHandler& side);

  loop::Loop& loop_;
  const policy::Network& network_;
  size_t max_flows_;
  size_t sessions_ = 0;
  size_t relays_ = 0;
  size_t buffered_bytes_ = 0;
  uint64_t last_flow_ = 0;
  bool listening_ = false;
  size_t listeners_ = 0;
  size_t waiting_listeners_ = 0;
  NameTable names_;
  ExfilWatch exfiltration_;
  RelayHouse relay_house_;
  std::unique_ptr<Channel> supervisor_;
  std::unique_ptr<Channel> dialer_;
  std::unique_ptr<Channel> sealer_;
  std::unique_ptr<NoticeSink> notices_;
  std::unique_ptr<SupervisorSide> supervisor_side_;
  std::unique_ptr<DialerSide> dialer_side_;
  std::unique_ptr<RecordHandler> sealer_side_;
  std::optional<Interception> interception_;
  std::optional<ContentGuard> guard_;
  std::optional<inspect::InjectionDetector> injection_;
  std::unique_ptr<JudgedTexts> judged_texts_;
  std::unordered_map<uint64_t, std::unique_ptr<PendingDial>> dials_;
  std::deque<std::shared_ptr<loop::Signal>> dial_queue_;
  std::unique_ptr<UpstreamPool> upstreams_;  // its connections say goodbye through the channels above
  Result<void> outcome_;
};

}  // namespace stockade::egress
