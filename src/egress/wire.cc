#include "egress/wire.h"

#include <sys/socket.h>

namespace stockade::egress {

namespace {

constexpr size_t kReadBytes = 16 * 1024;
constexpr Duration kIdle = std::chrono::minutes(30);

// A function of its own: a coroutine would keep the buffer in its frame while it waits.
ssize_t receive_into(std::string& into, int socket) {
  char buffer[kReadBytes];
  const ssize_t count = ::recv(socket, buffer, sizeof(buffer), 0);
  if (count > 0) into.append(buffer, static_cast<size_t>(count));
  return count;
}

// 0 at the end; none when nothing has come.
Result<std::optional<size_t>> receive_now(std::string& into, int socket) {
  while (true) {
    const ssize_t count = receive_into(into, socket);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno == EAGAIN) return std::nullopt;
    if (errno != EINTR) return fail_errno("read");
  }
}

}  // namespace

// One at a time writes to the socket; who finds another at it waits until that one has sent this output, too.
loop::Task<Result<void>> Wire::flush(TimePoint deadline) {
  while (tls_->flushing) {
    co_await tls_->flushed.wait(deadline);
    if (!socket_) co_return fail(ErrorKind::internal, "closed meanwhile");
  }
  Result<void> outcome;
  tls_->flushing = true;
  while (outcome && socket_ && tls_->session.has_output()) {
    const std::string bytes = tls_->session.take_output();
    outcome = co_await loop::write_fully(socket_, bytes, deadline);
  }
  tls_->flushing = false;
  tls_->flushed.notify_all();
  co_return outcome;
}

loop::Task<Result<void>> Wire::begin_tls(loop::Loop& loop, net::TlsSession session, std::string_view first,
                                         TimePoint deadline) {
  tls_ = std::make_unique<Tls>(loop, std::move(session));
  std::string bytes(first);
  while (true) {
    Result<void> fed;
    if (!bytes.empty()) fed = tls_->session.feed(bytes);
    bytes.clear();
    auto sent = co_await flush(deadline);  // an alert, too
    if (!fed) co_return fed;
    if (!sent) co_return sent;
    if (tls_->session.state() == net::TlsState::open) co_return Result<void>{};
    auto count = receive_now(bytes, socket_.get());
    if (!count) co_return std::unexpected(std::move(count).error());
    if (*count && **count == 0) co_return fail(ErrorKind::protocol, "the peer hung up during the TLS handshake");
    if (*count) continue;
    auto more = co_await await_more(deadline);
    if (!more) co_return more;
  }
}

loop::Task<Result<void>> Wire::await_more(TimePoint deadline) {
  if (tls_ && tls_->session.has_output() && !tls_->flushing) {
    auto sent = co_await flush(deadline);
    if (!sent || !socket_) co_return sent ? fail(ErrorKind::internal, "closed meanwhile") : std::move(sent);
  }
  socket_.exhausted_read();
  const loop::Wake wake = co_await socket_.readable(deadline);
  if (wake == loop::Wake::timeout) co_return fail(ErrorKind::limit, "no bytes before the deadline");
  if (!socket_) co_return fail(ErrorKind::internal, "closed meanwhile");
  co_return Result<void>{};
}

Result<std::optional<size_t>> Wire::read_now(std::string& into) {
  if (!tls_) return receive_now(into, socket_.get());
  while (true) {
    STOCKADE_ASSIGN(const std::string plain, tls_->session.read(kReadBytes));
    into += plain;
    if (!plain.empty()) return plain.size();
    if (tls_->session.state() == net::TlsState::closed) return size_t{0};
    std::string bytes;
    STOCKADE_ASSIGN(const auto count, receive_now(bytes, socket_.get()));
    if (!count) return std::nullopt;
    if (*count == 0) return fail(ErrorKind::unavailable, "TLS was cut off");
    STOCKADE_TRY(tls_->session.feed(bytes));
  }
}

loop::Task<Result<size_t>> Wire::read(std::string& into, TimePoint deadline) {
  while (true) {
    auto now = read_now(into);
    if (!now) co_return std::unexpected(std::move(now).error());
    if (*now) co_return **now;
    auto more = co_await await_more(deadline);
    if (!more) co_return std::unexpected(std::move(more).error());
  }
}

loop::Task<Result<void>> Wire::write(std::string_view bytes, TimePoint deadline) {
  if (!tls_) co_return co_await loop::write_fully(socket_, bytes, deadline);
  constexpr size_t kPiece = 64 * 1024;  // what waits in memory, encrypted
  do {
    auto written = tls_->session.write(bytes.substr(0, kPiece));
    if (!written) co_return written;
    bytes.remove_prefix(std::min(kPiece, bytes.size()));
    auto sent = co_await flush(deadline);
    if (!sent) co_return sent;
  } while (!bytes.empty());
  co_return Result<void>{};
}

loop::Task<void> Wire::finish(TimePoint deadline) {
  if (tls_) {
    tls_->session.close();
    (void)co_await flush(deadline);
  }
  if (socket_) ::shutdown(socket_.get(), SHUT_WR);
}

loop::Task<void> Wire::drain(size_t limit, TimePoint deadline) {
  size_t drained = 0;
  while (socket_ && drained < limit) {
    const ssize_t count = ::recv(socket_.get(), nullptr, kReadBytes, MSG_TRUNC);  // TCP discards them
    if (count > 0) {
      drained += static_cast<size_t>(count);
      continue;
    }
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) co_return;
    if (errno == EINTR) continue;
    socket_.exhausted_read();
    const loop::Wake wake = co_await socket_.readable(deadline);
    if (wake == loop::Wake::timeout) co_return;
  }
}

namespace {

loop::Task<void> carry(loop::Loop& loop, std::shared_ptr<Wire> from, std::shared_ptr<Wire> to) {
  std::string bytes;
  while (*from && *to) {
    auto count = co_await from->read(bytes, loop.now() + kIdle);
    if (!count || !*from || !*to) break;
    if (*count == 0) {
      co_await to->finish(loop.now() + kIdle);
      co_return;
    }
    auto written = co_await to->write(bytes, loop.now() + kIdle);
    if (!written) break;
    bytes.clear();
  }
  from->close();
  to->close();
}

}  // namespace

loop::Task<void> relay_wires(loop::Loop& loop, std::shared_ptr<Wire> a, std::shared_ptr<Wire> b) {
  struct Half {
    explicit Half(loop::Loop& loop) : over(loop) {}
    bool done = false;
    loop::Signal over;
  };
  auto half = std::make_shared<Half>(loop);
  const auto back = [](loop::Loop& loop, std::shared_ptr<Wire> from, std::shared_ptr<Wire> to,
                       std::shared_ptr<Half> half) -> loop::Task<void> {
    co_await carry(loop, std::move(from), std::move(to));
    half->done = true;
    half->over.notify_all();
  };
  loop.spawn(back(loop, b, a, half));
  co_await carry(loop, a, b);
  while (!half->done) co_await half->over.wait();
}

}  // namespace stockade::egress
