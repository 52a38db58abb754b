// PersonTerminal: the terminal that the person sits at, as the relay holds it. It knows the settings that it found,
// sets and undoes raw mode, reads and writes without blocking, and never touches a terminal whose foreground job is
// another (the shell's line editor would be disturbed). Its destructor puts the settings back. Single-threaded; must be
// used with SIGTTIN and SIGTTOU caught (RelaySignals): a call from the background then fails with EINTR instead of
// stopping us half-way. Facts: termios(3), tty_ioctl(4), the kernel's __tty_check_change().
#pragma once

#include <termios.h>

#include <string>
#include <string_view>

#include "base/fd.h"
#include "terminal/relay_protocol.h"

namespace stockade::terminal {

enum class TerminalIo { done, would_block, background, hang_up };

class PersonTerminal {
 public:
  // `input` and `output` are terminals, and may be the same descriptor. They are opened anew where that is permitted,
  // as O_NONBLOCK on the given ones would also hit the shell, which shares them.
  static Result<PersonTerminal> open(int input, int output);
  PersonTerminal(PersonTerminal&&) = default;
  PersonTerminal& operator=(PersonTerminal&&) = delete;
  ~PersonTerminal() { leave_raw(); }

  int input() const { return input_.get(); }
  int output() const { return output_.get(); }

  bool in_foreground() const;
  bool is_raw() const { return raw_; }
  bool is_canonical() const;  // nobody else reads it key by key
  bool enter_raw();           // false: not now, we are in the background
  void leave_raw();           // keeps what the person typed ahead

  WindowSize size() const { return WindowSize::of(output_.get()); }
  const termios& theirs() const { return theirs_; }
  const termios& ours() const { return ours_; }

  TerminalIo read(std::string& buffer, size_t limit);  // appends
  TerminalIo write(std::string& buffer);               // removes what was written

 private:
  PersonTerminal(Fd input, Fd output) : input_(std::move(input)), output_(std::move(output)) {}
  void derive_raw();

  Fd input_;
  Fd output_;
  bool blocking_output_ = false;  // could not be opened anew: write little, only when poll says so
  bool raw_ = false;
  termios theirs_{};
  termios ours_{};
};

}  // namespace stockade::terminal
