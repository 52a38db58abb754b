// RelayLink: the supervisor's end of the line to the terminal relay. Non-blocking, driven by the supervisor's loop:
// wait for fd() to be readable, call on_readable(), act on what it returns. Single-threaded; owns the socket and, for
// the worst case, a descriptor of the person's terminal. It decides nothing: what freeze, thaw and signal mean is done
// by whoever owns the sandbox, and `closed` must end in the sandbox's death.
//
// Order: hand_over() before the agent is released, so the window has its size when the agent looks at it.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "terminal/relay_protocol.h"

namespace stockade::terminal {

struct RelayRequest {
  enum class Kind {
    freeze,  // answer with frozen() once everything inside stands still
    thaw,    // thaw, then SIGCONT and SIGWINCH to the agent's process group
    signal,  // `number` to the agent's process group
    closed,  // the relay is gone (kill -9, hang-up): kill the sandbox
  };
  Kind kind = Kind::closed;
  int number = 0;
};

class RelayLink {
 public:
  // `socket` becomes non-blocking. `relay` (a pidfd) and `terminal` may be empty; with them the link can wake a stopped
  // relay for the end, and put the terminal back after a relay that was killed.
  static Result<RelayLink> create(Fd socket, Fd relay, Fd terminal);

  int fd() const { return socket_.get(); }

  // All requests that have arrived. A malformed message is an error, and is to be treated like `closed`.
  Result<std::vector<RelayRequest>> on_readable();

  // Gives the agent's pty the window's size and the person's settings (waits for the relay's hello, which is its first
  // act and until now its only one) and sends it to the relay. The caller keeps `master` or closes it.
  Result<void> hand_over(int master);

  // Call it for a freeze that was asked for, and when the agent itself has stopped (freeze first). Said once between
  // two thaws: a freeze by SIGSTOP makes init report stops too.
  Result<void> frozen();
  // Shown when the terminal is the person's again. Escaped by the relay; a stopped relay may lose it.
  void notice(std::string_view text);
  // Wakes a stopped relay too. The relay exits with `code` after it has drained the pty.
  Result<void> ended(int code);

 private:
  RelayLink(Fd socket, Fd relay, Fd terminal);
  Result<void> send(const ToRelay& message, std::span<const int> fds = {});
  Result<void> take(const ToSupervisor& message, std::vector<RelayRequest>& requests);
  void on_closed();

  Fd socket_;
  Fd relay_;
  Fd terminal_;
  std::optional<Hello> hello_;
  bool frozen_ = false;
};

}  // namespace stockade::terminal
