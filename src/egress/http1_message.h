// Bodies of HTTP/1 on a wire, read and written piece by piece: what the agent's and the server's side of an HTTP/1
// connection (agent_http1.h, server_http1.h) have in common. A reader takes exactly its message's bytes out of the
// buffer, so that what follows is the next head. A writer frames what it is given: the length that its head promised, in
// chunks, or until the connection closes. One thread.
#pragma once

#include "egress/http_stream.h"
#include "egress/refusals.h"
#include "net/http1_body.h"

namespace stockade::egress {

// A head's bytes with its empty line; empty at the end of the stream. After its first byte the head has kHeadDeadline.
loop::Task<Result<std::string>> read_http1_head(Wire& from, InBuffer& in, TimePoint idle, Inspector& inspector);

class Http1BodyReader {
 public:
  Http1BodyReader(net::BodyFraming framing, net::MessageSide side) : framer_(framing, side), side_(side), done_(framer_.done()) {}
  loop::Task<Result<BodyPiece>> read(Wire& from, InBuffer& in, Inspector& inspector, TimePoint deadline);
  bool done() const { return done_; }
  void become_tunnel();

 private:
  net::BodyFramer framer_;
  net::MessageSide side_;
  bool done_;
};

class Http1BodyWriter {
 public:
  explicit Http1BodyWriter(net::BodyFraming framing) 
      : kind_(framing.kind), left_(framing.length), done_(!has_body(framing)) {}
  // An error, with nothing written: the piece is more than the head promised, or the end comes before.
  loop::Task<Result<void>> write(Wire& to, BodyPiece piece, Inspector& inspector);
  bool done() const { return done_; }
  // Its end is the connection's.
  bool ends_with_connection() const { return kind_ == net::BodyKind::until_close; }
  void become_tunnel();

 private:
  Result<std::string> framed(BodyPiece piece);

  net::BodyKind kind_;
  uint64_t left_;
  bool done_;
};

}  // namespace stockade::egress
