// Loop: one thread, one epoll, its tasks and timers. Spawned tasks belong to the loop: they are destroyed when they
// finish, when the loop is destroyed, or by cancel(). Resumptions are queued, never nested, so a task may destroy
// another one (but not itself: it returns instead).
//
// AsyncFd registers its descriptor once, edge-triggered; reads and writes are tried first and waited for only after
// EAGAIN, so a busy connection costs no epoll call. (epoll(7))
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"
#include "loop/task.h"

namespace stockade::loop {

inline constexpr TimePoint kNever = TimePoint::max();

enum class Wake { ready, timeout };

class Loop;

// A place where one or more coroutines wait. Intrusive; leaves its lists when destroyed.
class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() { detach(); }

 private:
  friend class Loop;
  friend class AsyncFd;
  friend class Signal;
  void detach();

  Loop* loop_ = nullptr;
  std::coroutine_handle<> coroutine_;
  Wake wake_ = Wake::ready;
  bool queued_ = false;      // resumption is in the loop's ready queue
  Waiter** slot_ = nullptr;  // the pointer that leads to us
  std::multimap<TimePoint, Waiter*>::iterator timer_;
  bool timed_ = false;
};

class Loop {
 public:
  explicit Loop(const Clock& clock);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  static Result<std::unique_ptr<Loop>> create(const Clock& clock);

  using TaskId = uint64_t;
  TaskId spawn(Task<void> task);
  void cancel(TaskId id);
  // Destroys every task; only from outside of run().
  void cancel_all() { tasks_.clear(); }
  size_t task_count() const { return tasks_.size(); }

  // Runs until stop() or, for tests, until nothing is left to do.
  Result<void> run();
  // One round: waits at most `longest`, resumes what is due. False when no task is left.
  Result<bool> run_once(Duration longest);
  void stop() { stopped_ = true; }

  TimePoint now() const { return clock_.now(); }
  const Clock& clock() const { return clock_; }

  class SleepAwaiter {
   public:
    SleepAwaiter(Loop& loop, TimePoint until) : loop_(loop), until_(until) {}
    bool await_ready() const { return loop_.now() >= until_; }
    void await_suspend(std::coroutine_handle<> coroutine);
    void await_resume() const {}

   private:
    Loop& loop_;
    TimePoint until_;
    Waiter waiter_;
  };
  SleepAwaiter sleep_until(TimePoint until) { return {*this, until}; }
  SleepAwaiter sleep(Duration duration) { return {*this, now() + duration}; }

  // Lets everything else that is ready run first.
  class YieldAwaiter {
   public:
    explicit YieldAwaiter(Loop& loop) : loop_(loop) {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> coroutine);
    void await_resume() const {}

   private:
    Loop& loop_;
    Waiter waiter_;
  };
  YieldAwaiter yield() { return YieldAwaiter(*this); }

 private:
  friend class Waiter;
  friend class AsyncFd;
  friend class Signal;

  static Task<void> run_root(Loop& loop, Task<void> task, TaskId id);
  void arm(Waiter& waiter, std::coroutine_handle<> coroutine, TimePoint deadline);
  void wake(Waiter& waiter, Wake how);
  void drain_ready();
  void collect_finished();
  int timeout_for(Duration longest) const;

  const Clock& clock_;
  Fd epoll_;
  bool stopped_ = false;
  TaskId next_id_ = 1;
  std::map<TaskId, Task<void>> tasks_;
  std::deque<Waiter*> ready_;
  std::deque<TaskId> started_;
  std::deque<TaskId> finished_;
  std::multimap<TimePoint, Waiter*> timers_;
};

// A descriptor in a loop. Reader and writer are one coroutine each.
class AsyncFd {
 public:
  AsyncFd() = default;
  static Result<AsyncFd> adopt(Loop& loop, Fd fd);
  AsyncFd(AsyncFd&& other) noexcept : state_(std::move(other.state_)) {}
  AsyncFd& operator=(AsyncFd&& other) noexcept;
  ~AsyncFd();

  int get() const { return state_ ? state_->fd.get() : -1; }
  explicit operator bool() const { return state_ != nullptr; }
  void close();
  // Takes the descriptor out of the loop.
  Fd release();

  // After EAGAIN: wait until the kernel reports the descriptor ready again (or hung up).
  class ReadyAwaiter {
   public:
    ReadyAwaiter(AsyncFd& fd, bool write, TimePoint deadline) : fd_(fd), write_(write), deadline_(deadline) {}
    bool await_ready() const;
    void await_suspend(std::coroutine_handle<> coroutine);
    Wake await_resume() const { return waiter_.wake_; }

   private:
    AsyncFd& fd_;
    bool write_;
    TimePoint deadline_;
    Waiter waiter_;
  };
  ReadyAwaiter readable(TimePoint deadline = kNever) { return {*this, false, deadline}; }
  ReadyAwaiter writable(TimePoint deadline = kNever) { return {*this, true, deadline}; }
  // Call when a read (or write) answered EAGAIN, before awaiting.
  void exhausted_read() { state_->read_ready = false; }
  void exhausted_write() { state_->write_ready = false; }
  // The kernel reported that the peer sends no more, or an error: reads go on until they say so themselves. Until then
  // a stream's read that filled less than its buffer has emptied it, and may be followed by exhausted_read().
  // (epoll(7))
  bool peer_ended() const { return state_->peer_ended; }

 private:
  friend class Loop;
  struct State {
    Loop* loop;
    Fd fd;
    bool read_ready = true;
    bool write_ready = true;
    bool peer_ended = false;
    Waiter* reader = nullptr;
    Waiter* writer = nullptr;
  };
  static void deliver(State& state, uint32_t events);
  std::unique_ptr<State> state_;
};

// Coroutines wait, somebody notifies: for conditions inside one thread.
class Signal {
 public:
  explicit Signal(Loop& loop) : loop_(loop) {}
  Signal(const Signal&) = delete;
  ~Signal();
  void notify_all();

  class WaitAwaiter {
   public:
    WaitAwaiter(Signal& signal, TimePoint deadline) : signal_(signal), deadline_(deadline) {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> coroutine);
    Wake await_resume() const { return waiter_.wake_; }
    ~WaitAwaiter();

   private:
    Signal& signal_;
    TimePoint deadline_;
    Waiter waiter_;
    std::list<Waiter*>::iterator place_;
    bool listed_ = false;
  };
  WaitAwaiter wait(TimePoint deadline = kNever) { return {*this, deadline}; }

 private:
  friend class WaitAwaiter;
  Loop& loop_;
  std::list<Waiter*> waiting_;
};

// ---- the usual operations, each trying first and waiting after EAGAIN
// -------------------------------------------------

// 0 at the end of the stream. A timeout is an Error of kind limit.
Task<Result<size_t>> read_some(AsyncFd& fd, char* buffer, size_t size, TimePoint deadline = kNever);
Task<Result<void>> write_fully(AsyncFd& fd, std::string_view bytes, TimePoint deadline = kNever);
Task<Result<Fd>> accept_one(AsyncFd& listener);  // non-blocking, close-on-exec

}  // namespace stockade::loop
