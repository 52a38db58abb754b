// Pid: a child process that we own through its pidfd. The destructor kills and reaps it, so no child outlives its
// owner and no signal ever reaches a reused number (pidfd_send_signal(2), waitid(2) with P_PIDFD).
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>

#include "base/fd.h"

namespace stockade {

struct ExitStatus {
  bool signalled = false;
  int code = 0;  // exit status, or the signal's number
};

class Pid {
 public:
  Pid() = default;
  Pid(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Pid(Pid&& other) noexcept : pid_(std::exchange(other.pid_, 0)), pidfd_(std::move(other.pidfd_)) {}
  Pid& operator=(Pid&& other) noexcept;
  ~Pid();

  pid_t get() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  explicit operator bool() const { return pid_ > 0; }

  Result<void> signal(int number) const;
  // Blocks until the child ends, and reaps it.
  Result<ExitStatus> wait();
  // For a child that was just made, to work beside its parent: the kernel often queues it on the parent's core, though
  // another one is idle, and a millisecond may pass until it is balanced away. Does nothing where there is one core.
  void move_to_another_core() const;
  // Reaps the child if it has ended.
  Result<std::optional<ExitStatus>> poll();

 private:
  Result<std::optional<ExitStatus>> wait_with(int options);

  pid_t pid_ = 0;
  Fd pidfd_;
};

// fork(2) with a pidfd. The child runs `body` and leaves with its return value through _exit; it inherits every
// descriptor, so a worker's first act is close_all_except(). Use from single-threaded processes only.
Result<Pid> fork_child(const std::function<int()>& body);

// Closes every descriptor from 3 on that is not in `keep`. (A lifeline's EOF never comes while somebody else holds
// its other end.)
void close_all_except(std::initializer_list<int> keep);
void close_all_except(const int* keep, size_t count);

}  // namespace stockade
