// The terminal relay: the process that the shell started. It keeps the person's terminal, holds the master of the
// agent's pty, and passes bytes: keys inwards untouched, output outwards through EscapeFilter. It alone stops on
// Ctrl-Z; the supervisor lives in a session of its own and never does. Single-threaded, poll(2), bounded buffers.
//
// Ctrl-C and Ctrl-Z are bytes for the pty, whose line discipline decides what they are, as without Stockade: the
// agent's shell can have jobs of its own, an editor reads them as keys. When the agent itself has stopped, the
// supervisor freezes the sandbox and says so; the relay undoes what the agent set on the terminal, restores it, and
// stops its own process group; when continued, it does all that in reverse and asks for the thaw.
//
// For that the agent must be stoppable: a process group of its own in init's session, whose controlling terminal is the
// pty (the kernel lets no orphaned group be stopped), and not that session's leader.
#pragma once

#include <array>
#include <functional>

#include "base/fd.h"
#include "terminal/relay_link.h"

namespace stockade::terminal {

enum class Keyboard {
  raw,    // key by key: stdin and stdout are terminals
  lines,  // a line at a time, while nobody else reads keys (`stockade run … | less`): stdin is a terminal, stdout not
  none,   // stdin is not a terminal
};

// Which of the agent's standard streams get the pty. A stream that is a terminal is never handed in (whoever holds it
// can read the person's keys); one that isn't is handed in as it is, bytes untouched. No terminal at all: no relay.
// Under `lines` and `none` the relay turns to `raw` for as long as the agent's own terminal is.
struct StdioPlan {
  bool relay = false;
  std::array<bool, 3> pty{};
  Keyboard keyboard = Keyboard::none;
};
StdioPlan plan_stdio(const std::array<bool, 3>& is_terminal);
StdioPlan plan_stdio();  // of our own 0, 1 and 2

struct RelayOptions {
  int input = 0;  // the person's terminal; the same as output where stdin is none
  int output = 1;
  int notices = 2;
  Keyboard keyboard = Keyboard::raw;
  int supervisor = -1;  // SOCK_SEQPACKET
};

enum class RelayEnd {
  ended,   // the supervisor said so: `code`
  lost,    // the supervisor closed without a word
  signal,  // `code` is the signal that ended the relay: HUP (the terminal is gone), or any before the agent runs
};
struct RelayResult {
  RelayEnd end = RelayEnd::lost;
  int code = 0;
};
// Returns with the terminal restored, whatever happened.
Result<RelayResult> run_relay(const RelayOptions& options);

// The whole arrangement: forks `supervise` into a session of its own with its end of the line, is the relay meanwhile,
// waits for the supervisor, and returns the exit status of `stockade run`. Closes every descriptor but 0 to 2 and its
// own in this process: leave at once with what it returns.
int run_behind_relay(const StdioPlan& plan, const std::function<int(RelayLink)>& supervise);

}  // namespace stockade::terminal
