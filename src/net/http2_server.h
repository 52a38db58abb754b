// The server's side of an HTTP/2 connection: requests come in as events, responses go out. See http2_session.h.
#pragma once

#include <memory>

#include "net/http2_session.h"

namespace stockade::net {

class H2Server final : public H2Session {
 public:
  // rules.extended_connect offers RFC 8441 to the client.
  static Result<std::unique_ptr<H2Server>> make(const H2Options& options);

  // An interim head (100, 103) may come first, any number of times. With `end` there is no body.
  Result<void> send_response(int32_t stream, const H2ResponseHead& head, bool end);

 private:
  explicit H2Server(const H2Options& options) : H2Session(Side::server, options) {}
};

}  // namespace stockade::net
