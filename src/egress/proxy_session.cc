// The explicit proxy: SOCKS5, HTTP CONNECT and HTTP absolute-form on one port. The name comes from the request and goes
// the same way as one behind a redirected connection; what is inside a tunnel is classified like any connection.
#include <fmt/format.h>

#include "egress/http_session.h"
#include "egress/session.h"
#include "net/address_spelling.h"
#include "net/http1.h"
#include "net/socks5.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection established\r\n\r\n";

Result<Destination> named_destination(const std::string& name, const std::optional<IpAddress>& address, uint16_t port) {
  Destination to;
  to.port = port;
  if (port == 0) return fail(ErrorKind::protocol, "port 0 is no destination");
  if (address) {
    to.address = *address;
  } else if (const auto spelled = net::spelled_address(name)) {
    to.address = *spelled;
  } else if (const auto canonical = policy::canonical_host(name)) {
    to.host = *canonical;
  } else {
    return fail(ErrorKind::protocol, "\"{}\" is no host name", name);
  }
  return to;
}

std::optional<Notice> judge_named(const policy::Network& network, const Result<Destination>& named, Destination& to) {
  if (!named) return make_notice(to, named.error().message());
  to = *named;
  return judge_destination(network, to);
}

loop::Task<void> serve_connect(Inspector& inspector, Connection connection, InBuffer in) {
  const TimePoint deadline = inspector.loop().now() + kHeadDeadline;
  net::HeadReader reader;
  Answer answer;
  answer.form = AnswerForm::http;
  Destination to;
  Result<net::RequestHead> head = fail(ErrorKind::protocol, "no request");
  while (true) {
    auto taken = reader.feed(in.bytes());
    if (!taken) {
      head = std::unexpected(std::move(taken).error());
      break;
    }
    in.consume(*taken);
    in.charge_elsewhere(reader.complete() ? 0 : reader.held());
    if (reader.complete()) {
      head = net::parse_request_head(reader.take(), net::RequestPlace::proxy);
      break;
    }
    auto count = co_await in.read_more(connection.client, deadline);
    if (!count || *count == 0) co_return;
  }
  if (!head) {
    answer.status = net::RefusalStatus::bad_request;
    Notice notice = make_notice(to, fmt::format("malformed HTTP: {}", head.error().message()));
    co_await refuse(inspector, std::move(connection), std::move(notice), std::move(answer));
    co_return;
  }
  const auto named = named_destination(head->host, std::nullopt, head->port.value_or(443));
  auto refusal = judge_named(inspector.network(), named, to);
  if (refusal) {
    co_await refuse(inspector, std::move(connection), std::move(*refusal), std::move(answer));
    co_return;
  }
  // Where TLS is opened, how to connect shows in the first bytes.
  const bool later = policy::is_intercepted(inspector.network().allow[static_cast<size_t>(to.rule)]);
  std::optional<Upstream> ready;
  if (!later) ready = co_await inspector.dial(to, connection.peer, connection.original);
  std::string reply(kEstablished);
  if (ready && !ready->socket) {
    const Upstream& upstream = *ready;
    if (upstream.result != DialResult::denied) answer.status = net::RefusalStatus::bad_gateway;
    reply = answer_bytes(answer, make_notice(to, upstream.reason));
    co_await finish_with(inspector, std::move(connection), std::move(reply));
    co_return;
  }
  auto written = co_await connection.client.write(reply, inspector.loop().now() + kHeadDeadline);
  if (!written) {
    if (ready) inspector.flow_ended(ready->flow, true);
    co_return;
  }
  co_await serve_admitted(inspector, std::move(connection), std::move(to), std::move(in), std::move(ready));
}

// Greeting, request, answer (RFC 1928). Each message is taken out of `in`.
loop::Task<std::optional<net::SocksRequest>> read_socks_request(Connection& connection, InBuffer& in,
                                                                TimePoint deadline) {
  bool greeted = false;
  while (true) {
    if (!greeted) {
      const net::SocksGreeting greeting = net::parse_socks_greeting(in.bytes());
      if (greeting.state == net::SocksState::malformed) co_return std::nullopt;
      if (greeting.state == net::SocksState::done) {
        greeted = true;
        in.consume(greeting.consumed);
        const std::string reply = net::socks_method_reply(greeting.accepts_no_authentication);
        auto written = co_await connection.client.write(reply, deadline);
        if (!written || !greeting.accepts_no_authentication) co_return std::nullopt;
      }
    }
    if (greeted) {
      net::SocksRequest request = net::parse_socks_request(in.bytes());
      if (request.state != net::SocksState::need_more) {
        in.consume(std::min(request.consumed, in.bytes().size()));
        co_return request;
      }
    }
    auto count = co_await in.read_more(connection.client, deadline);
    if (!count || *count == 0) co_return std::nullopt;
  }
}

loop::Task<void> serve_socks(Inspector& inspector, Connection connection, InBuffer in) {
  const TimePoint deadline = inspector.loop().now() + kHeadDeadline;
  auto request = co_await read_socks_request(connection, in, deadline);
  if (!request) co_return;
  Answer answer;
  answer.form = AnswerForm::raw;
  answer.raw = net::socks_reply(net::SocksReply::not_allowed);
  Destination to;
  std::optional<Notice> refusal;
  if (request->state == net::SocksState::malformed) {
    answer.raw = net::socks_reply(request->refusal);
    refusal = make_notice(to, fmt::format("malformed SOCKS: {}", request->reason));
  } else {
    refusal = judge_named(inspector.network(), named_destination(request->name, request->address, request->port), to);
  }
  if (refusal) {
    co_await refuse(inspector, std::move(connection), std::move(*refusal), std::move(answer));
    co_return;
  }
  const bool later = policy::is_intercepted(inspector.network().allow[static_cast<size_t>(to.rule)]);
  std::optional<Upstream> ready;
  if (!later) ready = co_await inspector.dial(to, connection.peer, connection.original);
  if (ready && !ready->socket) {
    const Upstream& upstream = *ready;
    if (upstream.result != DialResult::denied) answer.raw = net::socks_reply(net::SocksReply::host_unreachable);
    co_await finish_with(inspector, std::move(connection), std::move(answer.raw));
    co_return;
  }
  const std::string reply = net::socks_reply(net::SocksReply::succeeded);
  auto written = co_await connection.client.write(reply, inspector.loop().now() + kHeadDeadline);
  if (!written) {
    if (ready) inspector.flow_ended(ready->flow, true);
    co_return;
  }
  co_await serve_admitted(inspector, std::move(connection), std::move(to), std::move(in), std::move(ready));
}

}  // namespace

loop::Task<void> serve_proxy_connection(Inspector& inspector, Fd client, Endpoint peer) {
  const bool room = inspector.has_room();
  auto connection = describe_connection(inspector, std::move(client), peer);
  if (!connection) co_return;
  InBuffer in(inspector);
  if (!room) {
    Notice notice = make_notice(Destination{}, "too many connections at once");
    notice.subject = "proxy";
    Answer reset;
    co_await refuse(inspector, std::move(*connection), std::move(notice), std::move(reset));
    co_return;
  }
  const TimePoint deadline = inspector.loop().now() + kFirstBytesDeadline;
  constexpr std::string_view kConnect = "CONNECT ";
  while (in.bytes().empty() || (in.bytes().size() < kConnect.size() && kConnect.starts_with(in.bytes()))) {
    auto count = co_await in.read_more(connection->client, deadline);
    if (!count || *count == 0) co_return;
  }
  Destination none;  // named: g++ 12 destroys an aggregate twice that is made inside a co_await
  if (in.bytes()[0] == 5)
    co_await serve_socks(inspector, std::move(*connection), std::move(in));
  else if (in.bytes().starts_with(kConnect))
    co_await serve_connect(inspector, std::move(*connection), std::move(in));
  else
    co_await serve_http(inspector, std::move(*connection), std::move(none), std::move(in),
                        HttpSessionOptions{.role = HttpRole::proxy});
}

}  // namespace stockade::egress
