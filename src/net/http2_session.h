// One HTTP/2 connection (RFC 9113) as a state machine over bytes, on nghttp2: bytes in, events out, commands in, bytes
// out. http2_server.h and http2_client.h are its two sides; neither has a socket.
//
// Flow control is end to end. Received body bytes are acknowledged only as the caller consumes them, so at most one
// connection window of them is in flight; send_body takes no more than the peer's windows and the output queue have
// room for, and says how much that was. Every list that the peer can grow is bounded by H2Options.
//
// Two sorts of fault: a malformed message resets its stream (H2Reset with a reason) and the connection lives on; a
// breach of framing, of HPACK or of a limit ends the connection: GOAWAY with its code is the last output, feed()
// returns the Error then and ever after. The same bytes give the same events however they are cut, save that body
// pieces differ in size, and in how many of them come before a fault is seen. One thread at a time; the session neither
// copies nor moves.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "net/http2_frame_meter.h"
#include "net/http2_head.h"

struct nghttp2_session;

namespace stockade::net {

// RFC 9113, section 7.
enum class H2Code : uint32_t {
  no_error = 0,
  protocol_error = 1,
  internal_error = 2,
  flow_control_error = 3,
  settings_timeout = 4,
  stream_closed = 5,
  frame_size_error = 6,
  refused_stream = 7,
  cancel = 8,
  compression_error = 9,
  connect_error = 10,
  enhance_your_calm = 11,
  inadequate_security = 12,
  http_1_1_required = 13,
};
std::string_view h2_code_name(H2Code code);

struct H2Options {
  uint32_t concurrent_streams = 128;         // that the peer may have open
  uint32_t stream_window = 256 * 1024;       // bytes received but not consumed, of a stream
  uint32_t connection_window = 1024 * 1024;  // and of all streams
  uint32_t header_list_size = kHeadLimit;    // bytes of a head, as RFC 9113, 6.5.2 counts them (32 more each field)
  uint32_t field_count = kFieldCountLimit;   // of a head
  uint32_t field_size = 32 * 1024;           // name and value
  // Less than the usual 4096 breaks peers that never announce a smaller table (Go's before 1.20).
  uint32_t hpack_table = 4096;        // bytes that the peer's encoder may use
  uint32_t hpack_own_table = 1024;    // that ours does
  size_t queued_output = 512 * 1024;  // bytes that the peer has not read yet
  H2FloodLimits floods;
  H2HeadRules rules;
};

// ---- events

struct H2Request {
  int32_t stream;
  H2RequestHead head;
  bool ends;  // there is no body; H2End follows
};
struct H2Response {  // also interim ones (100, 103): head.interim()
  int32_t stream;
  H2ResponseHead head;
  bool ends;
};
struct H2Body {
  int32_t stream;
  std::string bytes;
};
struct H2Trailers {
  int32_t stream;
  std::vector<HttpField> fields;
};
struct H2End {  // the message that comes in on `stream` is complete, and as long as its Content-Length said
  int32_t stream;
};
// The stream is gone, in both directions, before both messages were complete. Not for resets that the caller asked for.
struct H2Reset {
  int32_t stream;
  H2Code code;
  bool by_peer;
  std::string reason;  // ours: why the message was malformed, without bytes that are not tokens
};
struct H2Writable {  // send_body took less than it was given; now it takes more
  int32_t stream;
};
struct H2GoAway {  // the peer takes no more streams; what it has not seen is reset with refused_stream
  H2Code code;
  int32_t last_stream;
};
struct H2PeerSettings {  // at each SETTINGS of the peer
  uint32_t concurrent_streams;
  bool extended_connect;
};
using H2Event =
    std::variant<H2Request, H2Response, H2Body, H2Trailers, H2End, H2Reset, H2Writable, H2GoAway, H2PeerSettings>;

class H2Session {
 public:
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;
  virtual ~H2Session();

  Result<void> feed(std::string_view bytes);
  // The peer closed its side: an Error in the midst of a frame or a message.
  Result<void> finish();
  std::vector<H2Event> take_events();

  std::string_view pending_output() const { return output_; }
  void drop_output(size_t size);  // that many bytes were written
  std::string take_output();

  // How many of `bytes` were taken (and are output now). `end` counts only if all were.
  Result<size_t> send_body(int32_t stream, std::string_view bytes, bool end = false);
  Result<void> send_trailers(int32_t stream, std::vector<HttpField> fields);  // ends the message
  Result<void> end(int32_t stream);
  void reset(int32_t stream, H2Code code);
  // `size` bytes of H2Body of this stream have gone where they were to go. Also after the stream's end.
  void consume(int32_t stream, size_t size);
  // No new streams; those that are open go on. With an error code: all ends, feed() returns an Error.
  void go_away(H2Code code);
  // Time, for limits that hold a while (H2FloodLimits::window).
  void advance(std::chrono::milliseconds now) { meter_.advance(now); }

  size_t open_streams() const { return open_; }
  bool failed() const { return failure_.has_value(); }
  // What this session holds, in bytes of the heap.
  size_t memory() const;
  // Nothing is going on: gives the memory of nghttp2's frame buffer back to the kernel, the most of what an idle
  // connection holds. It comes back, as zeros, with the next frame that is sent. Does nothing while there is output.
  void rest();

 protected:
  enum class Side { server, client };
  H2Session(Side side, const H2Options& options);
  Result<void> start();

  struct Outgoing {
    const std::vector<HttpField>& fields;
    std::optional<uint64_t> content_length;
    bool interim = false;
    bool end = false;
  };
  Result<void> submit_response(int32_t stream, const Outgoing& head);
  Result<int32_t> submit_request(const Outgoing& head);
  Result<void> usable() const;
  const H2Options& options() const { return options_; }
  nghttp2_session* session() const { return session_; }

 private:
  friend struct H2Callbacks;

  struct Stream {
    std::string_view source;           // what send_body is just handing over
    std::optional<uint64_t> declared;  // bytes of the outgoing body that are still to come
    std::vector<HttpField> trailers;
    std::string reason;
    size_t unconsumed = 0;
    bool open = true;
    bool head_sent = false;      // a final one
    bool head_received = false;  // a final one
    bool ending = false;         // nothing more will be sent
    bool has_trailers = false;
    bool ended_remotely = false;
    bool reset_by_us = false;  // the caller asked for it
    bool reset_by_peer = false;
    bool wants_room = false;
  };

  // What nghttp2 calls (http2_callbacks.cc).
  void begin_head(int32_t stream, bool new_request);
  bool add_field(int32_t stream, std::string_view name, std::string_view value);
  void end_head(int32_t stream, bool ends);
  Result<void> judge_head(int32_t id, Stream& stream, bool ends);
  void add_body(int32_t stream, std::string_view bytes);
  void end_message(int32_t stream);
  void close_stream(int32_t stream, uint32_t code);
  void note_fault(int32_t stream, std::string_view reason);
  void sent_reset(int32_t stream);
  void sent_go_away(uint32_t code, std::string_view reason);

  void reset_malformed(int32_t stream, H2Code code, std::string_view reason);
  void breach(H2Code code, std::string_view reason);
  void feed_piece(std::string_view piece);
  void drain();
  void send_pending();
  size_t room(int32_t stream) const;
  void tell_writable();
  Stream* find(int32_t stream);
  void forget(int32_t stream);
  Result<Stream*> sendable(int32_t stream);

  const Side side_;
  const H2Options options_;
  H2FrameMeter meter_;
  struct LibraryMemory {
    size_t held = 0;
    void* frame_buffer = nullptr;  // 16 KiB, that the library keeps for as long as the session lives
  };
  LibraryMemory library_memory_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, Stream> streams_;
  size_t open_ = 0;
  size_t waiting_ = 0;  // streams that want room
  std::vector<HttpField> incoming_;
  size_t incoming_size_ = 0;
  std::vector<H2Event> events_;
  std::string output_;
  std::optional<Error> failure_;
  H2Code failure_code_ = H2Code::no_error;
  bool terminated_ = false;  // the GOAWAY for failure_ was handed to nghttp2
};

}  // namespace stockade::net
