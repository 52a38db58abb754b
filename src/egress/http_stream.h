// One exchange of HTTP, seen from the firewall's two sides, whichever version each of them speaks: a request comes from
// the agent (AgentStream) and goes to a server (ServerStream), the response the other way. Heads are those of HTTP/1
// (net/http1.h), which every judgement reads; bodies are pieces without their framing. An implementation is a stream of
// HTTP/2 or the one exchange that an HTTP/1 connection is at.
//
// Each direction is one coroutine's: reading and writing may go on at once, two reads may not. Pieces wait for room
// (back-pressure is end to end), every wait has a deadline. After an error the stream is of no use but for abort().
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "loop/loop.h"
#include "net/http1.h"

namespace stockade::egress {

inline constexpr Duration kHttpIdle = std::chrono::minutes(10);  // between requests, and inside bodies

struct BodyPiece {
  std::string bytes;
  bool end = false;
  std::vector<net::HttpField> trailers;  // with the end
};

inline bool has_body(const net::BodyFraming& framing) {
  return framing.kind != net::BodyKind::none && !(framing.kind == net::BodyKind::length && framing.length == 0);
}

class HttpStream {
 public:
  virtual ~HttpStream() = default;
  // The next piece of the message that comes in; the last one says `end`. An empty one, when nothing came in time.
  virtual loop::Task<Result<BodyPiece>> read_body(TimePoint deadline) = 0;
  virtual loop::Task<Result<void>> write_body(BodyPiece piece) = 0;
  // The messages are over (101, or 2xx to CONNECT): from here on bodies of bytes in both directions.
  virtual void become_tunnel() = 0;
  // Breaks off, so that nobody takes what was sent for a whole message.
  virtual void abort() = 0;
};

class AgentStream : public HttpStream {
 public:
  // Interim heads first, any number of them. Its framing says whether a body follows.
  virtual loop::Task<Result<void>> write_head(net::ResponseHead head) = 0;
  // The response is complete and no more of the request is wanted: read_body() ends with an error.
  virtual void stop_reading() = 0;
  virtual int minor_version() const { return 1; }
  // Called when the agent gives the exchange up, where its version can say so.
  virtual void when_gone(std::function<void()>) {}
  // The agent has given it up: what was held for long need not be sent any more.
  virtual bool is_gone() const = 0;
};

struct IncomingResponse {
  net::ResponseHead head;
  bool ends = false;  // no body follows
};

class ServerStream : public HttpStream {
 public:
  virtual loop::Task<Result<void>> write_head(net::RequestHead head) = 0;
  virtual loop::Task<Result<IncomingResponse>> read_head() = 0;
  // After the end of both messages: the server expects another request here, so the request's rest may still be read.
  virtual bool keeps_connection() const = 0;
};

}  // namespace stockade::egress
