#include "egress/http_session.h"

#include "egress/agent_http1.h"
#include "egress/agent_http2.h"

namespace stockade::egress {

namespace {

constexpr Duration kGoodbye = std::chrono::seconds(1);
constexpr size_t kGoodbyeBytes = 256 * 1024;

// Half of a request is refused; a peer that went, or said nothing, was not refused anything.
bool is_malformed(const Error& error) {
  return error.kind() == ErrorKind::protocol || error.kind() == ErrorKind::invalid_input;
}

loop::Task<void> say_goodbye(std::shared_ptr<AgentHttp1> agent) {
  Wire& client = agent->connection.client;
  if (!client) co_return;
  const TimePoint deadline = agent->inspector.loop().now() + kGoodbye;
  co_await client.finish(deadline);
  // What came meanwhile would reset the connection, and take back what was answered.
  if (client) co_await client.drain(kGoodbyeBytes, deadline);
  client.close();
}

loop::Task<void> serve_http1(std::shared_ptr<HttpSession> session, std::shared_ptr<AgentHttp1> agent) {
  Inspector& inspector = session->inspector;
  const auto place = session->role == HttpRole::proxy ? net::RequestPlace::proxy : net::RequestPlace::origin;
  while (true) {
    auto bytes = co_await read_http1_head(agent->connection.client, agent->in, inspector.loop().now() + kHttpIdle,
                                          inspector);
    if (bytes && bytes->empty()) break;
    Result<net::RequestHead> head = bytes ? net::parse_request_head(*bytes, place) : std::unexpected(bytes.error());
    if (!head) {
      if (!is_malformed(head.error())) break;
      auto stream = std::make_shared<AgentHttp1Stream>(agent, net::RequestHead{});
      co_await refuse_malformed(session, std::move(stream), head.error().message());
      break;
    }
    auto stream = std::make_shared<AgentHttp1Stream>(agent, *head);
    co_await serve_exchange(session, std::move(*head), stream);
    if (!stream->keeps_connection()) break;
  }
  co_await say_goodbye(std::move(agent));
}

loop::Task<void> serve_http2(std::shared_ptr<HttpSession> session, Connection connection, std::string first) {
  Inspector& inspector = session->inspector;
  auto agent = AgentHttp2::make(inspector, std::move(connection.client), session->route.sealed ? "https" : "http");
  if (!agent) co_return;
  AgentHttp2::Handlers handlers;
  handlers.request = [session](net::RequestHead head, std::shared_ptr<AgentStream> stream) {
    session->inspector.loop().spawn(serve_exchange(session, std::move(head), std::move(stream)));
  };
  handlers.malformed = [session](std::string reason) {
    session->inspector.loop().spawn(refuse_malformed(session, nullptr, std::move(reason)));
  };
  (*agent)->serve(std::move(handlers));
  co_await Http2Connection::run(*agent, std::move(first));
}

}  // namespace

loop::Task<void> serve_http(Inspector& inspector, Connection connection, Destination to, InBuffer in,
                            HttpSessionOptions options) {
  Route route{std::move(to), connection.peer, connection.original, options.sealed, options.offers_http2};
  const auto session = std::make_shared<HttpSession>(HttpSession{inspector, std::move(route), options.role});
  if (options.version == HttpVersion::http2) {
    co_await serve_http2(session, std::move(connection), in.take());
    co_return;
  }
  auto agent = std::make_shared<AgentHttp1>(inspector, std::move(connection), std::move(in));
  co_await serve_http1(session, std::move(agent));
}

}  // namespace stockade::egress
