#include "egress/sealer.h"

#include <sys/socket.h>

#include <array>

#include "egress/relay.h"
#include "egress/worker.h"

namespace stockade::egress {

namespace {

Result<std::array<Fd, 2>> make_plain_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
    return fail_errno("make the plain side");
  return std::array<Fd, 2>{Fd(ends[0]), Fd(ends[1])};
}

}  // namespace

class Sealer::DialerSide final : public RecordHandler {
 public:
  explicit DialerSide(Sealer& sealer) : sealer_(sealer) {}
  Result<void> on_record(RecordType type, WireReader& in, ArrivedFds& fds) override {
    if (type != RecordType::seal) return fail(ErrorKind::protocol, "a record that a dialer does not send");
    STOCKADE_ASSIGN(Seal seal, decoded<Seal>(in));
    Fd connection = fds.take();
    if (!connection) return fail(ErrorKind::protocol, "a connection without its descriptor");
    sealer_.loop_.spawn(sealer_.serve(std::move(seal), std::move(connection)));
    return {};
  }

 private:
  Sealer& sealer_;
};

class Sealer::SilentSide final : public RecordHandler {
 public:
  Result<void> on_record(RecordType, WireReader&, ArrivedFds&) override {
    return fail(ErrorKind::protocol, "a record that nobody may send here");
  }
};

Result<void> Sealer::open(Fd dialer, Fd inspector, Fd lifeline) {
  STOCKADE_ASSIGN(dialer_, Channel::open(loop_, std::move(dialer)));
  STOCKADE_ASSIGN(inspector_, Channel::open(loop_, std::move(inspector)));
  STOCKADE_ASSIGN(lifeline_, Channel::open(loop_, std::move(lifeline)));
  dialer_side_ = std::make_unique<DialerSide>(*this);
  silent_side_ = std::make_unique<SilentSide>();
  return {};
}

Result<void> Sealer::run() {
  loop_.spawn(watch(*dialer_, *dialer_side_));
  loop_.spawn(watch(*inspector_, *silent_side_));
  loop_.spawn(watch(*lifeline_, *silent_side_));
  loop_.spawn(inspector_->run_writer());
  STOCKADE_TRY(loop_.run());
  return outcome_;
}

loop::Task<void> Sealer::watch(Channel& channel, RecordHandler& side) {
  Result<void> outcome;
  co_await channel.run_reader(side, outcome);
  if (!outcome) outcome_ = std::move(outcome);
  loop_.stop();
}

loop::Task<Result<Wire>> Sealer::establish(Seal seal, Fd connection) {
  auto socket = loop::AsyncFd::adopt(loop_, std::move(connection));
  if (!socket) co_return std::unexpected(std::move(socket).error());
  const Destination& to = seal.to;
  auto session = net::TlsSession::to_server(context_, to.host, to.host.empty() ? &to.address : nullptr, seal.alpn);
  if (!session) co_return std::unexpected(std::move(session).error());
  Wire wire(std::move(*socket));
  auto done = co_await wire.begin_tls(loop_, std::move(*session), "", loop_.now() + kSealDeadline);
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return wire;
}

loop::Task<void> Sealer::serve(Seal seal, Fd connection) {
  auto wire = co_await establish(seal, std::move(connection));
  auto pair = make_plain_pair();
  if (!wire || !pair) {
    const Error& error = wire ? pair.error() : wire.error();
    inspector_->send(Sealed{seal.flow, false, error.message(), ""});
    co_return;
  }
  auto ours = loop::AsyncFd::adopt(loop_, std::move((*pair)[0]));
  if (!ours) {
    inspector_->send(Sealed{seal.flow, false, ours.error().message(), ""});
    co_return;
  }
  std::vector<Fd> handed;
  handed.push_back(std::move((*pair)[1]));
  inspector_->send_with(Sealed{seal.flow, true, "", wire->alpn()}, std::move(handed));
  auto outer = std::make_shared<Wire>(std::move(*wire));
  auto plain = std::make_shared<Wire>(std::move(*ours));
  co_await relay_wires(loop_, std::move(plain), std::move(outer));
}

int run_sealer(SealerOptions options) {
  if (!become_worker({options.dialer.get(), options.inspector.get(), options.lifeline.get()}))
    return kWorkerSetUpFailed;
  raise_descriptor_limit();
  const SystemClock clock;
  auto loop = loop::Loop::create(clock);
  auto context = net::TlsContext::for_client(options.roots);
  if (!loop || !context) return kWorkerSetUpFailed;
  Sealer sealer(**loop, std::move(*context));
  if (!sealer.open(std::move(options.dialer), std::move(options.inspector), std::move(options.lifeline)))
    return kWorkerSetUpFailed;
  if (!confine_egress_worker(WorkerKind::sealer, options.parent, policy::Network{})) return kWorkerSetUpFailed;
  const int status = sealer.run() ? kWorkerDone : kWorkerProtocol;
  (*loop)->cancel_all();
  return status;
}

}  // namespace stockade::egress
