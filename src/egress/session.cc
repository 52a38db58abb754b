#include "egress/session.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>

#include "egress/http_session.h"
#include "egress/plain_session.h"
#include "net/first_bytes.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

constexpr std::string_view kHttp1 = "http/1.1", kHttp2 = "h2";
constexpr Duration kExplainDeadline = std::chrono::seconds(2);
// A flood of refused connections is reset at once; the first ones wait for what protocol they speak.
constexpr size_t kExplainedAtOnce = 256;

bool is_loopback(const IpAddress& address) {
  return (address.is_v4() && address.bytes()[0] == 127) || address == *IpAddress::parse("::1");
}

bool is_http(net::FirstBytes first) { return first == net::FirstBytes::http1 || first == net::FirstBytes::http2; }

Answer answer_for(net::FirstBytes first) {
  Answer answer;
  if (first == net::FirstBytes::tls) answer.form = AnswerForm::alert;
  if (first == net::FirstBytes::http1) answer.form = AnswerForm::http;
  return answer;
}

// Reads until the protocol is known. `other` at the end of the stream, at the deadline and past the bound.
loop::Task<net::FirstBytes> first_bytes(Connection& connection, InBuffer& in, TimePoint deadline) {
  while (true) {
    const net::FirstBytes first = net::classify_first_bytes(in.bytes());
    if (first != net::FirstBytes::need_more) co_return first;
    auto count = co_await in.read_more(connection.client, deadline);
    if (!count || *count == 0) co_return net::FirstBytes::need_more;
  }
}

// The refusal is in the log. Finds out what the agent speaks, to answer in kind.
loop::Task<void> explain_refusal(Inspector& inspector, Connection connection, Notice notice, uint64_t event,
                                 InBuffer in) {
  if (inspector.sessions() > kExplainedAtOnce) {
    reset_on_close(connection.client.get());
    co_return;
  }
  const TimePoint deadline = inspector.loop().now() + kExplainDeadline;
  const net::FirstBytes first = co_await first_bytes(connection, in, deadline);
  Answer answer = answer_for(first);
  if (answer.form == AnswerForm::http) answer.with_body = !in.bytes().starts_with("HEAD ");
  std::string bytes = answer_bytes(answer, notice, event);
  co_await finish_with(inspector, std::move(connection), std::move(bytes));
}

void relay_to(Inspector& inspector, Connection connection, Upstream upstream, InBuffer in) {
  auto socket = loop::AsyncFd::adopt(inspector.loop(), std::move(upstream.socket));
  if (!socket) {
    inspector.flow_ended(upstream.flow, true);
    return;
  }
  // Just registered: what has come already will be reported, so no read is spent on finding nothing.
  socket->exhausted_read();
  RelayEnds ends{connection.client.take_socket(), std::move(*socket), in.take(), {}};
  inspector.start_relay(std::move(ends), upstream.flow);
}

std::string first_bytes_reason(net::FirstBytes first, bool spoke) {
  if (first == net::FirstBytes::need_more && !spoke)
    return fmt::format("the client sent nothing for {} s",
                       std::chrono::duration_cast<std::chrono::seconds>(kFirstBytesDeadline).count());
  return "neither TLS nor HTTP is spoken here";
}

std::optional<std::string> hello_refusal(const policy::Network& network, const Destination& to,
                                         const net::ClientHello& hello, net::TlsAlert& alert) {
  // Where TLS is ours there is no name but the one that we see: browsers send the extension with nothing in it (GREASE).
  const bool opened = policy::is_intercepted(network.allow[static_cast<size_t>(to.rule)]);
  if (hello.ech && !opened) return "the TLS client hides its server name (ECH)";
  alert = net::TlsAlert::unrecognized_name;
  if (!hello.server_name) {
    if (to.host.empty()) return std::nullopt;
    return "the TLS client names no server (SNI)";
  }
  const auto name = policy::canonical_host(*hello.server_name);
  if (!to.host.empty()) {
    if (name && *name == to.host) return std::nullopt;
    return fmt::format("the TLS server name is {}, not {}", *hello.server_name, to.host);
  }
  // Under an address rule a name may be given, unless it is forbidden.
  if (name && policy::judge_connect(network, *name, to.port).by_deny_rule)
    return fmt::format("the TLS server name {} is denied", *name);
  return std::nullopt;
}

bool offers(const net::ClientHello& hello, std::string_view protocol) {
  return std::ranges::find(hello.alpn, protocol) != hello.alpn.end();
}

// What the client is told of ALPN: what the server agreed to if the client speaks it as well. One that speaks HTTP/2
// only (gRPC) gets it from us, whatever the server speaks.
std::vector<std::string> mirrored_alpn(const net::ClientHello& hello, const Upstream& upstream) {
  const bool http2_only = offers(hello, kHttp2) && !offers(hello, kHttp1);
  if (upstream.alpn == kHttp2 || http2_only) return {std::string(kHttp2)};
  return {std::string(kHttp1)};
}

// TLS is ours on both sides: towards the client by the run's own authority, towards the server by the sealer. What the
// server agreed to is known before the client is answered, and what went wrong there is said inside TLS, where it can
// be read.
loop::Task<void> serve_intercepted(Inspector& inspector, Connection connection, Destination to, InBuffer in,
                                   net::ClientHello hello) {
  const Route route{to, connection.peer, connection.original, true, offers(hello, kHttp2)};
  Upstream upstream = co_await inspector.upstreams().prepare(route);
  const TimePoint deadline = inspector.loop().now() + kHeadDeadline;
  Interception& interception = *inspector.interception();
  auto leaf = interception.authority.leaf_for(to.host.empty() ? to.address.to_string() : to.host);
  Result<net::TlsSession> session =
      leaf ? net::TlsSession::from_client(interception.context, **leaf, mirrored_alpn(hello, upstream))
           : std::unexpected(leaf.error());
  Result<void> agreed;
  if (session) {
    const std::string first = in.take();
    agreed = co_await connection.client.begin_tls(inspector.loop(), std::move(*session), first, deadline);
  }
  if (!session || !agreed) {
    Notice notice = make_notice(to,
                                fmt::format("the client does not go on with the run's own certificate: {}",
                                            session ? agreed.error().message() : session.error().message()),
                                "a program that brings roots of its own needs a rule with tls: passthrough");
    notice.decision = NoticeDecision::log;
    co_await inspector.notices().written(std::move(notice));
    reset_on_close(connection.client.get());
    co_return;
  }
  const bool http2 = connection.client.alpn() == kHttp2;
  if (upstream.result != DialResult::connected && !http2) {
    Answer answer;
    answer.form = AnswerForm::http;
    if (upstream.result != DialResult::denied) answer.status = net::RefusalStatus::bad_gateway;
    std::string bytes = answer_bytes(answer, make_notice(to, upstream.reason));
    co_await finish_with(inspector, std::move(connection), std::move(bytes));
    co_return;
  }
  HttpSessionOptions options;
  options.version = http2 ? HttpVersion::http2 : HttpVersion::http1;
  options.sealed = true;
  options.offers_http2 = route.http2;
  co_await serve_http(inspector, std::move(connection), std::move(to), std::move(in), options);
}

loop::Task<void> serve_tls(Inspector& inspector, Connection connection, Destination to, InBuffer in,
                           std::optional<Upstream> ready) {
  const TimePoint deadline = inspector.loop().now() + kFirstBytesDeadline;
  Answer answer;
  answer.form = AnswerForm::alert;
  std::optional<std::string> reason;
  net::ClientHello hello;
  while (true) {
    net::HelloResult result = net::parse_client_hello(in.bytes());
    if (result.state == net::HelloState::hello) {
      hello = std::move(result.hello);
      reason = hello_refusal(inspector.network(), to, hello, answer.alert);
      break;
    }
    if (result.state != net::HelloState::need_more) {
      answer.alert = net::TlsAlert::decode_error;
      reason = fmt::format("malformed TLS: {}",
                           result.state == net::HelloState::malformed ? result.reason : "no ClientHello");
      break;
    }
    auto count = co_await in.read_more(connection.client, deadline);
    if (!count || *count == 0) {
      answer.form = AnswerForm::reset;
      reason = "the TLS ClientHello did not arrive in time";
      break;
    }
  }
  if (reason) {
    if (ready) inspector.flow_ended(ready->flow, true);
    Notice notice = make_notice(to, std::move(*reason));
    co_await refuse(inspector, std::move(connection), std::move(notice), std::move(answer));
    co_return;
  }
  if (policy::is_intercepted(inspector.network().allow[static_cast<size_t>(to.rule)])) {
    if (ready) inspector.flow_ended(ready->flow, true);
    co_await serve_intercepted(inspector, std::move(connection), std::move(to), std::move(in), std::move(hello));
    co_return;
  }
  Upstream upstream;
  if (ready)
    upstream = std::move(*ready);
  else
    upstream = co_await inspector.dial(to, connection.peer, connection.original);
  if (!upstream.socket) {
    // Why is in the log: the dialer or the supervisor wrote it.
    if (upstream.result != DialResult::denied) answer.form = AnswerForm::reset;
    answer.alert = net::TlsAlert::access_denied;
    std::string bytes = answer_bytes(answer, Notice{});
    co_await finish_with(inspector, std::move(connection), std::move(bytes));
    co_return;
  }
  relay_to(inspector, std::move(connection), std::move(upstream), std::move(in));
}

loop::Task<void> serve_unclassified(Inspector& inspector, Connection connection, Destination to, InBuffer in,
                                    std::optional<Upstream> ready) {
  Upstream upstream;
  if (ready)
    upstream = std::move(*ready);
  else
    upstream = co_await inspector.dial(to, connection.peer, connection.original);
  if (!upstream.socket) {
    reset_on_close(connection.client.get());
    co_return;
  }
  if (policy::reads_plain(inspector.network().allow[static_cast<size_t>(to.rule)]))
    co_await serve_plain(inspector, std::move(connection), std::move(to), std::move(in), std::move(upstream));
  else
    relay_to(inspector, std::move(connection), std::move(upstream), std::move(in));
}

}  // namespace

std::optional<Notice> judge_destination(const policy::Network& network, Destination& to) {
  const policy::Verdict verdict = to.host.empty() ? policy::judge_connect(network, to.address, to.port)
                                                  : policy::judge_connect(network, to.host, to.port);
  // What asks is asked for by the supervisor, when the dialer wants to connect.
  if (verdict.action != policy::Action::deny) {
    to.rule = verdict.rule;
    return std::nullopt;
  }
  Notice notice =
      make_notice(to, verdict.reason, verdict.by_deny_rule ? "a deny rule beats every allow rule" : allow_hint(to));
  notice.rule = verdict.rule;
  notice.by_deny_rule = verdict.by_deny_rule;
  return notice;
}

std::optional<Connection> describe_connection(Inspector& inspector, Fd client, Endpoint peer) {
  sockaddr_storage own{};
  socklen_t own_size = sizeof(own);
  if (::getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &own_size) < 0) return std::nullopt;
  const auto original = Endpoint::from_sockaddr(own);
  if (!original) return std::nullopt;
  auto async = loop::AsyncFd::adopt(inspector.loop(), std::move(client));
  if (!async) return std::nullopt;
  return Connection{Wire(std::move(*async)), peer, *original, Inspector::SessionSlot(inspector)};
}

loop::Task<void> serve_connection(Inspector& inspector, Fd client, Endpoint peer) {
  const bool room = inspector.has_room();
  auto connection = describe_connection(inspector, std::move(client), peer);
  if (!connection) co_return;
  Destination to;
  to.address = connection->original.address;
  to.port = connection->original.port;
  std::optional<Notice> refusal;
  bool explain = false;
  if (const auto name = inspector.names().name_of(to.address)) to.host = *name;
  if (!room) {
    refusal = make_notice(to, "too many connections at once");
  } else if (is_loopback(to.address)) {
    refusal = make_notice(to, "a direct connection to Stockade's own listener");
  } else if (to.host.empty() && NameTable::is_synthetic(to.address)) {
    refusal = make_notice(to, "no name is bound to this address", "look the name up first");
  } else {
    refusal = judge_destination(inspector.network(), to);
    explain = true;
  }
  InBuffer in(inspector);
  if (!refusal) {
    co_await serve_admitted(inspector, std::move(*connection), std::move(to), std::move(in), std::nullopt);
    co_return;
  }
  const NoticeSink::Receipt receipt = co_await inspector.notices().written(*refusal);
  if (explain)
    co_await explain_refusal(inspector, std::move(*connection), std::move(*refusal), receipt.event, std::move(in));
  else
    reset_on_close(connection->client.get());
}

loop::Task<void> serve_admitted(Inspector& inspector, Connection connection, Destination to, InBuffer in,
                                std::optional<Upstream> ready) {
  const policy::NetworkRule& rule = inspector.network().allow[static_cast<size_t>(to.rule)];
  if (rule.protocol == policy::Protocol::tcp) {
    co_await serve_unclassified(inspector, std::move(connection), std::move(to), std::move(in), std::move(ready));
    co_return;
  }
  const TimePoint deadline = inspector.loop().now() + kFirstBytesDeadline;
  const net::FirstBytes first = co_await first_bytes(connection, in, deadline);
  // Connected and left without a word: nothing was decided.
  if (first == net::FirstBytes::need_more && in.bytes().empty() && inspector.loop().now() < deadline) {
    if (ready) inspector.flow_ended(ready->flow, false);
    co_return;
  }
  std::string reason;
  if (first == net::FirstBytes::tls && rule.protocol == policy::Protocol::http)
    reason = "the rule expects plain HTTP, and the client speaks TLS";
  else if (first == net::FirstBytes::tls && rule.tls == policy::TlsMode::unset)
    reason = "the rule says neither tls: inspect nor tls: passthrough";
  else if (is_http(first) && rule.protocol == policy::Protocol::tls)
    reason = "the rule expects TLS, and the client speaks plain HTTP";
  else if (first != net::FirstBytes::tls && !is_http(first))
    reason = first_bytes_reason(first, !in.bytes().empty());
  if (!reason.empty()) {
    if (ready) inspector.flow_ended(ready->flow, true);
    Notice notice =
        make_notice(to, std::move(reason), "a rule with protocol: tcp passes any protocol to this host and port");
    Answer answer = answer_for(first);
    co_await refuse(inspector, std::move(connection), std::move(notice), std::move(answer));
  } else if (first == net::FirstBytes::tls) {
    co_await serve_tls(inspector, std::move(connection), std::move(to), std::move(in), std::move(ready));
  } else {
    HttpSessionOptions options;
    if (first == net::FirstBytes::http2) options.version = HttpVersion::http2;
    options.offers_http2 = first == net::FirstBytes::http2;
    if (ready) {
      const Route route{to, connection.peer, connection.original, false, options.offers_http2};
      inspector.upstreams().adopt(route, std::move(*ready));
    }
    co_await serve_http(inspector, std::move(connection), std::move(to), std::move(in), options);
  }
}

}  // namespace stockade::egress
