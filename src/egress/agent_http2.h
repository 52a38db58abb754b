// The agent's side of HTTP/2: every request on the connection becomes an exchange of its own. Requests that can't be
// written as HTTP/1 without a second meaning are malformed (net/http2_convert.h): their stream is reset. One thread.
#pragma once

#include <functional>

#include "egress/http2_connection.h"
#include "net/http2_server.h"

namespace stockade::egress {

class AgentHttp2 final : public Http2Connection {
 public:
  struct Handlers {
    std::function<void(net::RequestHead, std::shared_ptr<AgentStream>)> request;
    std::function<void(std::string reason)> malformed;
  };
  // `scheme` of its requests.
  static Result<std::shared_ptr<AgentHttp2>> make(Inspector& inspector, Wire wire, std::string scheme);
  // Before run(). May be called once.
  void serve(Handlers handlers) { handlers_ = std::move(handlers); }

 private:
  friend class AgentHttp2Stream;
  AgentHttp2(Inspector& inspector, Wire wire, std::unique_ptr<net::H2Server> session);
  void on_request(net::H2Request request) override;
  void on_reset(const net::H2Reset& reset, bool known) override;

  std::unique_ptr<net::H2Server> session_;
  Handlers handlers_;
};

}  // namespace stockade::egress
