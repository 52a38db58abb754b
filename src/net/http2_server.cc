#include "net/http2_server.h"

namespace stockade::net {

Result<std::unique_ptr<H2Server>> H2Server::make(const H2Options& options) {
  std::unique_ptr<H2Server> server(new H2Server(options));
  STOCKADE_TRY(server->start());
  return server;
}

Result<void> H2Server::send_response(int32_t stream, const H2ResponseHead& head, bool end) {
  if (head.interim() && end) return fail(ErrorKind::internal, "an interim response that ends its stream");
  STOCKADE_ASSIGN(const auto fields, write_h2_response(head));
  return submit_response(stream, {fields, head.content_length, head.interim(), end});
}

}  // namespace stockade::net
