#include "egress/agent_http2.h"

#include "net/http2_convert.h"

namespace stockade::egress {

class AgentHttp2Stream final : public AgentStream {
 public:
  AgentHttp2Stream(std::shared_ptr<AgentHttp2> on, int32_t id, std::shared_ptr<Http2Stream> stream)
      : on_(std::move(on)), id_(id), stream_(std::move(stream)) {}
  // A response that broke off, or that nobody gave.
  ~AgentHttp2Stream() override {
    stream_->when_broken = {};
    complete_ ? on_->stream_left(id_) : abort();
  }

  loop::Task<Result<BodyPiece>> read_body(TimePoint deadline) override {
    return on_->read_body(id_, stream_, deadline);
  }

  loop::Task<Result<void>> write_head(net::ResponseHead head) override {
    auto converted = net::to_h2(head);
    if (!converted) co_return std::unexpected(std::move(converted).error());
    if (stream_->broken) co_return std::unexpected(*stream_->broken);
    if (!on_->open()) co_return fail(ErrorKind::unavailable, "the connection is closed");
    const bool end = !head.interim && !has_body(head.body);
    auto sent = on_->session_->send_response(id_, *converted, end);
    on_->flush();
    if (sent && end) complete_ = true;
    co_return sent;
  }

  loop::Task<Result<void>> write_body(BodyPiece piece) override {
    const bool end = piece.end;
    auto written = co_await on_->write_body(id_, stream_, std::move(piece));
    if (written && end) complete_ = true;
    co_return written;
  }

  void become_tunnel() override {}
  void when_gone(std::function<void()> then) override { stream_->when_broken = std::move(then); }
  bool is_gone() const override { return stream_->broken.has_value() || !on_->open(); }
  void stop_reading() override { on_->abort(id_, *stream_, net::H2Code::no_error); }
  void abort() override { on_->abort(id_, *stream_, net::H2Code::internal_error); }

 private:
  std::shared_ptr<AgentHttp2> on_;
  int32_t id_;
  std::shared_ptr<Http2Stream> stream_;
  bool complete_ = false;  // the response is
};

AgentHttp2::AgentHttp2(Inspector& inspector, Wire wire, std::unique_ptr<net::H2Server> session)
    : Http2Connection(inspector, std::move(wire)), session_(std::move(session)) {
  adopt(session_.get());
}

Result<std::shared_ptr<AgentHttp2>> AgentHttp2::make(Inspector& inspector, Wire wire, std::string scheme) {
  net::H2Options options;
  options.rules.scheme = std::move(scheme);
  STOCKADE_ASSIGN(auto session, net::H2Server::make(options));
  return std::shared_ptr<AgentHttp2>(new AgentHttp2(inspector, std::move(wire), std::move(session)));
}

void AgentHttp2::on_request(net::H2Request request) {
  auto head = net::to_h1(request.head, request.ends);
  if (!head) {
    session_->reset(request.stream, net::H2Code::protocol_error);
    if (handlers_.malformed) handlers_.malformed(head.error().message());
    return;
  }
  auto stream = add_stream(request.stream);
  auto self = std::static_pointer_cast<AgentHttp2>(shared_from_this());
  handlers_.request(std::move(*head), std::make_shared<AgentHttp2Stream>(std::move(self), request.stream, stream));
}

void AgentHttp2::on_reset(const net::H2Reset& reset, bool) {
  if (!reset.by_peer && !reset.reason.empty() && handlers_.malformed) handlers_.malformed(reset.reason);
}

}  // namespace stockade::egress
