// A server's side of HTTP/1: a connection that one exchange at a time has for itself. The connection ends, and is told to
// the dialer, with the last who holds it. One thread.
#pragma once

#include <functional>

#include "egress/http1_message.h"

namespace stockade::egress {

struct ServerHttp1 {
  ServerHttp1(Inspector& inspector_, loop::AsyncFd socket, uint64_t flow_)
      : inspector(inspector_), wire(std::move(socket)), in(inspector_), flow(flow_) {}
  ~ServerHttp1();
  // Still there, and silent: what comes unasked is no response to the next request.
  bool is_idle();

  Inspector& inspector;
  Wire wire;
  InBuffer in;
  uint64_t flow;
  std::string alpn{};  // what the server agreed to, inside TLS
  bool broken = false;
};

class ServerHttp1Stream final : public ServerStream {
 public:
  // `keep` takes the connection when both messages are over and it can serve another exchange.
  using Keep = std::function<void(std::shared_ptr<ServerHttp1>)>;
  ServerHttp1Stream(std::shared_ptr<ServerHttp1> on, Keep keep) : on_(std::move(on)), keep_(std::move(keep)) {}
  ~ServerHttp1Stream() override;

  loop::Task<Result<void>> write_head(net::RequestHead head) override;
  loop::Task<Result<void>> write_body(BodyPiece piece) override;
  loop::Task<Result<IncomingResponse>> read_head() override;
  loop::Task<Result<BodyPiece>> read_body(TimePoint deadline) override;
  void become_tunnel() override;
  void abort() override;
  bool keeps_connection() const override { return keep_alive_; }

 private:
  std::shared_ptr<ServerHttp1> on_;
  Keep keep_;
  std::string method_;
  bool upgrade_ = false;
  bool keep_alive_ = true;
  bool tunnel_ = false;
  std::optional<Http1BodyReader> reader_;
  std::optional<Http1BodyWriter> writer_;
};

}  // namespace stockade::egress
