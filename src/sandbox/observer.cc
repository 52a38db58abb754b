#include "sandbox/observer.h"

#include <grp.h>
#include <linux/capability.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "base/confine.h"
#include "base/message_socket.h"
#include "base/printable.h"
#include "filters/observer.h"
#include "sandbox/init.h"
#include "sandbox/socket_notice.h"

namespace stockade::sandbox {

namespace {

constexpr int kStartPatience = 10'000;  // milliseconds
constexpr size_t kThreadStack = 256 << 10;
constexpr uint64_t kDataLimit = 128 << 20;
constexpr uint64_t kOpenFiles = 512;
constexpr char kLogged = 1;

std::vector<FileIdentity> find_allowed(const SandboxPlan& plan) {
  std::vector<FileIdentity> allowed;
  for (const Mount& mount : plan.mounts) {
    for (const std::string& relative : mount.sockets) {
      struct stat info{};
      const std::string path = mount.source + "/" + relative;
      if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) allowed.push_back({info.st_dev, info.st_ino});
    }
  }
  return allowed;
}

class Process {
 public:
  Process(const SandboxPlan& plan, const Handles& handles, int socket, pid_t parent)
      : plan_(plan), handles_(handles), socket_(socket), parent_(parent) {}

  int run() {
    if (auto done = start(); !done) {
      (void)send_message(socket_, encode_failure(done.error()));
      return 1;
    }
    // Only the end of the socket matters here: acknowledgements are read by the thread that waits for one.
    pollfd supervisor{socket_, POLLRDHUP, 0};
    while (::poll(&supervisor, 1, -1) < 0 && errno == EINTR) {
    }
    ::_exit(0);
  }

 private:
  Result<void> start() {
    STOCKADE_TRY(let_go_of_all_but({socket_, handles_.notify.get(), handles_.observer_diag.get(),
                                    handles_.user_namespace.get(), handles_.mount_namespace.get()}));
    SocketNotices::Sources sources;
    sources.notify = handles_.notify.get();
    sources.diag = handles_.observer_diag.get();
    sources.allowed = find_allowed(plan_);
    sources.refused = [this](std::string_view path, std::string_view reason) { report(path, reason); };
    STOCKADE_ASSIGN(host_proc_, open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY));
    sources.host_proc = host_proc_.get();
    notices_ = std::make_unique<SocketNotices>(std::move(sources));
    STOCKADE_TRY(notices_->prepare());
    STOCKADE_TRY(join());
    ::mallopt(M_ARENA_MAX, 2);
    STOCKADE_TRY(confine_worker({.name = "observer",
                                 .filter = filters::kObserverFilter,
                                 .parent = parent_,
                                 .data_limit = kDataLimit,
                                 .open_files = kOpenFiles,
                                 .keep_capabilities = uint64_t{1} << CAP_SYS_PTRACE,
                                 .landlock = false,
                                 .threads = true}));
    STOCKADE_TRY(notices_->enter_thread());  // proves that it can be done
    STOCKADE_TRY(add_thread());
    return send_message(socket_, std::string_view(&kObserverReady, 1));
  }

  // As root the mounts belong to the machine's root, who must come first; as a user the user namespace gives the right.
  Result<void> join() {
    const bool entered = ::setns(handles_.mount_namespace.get(), CLONE_NEWNS) == 0;
    if (::setns(handles_.user_namespace.get(), CLONE_NEWUSER) < 0) return fail_errno("join the agent's user namespace");
    if (!entered && ::setns(handles_.mount_namespace.get(), CLONE_NEWNS) < 0)
      return fail_errno("join the sandbox's mounts");
    ::close(handles_.user_namespace.get());
    ::close(handles_.mount_namespace.get());
    if (::getuid() == plan_.uid && ::getgid() == plan_.gid) return {};
    if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return fail_errno("keep capabilities");
    if (::setgroups(0, nullptr) < 0) return fail_errno("leave all groups");
    if (::setresgid(plan_.gid, plan_.gid, plan_.gid) < 0 || ::setresuid(plan_.uid, plan_.uid, plan_.uid) < 0)
      return fail_errno("become the agent's user");
    return {};
  }

  Result<void> add_thread() {
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, kThreadStack);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    idle_.fetch_add(1);
    threads_.fetch_add(1);
    pthread_t thread;
    const int failure = ::pthread_create(&thread, &attributes, &Process::serve_thread, this);
    ::pthread_attr_destroy(&attributes);
    if (failure == 0) return {};
    idle_.fetch_sub(1);
    threads_.fetch_sub(1);
    return std::unexpected(Error::from_errno("start a thread", failure));
  }

  static void* serve_thread(void* self) {
    static_cast<Process*>(self)->serve();
    return nullptr;
  }

  // A thread that can't do its work ends the process, and with it the run.
  void serve() {
    if (!notices_->enter_thread()) ::_exit(3);
    seccomp_notif notification;
    while (true) {
      const auto next = notices_->receive(notification);
      if (next == SocketNotices::Next::finished) return;
      if (next == SocketNotices::Next::nothing) continue;
      // Somebody must always listen while this one may block. Without one more thread, calls wait.
      if (idle_.fetch_sub(1) == 1 && threads_.load() < Observer::kThreadLimit) (void)add_thread();
      notices_->answer(notification);
      idle_.fetch_add(1);
    }
  }

  // One at a time: the answer that comes is the answer to this one.
  void report(std::string_view path, std::string_view reason) {
    const std::lock_guard lock(report_mutex_);
    const ObserverNotice notice{NoticeKind::socket, escape_for_terminal(path), std::string(reason)};
    if (!send_message(socket_, encode_notice(notice))) ::_exit(3);
    Message answer;
    const auto state = receive_message(socket_, answer);
    if (!state || *state != ReceiveState::message) ::_exit(3);
  }

  const SandboxPlan& plan_;
  const Handles& handles_;
  const int socket_;
  const pid_t parent_;
  Fd host_proc_;
  std::unique_ptr<SocketNotices> notices_;
  std::atomic<int> idle_ = 0;
  std::atomic<int> threads_ = 0;
  std::mutex report_mutex_;
};

Result<void> await_ready(int socket) {
  pollfd answer{socket, POLLIN, 0};
  int count;
  while ((count = ::poll(&answer, 1, kStartPatience)) < 0 && errno == EINTR) {
  }
  if (count == 0) return fail(ErrorKind::internal, "it did not answer within 10 seconds");
  Message message;
  STOCKADE_ASSIGN(const ReceiveState state, receive_message(socket, message));
  if (state != ReceiveState::message) return fail(ErrorKind::internal, "it ended without a word");
  if (message.bytes == std::string_view(&kObserverReady, 1)) return {};
  return std::unexpected(
      decode_failure(std::string_view(message.bytes).substr(std::min<size_t>(1, message.bytes.size()))));
}

}  // namespace

Result<void> let_go_of_all_but(std::initializer_list<int> keep) {
  close_all_except(keep);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  for (const int number : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE, SIGUSR1, SIGUSR2})
    ::signal(number, SIG_IGN);
  for (char** entry = environ; entry && *entry; ++entry) ::explicit_bzero(*entry, ::strlen(*entry));
  STOCKADE_ASSIGN(const Fd null, open_at(AT_FDCWD, "/dev/null", O_RDWR));
  for (int fd = 0; fd < 3; ++fd)
    if (::dup2(null.get(), fd) < 0) return fail_errno("let go of standard descriptors");
  return {};
}

Result<Observer> start_observing(const std::function<int(int socket, pid_t parent)>& body) {
  STOCKADE_ASSIGN(auto sockets, make_socket_pair(SOCK_SEQPACKET));
  const pid_t parent = ::getpid();
  STOCKADE_ASSIGN(Pid process, fork_child([&] { return body(sockets[1].get(), parent); }));
  sockets[1].reset();
  STOCKADE_TRY(await_ready(sockets[0].get()));
  STOCKADE_TRY(set_nonblocking(sockets[0].get()));
  return Observer(std::move(process), std::move(sockets[0]));
}

Result<Observer> Observer::start(const SandboxPlan& plan, Handles& handles) {
  if (!handles.notify || !handles.observer_diag || !handles.user_namespace || !handles.mount_namespace)
    return fail(ErrorKind::internal, "start the observer: the sandbox did not hand out what it needs");
  auto observer =
      start_observing([&](int socket, pid_t parent) { return Process(plan, handles, socket, parent).run(); });
  for (Fd* handle : {&handles.notify, &handles.observer_diag}) handle->reset();
  if (!observer) return std::unexpected(std::move(observer).error().context("start the observer"));
  return observer;
}

Result<std::optional<ObserverNotice>> Observer::receive() {
  Message message;
  STOCKADE_ASSIGN(const ReceiveState state, receive_message(socket_.get(), message));
  if (state == ReceiveState::would_block) return std::nullopt;
  if (state == ReceiveState::closed) return fail(ErrorKind::internal, "the observer ended");
  STOCKADE_ASSIGN(ObserverNotice notice, decode_notice(message.bytes));
  return notice;
}

Result<void> Observer::acknowledge() { return send_message(socket_.get(), std::string_view(&kLogged, 1)); }

}  // namespace stockade::sandbox
