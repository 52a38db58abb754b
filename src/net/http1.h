// HTTP/1 heads (RFC 9112), read so that no server can read them differently: bare CR or LF, folding, white space before
// a colon, a second Host, Content-Length beside Transfer-Encoding and the rest of the request-smuggling zoo are
// refused, not repaired. Each head is then read again by llhttp, and accepted only if both readings agree. To forward a
// head, write what was parsed (write_request_head), never the bytes that arrived.
//
// A head is collected by HeadReader and judged by parse_*_head; where its body ends is http1_body.h's business. Not
// covered: HTTP/2 (an h2c upgrade is only reported), and what a body means. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/http_field.h"

namespace stockade::net {

inline constexpr size_t kHeadLimit = 64 * 1024;
inline constexpr size_t kFieldCountLimit = 128;

// Collects one head from a stream.
class HeadReader {
 public:
  // Takes bytes up to the end of the head and returns how many. Refuses at the first byte that no head has.
  Result<size_t> feed(std::string_view bytes);
  bool complete() const { return state_ == State::complete; }
  bool started() const { return !head_.empty(); }
  size_t held() const { return head_.capacity(); }  // bytes of memory
  // The head with its empty line; the reader starts again.
  std::string take();

 private:
  enum class State { line_start, in_line, line_cr, end_cr, complete };

  Result<void> step(char c);

  State state_ = State::line_start;
  size_t lines_ = 0;
  std::string head_;
};

enum class BodyKind { none, length, chunked, until_close };

struct BodyFraming {
  BodyKind kind = BodyKind::none;
  uint64_t length = 0;  // for BodyKind::length
  bool operator==(const BodyFraming&) const = default;
};

enum class TargetForm { origin, absolute, authority, asterisk };

// Who reads the request: the server itself (origin), or an explicit proxy.
enum class RequestPlace { origin, proxy };

struct RequestHead {
  std::string method;
  std::string target;  // as sent
  TargetForm form = TargetForm::origin;
  int minor_version = 1;
  std::vector<HttpField> fields;

  std::string host;  // lower case, IPv6 without brackets; from the target where it names one, and Host agrees
  std::optional<uint16_t> port;
  std::string path;  // raw, begins with "/"; path.h normalises it. "*" for asterisk form, empty for CONNECT
  std::optional<std::string> query;  // raw, without the "?"

  BodyFraming body;
  bool keep_alive = true;
  bool expects_continue = false;
  std::string upgrade;  // the value of Upgrade when Connection names it; empty otherwise
};

// `head` as HeadReader collected it.
Result<RequestHead> parse_request_head(std::string_view head, RequestPlace place);

struct ResponseHead {
  int status = 0;
  int minor_version = 1;
  std::string reason;
  std::vector<HttpField> fields;
  BodyFraming body;
  bool keep_alive = true;
  bool interim = false;    // 1xx but 101: another head follows
  bool switching = false;  // 101, or 2xx to CONNECT: what follows is no longer HTTP
  std::string upgrade;     // of a 101
};

// The response to a request with `request_method`, which decides whether it has a body.
Result<ResponseHead> parse_response_head(std::string_view head, std::string_view request_method);

// The head as we understood it: origin form (authority form for CONNECT), the fields in their order, one space after
// each colon, without Proxy-Connection, Proxy-Authorization and Keep-Alive.
std::string write_request_head(const RequestHead& head);
std::string write_response_head(const ResponseHead& head);

struct Authority {
  std::string host;  // lower case, IPv6 without brackets
  std::optional<uint16_t> port;
  bool operator==(const Authority&) const = default;
};
// "example.com:8080", "[::1]". User names, percent-encoding and anything else that hides a host are refused.
Result<Authority> parse_authority(std::string_view text);

}  // namespace stockade::net
