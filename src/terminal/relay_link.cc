#include "terminal/relay_link.h"

#include <poll.h>
#include <sys/syscall.h>

#include <csignal>

#include "base/message_socket.h"

namespace stockade::terminal {
namespace {

constexpr int kHelloTimeoutMs = 10'000;

}  // namespace

RelayLink::RelayLink(Fd socket, Fd relay, Fd terminal)
    : socket_(std::move(socket)), relay_(std::move(relay)), terminal_(std::move(terminal)) {}

Result<RelayLink> RelayLink::create(Fd socket, Fd relay, Fd terminal) {
  STOCKADE_TRY(set_nonblocking(socket.get()));
  return RelayLink(std::move(socket), std::move(relay), std::move(terminal));
}

Result<std::vector<RelayRequest>> RelayLink::on_readable() {
  std::vector<RelayRequest> requests;
  Message message;
  while (true) {
    STOCKADE_ASSIGN(const ReceiveState state, receive_message(socket_.get(), message));
    if (state == ReceiveState::would_block) return requests;
    if (state == ReceiveState::closed) {
      on_closed();
      requests.push_back({RelayRequest::Kind::closed});
      return requests;
    }
    STOCKADE_ASSIGN(const ToSupervisor parsed, parse_to_supervisor(message.bytes));
    STOCKADE_TRY(take(parsed, requests));
  }
}

Result<void> RelayLink::take(const ToSupervisor& message, std::vector<RelayRequest>& requests) {
  if (const auto* hello = std::get_if<Hello>(&message)) {
    if (hello_) return fail(ErrorKind::protocol, "the terminal relay said hello twice");
    hello_ = *hello;
  } else if (std::holds_alternative<Freeze>(message)) {
    requests.push_back({RelayRequest::Kind::freeze});
  } else if (std::holds_alternative<Thaw>(message)) {
    frozen_ = false;
    requests.push_back({RelayRequest::Kind::thaw});
  } else if (const auto* signal = std::get_if<SignalAgent>(&message)) {
    requests.push_back({RelayRequest::Kind::signal, signal->number});
  }
  return {};
}

Result<void> RelayLink::hand_over(int master) {
  while (!hello_) {
    pollfd readable{socket_.get(), POLLIN, 0};
    const int count = ::poll(&readable, 1, kHelloTimeoutMs);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("wait for the terminal relay");
    if (count == 0) return fail(ErrorKind::internal, "the terminal relay does not answer");
    STOCKADE_ASSIGN(const auto requests, on_readable());
    if (!requests.empty()) return fail(ErrorKind::unavailable, "the terminal relay left before the start");
  }
  hello_->size.apply(master);
  (void)::tcsetattr(master, TCSANOW, &hello_->inside);
  return send(Master(), {&master, 1});
}

Result<void> RelayLink::frozen() {
  if (std::exchange(frozen_, true)) return {};
  return send(Frozen());
}

void RelayLink::notice(std::string_view text) { (void)send(Notice{std::string(text)}); }

Result<void> RelayLink::ended(int code) {
  auto sent = send(Ended{code});
  if (relay_) (void)::syscall(SYS_pidfd_send_signal, relay_.get(), SIGCONT, nullptr, 0);
  return sent;
}

Result<void> RelayLink::send(const ToRelay& message, std::span<const int> fds) {
  return send_message(socket_.get(), encode(message), fds);
}

// A relay that was killed leaves the terminal raw. It is put back only while it is still exactly as the relay set it: a
// shell that has taken it over by now has settings of its own.
void RelayLink::on_closed() {
  if (!hello_ || !terminal_) return;
  termios now;
  if (::tcgetattr(terminal_.get(), &now) == 0 && same_settings(now, hello_->ours))
    (void)::tcsetattr(terminal_.get(), TCSANOW, &hello_->theirs);
}

}  // namespace stockade::terminal
