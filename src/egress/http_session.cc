#include "egress/http_session.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include "egress/http_judge.h"
#include "egress/session.h"
#include "net/address_spelling.h"
#include "net/http1_body.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

constexpr Duration kIdle = std::chrono::minutes(10);  // between requests, and inside bodies
constexpr size_t kPipelined = 16;
constexpr Duration kGoodbye = std::chrono::seconds(1);

struct Exchange {
  std::string method;
  bool upgrade = false;
};

struct HttpSession {
  HttpSession(Inspector& inspector_, Connection connection_, Destination to_, InBuffer in_, HttpRole role_)
      : inspector(inspector_),
        connection(std::move(connection_)),
        to(std::move(to_)),
        in(std::move(in_)),
        role(role_),
        from_upstream(inspector_),
        changed(inspector_.loop()) {}

  Inspector& inspector;
  Connection connection;
  Destination to;
  InBuffer in;
  HttpRole role;
  Wire upstream;
  Destination upstream_to;
  uint64_t flow = 0;
  InBuffer from_upstream;
  std::deque<Exchange> exchanges;  // sent, their responses not yet complete
  loop::Signal changed;            // an exchange came or went, or the response side ended
  bool switched = false;           // 101 went to the client
  bool responses_over = false;     // no further response will come
  bool client_spoiled = false;     // a response broke off in the middle: only a reset is honest

  TimePoint idle_deadline() const { return inspector.loop().now() + kIdle; }
};

// ---- responses
// -------------------------------------------------------------------------------------------------------

loop::Task<Result<std::string>> read_head(Wire& from, InBuffer& in, TimePoint idle, Inspector& inspector) {
  net::HeadReader reader;
  TimePoint deadline = idle;
  while (true) {
    auto taken = reader.feed(in.bytes());
    if (!taken) co_return std::unexpected(std::move(taken).error());
    if (*taken > 0) in.consume(*taken);
    in.charge_elsewhere(reader.complete() ? 0 : reader.held());
    if (reader.complete()) co_return reader.take();
    if (reader.started()) deadline = std::min(deadline, inspector.loop().now() + kHeadDeadline);
    auto count = co_await in.read_more(from, deadline);
    if (!count) co_return std::unexpected(std::move(count).error());
    if (*count > 0) continue;
    if (!reader.started()) co_return std::string();
    co_return fail(ErrorKind::protocol, "the head breaks off");
  }
}

// Forwards a body from `in` (and more of `from`) to `to`. An error: the message broke, or a peer went.
loop::Task<Result<void>> forward_body(Wire& from, InBuffer& in, Wire& to, net::BodyFramer framer,
                                      Inspector& inspector) {
  while (!framer.done()) {
    if (in.bytes().empty()) {
      auto count = co_await in.read_more(from, inspector.loop().now() + kIdle);
      if (!count) co_return std::unexpected(std::move(count).error());
      if (*count == 0) co_return framer.finish();
    }
    auto taken = framer.consume(in.bytes());
    if (!taken) co_return std::unexpected(std::move(taken).error());
    if (!to) co_return fail(ErrorKind::internal, "closed meanwhile");
    auto written = co_await to.write(std::string_view(in.bytes()).substr(0, *taken), inspector.loop().now() + kIdle);
    if (!written) co_return written;
    in.consume(*taken);
  }
  co_return Result<void>{};
}

// One response, with the interim ones before it. False: the connection to upstream is used up.
loop::Task<Result<bool>> forward_response(HttpSession& session) {
  while (true) {
    auto bytes =
        co_await read_head(session.upstream, session.from_upstream, session.idle_deadline(), session.inspector);
    if (!bytes) co_return std::unexpected(std::move(bytes).error());
    if (bytes->empty()) co_return fail(ErrorKind::protocol, "the server hung up");
    if (session.exchanges.empty()) co_return fail(ErrorKind::protocol, "a response to no request");
    const Exchange exchange = session.exchanges.front();
    auto head = net::parse_response_head(*bytes, exchange.method);
    if (!head) co_return std::unexpected(std::move(head).error());
    if (head->switching && !exchange.upgrade)
      co_return fail(ErrorKind::protocol, "the server switches protocols unasked");
    session.client_spoiled = true;
    const std::string written_head = net::write_response_head(*head);
    auto written = co_await session.connection.client.write(written_head, session.idle_deadline());
    if (!written) co_return std::unexpected(std::move(written).error());
    if (head->interim) {
      session.client_spoiled = false;
      continue;
    }
    if (head->switching) {
      session.switched = true;
      session.client_spoiled = false;
      co_return false;
    }
    net::BodyFramer framer(head->body, net::MessageSide::response);
    auto body = co_await forward_body(session.upstream, session.from_upstream, session.connection.client,
                                      std::move(framer), session.inspector);
    if (!body) co_return std::unexpected(std::move(body).error());
    session.client_spoiled = false;
    session.exchanges.pop_front();
    session.changed.notify_all();
    co_return head->keep_alive && head->body.kind != net::BodyKind::until_close;
  }
}

loop::Task<void> forward_responses(std::shared_ptr<HttpSession> session) {
  while (session->upstream) {
    auto more = co_await forward_response(*session);
    if (!more || !*more) break;
  }
  session->responses_over = true;
  session->changed.notify_all();
}

// ---- requests
// --------------------------------------------------------------------------------------------------------

void close_upstream(HttpSession& session, bool abort) {
  if (!session.upstream) return;
  session.upstream.close();
  session.inspector.flow_ended(session.flow, abort);
  session.flow = 0;
}

loop::Task<void> wait_for_responses(HttpSession& session) {
  while (!session.exchanges.empty() && !session.responses_over) co_await session.changed.wait(session.idle_deadline());
}

Notice request_notice(const HttpSession& session, const net::RequestHead* head, std::string reason) {
  Notice notice = make_notice(session.to, std::move(reason));
  notice.kind = NoticeKind::request;
  if (head) {
    notice.evidence.emplace_back("method", head->method);
    notice.evidence.emplace_back("path", head->path);
    if (head->host != session.to.host) notice.evidence.emplace_back("host", head->host);
  }
  return notice;
}

bool stops_secrets(const HttpSession& session) {
  return policy::secrets_level(session.inspector.network()) == policy::InspectionLevel::deny;
}

Notice secret_notice(const HttpSession& session, const net::RequestHead& head, const inspect::Finding& found) {
  Notice notice = request_notice(session, &head, describe(found));
  notice.hint = "a person can let secrets pass with network.inspect: { secrets: log }";
  notice.evidence.emplace_back("pattern", found.rule);
  notice.evidence.emplace_back("place", found.place);
  notice.evidence.emplace_back("excerpt", found.excerpt);
  notice.evidence.emplace_back("fingerprint", found.fingerprint);
  return notice;
}

// A request's body, searched on its way. In chunks of its own where the length was not told; trailers are read and
// judged by the framer, and left behind.
struct GuardedBody {
  Result<void> outcome;
  std::optional<inspect::Finding> found;
};

std::string framed(net::BodyKind kind, std::string content) {
  if (kind != net::BodyKind::chunked || content.empty()) return content;
  return fmt::format("{:x}\r\n{}\r\n", content.size(), content);
}

loop::Task<GuardedBody> forward_guarded_body(std::shared_ptr<HttpSession> session, const net::RequestHead& head) {
  Wire& from = session->connection.client;
  Wire& to = session->upstream;
  InBuffer& in = session->in;
  Inspector& inspector = session->inspector;
  const bool stops = stops_secrets(*session);
  net::BodyFramer framer(head.body, net::MessageSide::request);
  BodyGuard guard(*inspector.guard());
  const net::BodyKind kind = head.body.kind;
  GuardedBody body;
  while (!framer.done()) {
    if (in.bytes().empty()) {
      auto count = co_await in.read_more(from, inspector.loop().now() + kIdle);
      if (!count || *count == 0) {
        body.outcome = count ? framer.finish() : std::unexpected(std::move(count).error());
        if (body.outcome) body.outcome = fail(ErrorKind::protocol, "the body breaks off");
        co_return body;
      }
    }
    std::string content;
    auto taken = framer.consume(in.bytes(), &content);
    if (!taken) {
      body.outcome = std::unexpected(std::move(taken).error());
      co_return body;
    }
    in.consume(*taken);
    auto passed = guard.feed(content, framer.done());
    in.charge_elsewhere(guard.held());
    if (passed.found) {
      if (stops) {
        body.found = std::move(passed.found);
        co_return body;
      }
      Notice notice = secret_notice(*session, head, *passed.found);
      notice.decision = NoticeDecision::log;
      co_await inspector.notices().written(std::move(notice));
    }
    std::string bytes = framed(kind, std::move(passed.released));
    if (framer.done() && kind == net::BodyKind::chunked) bytes += "0\r\n\r\n";
    if (bytes.empty()) continue;
    if (!to) {
      body.outcome = fail(ErrorKind::internal, "closed meanwhile");
      co_return body;
    }
    body.outcome = co_await to.write(bytes, inspector.loop().now() + kIdle);
    if (!body.outcome) co_return body;
  }
  co_return body;
}

// Ends the session with a refusal; responses that are on their way go first.
loop::Task<void> refuse_request(std::shared_ptr<HttpSession> session, Notice notice, Answer answer) {
  const NoticeSink::Receipt receipt = co_await session->inspector.notices().written(notice);
  const std::string bytes = answer_bytes(answer, notice, receipt.event);
  co_await wait_for_responses(*session);
  if (session->client_spoiled) {
    reset_on_close(session->connection.client.get());
    co_return;
  }
  co_await finish_with(session->inspector, std::move(session->connection), bytes);
}

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

// Connects unless the connection that stands leads there. An answer: the reason why not.
loop::Task<std::optional<Answer>> reach_upstream(std::shared_ptr<HttpSession> session) {
  const bool same =
      session->upstream && !session->responses_over && session->upstream_to.subject() == session->to.subject();
  if (same) co_return std::nullopt;
  Answer answer;
  answer.form = AnswerForm::http;
  answer.status = net::RefusalStatus::bad_gateway;
  if (session->upstream) {
    // A proxied client that turns to another host, or a server that closed between two requests.
    co_await wait_for_responses(*session);
    if (!session->exchanges.empty()) co_return answer;
    close_upstream(*session, false);
    while (!session->responses_over) co_await session->changed.wait(session->idle_deadline());
    session->from_upstream.consume(session->from_upstream.bytes().size());
  }
  Upstream upstream =
      co_await session->inspector.dial(session->to, session->connection.peer, session->connection.original);
  if (!upstream.socket) {
    if (upstream.result == DialResult::denied) answer.status = net::RefusalStatus::forbidden;
    answer.raw = upstream.reason;
    co_return answer;
  }
  auto socket = loop::AsyncFd::adopt(session->inspector.loop(), std::move(upstream.socket));
  if (!socket) {
    session->inspector.flow_ended(upstream.flow, true);
    co_return answer;
  }
  session->upstream = Wire(std::move(*socket));
  session->upstream_to = session->to;
  session->flow = upstream.flow;
  session->responses_over = false;
  session->inspector.loop().spawn(forward_responses(session));
  co_return std::nullopt;
}

// Refuses a request of which some may have left: it is cut off, and no server takes half of one for whole. Earlier
// responses go first; where the server has begun to answer this one, the client can only be reset.
loop::Task<void> stop_request(std::shared_ptr<HttpSession> session, Notice notice, Answer answer) {
  while (session->exchanges.size() > 1 && !session->responses_over)
    co_await session->changed.wait(session->idle_deadline());
  const bool alone = session->exchanges.size() == 1;
  close_upstream(*session, true);
  while (!session->responses_over) co_await session->changed.wait(session->idle_deadline());
  session->exchanges.clear();
  if (!alone) session->client_spoiled = true;
  co_await refuse_request(session, std::move(notice), std::move(answer));
}

enum class Next { request, end, relay };

// One request, from its head to the end of its body.
loop::Task<Next> serve_request(std::shared_ptr<HttpSession> session, net::RequestHead head) {
  Answer answer;
  answer.form = AnswerForm::http;
  answer.with_body = head.method != "HEAD";
  if (session->role == HttpRole::proxy) {
    auto to = proxied_destination(head);
    std::optional<Notice> refusal;
    if (to) {
      session->to = std::move(*to);
      refusal = judge_destination(session->inspector.network(), session->to);
    } else {
      session->to = Destination{};
      refusal = request_notice(*session, &head, to.error().message());
    }
    if (refusal) {
      co_await refuse_request(session, std::move(*refusal), std::move(answer));
      co_return Next::end;
    }
  }
  const RequestVerdict verdict = judge_http_request(session->inspector.network(), session->to, head);
  Notice notice = request_notice(*session, &head, verdict.reason);
  notice.rule = verdict.rule;
  notice.by_deny_rule = verdict.by_deny_rule;
  notice.hint = verdict.hint;
  if (!verdict.allowed) {
    co_await refuse_request(session, std::move(notice), std::move(answer));
    co_return Next::end;
  }
  if (session->inspector.searches()) {
    ContentGuard* guard = session->inspector.guard();
    if (!guard) {
      session->client_spoiled = true;
      co_return Next::end;
    }
    if (auto found = guard->search_head(head)) {
      Notice secret = secret_notice(*session, head, *found);
      if (stops_secrets(*session)) {
        co_await refuse_request(session, std::move(secret), std::move(answer));
        co_return Next::end;
      }
      secret.decision = NoticeDecision::log;
      co_await session->inspector.notices().written(std::move(secret));
    }
  }
  notice.decision = NoticeDecision::allow;
  const NoticeSink::Receipt receipt = co_await session->inspector.notices().written(std::move(notice));
  if (!receipt.proceed) {
    session->client_spoiled = true;
    co_return Next::end;
  }
  while (session->exchanges.size() >= kPipelined && !session->responses_over)
    co_await session->changed.wait(session->idle_deadline());
  auto unreachable = co_await reach_upstream(session);
  if (unreachable) {
    unreachable->with_body = answer.with_body;
    // Why is in the log already: the dialer or the supervisor decided it, or nothing was decided.
    Notice failed =
        request_notice(*session, &head, unreachable->raw.empty() ? "the server can't be reached" : unreachable->raw);
    co_await finish_with(session->inspector, std::move(session->connection), answer_bytes(*unreachable, failed));
    co_return Next::end;
  }
  session->exchanges.push_back({head.method, !head.upgrade.empty()});
  const std::string written_head = net::write_request_head(head);
  auto written = co_await session->upstream.write(written_head, session->idle_deadline());
  if (written && session->inspector.searches() && head.body.kind != net::BodyKind::none) {
    auto body = co_await forward_guarded_body(session, head);
    if (body.found) {
      co_await stop_request(session, secret_notice(*session, head, *body.found), std::move(answer));
      co_return Next::end;
    }
    written = std::move(body.outcome);
  } else if (written) {
    net::BodyFramer framer(head.body, net::MessageSide::request);
    written = co_await forward_body(session->connection.client, session->in, session->upstream, std::move(framer),
                                    session->inspector);
  }
  if (!written) {
    // A server may answer before it has read the whole body, and close: its answer still goes to the client.
    if (written.error().kind() == ErrorKind::protocol) session->client_spoiled = true;
    co_return Next::end;
  }
  if (!head.upgrade.empty()) {
    co_await wait_for_responses(*session);
    if (session->switched) co_return Next::relay;
  }
  co_return head.keep_alive ? Next::request : Next::end;
}

// What follows a 101 is not judged any more.
loop::Task<void> relay_rest(std::shared_ptr<HttpSession> session) {
  std::string to_upstream = session->in.take(), to_client = session->from_upstream.take();
  if (!session->connection.client.is_tls()) {
    RelayEnds ends{session->connection.client.take_socket(), session->upstream.take_socket(), std::move(to_upstream),
                   std::move(to_client)};
    session->inspector.start_relay(std::move(ends), session->flow);
    co_return;
  }
  auto client = std::make_shared<Wire>(std::move(session->connection.client));
  auto upstream = std::make_shared<Wire>(std::move(session->upstream));
  auto sent = co_await client->write(to_client, session->idle_deadline());
  if (sent) sent = co_await upstream->write(to_upstream, session->idle_deadline());
  if (sent) co_await relay_wires(session->inspector.loop(), std::move(client), std::move(upstream));
  session->inspector.flow_ended(session->flow, !sent);
}

loop::Task<void> run_session(std::shared_ptr<HttpSession> session) {
  Next next = Next::request;
  while (next == Next::request) {
    auto bytes =
        co_await read_head(session->connection.client, session->in, session->idle_deadline(), session->inspector);
    if (bytes && bytes->empty()) break;
    const auto place = session->role == HttpRole::proxy ? net::RequestPlace::proxy : net::RequestPlace::origin;
    Result<net::RequestHead> head = bytes ? net::parse_request_head(*bytes, place) : std::unexpected(bytes.error());
    if (!head) {
      // A peer that went, or said nothing, was not refused anything.
      if (head.error().kind() == ErrorKind::protocol || head.error().kind() == ErrorKind::invalid_input) {
        Answer answer;
        answer.form = AnswerForm::http;
        answer.status = net::RefusalStatus::bad_request;
        Notice notice = request_notice(*session, nullptr, fmt::format("malformed HTTP: {}", head.error().message()));
        co_await refuse_request(session, std::move(notice), std::move(answer));
      }
      break;
    }
    next = co_await serve_request(session, std::move(*head));
  }
  if (next == Next::relay) {
    co_await relay_rest(session);
    co_return;
  }
  if (session->connection.client) {
    if (!session->client_spoiled) co_await wait_for_responses(*session);
    if (session->client_spoiled)
      reset_on_close(session->connection.client.get());
    else if (session->connection.client.is_tls())
      co_await session->connection.client.finish(session->inspector.loop().now() + kGoodbye);
    session->connection.client.close();
  }
  close_upstream(*session, session->client_spoiled);
}

}  // namespace

loop::Task<void> serve_http(Inspector& inspector, Connection connection, Destination to, InBuffer in,
                            std::optional<Upstream> ready, HttpRole role) {
  auto session = std::make_shared<HttpSession>(inspector, std::move(connection), std::move(to), std::move(in), role);
  if (ready) {
    auto socket = loop::AsyncFd::adopt(inspector.loop(), std::move(ready->socket));
    if (!socket) {
      inspector.flow_ended(ready->flow, true);
      co_return;
    }
    session->upstream = Wire(std::move(*socket));
    session->upstream_to = session->to;
    session->flow = ready->flow;
    inspector.loop().spawn(forward_responses(session));
  }
  co_await run_session(session);
}

}  // namespace stockade::egress
