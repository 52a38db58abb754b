#include "egress/plain_session.h"

#include <fmt/format.h>

#include "egress/plain_judge.h"
#include "egress/plain_notices.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

// What may still become something waits this long for more.
constexpr Duration kUndecided = std::chrono::seconds(1);
constexpr Duration kGoodbye = std::chrono::seconds(1);
constexpr size_t kGoodbyeBytes = 256 * 1024;
constexpr unsigned kReadsPerTurn = 16;

struct PlainSession {
  PlainSession(Inspector& inspector_, Connection connection_, Destination to_, InBuffer in_, PlainJudge judge_)
      : inspector(inspector_),
        connection(std::move(connection_)),
        to(std::move(to_)),
        in(std::move(in_)),
        judge(std::move(judge_)),
        from_server(inspector_),
        changed(inspector_.loop()) {}

  Inspector& inspector;
  Connection connection;
  Destination to;
  InBuffer in;
  PlainJudge judge;
  Wire upstream;
  uint64_t flow = 0;
  InBuffer from_server;
  loop::Signal changed;      // the server's side has ended
  bool server_over = false;  // nobody reads the server any more
  bool half_closed = false;
  bool aborted = false;  // only a reset is honest

  bool goes_on() const { return !aborted && connection.client && upstream; }
  TimePoint patience() const { return half_closed ? inspector.loop().now() + kHalfClosedIdle : loop::kNever; }
};
using Session = std::shared_ptr<PlainSession>;

void abort(PlainSession& session) {
  session.aborted = true;
  if (session.connection.client) reset_on_close(session.connection.client.get());
  session.connection.client.close();
  session.upstream.close();
}

loop::Task<void> refuse_session(Session session, Notice notice) {
  session->aborted = true;  // whatever else waits stays where it is
  co_await session->inspector.notices().written(std::move(notice));
  abort(*session);
}

// By the policy's word, or a person's: then the session has ended.
loop::Task<bool> stops_secret(Session session, Notice notice) {
  Inspector& inspector = session->inspector;
  const policy::InspectionLevel level = policy::secrets_level(inspector.network());
  if (level == policy::InspectionLevel::log) {
    notice.decision = NoticeDecision::log;
    co_await inspector.notices().written(std::move(notice));
    co_return false;
  }
  if (level == policy::InspectionLevel::ask) {
    const NoticeSink::Word word = co_await inspector.notices().decided(notice);
    if (word.granted) co_return false;
    notice = unapproved(std::move(notice), word);
  }
  co_await refuse_session(session, std::move(notice));
  co_return true;
}

// Logs what is to be logged, then forwards to `peer`. False: the session has ended.
loop::Task<bool> let_pass(Session session, PlainJudge::Passed passed, bool to_server) {
  Inspector& inspector = session->inspector;
  if (!passed.refusal.empty()) {
    co_await refuse_session(session, session_malformed(session->to, session->judge.protocol(), passed.refusal));
    co_return false;
  }
  for (const inspect::Finding& found : passed.found) {
    const bool stops = co_await stops_secret(session, session_secret(session->to, session->judge.protocol(), found));
    if (stops) co_return false;
  }
  if (passed.facts) {
    Notice notice = session_begins(session->to, *passed.facts, session->judge.inside_tls());
    const NoticeSink::Receipt receipt = co_await inspector.notices().written(std::move(notice));
    if (!receipt.proceed) abort(*session);
  }
  if (!session->goes_on()) co_return false;
  if (passed.leaves.empty()) co_return true;
  Wire& peer = to_server ? session->upstream : session->connection.client;
  auto written = co_await peer.write(passed.leaves, loop::kNever);
  if (!written) abort(*session);
  co_return session->goes_on();
}

// ---- the server's side

loop::Task<void> carry_server(Session session) {
  while (session->goes_on() && !session->judge.tls_is_agreed()) {
    auto count = co_await session->from_server.read_more(session->upstream, session->patience());
    if (!session->goes_on()) break;
    if (!count) {
      abort(*session);
      break;
    }
    if (*count == 0) {
      co_await session->connection.client.finish(session->inspector.loop().now() + kGoodbye);
      session->half_closed = true;
      break;
    }
    const std::string bytes = session->from_server.take();
    PlainJudge::Passed passed = session->judge.from_server(bytes);
    const bool more = co_await let_pass(session, std::move(passed), false);
    if (!more) break;
  }
  session->server_over = true;
  session->changed.notify_all();
}

// ---- TLS inside

// The whole ClientHello is at the beginning of `bytes`; or why not.
loop::Task<Result<net::ClientHello>> read_hello(Session session, std::string& bytes) {
  const TimePoint deadline = session->inspector.loop().now() + kFirstBytesDeadline;
  while (true) {
    net::HelloResult result = net::parse_client_hello(bytes);
    if (result.state == net::HelloState::hello) co_return std::move(result.hello);
    if (result.state == net::HelloState::malformed)
      co_return fail(ErrorKind::protocol, "malformed TLS: {}", result.reason);
    if (result.state != net::HelloState::need_more)
      co_return fail(ErrorKind::protocol, "malformed TLS: no ClientHello");
    auto count = co_await session->connection.client.read(bytes, deadline);
    if (!count) co_return std::unexpected(std::move(count).error());
    if (*count == 0) co_return fail(ErrorKind::protocol, "the TLS ClientHello breaks off");
  }
}

// Here a client need not name the server: the sealer verifies the one that it connected to, and the leaf is for that.
std::optional<std::string> name_refusal(const PlainSession& session, const net::ClientHello& hello) {
  if (hello.ech) return "the TLS client hides its server name (ECH)";
  if (!hello.server_name) return std::nullopt;
  const auto name = policy::canonical_host(*hello.server_name);
  if (!session.to.host.empty() && (!name || *name != session.to.host))
    return fmt::format("the TLS server name is {}, not {}", *hello.server_name, session.to.host);
  if (session.to.host.empty() && name &&
      policy::judge_connect(session.inspector.network(), *name, session.to.port).by_deny_rule)
    return fmt::format("the TLS server name {} is denied", *hello.server_name);
  return std::nullopt;
}

loop::Task<void> refuse_tls(Session session, Notice notice, net::TlsAlert alert) {
  co_await session->inspector.notices().written(std::move(notice));
  const TimePoint deadline = session->inspector.loop().now() + kGoodbye;
  const std::string bytes = net::tls_alert_record(alert);
  Wire& client = session->connection.client;
  // Read to its end, or the reset would overtake the alert.
  if (client) (void)co_await client.write(bytes, deadline);
  if (client) co_await client.finish(deadline);
  if (client) co_await client.drain(kGoodbyeBytes, deadline);
  abort(*session);
}

// The server's side is read no more when this returns: our end of the connection is closed, the dialer has another.
loop::Task<bool> end_server_in_the_clear(Session session) {
  session->upstream.close();
  const TimePoint deadline = session->inspector.loop().now() + kHeadDeadline;
  while (!session->server_over && !session->aborted && session->inspector.loop().now() < deadline)
    co_await session->changed.wait(deadline);
  co_return session->server_over && !session->aborted;
}

std::vector<std::string> offered_protocols(const net::ClientHello& hello) {
  std::vector<std::string> names;
  for (const std::string& name : hello.alpn)
    if (!name.empty() && name.size() <= kAlpnLimit && names.size() < kAlpnNames) names.push_back(name);
  return names;
}

// With the client, once it is known what the server agreed to.
loop::Task<Result<void>> open_towards_client(Session session, std::string hello, std::string alpn) {
  Interception& interception = *session->inspector.interception();
  auto leaf =
      interception.authority.leaf_for(session->to.host.empty() ? session->to.address.to_string() : session->to.host);
  if (!leaf) co_return std::unexpected(std::move(leaf).error());
  std::vector<std::string> names;
  if (!alpn.empty()) names.push_back(std::move(alpn));
  auto tls = net::TlsSession::from_client(interception.context, **leaf, names);
  if (!tls) co_return std::unexpected(std::move(tls).error());
  co_return co_await session->connection.client.begin_tls(session->inspector.loop(), std::move(*tls), hello,
                                                          session->inspector.loop().now() + kHeadDeadline);
}

// From the client's ClientHello on. False: the session has ended.
loop::Task<bool> begin_tls(Session session) {
  std::string bytes = session->judge.take_hello();
  auto hello = co_await read_hello(session, bytes);
  if (!session->goes_on()) co_return false;
  if (!hello) {
    co_await refuse_tls(session, session_tls_refused(session->to, hello.error().message(), ""),
                        net::TlsAlert::decode_error);
    co_return false;
  }
  if (auto reason = name_refusal(*session, *hello)) {
    co_await refuse_tls(session, session_tls_refused(session->to, std::move(*reason), ""),
                        net::TlsAlert::unrecognized_name);
    co_return false;
  }
  if (auto facts = session->judge.untold_facts()) {
    Notice notice = session_begins(session->to, *facts, false);
    const NoticeSink::Receipt receipt = co_await session->inspector.notices().written(std::move(notice));
    if (!receipt.proceed) abort(*session);
  }
  const bool silent = co_await end_server_in_the_clear(session);
  if (!silent) {
    abort(*session);
    co_return false;
  }
  Upstream sealed = co_await session->inspector.seal(session->flow, offered_protocols(*hello));
  auto plain = sealed.socket ? loop::AsyncFd::adopt(session->inspector.loop(), std::move(sealed.socket))
                             : Result<loop::AsyncFd>(fail(ErrorKind::unavailable, "{}", sealed.reason));
  if (!plain) {
    co_await refuse_tls(session, session_tls_refused(session->to, plain.error().message(), ""),
                        net::TlsAlert::handshake_failure);
    co_return false;
  }
  session->upstream = Wire(std::move(*plain));
  auto open = co_await open_towards_client(session, std::move(bytes), std::move(sealed.alpn));
  if (!open) {
    Notice notice = session_tls_refused(
        session->to,
        fmt::format("the client does not go on with the run's own certificate: {}", open.error().message()),
        "a program that brings roots of its own needs a rule with tls: passthrough");
    notice.decision = NoticeDecision::log;
    co_await session->inspector.notices().written(std::move(notice));
    abort(*session);
    co_return false;
  }
  session->judge.enter_tls();
  session->server_over = false;
  session->inspector.loop().spawn(carry_server(session));
  co_return true;
}

// ---- the client's side

enum class Came { bytes, nothing, end, broken };

Came read_now(PlainSession& session, std::string& bytes) {
  if (session.inspector.buffered_bytes() > kBufferedBytes) return Came::broken;
  auto count = session.connection.client.read_now(bytes);
  // A TLS client that just goes has said all that it had to say.
  if (!count) return session.connection.client.is_tls() ? Came::end : Came::broken;
  if (!*count) return Came::nothing;
  return **count == 0 ? Came::end : Came::bytes;
}

// Nothing has come: what waits is let go as far as it may, first at once, then after some time. None: still nothing.
loop::Task<std::optional<PlainJudge::Passed>> wait_for_client(Session session, bool& paused) {
  if (!std::exchange(paused, true)) co_return session->judge.pause();
  const bool waits = session->judge.waits();
  const TimePoint deadline = waits ? session->inspector.loop().now() + kUndecided : session->patience();
  auto more = co_await session->connection.client.await_more(deadline);
  if (!session->goes_on()) co_return std::nullopt;
  if (more) {
    paused = false;
    co_return std::nullopt;
  }
  if (waits && more.error().kind() == ErrorKind::limit) co_return session->judge.give_up_waiting();
  abort(*session);
  co_return std::nullopt;
}

loop::Task<void> carry_client(Session session) {
  std::string bytes = session->in.take();
  Came came = bytes.empty() ? Came::nothing : Came::bytes;
  bool paused = false;
  for (unsigned turn = 1; session->goes_on(); ++turn) {
    std::optional<PlainJudge::Passed> passed;
    if (came == Came::broken) {
      abort(*session);
      break;
    }
    if (came == Came::nothing) {
      passed = co_await wait_for_client(session, paused);
    } else {
      passed = session->judge.from_client(bytes, came == Came::end);
      paused = false;
    }
    bytes.clear();
    session->in.charge_elsewhere(session->judge.held());
    bool more = true;
    if (passed) more = co_await let_pass(session, std::move(*passed), true);
    if (!more) break;
    if (session->judge.tls_begins() && came != Came::end) more = co_await begin_tls(session);
    if (!more || came == Came::end) break;
    if (turn % kReadsPerTurn == 0) co_await session->inspector.loop().yield();
    if (!session->goes_on()) break;
    came = read_now(*session, bytes);
  }
  if (session->goes_on()) {
    co_await session->upstream.finish(session->inspector.loop().now() + kGoodbye);
    session->half_closed = true;
  }
}

}  // namespace

loop::Task<void> serve_plain(Inspector& inspector, Connection connection, Destination to, InBuffer in,
                             Upstream upstream) {
  auto socket = loop::AsyncFd::adopt(inspector.loop(), std::move(upstream.socket));
  ContentGuard* guard = inspector.searches() ? inspector.guard() : nullptr;
  if (!socket || (inspector.searches() && !guard)) {
    inspector.flow_ended(upstream.flow, true);
    reset_on_close(connection.client.get());
    co_return;
  }
  const policy::NetworkRule& rule = inspector.network().allow[static_cast<size_t>(to.rule)];
  PlainJudge judge(rule.speaks, to.port, guard);
  auto session =
      std::make_shared<PlainSession>(inspector, std::move(connection), std::move(to), std::move(in), std::move(judge));
  session->upstream = Wire(std::move(*socket));
  session->flow = upstream.flow;
  inspector.loop().spawn(carry_server(session));
  co_await carry_client(session);
  while (!session->server_over) co_await session->changed.wait();
  if (auto facts = session->judge.untold_facts()) {
    Notice notice = session_begins(session->to, *facts, session->judge.inside_tls());
    co_await inspector.notices().written(std::move(notice));
  }
  inspector.flow_ended(session->flow, session->aborted);
}

}  // namespace stockade::egress
