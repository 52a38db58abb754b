// A server's side of HTTP/2: one connection, many exchanges. It ends, and is told to the dialer, with the last who holds
// it. One thread.
#pragma once

#include "egress/http2_connection.h"
#include "net/http2_client.h"

namespace stockade::egress {

class ServerHttp2 final : public Http2Connection {
 public:
  // Speaks at once; run() is the caller's to spawn. `scheme` of its requests.
  static Result<std::shared_ptr<ServerHttp2>> make(Inspector& inspector, loop::AsyncFd socket, uint64_t flow,
                                                   std::string scheme);
  ~ServerHttp2() override;

  // Takes new streams, now or when one has ended.
  bool usable() const { return open() && !session_->failed() && !refused_; }
  std::shared_ptr<ServerStream> open_stream();

 private:
  friend class ServerHttp2Stream;
  ServerHttp2(Inspector& inspector, Wire wire, std::unique_ptr<net::H2Client> session, uint64_t flow,
              std::string scheme);
  void on_response(net::H2Response response) override;
  void on_settings() override { room_.notify_all(); }
  void on_reset(const net::H2Reset&, bool) override { room_.notify_all(); }

  std::unique_ptr<net::H2Client> session_;
  uint64_t flow_;
  std::string scheme_;
  bool refused_ = false;  // a request: no more may be sent here
  loop::Signal room_;     // a stream ended, or the server's limit changed
};

}  // namespace stockade::egress
