// HTTP/2 heads (RFC 9113, section 8; RFC 8441), judged a second time after nghttp2 and more strictly: a head passes
// only if it means the same to every server, also behind a gateway that writes it as HTTP/1. Field names are lower-case
// tokens, values have no control characters, pseudo-fields come first, once and complete, nothing is about the
// connection, :authority has no user name and equals Host, :path is a path. A breach makes the message malformed
// (RFC 9113, 8.1.1): the stream is reset, the connection lives on.
//
// Pure functions, any thread. Sizes are bounded by the caller (H2Limits).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/http1.h"
#include "net/http_field.h"

namespace stockade::net {

struct H2RequestHead {
  std::string method;
  std::string scheme;             // empty for an ordinary CONNECT
  std::string authority;          // as sent; taken from Host where :authority is missing
  std::string path;               // with its query; empty for an ordinary CONNECT
  std::string protocol;           // of an extended CONNECT, "websocket"; else empty
  std::vector<HttpField> fields;  // without pseudo-fields; Host stays if it was sent

  std::optional<uint64_t> content_length;
  bool expects_continue = false;
};

struct H2ResponseHead {
  int status = 0;
  std::vector<HttpField> fields;
  std::optional<uint64_t> content_length;

  bool interim() const { return status < 200; }
};

struct H2HeadRules {
  std::string scheme;             // the only one allowed; empty: http and https
  bool connect = false;           // CONNECT to a host and port
  bool extended_connect = false;  // RFC 8441
};

// `fields` as HPACK gave them, pseudo-fields among them, in order.
Result<H2RequestHead> parse_h2_request(std::vector<HttpField> fields, const H2HeadRules& rules);
Result<H2ResponseHead> parse_h2_response(std::vector<HttpField> fields);
Result<void> check_h2_trailers(std::span<const HttpField> fields);

// The same for a head of our own, with the pseudo-fields in front. What parse_* would refuse is refused here too, so
// that nothing malformed leaves either.
Result<std::vector<HttpField>> write_h2_request(const H2RequestHead& head, const H2HeadRules& rules);
Result<std::vector<HttpField>> write_h2_response(const H2ResponseHead& head);

// About one connection, so never in HTTP/2 (RFC 9113, 8.2.2). `te` is one too, unless its value is "trailers".
bool is_connection_field(std::string_view name);
// Decides how a message is read, or for whom it is; a trailer that says so comes too late to be judged.
bool is_forbidden_in_trailers(std::string_view name);

}  // namespace stockade::net
