// The observer: a process of ours that answers the agent's connects (socket_notice.h), forked by the supervisor where
// the plan needs it (NativeSandbox::handles().notify), once the sandbox is ready; a connect inside waits for it. It
// joins the sandbox's mount and user namespace and becomes the agent's user there, so that what it opens is what the
// agent could open and servers inside see the agent's uid as their peer; of capabilities it keeps CAP_SYS_PTRACE in
// that user namespace alone, which reaches the sandbox's processes and nothing else. It makes no socket, writes no
// file, starts no program.
//
// The supervisor reads notices from fd(), logs each, and acknowledges it; a refused call is answered only then. It ends
// with its supervisor (death signal, end of the socket). When it ends by itself, pidfd() is readable and the run must
// be killed; until then connects inside fail, since the listener is gone with it.
//
// Connects may block, so there are threads: as many as calls wait, at most kThreadLimit. An agent that lets so many
// connects hang delays its own further ones, and each of these threads counts as one of its processes (`pids`).
#pragma once

#include <signal.h>

#include <functional>
#include <optional>

#include "base/pid.h"
#include "sandbox/observer_protocol.h"
#include "sandbox/sandbox.h"

namespace stockade::sandbox {

class Observer {
 public:
  static constexpr int kThreadLimit = 32;

  // Takes notify and observer_diag. Call from the thread that lives as long as the run. The mask keeper (mask_keeper.h)
  // is another process with the same interface here; after both, the namespaces' handles can be closed.
  static Result<Observer> start(const SandboxPlan& plan, Handles& handles);

  int fd() const { return socket_.get(); }
  int pidfd() const { return process_.pidfd(); }
  pid_t pid() const { return process_.get(); }
  // The next notice, if one is there. An error: the observer broke its protocol or is gone; kill the run.
  Result<std::optional<ObserverNotice>> receive();
  // After the notice is in the log.
  Result<void> acknowledge();
  // It dies while the caller goes on to other things; whoever destroys this waits for that.
  void dismiss() const { (void)process_.signal(SIGKILL); }

 private:
  friend Result<Observer> start_observing(const std::function<int(int socket, pid_t parent)>& body);
  Observer(Pid process, Fd socket) : process_(std::move(process)), socket_(std::move(socket)) {}

  Pid process_;
  Fd socket_;
};

// Forks a process of this kind. `body` says kObserverReady on its socket, or encode_failure(), and serves.
Result<Observer> start_observing(const std::function<int(int socket, pid_t parent)>& body);
inline constexpr char kObserverReady = 1;
// The first thing in such a process: nothing inherited but `keep`.
Result<void> let_go_of_all_but(std::initializer_list<int> keep);

}  // namespace stockade::sandbox
