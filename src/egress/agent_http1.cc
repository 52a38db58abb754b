#include "egress/agent_http1.h"

#include <sys/socket.h>

namespace stockade::egress {

AgentHttp1Stream::AgentHttp1Stream(std::shared_ptr<AgentHttp1> on, const net::RequestHead& request)
    : on_(std::move(on)),
      minor_version_(request.minor_version),
      keep_alive_(request.keep_alive),
      reader_(request.body, net::MessageSide::request) {}

loop::Task<Result<BodyPiece>> AgentHttp1Stream::read_body(TimePoint deadline) {
  if (stopped_) co_return fail(ErrorKind::internal, "no more is wanted");
  co_return co_await reader_.read(on_->connection.client, on_->in, on_->inspector, deadline);
}

loop::Task<Result<void>> AgentHttp1Stream::write_head(net::ResponseHead head) {
  Wire& client = on_->connection.client;
  if (!client) co_return fail(ErrorKind::internal, "closed meanwhile");
  const std::string bytes = net::write_response_head(head);
  if (!head.interim) {
    writer_.emplace(head.body);
    if (!head.keep_alive || writer_->ends_with_connection()) keep_alive_ = false;
  }
  co_return co_await client.write(bytes, on_->inspector.loop().now() + kHttpIdle);
}

loop::Task<Result<void>> AgentHttp1Stream::write_body(BodyPiece piece) {
  if (!writer_) co_return fail(ErrorKind::internal, "a body without its head");
  const bool end = piece.end;
  auto written = co_await writer_->write(on_->connection.client, std::move(piece), on_->inspector);
  if (written && end && tunnel_ && on_->connection.client)
    co_await on_->connection.client.finish(on_->inspector.loop().now() + kHeadDeadline);
  co_return written;
}

void AgentHttp1Stream::become_tunnel() {
  keep_alive_ = false;
  tunnel_ = true;
  reader_.become_tunnel();
  if (writer_) writer_->become_tunnel();
}

// The response is whole, so its end is said before the wire goes.
void AgentHttp1Stream::stop_reading() {
  stopped_ = true;
  keep_alive_ = false;
  if (on_->connection.client) ::shutdown(on_->connection.client.get(), SHUT_RD);
}

void AgentHttp1Stream::abort() {
  aborted_ = true;
  keep_alive_ = false;
  if (!on_->connection.client) return;
  reset_on_close(on_->connection.client.get());
  on_->connection.client.close();
}

bool AgentHttp1Stream::keeps_connection() const {
  return keep_alive_ && reader_.done() && writer_ && writer_->done() && !aborted_;
}

}  // namespace stockade::egress
