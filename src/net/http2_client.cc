#include "net/http2_client.h"

#include <nghttp2/nghttp2.h>

namespace stockade::net {

Result<std::unique_ptr<H2Client>> H2Client::make(const H2Options& options) {
  std::unique_ptr<H2Client> client(new H2Client(options));
  STOCKADE_TRY(client->start());
  return client;
}

bool H2Client::can_open() const {
  const auto allowed = nghttp2_session_get_remote_settings(session(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  return !failed() && nghttp2_session_check_request_allowed(session()) != 0 && open_streams() < allowed;
}

bool H2Client::offers_extended_connect() const {
  return nghttp2_session_get_remote_settings(session(), NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

Result<int32_t> H2Client::send_request(const H2RequestHead& head, bool end) {
  STOCKADE_TRY(usable());
  if (nghttp2_session_check_request_allowed(session()) == 0)
    return fail(ErrorKind::unavailable, "this connection takes no more requests");
  if (!can_open()) return fail(ErrorKind::limit, "the server allows no more streams at once");
  if (!head.protocol.empty() && !offers_extended_connect())
    return fail(ErrorKind::unavailable, "the server offers no extended CONNECT (RFC 8441)");
  STOCKADE_ASSIGN(const auto fields, write_h2_request(head, options().rules));
  return submit_request({.fields = fields, .content_length = head.content_length, .end = end});
}

}  // namespace stockade::net
