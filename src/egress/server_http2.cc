#include "egress/server_http2.h"

#include "net/http2_convert.h"

namespace stockade::egress {

class ServerHttp2Stream final : public ServerStream {
 public:
  explicit ServerHttp2Stream(std::shared_ptr<ServerHttp2> on) : on_(std::move(on)) {}
  ~ServerHttp2Stream() override {
    if (!stream_) return;
    const bool whole = stream_->ended && stream_->incoming.empty() && sent_;
    whole ? on_->stream_left(id_) : abort();
    on_->room_.notify_all();
  }

  loop::Task<Result<void>> write_head(net::RequestHead head) override {
    auto converted = net::to_h2(head, on_->scheme_);
    if (!converted) co_return std::unexpected(std::move(converted).error());
    const bool end = !has_body(head.body);
    const TimePoint deadline = on_->inspector().loop().now() + kHeadDeadline;
    while (true) {
      if (!on_->usable()) co_return fail(ErrorKind::unavailable, "the connection takes no more requests");
      auto id = on_->session_->send_request(*converted, end);
      if (id) {
        id_ = *id;
        break;
      }
      if (id.error().kind() == ErrorKind::unavailable) on_->refused_ = true;
      if (id.error().kind() != ErrorKind::limit) co_return std::unexpected(std::move(id).error());
      if (co_await on_->room_.wait(deadline) == loop::Wake::timeout)
        co_return fail(ErrorKind::limit, "the server takes no more requests at once");
    }
    stream_ = on_->add_stream(id_);
    stream_->method = head.method;
    sent_ = end;
    on_->flush();
    co_return Result<void>{};
  }

  loop::Task<Result<void>> write_body(BodyPiece piece) override {
    const bool end = piece.end;
    auto written = co_await on_->write_body(id_, stream_, std::move(piece));
    if (written && end) sent_ = true;
    co_return written;
  }

  loop::Task<Result<IncomingResponse>> read_head() override {
    const TimePoint deadline = on_->inspector().loop().now() + kHttpIdle;
    while (stream_->heads.empty()) {
      if (stream_->broken) co_return std::unexpected(*stream_->broken);
      if (co_await stream_->changed.wait(deadline) == loop::Wake::timeout)
        co_return fail(ErrorKind::limit, "no response before the deadline");
    }
    IncomingResponse response = std::move(stream_->heads.front());
    stream_->heads.pop_front();
    co_return response;
  }

  loop::Task<Result<BodyPiece>> read_body(TimePoint deadline) override {
    return on_->read_body(id_, stream_, deadline);
  }
  void become_tunnel() override {}
  void abort() override {
    if (stream_) on_->abort(id_, *stream_, net::H2Code::cancel);
  }
  bool keeps_connection() const override { return !stream_ || !stream_->broken; }

 private:
  std::shared_ptr<ServerHttp2> on_;
  int32_t id_ = 0;
  std::shared_ptr<Http2Stream> stream_;  // from write_head() on
  bool sent_ = false;                    // the whole request
};

ServerHttp2::ServerHttp2(Inspector& inspector, Wire wire, std::unique_ptr<net::H2Client> session, uint64_t flow,
                         std::string scheme)
    : Http2Connection(inspector, std::move(wire)),
      session_(std::move(session)),
      flow_(flow),
      scheme_(std::move(scheme)),
      room_(inspector.loop()) {
  adopt(session_.get());
}

ServerHttp2::~ServerHttp2() { inspector().flow_ended(flow_, false); }

Result<std::shared_ptr<ServerHttp2>> ServerHttp2::make(Inspector& inspector, loop::AsyncFd socket, uint64_t flow,
                                                       std::string scheme) {
  STOCKADE_ASSIGN(auto session, net::H2Client::make(net::H2Options{}));
  return std::shared_ptr<ServerHttp2>(
      new ServerHttp2(inspector, Wire(std::move(socket)), std::move(session), flow, std::move(scheme)));
}

std::shared_ptr<ServerStream> ServerHttp2::open_stream() {
  return std::make_shared<ServerHttp2Stream>(std::static_pointer_cast<ServerHttp2>(shared_from_this()));
}

void ServerHttp2::on_response(net::H2Response response) {
  const auto stream = stream_of(response.stream);
  if (!stream) return;
  auto head = net::to_h1(response.head, stream->method, response.ends, 1);
  if (!head) {
    stream->broken = std::move(head).error();
    session_->reset(response.stream, net::H2Code::protocol_error);
  } else {
    stream->heads.push_back({std::move(*head), response.ends});
  }
  stream->changed.notify_all();
}

}  // namespace stockade::egress
