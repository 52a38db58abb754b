#include "loop/loop.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace stockade::loop {

void Waiter::detach() {
  if (!loop_) return;
  if (timed_) loop_->timers_.erase(timer_);
  timed_ = false;
  if (queued_) std::erase(loop_->ready_, this);
  queued_ = false;
  if (slot_ && *slot_ == this) *slot_ = nullptr;
  slot_ = nullptr;
  loop_ = nullptr;
}

Loop::Loop(const Clock& clock) : clock_(clock) {}

Loop::~Loop() { tasks_.clear(); }

Result<std::unique_ptr<Loop>> Loop::create(const Clock& clock) {
  auto loop = std::make_unique<Loop>(clock);
  loop->epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!loop->epoll_) return fail_errno("create an event loop");
  return loop;
}

Task<void> Loop::run_root(Loop& loop, Task<void> task, TaskId id) {
  co_await task;
  loop.finished_.push_back(id);
}

Loop::TaskId Loop::spawn(Task<void> task) {
  const TaskId id = next_id_++;
  tasks_.emplace(id, run_root(*this, std::move(task), id));
  started_.push_back(id);
  return id;
}

void Loop::cancel(TaskId id) {
  if (const auto found = tasks_.find(id); found != tasks_.end()) {
    Task<void> dying = std::move(found->second);
    tasks_.erase(found);
  }
}

void Loop::arm(Waiter& waiter, std::coroutine_handle<> coroutine, TimePoint deadline) {
  waiter.loop_ = this;
  waiter.coroutine_ = coroutine;
  waiter.wake_ = Wake::ready;
  if (deadline == kNever) return;
  waiter.timer_ = timers_.emplace(deadline, &waiter);
  waiter.timed_ = true;
}

void Loop::wake(Waiter& waiter, Wake how) {
  if (waiter.queued_ || !waiter.loop_) return;
  if (waiter.timed_) timers_.erase(waiter.timer_);
  waiter.timed_ = false;
  if (waiter.slot_ && *waiter.slot_ == &waiter) *waiter.slot_ = nullptr;
  waiter.slot_ = nullptr;
  waiter.wake_ = how;
  waiter.queued_ = true;
  ready_.push_back(&waiter);
}

void Loop::drain_ready() {
  // Bounded by what is queued now, so that descriptors and timers get their turn.
  for (size_t count = ready_.size() + started_.size(); count > 0 && !stopped_; --count) {
    if (!started_.empty()) {
      const TaskId id = started_.front();
      started_.pop_front();
      if (const auto found = tasks_.find(id); found != tasks_.end()) found->second.start();
      continue;
    }
    if (ready_.empty()) break;
    Waiter* waiter = ready_.front();
    ready_.pop_front();
    waiter->queued_ = false;
    const auto coroutine = waiter->coroutine_;
    waiter->loop_ = nullptr;
    coroutine.resume();
  }
}

void Loop::collect_finished() {
  while (!finished_.empty()) {
    tasks_.erase(finished_.front());
    finished_.pop_front();
  }
}

int Loop::timeout_for(Duration longest) const {
  if (!ready_.empty() || !started_.empty()) return 0;
  Duration wait = longest;
  if (!timers_.empty()) wait = std::min(wait, std::max(Duration::zero(), timers_.begin()->first - clock_.now()));
  if (wait == Duration::max()) return -1;
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  return static_cast<int>(std::min<int64_t>(milliseconds, 1 << 30));
}

Result<bool> Loop::run_once(Duration longest) {
  stopped_ = false;  // a stop ends one run(): who turns the loop by hand afterwards would spin on what is ready
  std::array<epoll_event, 128> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_for(longest));
  if (count < 0 && errno != EINTR) return fail_errno("wait for events");
  for (int i = 0; i < count; ++i)
    AsyncFd::deliver(*static_cast<AsyncFd::State*>(events[static_cast<size_t>(i)].data.ptr),
                     events[static_cast<size_t>(i)].events);
  const TimePoint now = clock_.now();
  while (!timers_.empty() && timers_.begin()->first <= now) wake(*timers_.begin()->second, Wake::timeout);
  drain_ready();
  collect_finished();
  return !tasks_.empty();
}

Result<void> Loop::run() {
  stopped_ = false;
  while (!stopped_) {
    auto more = run_once(Duration::max());
    if (!more) return std::unexpected(std::move(more).error());
    if (!*more) return {};
  }
  return {};
}

void Loop::SleepAwaiter::await_suspend(std::coroutine_handle<> coroutine) { loop_.arm(waiter_, coroutine, until_); }

void Loop::YieldAwaiter::await_suspend(std::coroutine_handle<> coroutine) {
  loop_.arm(waiter_, coroutine, kNever);
  loop_.wake(waiter_, Wake::ready);
}

Result<AsyncFd> AsyncFd::adopt(Loop& loop, Fd fd) {
  STOCKADE_TRY(set_nonblocking(fd.get()));
  AsyncFd async;
  async.state_ = std::make_unique<State>();
  async.state_->loop = &loop;
  async.state_->fd = std::move(fd);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = async.state_.get();
  if (::epoll_ctl(loop.epoll_.get(), EPOLL_CTL_ADD, async.get(), &event) < 0) return fail_errno("watch a descriptor");
  return async;
}

AsyncFd& AsyncFd::operator=(AsyncFd&& other) noexcept {
  if (this != &other) {
    close();
    state_ = std::move(other.state_);
  }
  return *this;
}

AsyncFd::~AsyncFd() { close(); }

Fd AsyncFd::release() {
  if (!state_) return Fd();
  ::epoll_ctl(state_->loop->epoll_.get(), EPOLL_CTL_DEL, get(), nullptr);
  Fd fd = std::move(state_->fd);
  if (state_->reader) state_->loop->wake(*state_->reader, Wake::ready);
  if (state_->writer) state_->loop->wake(*state_->writer, Wake::ready);
  state_.reset();
  return fd;
}

void AsyncFd::close() { release(); }

void AsyncFd::deliver(State& state, uint32_t events) {
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) state.peer_ended = true;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    state.read_ready = true;
    if (state.reader) state.loop->wake(*state.reader, Wake::ready);
  }
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
    state.write_ready = true;
    if (state.writer) state.loop->wake(*state.writer, Wake::ready);
  }
}

bool AsyncFd::ReadyAwaiter::await_ready() const { return write_ ? fd_.state_->write_ready : fd_.state_->read_ready; }

void AsyncFd::ReadyAwaiter::await_suspend(std::coroutine_handle<> coroutine) {
  State& state = *fd_.state_;
  Waiter** slot = write_ ? &state.writer : &state.reader;
  state.loop->arm(waiter_, coroutine, deadline_);
  waiter_.slot_ = slot;
  *slot = &waiter_;
}

Signal::~Signal() { notify_all(); }

void Signal::notify_all() {
  for (Waiter* waiter : waiting_) loop_.wake(*waiter, Wake::ready);
}

void Signal::WaitAwaiter::await_suspend(std::coroutine_handle<> coroutine) {
  signal_.loop_.arm(waiter_, coroutine, deadline_);
  place_ = signal_.waiting_.insert(signal_.waiting_.end(), &waiter_);
  listed_ = true;
}

Signal::WaitAwaiter::~WaitAwaiter() {
  if (listed_) signal_.waiting_.erase(place_);
}

Task<Result<size_t>> read_some(AsyncFd& fd, char* buffer, size_t size, TimePoint deadline) {
  while (true) {
    const ssize_t count = ::read(fd.get(), buffer, size);
    if (count >= 0) co_return static_cast<size_t>(count);
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return fail_errno("read");
    fd.exhausted_read();
    const Wake wake = co_await fd.readable(deadline);
    if (wake == Wake::timeout) co_return fail(ErrorKind::limit, "no bytes before the deadline");
    if (!fd) co_return fail(ErrorKind::internal, "read: closed meanwhile");
  }
}

Task<Result<void>> write_fully(AsyncFd& fd, std::string_view bytes, TimePoint deadline) {
  while (!bytes.empty()) {
    if (!fd) co_return fail(ErrorKind::internal, "write: closed meanwhile");
    const ssize_t count = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count >= 0) {
      bytes.remove_prefix(static_cast<size_t>(count));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return fail_errno("write");
    fd.exhausted_write();
    const Wake wake = co_await fd.writable(deadline);
    if (wake == Wake::timeout) co_return fail(ErrorKind::limit, "the peer took no bytes before the deadline");
  }
  co_return Result<void>{};
}

Task<Result<Fd>> accept_one(AsyncFd& listener) {
  while (true) {
    const int fd = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) co_return Fd(fd);
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EAGAIN) co_return fail_errno("accept a connection");
    listener.exhausted_read();
    co_await listener.readable();
    if (!listener) co_return fail(ErrorKind::internal, "accept: closed meanwhile");
  }
}

}  // namespace stockade::loop
