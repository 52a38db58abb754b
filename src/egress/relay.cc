#include "egress/relay.h"

#include <fcntl.h>
#include <sys/socket.h>

namespace stockade::egress {

namespace {

constexpr size_t kCopyBytes = 16 * 1024;
constexpr int kRoundsPerTurn = 8;

}  // namespace

void reset_on_close(int socket) {
  const linger hard{1, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

RelayHouse::RelayHouse(loop::Loop& loop, Ended ended)
    : loop_(loop), ended_(std::move(ended)), buffer_(kCopyBytes, '\0') {}

void RelayHouse::start(RelayEnds ends, uint64_t flow) {
  auto spill_out = std::move(ends.to_upstream);
  auto spill_in = std::move(ends.to_client);
  auto relay = std::make_shared<Relay>(*this, std::move(ends), flow);
  relay->out_.spill = std::move(spill_out);
  relay->in_.spill = std::move(spill_in);
  loop_.spawn(Relay::pump(relay, true));
  loop_.spawn(Relay::pump(std::move(relay), false));
}

Relay::~Relay() {
  house_.pipes_.give_back(std::move(out_.pipe));
  house_.pipes_.give_back(std::move(in_.pipe));
  client_.close();
  upstream_.close();
  house_.ended_(flow_, aborted_);
}

void Relay::stop(bool abort) {
  aborted_ = aborted_ || abort;
  if (client_ && abort) reset_on_close(client_.get());
  // The other direction's pump wakes, and finds them closed.
  client_.close();
  upstream_.close();
}

loop::Task<void> Relay::pump(std::shared_ptr<Relay> relay, bool outward) {
  loop::AsyncFd& from = outward ? relay->client_ : relay->upstream_;
  loop::AsyncFd& to = outward ? relay->upstream_ : relay->client_;
  while (from && to) {
    const Need need = relay->advance(outward);
    if (need == Need::read) {
      const TimePoint deadline = relay->one_ended_ ? relay->house_.loop_.now() + kHalfClosedIdle : loop::kNever;
      const loop::Wake wake = co_await from.readable(deadline);
      if (wake == loop::Wake::timeout) relay->stop(true);
    } else if (need == Need::write) {
      co_await to.writable();
    } else if (need == Need::yield) {
      co_await relay->house_.loop_.yield();
    } else if (need == Need::broken) {
      relay->stop(true);
    } else {
      ::shutdown(to.get(), SHUT_WR);
      if (relay->one_ended_) relay->stop(false);
      relay->one_ended_ = true;
      co_return;
    }
  }
}

Relay::Need Relay::advance(bool outward) {
  Direction& way = outward ? out_ : in_;
  loop::AsyncFd& from = outward ? client_ : upstream_;
  loop::AsyncFd& to = outward ? upstream_ : client_;
  for (int round = 0; round < kRoundsPerTurn; ++round) {
    Need need = flush_spill(way, to);
    if (need == Need::yield && way.bulk && !way.pipe && !way.source_ended) way.pipe = house_.pipes_.take();
    if (need == Need::yield) need = way.pipe ? advance_splice(way, from, to) : advance_copy(way, from, to);
    if (need != Need::yield) return need;
  }
  return Need::yield;
}

Relay::Need Relay::flush_spill(Direction& way, loop::AsyncFd& to) {
  while (way.spilled < way.spill.size()) {
    const ssize_t sent = ::send(to.get(), way.spill.data() + way.spilled, way.spill.size() - way.spilled, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) {
      to.exhausted_write();
      return Need::write;
    }
    if (sent < 0) return Need::broken;
    way.spilled += static_cast<size_t>(sent);
  }
  if (!way.spill.empty()) way.spill = std::string();
  way.spilled = 0;
  return way.source_ended && !way.pipe ? Need::ended : Need::yield;
}

Relay::Need Relay::advance_copy(Direction& way, loop::AsyncFd& from, loop::AsyncFd& to) {
  std::string& buffer = house_.buffer_;
  const ssize_t count = ::recv(from.get(), buffer.data(), buffer.size(), 0);
  if (count < 0 && errno == EINTR) return Need::yield;
  if (count < 0 && errno == EAGAIN) {
    from.exhausted_read();
    way.bulk = false;
    return Need::read;
  }
  if (count < 0) return Need::broken;
  if (count == 0) {
    way.source_ended = true;
    return Need::ended;
  }
  way.bulk = static_cast<size_t>(count) == buffer.size();
  ssize_t sent = ::send(to.get(), buffer.data(), static_cast<size_t>(count), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return Need::broken;
  sent = std::max<ssize_t>(sent, 0);
  if (sent < count) {
    way.spill.assign(buffer, static_cast<size_t>(sent), static_cast<size_t>(count - sent));
    return Need::yield;
  }
  // A short read has emptied the socket: no second one is spent on hearing so.
  if (way.bulk || from.peer_ended()) return Need::yield;
  from.exhausted_read();
  return Need::read;
}

Relay::Need Relay::advance_splice(Direction& way, loop::AsyncFd& from, loop::AsyncFd& to) {
  PipePool::Pipe& pipe = *way.pipe;
  constexpr unsigned kFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
  bool starved = false;
  if (pipe.filled == 0) {
    const ssize_t count = ::splice(from.get(), nullptr, pipe.ends.write.get(), nullptr, PipePool::kPipeBytes, kFlags);
    if (count < 0 && errno == EINTR) return Need::yield;
    if (count < 0 && errno != EAGAIN) return Need::broken;
    if (count == 0) way.source_ended = true;
    if (count < 0) starved = true;
    if (count > 0) pipe.filled = static_cast<size_t>(count);
  }
  while (pipe.filled > 0) {
    const ssize_t count = ::splice(pipe.ends.read.get(), nullptr, to.get(), nullptr, pipe.filled, kFlags);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      to.exhausted_write();
      return Need::write;
    }
    if (count <= 0) return Need::broken;
    pipe.filled -= static_cast<size_t>(count);
  }
  if (!starved && !way.source_ended) return Need::yield;
  house_.pipes_.give_back(std::move(way.pipe));
  if (way.source_ended) return Need::ended;
  from.exhausted_read();
  return Need::read;
}

}  // namespace stockade::egress
