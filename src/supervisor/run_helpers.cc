// The processes beside a run: inspector and dialer, observer, mask keeper. What only answers the agent (its packets,
// its connects to unix sockets) is made when the agent first asks, or kStartAfter after its start: a short command pays
// for none of it. Until then the supervisor, which reads nothing of the agent's, is without its filter.
#include <sys/epoll.h>

#include <algorithm>
#include <array>

#include "base/confine.h"
#include "policy/decision.h"
#include "sandbox/seccomp_filter.h"
#include "supervisor/run_parts.h"

namespace stockade::supervisor {

namespace {

constexpr auto kStartAfter = std::chrono::milliseconds(20);
constexpr auto kAuthorityPatience = std::chrono::seconds(10);

// LeakSanitizer looks at the process by ptrace when it ends, which the filter refuses.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kLooksForLeaks = true;
#else
constexpr bool kLooksForLeaks = false;
#endif

Event to_event(const sandbox::ObserverNotice& notice) {
  const bool refused = notice.kind == sandbox::NoticeKind::socket;
  Event event;
  event.wall = Wall::data;
  event.kind = refused ? "socket" : "mask";
  event.decision = refused ? Decision::deny : Decision::log;
  event.subject = notice.path;
  event.reason = notice.reason;
  if (refused) event.hint = "name the socket in `sockets` of the entry of `files` that it lies in";
  return event;
}

// Readable as soon as one of them is.
Result<Fd> watch_all(const std::vector<int>& fds) {
  Fd all(::epoll_create1(EPOLL_CLOEXEC));
  if (!all) return fail_errno("watch for the first use of the network");
  for (const int fd : fds) {
    epoll_event event{.events = EPOLLIN, .data = {}};
    if (::epoll_ctl(all.get(), EPOLL_CTL_ADD, fd, &event) < 0)
      return fail_errno("watch for the first use of the network");
  }
  return all;
}

// A hang-up is no request: every listener of notifications reports one once the agent is gone.
bool holds_request(int epoll) {
  std::array<epoll_event, 16> events;
  const int count = epoll < 0 ? 0 : ::epoll_wait(epoll, events.data(), events.size(), 0);
  return std::any_of(events.data(), events.data() + std::max(count, 0),
                     [](const epoll_event& event) { return (event.events & EPOLLIN) != 0; });
}

}  // namespace

// Puts masks back, where the plan has any in a writable tree.
bool Run::needs_mask_keeper() const {
  return !settings_.weakening.seccomp && sandbox::needs_mask_keeper(settings_.plan);
}

Result<void> Run::start_mask_keeper() {
  STOCKADE_ASSIGN(auto keeper, sandbox::start_mask_keeper(settings_.plan, sandbox_->handles()));
  add_observer("mask keeper", std::move(keeper));
  return {};
}

// Answers the agent's connects, which wait for it.
Result<void> Run::start_observer() {
  if (!sandbox_->handles().notify) return {};
  STOCKADE_ASSIGN(auto observer, sandbox::Observer::start(settings_.plan, sandbox_->handles()));
  add_observer("observer", std::move(observer));
  // The observer's alone from here on: the kernel takes the mounts down in its end, beside ours.
  sandbox::Handles& handles = sandbox_->handles();
  for (Fd* handle : {&handles.notify, &handles.user_namespace, &handles.mount_namespace, &handles.observer_diag})
    handle->reset();
  return {};
}

void Run::add_observer(std::string name, sandbox::Observer process) {
  observers_.push_back({std::move(name), std::move(process)});
  loop_->spawn(watch_process(observers_.back().process.pidfd(), observers_.back().name));
  loop_->spawn(hear_observer(observers_.size() - 1));
}

loop::Task<void> Run::hear_observer(size_t index) {
  sandbox::Observer& observer = observers_[index].process;
  auto line = loop::AsyncFd::adopt(*loop_, Fd(::fcntl(observer.fd(), F_DUPFD_CLOEXEC, 3)));
  if (!line) co_return;
  while (!ended_by_) {
    auto notice = observer.receive();
    if (!notice) {
      end(EndedBy{EndCause::error, observers_[index].name}, notice.error().message());
      co_return;
    }
    if (*notice) {
      if (!record(to_event(**notice))) co_return;
      if (auto told = observer.acknowledge(); !told) {
        end(EndedBy{EndCause::error, observers_[index].name}, told.error().message());
        co_return;
      }
      continue;
    }
    line->exhausted_read();
    co_await line->readable();
  }
}

Result<void> Run::start_workers() {
  if (egress_ || !settings_.plan.network) return {};
  STOCKADE_ASSIGN(const auto workers, worker_program_->workers(settings_.policy));
  STOCKADE_ASSIGN(egress_, egress::EgressLink::start(settings_.policy, workers));
  STOCKADE_TRY(egress_->attach(*loop_, *this));
  loop_->spawn(watch_process(egress_->inspector_pidfd(), "inspector"));
  loop_->spawn(watch_process(egress_->dialer_pidfd(), "dialer"));
  if (egress_->sealer_pidfd() >= 0) loop_->spawn(watch_process(egress_->sealer_pidfd(), "sealer"));
  return {};
}

Result<void> confine_supervisor() {
  STOCKADE_TRY(forbid_new_privileges());
  if (kLooksForLeaks) return {};
  return sandbox::install_seccomp_filter(sandbox::supervisor_filter());
}

void Run::pass_listeners() {
  auto& listeners = sandbox_->handles().listeners;
  if (!egress_ || !listeners) return;
  egress_->pass_listeners(std::move(*listeners));
  listeners.reset();
}

// Where rules open TLS, the inspector comes before the agent: programs inside must know its authority. And where the
// agent could write the workers' program, they come before it as well.
Result<void> Run::start_early_workers() {
  if (!settings_.plan.network) return {};
  STOCKADE_ASSIGN(worker_program_, egress::WorkerProgram::find());
  if (!policy::intercepts(settings_.policy.network)) {
    std::vector<std::string> writable;
    for (const sandbox::Mount& mount : settings_.plan.mounts)
      if (mount.kind == sandbox::MountKind::bind && mount.writable) writable.push_back(mount.source);
    return worker_program_->is_within(writable) ? start_workers() : Result<void>{};
  }
  STOCKADE_TRY(start_workers());
  const TimePoint deadline = clock_.now() + kAuthorityPatience;
  while (authority_.empty() && !ended_by_ && clock_.now() < deadline)
    STOCKADE_TRY(loop_->run_once(std::chrono::milliseconds(100)));
  if (authority_.empty()) return fail(ErrorKind::unavailable, "the inspector made no certificate authority");
  sandbox_->trust(authority_);
  return {};
}

Result<void> Run::prepare_helpers() {
  pass_listeners();
  const sandbox::Handles& handles = sandbox_->handles();
  if (settings_.plan.network && !egress_ && !handles.listeners)
    return fail(ErrorKind::internal, "the sandbox made no listeners");
  std::vector<int> asking;
  if (handles.listeners) asking = handles.listeners->requests();
  if (handles.notify) asking.push_back(handles.notify.get());
  if (asking.empty()) return confine_supervisor();
  STOCKADE_ASSIGN(first_use_, watch_all(asking));
  loop_->spawn(await_first_use());
  return {};
}

loop::Task<void> Run::await_first_use() {
  auto asked = loop::AsyncFd::adopt(*loop_, Fd(::fcntl(first_use_.get(), F_DUPFD_CLOEXEC, 3)));
  const TimePoint deadline = clock_.now() + kStartAfter;
  while (asked && !holds_request(first_use_.get()) && clock_.now() < deadline) {
    asked->exhausted_read();
    co_await asked->readable(deadline);
  }
  if (ended_by_) co_return;
  if (auto started = start_helpers(); !started) end(EndedBy{EndCause::error, "start"}, started.error().message());
}

Result<void> Run::start_helpers() {
  first_use_.reset();
  STOCKADE_TRY(start_observer());
  STOCKADE_TRY(start_workers());
  pass_listeners();
  return confine_supervisor();
}

// After the end: what the agent sent and nobody read is still judged and logged.
Result<void> Run::start_workers_late() {
  if (egress_ || !holds_request(first_use_.get())) return {};
  STOCKADE_TRY(start_workers());
  pass_listeners();
  return {};
}

}  // namespace stockade::supervisor
