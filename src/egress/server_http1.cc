#include "egress/server_http1.h"

namespace stockade::egress {

ServerHttp1::~ServerHttp1() {
  wire.close();
  inspector.flow_ended(flow, broken);
}

bool ServerHttp1::is_idle() {
  if (broken || !wire || !in.bytes().empty()) return false;
  std::string unasked;
  const auto now = wire.read_now(unasked);
  return now && !*now;
}

loop::Task<Result<void>> ServerHttp1Stream::write_head(net::RequestHead head) {
  if (!on_->wire) co_return fail(ErrorKind::internal, "closed meanwhile");
  method_ = head.method;
  upgrade_ = !head.upgrade.empty();
  if (!head.keep_alive) keep_alive_ = false;
  writer_.emplace(head.body);
  const std::string bytes = net::write_request_head(head);
  co_return co_await on_->wire.write(bytes, on_->inspector.loop().now() + kHttpIdle);
}

loop::Task<Result<void>> ServerHttp1Stream::write_body(BodyPiece piece) {
  if (!writer_) co_return fail(ErrorKind::internal, "a body without its head");
  const bool end = piece.end;
  auto written = co_await writer_->write(on_->wire, std::move(piece), on_->inspector);
  if (written && end && tunnel_ && on_->wire) co_await on_->wire.finish(on_->inspector.loop().now() + kHeadDeadline);
  co_return written;
}

loop::Task<Result<IncomingResponse>> ServerHttp1Stream::read_head() {
  const TimePoint idle = on_->inspector.loop().now() + kHttpIdle;
  if (!on_->wire) co_return fail(ErrorKind::internal, "closed meanwhile");
  auto bytes = co_await read_http1_head(on_->wire, on_->in, idle, on_->inspector);
  if (!bytes) co_return std::unexpected(std::move(bytes).error());
  if (bytes->empty()) co_return fail(ErrorKind::unavailable, "the server hung up");
  auto head = net::parse_response_head(*bytes, method_);
  if (!head) co_return std::unexpected(std::move(head).error());
  if (head->switching && !upgrade_) co_return fail(ErrorKind::protocol, "the server switches protocols unasked");
  IncomingResponse response;
  response.head = std::move(*head);
  if (response.head.interim) co_return response;
  if (!response.head.keep_alive || response.head.body.kind == net::BodyKind::until_close) keep_alive_ = false;
  reader_.emplace(response.head.body, net::MessageSide::response);
  response.ends = !has_body(response.head.body);
  co_return response;
}

loop::Task<Result<BodyPiece>> ServerHttp1Stream::read_body(TimePoint deadline) {
  if (!reader_) co_return fail(ErrorKind::internal, "a body without its head");
  co_return co_await reader_->read(on_->wire, on_->in, on_->inspector, deadline);
}

void ServerHttp1Stream::become_tunnel() {
  keep_alive_ = false;
  tunnel_ = true;
  if (reader_) reader_->become_tunnel();
  if (writer_) writer_->become_tunnel();
}

void ServerHttp1Stream::abort() {
  keep_alive_ = false;
  on_->broken = true;
  on_->wire.close();
}

ServerHttp1Stream::~ServerHttp1Stream() {
  const bool whole = writer_ && writer_->done() && reader_ && reader_->done();
  if (whole && keep_alive_ && on_->wire) {
    keep_(std::move(on_));
  } else if (!whole) {
    on_->broken = true;
  }
}

}  // namespace stockade::egress
