// The client's side of an HTTP/2 connection: requests go out, responses come in as events. See http2_session.h. Server
// push is off; a server that pushes breaks the protocol.
#pragma once

#include <memory>

#include "net/http2_session.h"

namespace stockade::net {

class H2Client final : public H2Session {
 public:
  static Result<std::unique_ptr<H2Client>> make(const H2Options& options);

  // The stream that carries the request. ErrorKind::limit when the server allows no more now (try again when a stream
  // has ended), ErrorKind::unavailable when the connection takes no more (make another). With `end` there is no body.
  Result<int32_t> send_request(const H2RequestHead& head, bool end);
  bool can_open() const;
  // The server offers RFC 8441; known only after its SETTINGS (H2PeerSettings).
  bool offers_extended_connect() const;

 private:
  explicit H2Client(const H2Options& options) : H2Session(Side::client, options) {}
};

}  // namespace stockade::net
