#include "egress/http_exchange.h"

#include <fmt/format.h>

#include "egress/http_judge.h"
#include "egress/session.h"
#include "net/address_spelling.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

struct Exchange {
  Exchange(std::shared_ptr<HttpSession> session_, net::RequestHead head_, std::shared_ptr<AgentStream> agent_)
      : session(std::move(session_)),
        inspector(session->inspector),
        head(std::move(head_)),
        agent(std::move(agent_)),
        route(session->route),
        request_over(inspector.loop()) {}

  std::shared_ptr<HttpSession> session;
  Inspector& inspector;
  net::RequestHead head;
  std::shared_ptr<AgentStream> agent;
  Route route;
  std::shared_ptr<ServerStream> server;
  bool response_begun = false;
  bool tunnel = false;
  bool requesting = false;        // the body's coroutine runs
  loop::Loop::TaskId request{};   // that coroutine
  std::optional<Notice> stopped;  // why the request was broken off
  loop::Signal request_over;
};

using Shared = std::shared_ptr<Exchange>;

// ---- saying no
// -----------------------------------------------------------------------------------------------------------

Notice request_notice(const Route& route, const net::RequestHead* head, std::string reason) {
  Notice notice = make_notice(route.to, std::move(reason));
  notice.kind = NoticeKind::request;
  if (head) {
    notice.evidence.emplace_back("method", head->method);
    notice.evidence.emplace_back("path", head->path);
    if (head->host != route.to.host) notice.evidence.emplace_back("host", head->host);
  }
  return notice;
}

Notice secret_notice(const Exchange& exchange, const inspect::Finding& found) {
  Notice notice = request_notice(exchange.route, &exchange.head, describe(found));
  notice.hint = "a person can let secrets pass with network.inspect: { secrets: log }";
  notice.evidence.emplace_back("pattern", found.rule);
  notice.evidence.emplace_back("place", found.place);
  notice.evidence.emplace_back("excerpt", found.excerpt);
  notice.evidence.emplace_back("fingerprint", found.fingerprint);
  return notice;
}

// The agent's answer; where a response has begun, its end.
loop::Task<void> answer(Shared exchange, net::RefusalStatus status, Notice notice, uint64_t event) {
  if (exchange->response_begun) {
    exchange->agent->abort();
    co_return;
  }
  exchange->response_begun = true;
  net::RefusalResponse response = net::refusal_response(refusal_of(status, notice, event));
  const bool with_body = exchange->head.method != "HEAD";
  if (!with_body) response.head.body = {};
  auto written = co_await exchange->agent->write_head(std::move(response.head));
  if (!written || !with_body) co_return;
  BodyPiece body{std::move(response.body), true, {}};
  (void)co_await exchange->agent->write_body(std::move(body));
}

loop::Task<void> refuse_exchange(Shared exchange, Notice notice,
                                 net::RefusalStatus status = net::RefusalStatus::forbidden) {
  const NoticeSink::Receipt receipt = co_await exchange->inspector.notices().written(notice);
  co_await answer(std::move(exchange), status, std::move(notice), receipt.event);
}

// ---- the request
// ---------------------------------------------------------------------------------------------------------

// The destination that a proxied request names.
Result<Destination> proxied_destination(const net::RequestHead& head) {
  if (head.target.starts_with("https:")) return fail(ErrorKind::protocol, "https through a proxy needs CONNECT");
  Destination to;
  to.port = head.port.value_or(80);
  if (const auto address = net::spelled_address(head.host)) {
    to.address = *address;
  } else if (const auto name = policy::canonical_host(head.host)) {
    to.host = *name;
  } else {
    return fail(ErrorKind::protocol, "\"{}\" is no host name", head.host);
  }
  return to;
}

std::optional<Notice> judge_route(Exchange& exchange) {
  if (exchange.session->role == HttpRole::origin) return std::nullopt;
  auto to = proxied_destination(exchange.head);
  exchange.route.to = to ? std::move(*to) : Destination{};
  if (!to) return request_notice(exchange.route, &exchange.head, to.error().message());
  return judge_destination(exchange.inspector.network(), exchange.route.to);
}

std::optional<Notice> judge_head(const Exchange& exchange, Notice& allowed) {
  const RequestVerdict verdict = judge_http_request(exchange.inspector.network(), exchange.route.to, exchange.head);
  Notice notice = request_notice(exchange.route, &exchange.head, verdict.reason);
  notice.rule = verdict.rule;
  notice.by_deny_rule = verdict.by_deny_rule;
  notice.hint = verdict.hint;
  if (!verdict.allowed) return notice;
  notice.decision = NoticeDecision::allow;
  if (verdict.asks) {
    notice.decision = NoticeDecision::ask;
    notice.reason = "the rule asks a person first";
  }
  allowed = std::move(notice);
  return std::nullopt;
}

// Held until a person, or the supervisor for them, has decided. True: it must not leave.
loop::Task<bool> stops_unapproved(Shared exchange, Notice notice) {
  NoticeSink::Word word = co_await exchange->inspector.notices().decided(notice);
  if (word.granted && exchange->agent->is_gone()) {
    word.granted = false;
    word.reason = "the client had given up before it was approved";
  }
  if (word.granted) co_return false;
  notice.decision = NoticeDecision::deny;
  notice.reason += fmt::format("; {}", word.reason);
  notice.hint = "a person can approve it while it waits: stockade approvals";
  exchange->stopped = std::move(notice);
  co_return true;
}

// Secrets that were found on their way out. True: they must not leave.
loop::Task<bool> stops_secrets(Shared exchange, std::vector<inspect::Finding> findings) {
  const policy::InspectionLevel level = policy::secrets_level(exchange->inspector.network());
  for (const inspect::Finding& found : findings) {
    Notice notice = secret_notice(*exchange, found);
    if (level == policy::InspectionLevel::deny) {
      exchange->stopped = std::move(notice);
      co_return true;
    }
    if (level == policy::InspectionLevel::ask) {
      const bool stops = co_await stops_unapproved(exchange, std::move(notice));
      if (stops) co_return true;
      continue;
    }
    notice.decision = NoticeDecision::log;
    co_await exchange->inspector.notices().written(std::move(notice));
  }
  co_return false;
}

// The body on its way to the server; with a guard only as far as it is known to be clean.
loop::Task<Result<void>> send_body(Shared exchange, BodyGuard* guard) {
  while (true) {
    auto piece = co_await exchange->agent->read_body();
    if (!piece) {
      exchange->server->abort();
      co_return std::unexpected(std::move(piece).error());
    }
    if (guard) {
      auto passed = guard->feed(piece->bytes, piece->end);
      if (co_await stops_secrets(exchange, std::move(passed.found)))
        co_return fail(ErrorKind::denied, "a secret in the body");
      for (const net::HttpField& field : piece->trailers) {
        auto found = exchange->inspector.guard()->search_field(field);
        if (co_await stops_secrets(exchange, std::move(found)))
          co_return fail(ErrorKind::denied, "a secret in a trailer");
      }
      piece->bytes = std::move(passed.released);
    }
    const bool end = piece->end;
    if (piece->bytes.empty() && !end) continue;
    auto written = co_await exchange->server->write_body(std::move(*piece));
    if (!written || end) co_return written;
  }
}

// A request that breaks off takes the server's stream with it: no server takes half of one for whole. One that the server
// does not take may have been answered already: that answer still goes to the agent.
loop::Task<void> send_request_body(Shared exchange) {
  std::optional<BodyGuard> guard;
  if (exchange->inspector.searches() && !exchange->tunnel) guard.emplace(*exchange->inspector.guard());
  (void)co_await send_body(exchange, guard ? &*guard : nullptr);
  if (exchange->stopped) exchange->server->abort();
  exchange->requesting = false;
  exchange->request_over.notify_all();
}

// ---- the response
// --------------------------------------------------------------------------------------------------------

loop::Task<Result<void>> receive_body(Shared exchange) {
  while (true) {
    auto piece = co_await exchange->server->read_body();
    if (!piece) co_return std::unexpected(std::move(piece).error());
    const bool end = piece->end;
    if (piece->bytes.empty() && !end) continue;
    auto written = co_await exchange->agent->write_body(std::move(*piece));
    if (!written || end) co_return written;
  }
}

void begin_request_body(Shared exchange) {
  exchange->requesting = true;
  exchange->request = exchange->inspector.loop().spawn(send_request_body(exchange));
}

// From its first head to its end.
loop::Task<Result<void>> receive_response(Shared exchange) {
  while (true) {
    auto response = co_await exchange->server->read_head();
    if (!response) co_return std::unexpected(std::move(response).error());
    const bool interim = response->head.interim;
    const bool tunnel = response->head.switching;
    const bool ends = response->ends && !tunnel;
    if (interim && exchange->agent->minor_version() == 0) continue;
    exchange->response_begun = !interim;
    auto written = co_await exchange->agent->write_head(std::move(response->head));
    if (!written || ends) co_return written;
    if (interim) continue;
    if (tunnel) {
      exchange->tunnel = true;
      exchange->server->become_tunnel();
      exchange->agent->become_tunnel();
      begin_request_body(exchange);
    }
    co_return co_await receive_body(exchange);
  }
}

// The server's stream, with the head on it. A kept connection that the server closed meanwhile is replaced once.
loop::Task<Result<void>> reach_server(Shared exchange) {
  for (bool fresh : {false, true}) {
    Reached reached = co_await exchange->inspector.upstreams().reach(exchange->route, fresh);
    if (!reached.stream) {
      const bool denied = reached.result == DialResult::denied;
      co_return fail(denied ? ErrorKind::denied : ErrorKind::unavailable, "{}",
                     reached.reason.empty() ? "the server can't be reached" : reached.reason);
    }
    exchange->server = std::move(reached.stream);
    auto sent = co_await exchange->server->write_head(exchange->head);
    if (sent || !reached.reused || fresh) co_return sent;
  }
  co_return fail(ErrorKind::internal, "no attempt was made");
}

// ---- both
// ----------------------------------------------------------------------------------------------------------------

// Both messages, from the head that stands on the server's stream to their ends.
loop::Task<Result<void>> carry(Shared exchange) {
  if (has_body(exchange->head.body)) begin_request_body(exchange);
  auto received = co_await receive_response(exchange);
  if (!received) {
    exchange->server->abort();
    co_return received;
  }
  if (exchange->requesting && !exchange->tunnel && !exchange->server->keeps_connection()) {
    exchange->agent->stop_reading();
    co_return received;
  }
  while (exchange->requesting) co_await exchange->request_over.wait();
  if (exchange->stopped) co_return fail(ErrorKind::denied, "stopped");
  co_return received;
}

loop::Task<void> end_with(Shared exchange, Error why) {
  if (exchange->stopped) {
    co_await refuse_exchange(exchange, *exchange->stopped);
  } else if (exchange->response_begun || why.kind() == ErrorKind::internal) {
    exchange->agent->abort();
  } else {
    co_await answer(exchange, net::RefusalStatus::bad_gateway,
                    request_notice(exchange->route, &exchange->head, why.message()), 0);
  }
}

}  // namespace

loop::Task<void> serve_exchange(std::shared_ptr<HttpSession> session, net::RequestHead head,
                                std::shared_ptr<AgentStream> agent) {
  const auto exchange = std::make_shared<Exchange>(std::move(session), std::move(head), std::move(agent));
  Inspector& inspector = exchange->inspector;
  Notice allowed;
  auto refusal = judge_route(*exchange);
  if (!refusal) refusal = judge_head(*exchange, allowed);
  if (!refusal && inspector.searches()) {
    ContentGuard* guard = inspector.guard();
    if (!guard) {
      exchange->agent->abort();
      co_return;
    }
    auto found = guard->search_head(exchange->head);
    if (co_await stops_secrets(exchange, std::move(found))) refusal = std::exchange(exchange->stopped, {});
  }
  if (!refusal && allowed.decision == NoticeDecision::ask) {
    const bool stops = co_await stops_unapproved(exchange, allowed);
    if (stops) refusal = std::exchange(exchange->stopped, {});
    allowed.decision = NoticeDecision::allow;
    allowed.reason = "a person approved it";
  }
  if (refusal) {
    co_await refuse_exchange(exchange, std::move(*refusal));
    co_return;
  }
  const NoticeSink::Receipt receipt = co_await inspector.notices().written(std::move(allowed));
  if (!receipt.proceed) {
    exchange->agent->abort();
    co_return;
  }
  auto reached = co_await reach_server(exchange);
  if (!reached) {
    // Why is in the log already: the dialer or the supervisor decided it, or nothing was decided.
    const auto status = reached.error().kind() == ErrorKind::denied ? net::RefusalStatus::forbidden
                                                                    : net::RefusalStatus::bad_gateway;
    co_await answer(exchange, status, request_notice(exchange->route, &exchange->head, reached.error().message()), 0);
    co_return;
  }
  exchange->agent->when_gone([server = exchange->server.get()] { server->abort(); });
  auto carried = co_await carry(exchange);
  if (!carried) co_await end_with(exchange, carried.error());
  exchange->agent->when_gone({});
  if (exchange->requesting) inspector.loop().cancel(exchange->request);
}

loop::Task<void> refuse_malformed(std::shared_ptr<HttpSession> session, std::shared_ptr<AgentStream> agent,
                                  std::string reason) {
  Inspector& inspector = session->inspector;
  Notice notice = request_notice(session->route, nullptr, fmt::format("malformed HTTP: {}", reason));
  const NoticeSink::Receipt receipt = co_await inspector.notices().written(notice);
  if (!agent) co_return;
  net::RefusalResponse response =
      net::refusal_response(refusal_of(net::RefusalStatus::bad_request, notice, receipt.event));
  auto written = co_await agent->write_head(std::move(response.head));
  if (!written) co_return;
  BodyPiece body{std::move(response.body), true, {}};
  (void)co_await agent->write_body(std::move(body));
}

}  // namespace stockade::egress
