// A connection that speaks HTTP/2, on either side of the firewall: the session (net/http2_session.h) on its wire, one
// coroutine that reads and one that writes, and the streams that wait for it. agent_http2.h and server_http2.h make
// exchanges of its streams. Lives as long as somebody holds it or its coroutines run; ends with its wire. What was read
// and not taken counts against the process's bound. One thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "egress/http_stream.h"
#include "egress/refusals.h"
#include "net/http2_session.h"

namespace stockade::egress {

// One stream, from the side of whoever uses it.
struct Http2Stream {
  explicit Http2Stream(loop::Loop& loop) : changed(loop) {}
  std::deque<BodyPiece> incoming;
  std::string method;                  // of the request, where a server answers
  std::deque<IncomingResponse> heads;  // of that answer
  bool ended = false;                  // the incoming message is complete, or in `incoming`
  std::optional<Error> broken;
  std::function<void()> when_broken;  // by the peer or the connection
  loop::Signal changed;  // something came, or there is room for more
};

class Http2Connection : public std::enable_shared_from_this<Http2Connection> {
 public:
  Http2Connection(Inspector& inspector, Wire wire);
  virtual ~Http2Connection();

  // Reads until the connection ends; `first` was read already. Spawns the writer.
  static loop::Task<void> run(std::shared_ptr<Http2Connection> self, std::string first);
  bool open() const { return !closed_; }
  // No stream is open, and none was since `then`.
  bool unused_since(TimePoint then) const { return streams_.empty() && last_used_ < then; }

  Inspector& inspector() { return inspector_; }
  loop::Task<Result<BodyPiece>> read_body(int32_t id, std::shared_ptr<Http2Stream> stream, TimePoint deadline);
  loop::Task<Result<void>> write_body(int32_t id, std::shared_ptr<Http2Stream> stream, BodyPiece piece);
  void abort(int32_t id, Http2Stream& stream, net::H2Code code);
  // There may be output.
  void flush();
  // No stream is added any more; the connection ends with the last one.
  void retire();

 protected:
  void adopt(net::H2Session* session) { session_ = session; }
  std::shared_ptr<Http2Stream> add_stream(int32_t id);
  std::shared_ptr<Http2Stream> stream_of(int32_t id) const;
  // A stream is no longer used.
  void stream_left(int32_t id);
  // Of a side's own kind.
  virtual void on_request(net::H2Request) {}
  virtual void on_response(net::H2Response) {}
  virtual void on_settings() {}
  virtual void on_reset(const net::H2Reset&, bool known) { (void)known; }

 private:
  static loop::Task<void> write_output(std::shared_ptr<Http2Connection> self);
  loop::Task<Result<size_t>> read(std::string& into);
  void dispatch();
  void on_event(net::H2Body body);
  void on_event(net::H2Trailers trailers);
  void on_event(const net::H2End& end);
  void on_event(const net::H2Reset& reset);
  void on_event(const net::H2Writable& writable);
  void on_event(const net::H2GoAway&) { closes_when_idle_ = true; }
  void on_event(const net::H2PeerSettings&) { on_settings(); }
  void on_event(net::H2Request request) { on_request(std::move(request)); }
  void on_event(net::H2Response response) { on_response(std::move(response)); }
  void charge(size_t more);
  void discharge(size_t less);
  void close(const Error& why);
  static void break_off(Http2Stream& stream, Error why);

  Inspector& inspector_;
  Wire wire_;
  net::H2Session* session_ = nullptr;  // of the derived class
  std::map<int32_t, std::shared_ptr<Http2Stream>> streams_;
  loop::Signal output_;
  TimePoint last_used_;
  size_t charged_ = 0;
  bool reading_ = true;
  bool closed_ = false;
  bool closes_when_idle_ = false;
};

}  // namespace stockade::egress
