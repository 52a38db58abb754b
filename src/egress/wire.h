// Wire: one end of a connection as its peer speaks it: a socket, in the clear or inside TLS. One coroutine reads and
// one writes at a time, as on an AsyncFd; what TLS has to send by itself (alerts, key updates) goes out by whichever of
// them is at it. One thread.
#pragma once

#include <memory>
#include <optional>

#include "loop/loop.h"
#include "net/tls_session.h"

namespace stockade::egress {

class Wire {
 public:
  Wire() = default;
  explicit Wire(loop::AsyncFd socket) : socket_(std::move(socket)) {}
  Wire(Wire&&) noexcept = default;
  Wire& operator=(Wire&&) noexcept = default;

  int get() const { return socket_.get(); }
  explicit operator bool() const { return static_cast<bool>(socket_); }
  // See AsyncFd::peer_ended().
  bool peer_ended() const { return !socket_ || socket_.peer_ended(); }
  bool is_tls() const { return tls_ != nullptr; }
  void close() { socket_.close(); }
  // Out of a wire in the clear, for a relay.
  loop::AsyncFd take_socket() { return std::move(socket_); }

  // Speaks TLS from here on: until both sides have agreed, or an error. `first`: what was read already.
  loop::Task<Result<void>> begin_tls(loop::Loop& loop, net::TlsSession session, std::string_view first,
                                     TimePoint deadline);
  std::string alpn() const { return tls_ ? tls_->session.alpn() : std::string(); }

  // Appends what has come to `into`: how many bytes, 0 at the end. An end without close_notify inside TLS is an error
  // of kind unavailable: it may cut off what a body's end says, yet most clients go that way when they have all. A
  // deadline that passed: of kind limit.
  loop::Task<Result<size_t>> read(std::string& into, TimePoint deadline);
  // The same in two steps, for who must look at something before each read: none when nothing has come, then
  // await_more().
  Result<std::optional<size_t>> read_now(std::string& into);
  loop::Task<Result<void>> await_more(TimePoint deadline);
  loop::Task<Result<void>> write(std::string_view bytes, TimePoint deadline);
  // No more is sent from here: close_notify, and the end of the stream.
  loop::Task<void> finish(TimePoint deadline);
  // Reads and forgets at most `limit` bytes of the peer's, until its end: closing with unread bytes would reset the
  // connection and take back what was sent.
  loop::Task<void> drain(size_t limit, TimePoint deadline);

 private:
  struct Tls {
    Tls(loop::Loop& loop, net::TlsSession given) : session(std::move(given)), flushed(loop) {}
    net::TlsSession session;
    loop::Signal flushed;
    bool flushing = false;
  };
  loop::Task<Result<void>> flush(TimePoint deadline);

  loop::AsyncFd socket_;
  std::unique_ptr<Tls> tls_;
};

// Both directions until both have ended, or one breaks; each end of a stream is handed on.
loop::Task<void> relay_wires(loop::Loop& loop, std::shared_ptr<Wire> a, std::shared_ptr<Wire> b);

}  // namespace stockade::egress
