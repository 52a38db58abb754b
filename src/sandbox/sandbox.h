// NativeSandbox: a plan turned into namespaces, mounts, filters and an init. Made by the supervisor in its single
// thread; owns the sandbox's init, cgroups, mounts and staging. Its destructor kills everything inside and removes
// what it made. In order: begin() clones init, which builds the walls while the caller goes on; await_root() waits
// until the root stands and init has given up everything; await_agent(), until the agent's process has, too. The
// agent's program runs only after start_exec() and within its walls: start_exec() may come before await_agent().
#pragma once

#include <memory>

#include "base/pid.h"
#include "net/transparent.h"
#include "sandbox/cgroup.h"
#include "sandbox/namespace_maker.h"
#include "sandbox/plan.h"
#include "sandbox/weakening.h"

namespace stockade::sandbox {

// What the sandbox hands out. Listeners and socket_diag stand from the beginning, the master of the pty with the root,
// the rest with the agent's process.
struct Handles {
  std::optional<net::TransparentListeners> listeners;  // plan.network
  Fd pty_master;                                       // plan.terminal; the sandbox keeps a copy for signal_agent()
  // For the observer (observer.h), where connects are decided outside: seccomp user notifications (SYNC_WAKE_UP set),
  // the agent's namespaces, and a socket_diag of its own, because two processes can't share the answers of one.
  Fd notify;
  Fd user_namespace, mount_namespace;
  Fd observer_diag;
  Fd socket_diag;   // NETLINK_SOCK_DIAG socket of the sandbox's network namespace (always)
  pid_t agent = 0;  // the agent's pid as the host sees it
};

enum class EventKind { exited, init_died, stopped, continued };

class NativeSandbox {
 public:
  struct Options {
    std::string run_id;                   // names the cgroup
    std::optional<CgroupPlaces> cgroups;  // absent: looked for
    // What isn't on the pty is handed in as it is, and must be no terminal, directory or block device.
    int stdio[3] = {0, 1, 2};
    bool pty[3] = {true, true, true};  // with plan.terminal: the streams that are the pty (StdioPlan.pty)
    bool keep_scratch = false;         // leave scratch on disk, emptied, for a later run
    Weakening weakening;               // the probe only
  };
  // With a maker that was started earlier, or one of its own.
  static Result<NativeSandbox> begin(const SandboxPlan& plan, const Options& options,
                                     std::optional<NamespaceMaker> maker = std::nullopt);
  // Before await_root(), where the plan has mounts of kind trust: what their files end with (PEM).
  void trust(std::string authority);
  Result<void> await_root();
  Result<void> await_agent();
  static Result<NativeSandbox> launch(const SandboxPlan& plan, const Options& options);  // all three
  NativeSandbox(NativeSandbox&&) noexcept;
  NativeSandbox& operator=(NativeSandbox&&) noexcept;
  ~NativeSandbox();

  Handles& handles();
  // Lets the agent's exec happen. An exec that fails comes back from await_exec(): 126 or 127 with its reason.
  Result<void> start_exec();
  Result<void> await_exec();
  Result<void> release();  // both

  int status_fd() const;  // readable when poll_status() has news (init reports the agent's end; init's own end)
  struct Status {
    EventKind kind;
    ExitStatus agent;  // exited; stopped: the signal that did it
  };
  std::optional<Status> poll_status();

  // To the agent's process group, or to the agent where it has left that. INT, QUIT and TSTP reach the foreground job
  // of the pty as well, when that is another one. A stop is reported by poll_status() if the agent itself stops.
  Result<void> signal_agent(int number);
  Result<void> freeze();
  Result<void> thaw();
  // Kills every process inside and waits until the last is reaped.
  Result<void> kill();
  Result<uint32_t> process_count() const;

  // Measures what the plan's polled limits need; names the first that is exceeded. To be called every few milliseconds
  // while the plan has a polled limit: a polled CPU limit is kept by freezing and thawing in here.
  std::optional<std::string> exceeded_limit();
  // The kernel's own verdict about a hard limit (out of memory), if it ended the agent.
  std::optional<std::string> kernel_limit_event();

 private:
  class Impl;
  explicit NativeSandbox(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace stockade::sandbox
