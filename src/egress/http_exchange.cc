#include "egress/http_exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "egress/content_filters.h"
#include "egress/grpc_filter.h"
#include "egress/http_judge.h"
#include "egress/request_body_judge.h"
#include "egress/session.h"
#include "net/address_spelling.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

// While something is held back: how long nothing may come before what is complete in itself goes on.
constexpr Duration kPause = std::chrono::milliseconds(50);

// Bytes that a filter holds, as the process counts them.
class HeldBytes {
 public:
  explicit HeldBytes(Inspector& inspector) : inspector_(inspector) {}
  HeldBytes(const HeldBytes&) = delete;
  ~HeldBytes() { set(0); }
  void set(size_t bytes) {
    inspector_.buffered_bytes() += bytes - bytes_;
    bytes_ = bytes;
  }

 private:
  Inspector& inspector_;
  size_t bytes_ = 0;
};

struct FilteredBody {
  explicit FilteredBody(Inspector& inspector) : held(inspector) {}
  std::unique_ptr<BodyFilter> filter;  // null: it passes
  HeldBytes held;
  bool paused = false;  // the filter knows that nothing has come for a while
};

struct Exchange {
  Exchange(std::shared_ptr<HttpSession> session_, net::RequestHead head_, std::shared_ptr<AgentStream> agent_)
      : session(std::move(session_)),
        inspector(session->inspector),
        head(std::move(head_)),
        agent(std::move(agent_)),
        route(session->route),
        request(inspector),
        response(inspector),
        request_over(inspector.loop()) {}

  std::shared_ptr<HttpSession> session;
  Inspector& inspector;
  net::RequestHead head;
  std::shared_ptr<AgentStream> agent;
  Route route;
  std::shared_ptr<ServerStream> server;
  std::shared_ptr<ModelCall> call = std::make_shared<ModelCall>();
  FilteredBody request, response;
  bool response_begun = false;
  bool tunnel = false;
  bool requesting = false;        // the body's coroutine runs
  loop::Loop::TaskId request_task{};  // that coroutine
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

Notice content_notice(const Exchange& exchange, ContentFinding found) {
  Notice notice = request_notice(exchange.route, &exchange.head, std::move(found.reason));
  notice.hint = std::move(found.hint);
  for (auto& [name, value] : found.evidence) notice.evidence.emplace_back(name, std::move(value));
  return notice;
}

// The agent's answer; where a response has begun, its end.
loop::Task<void> answer(Shared exchange, net::RefusalStatus status, Notice notice, uint64_t event) {
  if (exchange->response_begun) {
    exchange->agent->abort();
    co_return;
  }
  exchange->response_begun = true;
  const net::Refusal refusal = refusal_of(status, notice, event);
  if (is_grpc(exchange->head.fields)) {
    (void)co_await exchange->agent->write_head(grpc_refusal(refusal));
    co_return;
  }
  net::RefusalResponse response = exchange->call->api == model::Api::none ? net::refusal_response(refusal)
                                                                         : model_refusal(*exchange->call, refusal);
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
  exchange->stopped = unapproved(std::move(notice), word);
  co_return true;
}

bool stops_for_certain(const ContentFinding& finding) { return finding.stops && !finding.asks; }

// What content showed: logged, asked about, or the reason to stop. True: it must not pass. Nobody is asked about what
// stops in any case.
loop::Task<bool> judge_findings(Shared exchange, std::vector<ContentFinding> findings) {
  const bool stops_anyway = std::ranges::any_of(findings, stops_for_certain);
  for (ContentFinding& finding : findings) {
    const bool stops = stops_for_certain(finding), asks = finding.asks, handled = finding.handled;
    if (asks && stops_anyway) continue;
    Notice notice = content_notice(*exchange, std::move(finding));
    if (stops) {
      exchange->stopped = std::move(notice);
      co_return true;
    }
    if (asks) {
      notice.decision = NoticeDecision::ask;
      const bool refused = co_await stops_unapproved(exchange, std::move(notice));
      if (refused) co_return true;
      continue;
    }
    notice.decision = handled ? NoticeDecision::deny : NoticeDecision::log;
    co_await exchange->inspector.notices().written(std::move(notice));
  }
  co_return false;
}

// One piece of a body through its filter: what may go on, or an error of kind denied (`stopped` says why).
loop::Task<Result<void>> filter_piece(Shared exchange, FilteredBody& body, BodyPiece& piece) {
  if (!body.filter) co_return Result<void>{};
  const bool nothing = piece.bytes.empty() && !piece.end;
  auto passed = nothing ? body.filter->pause() : body.filter->feed(piece.bytes, piece.end);
  body.held.set(body.filter->held());
  std::vector<ContentFinding> findings;
  if (!passed) {
    ContentFinding unreadable;
    unreadable.reason = fmt::format("its body can't be read: {}", passed.error().message());
    unreadable.hint = "what can't be read can't be judged";
    findings.push_back(std::move(unreadable));
  } else {
    findings = std::move(passed->findings);
  }
  const bool stop = co_await judge_findings(exchange, std::move(findings));
  if (stop) co_return fail(ErrorKind::denied, "stopped");
  piece.bytes = std::move(passed->bytes);
  co_return Result<void>{};
}

// Waits for the next piece; while something is held, not for long.
loop::Task<Result<BodyPiece>> next_piece(Inspector& inspector, HttpStream& from, const FilteredBody& body) {
  const bool holds = body.filter && body.filter->held() > 0 && !body.paused;
  auto piece = co_await from.read_body(inspector.loop().now() + (holds ? kPause : kHttpIdle));
  if (piece && piece->bytes.empty() && !piece->end && !holds)
    co_return fail(ErrorKind::limit, "no bytes before the deadline");
  co_return piece;
}

policy::InspectionLevel secrets_level(const Inspector& inspector) {
  return policy::secrets_level(inspector.network());
}

loop::Task<bool> stops_trailers(Shared exchange, const std::vector<net::HttpField>& trailers) {
  if (!exchange->inspector.searches()) co_return false;
  for (const net::HttpField& field : trailers) {
    auto found = exchange->inspector.guard()->search_field(field);
    auto findings = secret_findings(found, secrets_level(exchange->inspector));
    const bool stops = co_await judge_findings(exchange, std::move(findings));
    if (stops) co_return true;
  }
  co_return false;
}

// What the head shows, and the filter for the body behind it.
loop::Task<bool> stops_head(Shared exchange) {
  Inspector& inspector = exchange->inspector;
  std::vector<ContentFinding> findings = judge_request_query(inspector.network(), exchange->route.to, exchange->head);
  auto exfiltration = inspector.exfiltration().on_request(exchange->route.to, exchange->head, inspector.loop().now());
  if (exfiltration) findings.push_back(std::move(*exfiltration));
  if (inspector.searches())
    std::ranges::move(secret_findings(inspector.guard()->search_head(exchange->head), secrets_level(inspector)),
                      std::back_inserter(findings));
  if (!exchange->head.upgrade.empty()) {
    auto prepared = prepare_upgrade(exchange->head);
    if (!prepared) findings.push_back({prepared.error().message(), {}, {}, true});
  }
  if (has_body(exchange->head.body)) {
    Filtering filtering = request_filtering(inspector, exchange->route.to, exchange->head, exchange->call);
    exchange->request.filter = std::move(filtering.filter);
    std::ranges::move(filtering.findings, std::back_inserter(findings));
    if (exchange->request.filter && exchange->request.filter->edits())
      prepare_for_edits(exchange->head.fields, exchange->head.body, exchange->head.minor_version);
  }
  if (policy::inspects_injection(inspector.network())) limit_accepted_codings(exchange->head.fields);
  co_return co_await judge_findings(std::move(exchange), std::move(findings));
}

// Bytes that are about to leave.
loop::Task<bool> stops_counted(Shared exchange, uint64_t bytes) {
  Inspector& inspector = exchange->inspector;
  auto found = inspector.exfiltration().on_body(exchange->route.to, bytes, inspector.loop().now());
  if (!found) co_return false;
  std::vector<ContentFinding> findings;
  findings.push_back(std::move(*found));
  co_return co_await judge_findings(std::move(exchange), std::move(findings));
}

// The body on its way to the server, as far as it is known to be clean.
loop::Task<Result<void>> send_body(Shared exchange) {
  FilteredBody& body = exchange->request;
  while (true) {
    auto piece = co_await next_piece(exchange->inspector, *exchange->agent, body);
    if (!piece) {
      exchange->server->abort();
      co_return std::unexpected(std::move(piece).error());
    }
    body.paused = piece->bytes.empty() && !piece->end;
    auto filtered = co_await filter_piece(exchange, body, *piece);
    if (!filtered) co_return filtered;
    if (co_await stops_trailers(exchange, piece->trailers)) co_return fail(ErrorKind::denied, "stopped");
    if (co_await stops_counted(exchange, piece->bytes.size())) co_return fail(ErrorKind::denied, "stopped");
    const bool end = piece->end;
    if (piece->bytes.empty() && !end) continue;
    auto written = co_await exchange->server->write_body(std::move(*piece));
    if (!written || end) co_return written;
  }
}

// A request that breaks off takes the server's stream with it: no server takes half of one for whole. One that the server
// does not take may have been answered already: that answer still goes to the agent.
loop::Task<void> send_request_body(Shared exchange) {
  (void)co_await send_body(exchange);
  if (exchange->stopped) exchange->server->abort();
  exchange->requesting = false;
  exchange->request_over.notify_all();
}

// ---- the response
// --------------------------------------------------------------------------------------------------------

// Its head is held back until the first of its body may pass: what is refused before gets an answer of its own.
loop::Task<Result<void>> receive_body(Shared exchange, std::optional<net::ResponseHead> head) {
  FilteredBody& body = exchange->response;
  while (true) {
    auto piece = co_await next_piece(exchange->inspector, *exchange->server, body);
    if (!piece) co_return std::unexpected(std::move(piece).error());
    body.paused = piece->bytes.empty() && !piece->end;
    auto filtered = co_await filter_piece(exchange, body, *piece);
    if (!filtered) co_return filtered;
    if (head && (body.paused || piece->end || !piece->bytes.empty())) {
      exchange->response_begun = true;
      auto written = co_await exchange->agent->write_head(std::move(*head));
      head.reset();
      if (!written) co_return written;
    }
    const bool end = piece->end;
    if (piece->bytes.empty() && !end) continue;
    auto written = co_await exchange->agent->write_body(std::move(*piece));
    if (!written || end) co_return written;
  }
}

void begin_request_body(Shared exchange) {
  exchange->requesting = true;
  exchange->request_task = exchange->inspector.loop().spawn(send_request_body(exchange));
}

// What a 101 opens.
loop::Task<Result<void>> receive_tunnel(Shared exchange, net::ResponseHead head) {
  exchange->tunnel = true;
  auto filters = tunnel_filtering(exchange->inspector, exchange->head, head);
  if (!filters) co_return std::unexpected(std::move(filters).error());
  exchange->request.filter = std::move(filters->to_server);
  exchange->response.filter = std::move(filters->to_agent);
  exchange->response_begun = true;
  auto written = co_await exchange->agent->write_head(std::move(head));
  if (!written) co_return written;
  exchange->server->become_tunnel();
  exchange->agent->become_tunnel();
  begin_request_body(exchange);
  co_return co_await receive_body(exchange, std::nullopt);
}

// From its first head to its end.
loop::Task<Result<void>> receive_response(Shared exchange) {
  while (true) {
    auto response = co_await exchange->server->read_head();
    if (!response) co_return std::unexpected(std::move(response).error());
    net::ResponseHead& head = response->head;
    if (head.interim && exchange->agent->minor_version() == 0) continue;
    if (head.interim) {
      auto written = co_await exchange->agent->write_head(std::move(head));
      if (!written) co_return written;
      continue;
    }
    exchange->inspector.exfiltration().on_answer(exchange->route.to, head.status, exchange->inspector.loop().now());
    if (head.switching) co_return co_await receive_tunnel(exchange, std::move(head));
    if (response->ends) {
      exchange->response_begun = true;
      co_return co_await exchange->agent->write_head(std::move(head));
    }
    Filtering filtering = response_filtering(exchange->inspector, *exchange->call, head);
    exchange->response.filter = std::move(filtering.filter);
    if (co_await judge_findings(exchange, std::move(filtering.findings))) co_return fail(ErrorKind::denied, "stopped");
    if (exchange->response.filter && exchange->response.filter->edits())
      prepare_for_edits(head.fields, head.body, exchange->agent->minor_version());
    co_return co_await receive_body(exchange, std::move(head));
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

// In words of the protocol's own where the response has begun and its filter knows any.
loop::Task<void> refuse_stopped(Shared exchange) {
  const Notice notice = *exchange->stopped;
  if (!exchange->response_begun || !exchange->response.filter) {
    co_await refuse_exchange(exchange, notice);
    co_return;
  }
  const NoticeSink::Receipt receipt = co_await exchange->inspector.notices().written(notice);
  auto words = exchange->response.filter->last_words(refusal_of(net::RefusalStatus::forbidden, notice, receipt.event));
  if (words) {
    auto written = co_await exchange->agent->write_body(std::move(*words));
    if (written) co_return;
  }
  exchange->agent->abort();
}

loop::Task<void> end_with(Shared exchange, Error why) {
  if (exchange->stopped) {
    co_await refuse_stopped(exchange);
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
  if (!refusal && co_await stops_head(exchange)) refusal = std::exchange(exchange->stopped, {});
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
  if (exchange->requesting) inspector.loop().cancel(exchange->request_task);
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
