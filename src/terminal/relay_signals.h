// The relay's signals, for as long as this object lives: HUP INT QUIT TERM TSTP WINCH CONT are read from a descriptor
// (those that were ignored when we were started stay so, as nohup(1) and shells without job control want it); TTIN and
// TTOU are caught by an empty handler, so that a call on the terminal from the background fails with EINTR. The
// destructor restores what was. One at a time in a process; single-threaded.
#pragma once

#include <csignal>
#include <optional>

#include "base/fd.h"

namespace stockade::terminal {

class RelaySignals {
 public:
  static Result<RelaySignals> take();
  RelaySignals(RelaySignals&& other) noexcept;
  RelaySignals& operator=(RelaySignals&&) = delete;
  ~RelaySignals();

  int fd() const { return fd_.get(); }
  std::optional<int> next();  // nullopt: none pending

  // Stops our whole process group, as the terminal's line discipline would have done, by `number` (TSTP, TTIN or TTOU),
  // and returns when it has been continued. False: it could not be stopped (orphaned, with no shell to continue it).
  bool stop_job(int number);

 private:
  RelaySignals() = default;

  Fd fd_;
  sigset_t old_mask_{};
  struct sigaction old_input_{};
  struct sigaction old_output_{};
  bool active_ = false;
};

}  // namespace stockade::terminal
