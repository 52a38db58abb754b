// What the relay and the supervisor say to each other: one message a datagram on a SOCK_SEQPACKET pair
// (base/message_socket.h). The relay parses what the agent writes, so the supervisor trusts nothing here but its form:
// a relay that is taken over can ask for a freeze, a thaw, or one of four signals to the agent, and can draw on its
// terminal.
//
//   relay → supervisor    hello                 the window's size and the terminal's settings, once, first
//                         freeze                the person stops the job: freeze the sandbox, answer frozen
//                         thaw                  the job goes on: thaw, then SIGCONT and SIGWINCH to the agent's group
//                         signal N              somebody sent N to the relay: to the agent's group (HUP INT QUIT TERM)
//   supervisor → relay    master (+ descriptor) the agent's pty, once
//                         frozen                everything inside stands still (asked for, or because the agent stopped
//                                               itself): restore the terminal and stop
//                         notice TEXT           a line for the person, shown when the terminal is theirs again
//                         ended CODE            the last process inside is gone: drain, restore, exit with CODE
//
// Either side's close is the end: without `ended` the relay takes the supervisor's own exit status, and a supervisor
// whose relay is gone kills the sandbox.
#pragma once

#include <sys/ioctl.h>
#include <termios.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"

namespace stockade::terminal {

struct WindowSize {
  uint16_t rows = 0;
  uint16_t columns = 0;
  uint16_t width = 0;  // pixels
  uint16_t height = 0;
  bool operator==(const WindowSize&) const = default;

  static WindowSize of(int terminal);  // zeros where it has none
  void apply(int terminal) const;      // TIOCSWINSZ; sends SIGWINCH when it changes something
};

struct Hello {
  WindowSize size;
  termios inside{};  // what the agent's pty starts with
  termios
      theirs{};  // how the person's terminal was, and how the relay sets it: for a supervisor that outlives its relay
  termios ours{};
};
struct Freeze {};
struct Thaw {};
struct SignalAgent {
  int number = 0;
};
using ToSupervisor = std::variant<Hello, Freeze, Thaw, SignalAgent>;

struct Master {};
struct Frozen {};
struct Notice {
  std::string text;
};
struct Ended {
  int code = 0;
};
using ToRelay = std::variant<Master, Frozen, Notice, Ended>;

inline constexpr size_t kNoticeLimit = 4096;

std::string encode(const ToSupervisor& message);
std::string encode(const ToRelay& message);
Result<ToSupervisor> parse_to_supervisor(std::string_view bytes);
Result<ToRelay> parse_to_relay(std::string_view bytes);

bool same_settings(const termios& a, const termios& b);

}  // namespace stockade::terminal
