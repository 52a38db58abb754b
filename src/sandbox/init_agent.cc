// The agent's process, from its fork to its exec. Order (hardening.md, section 3): ids; terminal; what is inherited
// without asking; no_new_privs; Landlock; capabilities; seccomp last.
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <climits>

#include "base/wire.h"
#include "net/transparent.h"
#include "sandbox/cgroup.h"
#include "sandbox/init.h"
#include "sandbox/landlock.h"
#include "sandbox/notify_filter.h"
#include "sandbox/privileges.h"
#include "sandbox/process_state.h"
#include "sandbox/seccomp_filter.h"

namespace stockade::sandbox {

namespace {

class AgentProcess {
 public:
  AgentProcess(const Launch& launch, const InitChannels& channels, const AgentStart& start)
      : launch_(launch),
        plan_(*launch.plan),
        channels_(channels),
        notify_((plan_.notify_sockets || start.notify_sockets) && !launch.weakening.seccomp),
        terminal_(start.terminal),
        user_namespace_(start.user_namespace) {}

  [[noreturn]] void run() {
    if (auto done = become_ready(); !done) {
      (void)send_message(channels_.agent, encode_failure(done.error()));
      ::_exit(1);
    }
    execute();
  }

 private:
  Result<void> become_ready() {
    for (const int entrance : channels_.entrances) STOCKADE_TRY(enter_cgroup(entrance));
    std::vector<int> keep = {channels_.agent, launch_.sysctls.get(), user_namespace_.get(), terminal_.get()};
    keep.insert(keep.end(), std::begin(channels_.stdio), std::end(channels_.stdio));
    close_all_except(keep.data(), keep.size());
    STOCKADE_TRY(take_ids());
    STOCKADE_TRY(take_terminal());
    STOCKADE_TRY(enter_workdir());
    const Weakening& without = launch_.weakening;
    if (!without.process) STOCKADE_TRY(reset_process());
    STOCKADE_TRY(open_for_supervisor());
    if (!without.capabilities) STOCKADE_TRY(set_no_new_privileges());
    if (!without.landlock) STOCKADE_TRY(restrict_paths());
    if (!without.capabilities) STOCKADE_TRY(drop_capabilities());
    return filter_calls();
  }

  // A second layer behind seccomp: this user namespace can have no child. By the host's /proc/sys, as ours is
  // read-only; where that one is, too (a container's), seccomp stands alone.
  void forbid_user_namespaces() {
    const Fd limit(::openat(launch_.sysctls.get(), "user/max_user_namespaces", O_WRONLY | O_CLOEXEC));
    if (limit) (void)!::write(limit.get(), "0", 1);
    ::close(launch_.sysctls.get());
  }

  Result<void> take_ids() {
    if (launch_.identity.mode == Mode::user) {
      forbid_user_namespaces();
      return {};
    }
    if (::setns(user_namespace_.get(), CLONE_NEWUSER) < 0) return fail_errno("enter the agent's user namespace");
    user_namespace_.reset();
    forbid_user_namespaces();
    STOCKADE_TRY(keep_capabilities_across_ids());
    if (::setresgid(plan_.gid, plan_.gid, plan_.gid) < 0 || ::setresuid(plan_.uid, plan_.uid, plan_.uid) < 0)
      return fail_errno("become uid {}, gid {}", plan_.uid, plan_.gid);
    return {};
  }

  // A group of its own, in the foreground: until here every signal is blocked, as init left it, so SIGTTOU can't stop
  // us.
  Result<void> take_terminal() {
    if (::setpgid(0, 0) < 0) return fail_errno("start a process group of its own");
    if (terminal_ && ::tcsetpgrp(terminal_.get(), ::getpid()) < 0)
      return fail_errno("come to the terminal's foreground");
    STOCKADE_TRY(connect_stdio());
    terminal_.reset();
    return {};
  }

  Result<void> connect_stdio() {
    // Copies above 2 first: the three may be given in any order, or be each other.
    Fd copies[3];
    for (int i = 0; i < 3; ++i) {
      const int given = channels_.stdio[i] >= 0 ? channels_.stdio[i] : terminal_.get();
      copies[i] = Fd(::fcntl(given, F_DUPFD_CLOEXEC, 3));
      if (!copies[i]) return fail_errno("connect standard descriptor {}", i);
    }
    for (int i = 0; i < 3; ++i) {
      if (::dup2(copies[i].get(), i) < 0) return fail_errno("connect standard descriptor {}", i);
    }
    return {};
  }

  Result<void> enter_workdir() {
    if (::chdir(plan_.workdir.c_str()) < 0) return fail_errno("enter {} inside", plan_.workdir);
    char cwd[PATH_MAX];
    const long length = ::syscall(SYS_getcwd, cwd, sizeof(cwd));
    if (length < 0) return fail_errno("ask for the working directory");
    // An unreachable one is spelled "(unreachable)/…" (CVE-2024-21626).
    if (cwd[0] != '/') return fail(ErrorKind::denied, "the working directory lies outside of the sandbox's root");
    return {};
  }

  Result<void> reset_process() {
    ProcessState state;
    state.umask = plan_.umask;
    const Limits& limits = plan_.limits;
    if (limits.open_files) state.open_files = limits.open_files->value;
    if (limits.file_size) state.file_size = limits.file_size->value;
    // Counted per user namespace and kernel uid: as a user, init has the agent's uid. The observer, once it is there, has
    // it too: its three threads, and one more for each connect that blocks, count as the agent's processes.
    if (limits.pids) state.processes = limits.pids->value + (launch_.identity.mode == Mode::user ? 1 : 0);
    auto report = reset_process_state(state);
    if (!report) return std::unexpected(std::move(report).error());
    return {};
  }

  // Only we can: our /proc entry is closed to an ordinary user's other processes until the exec.
  Result<void> open_for_supervisor() {
    itself_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    if (!itself_) return fail_errno("open the agent's process");
    if (!notify_) return {};
    STOCKADE_ASSIGN(mount_namespace_, open_at(AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY));
    STOCKADE_ASSIGN(diag_, net::open_socket_diag());
    return {};
  }

  Result<void> restrict_paths() {
    auto abi = restrict_with_landlock(landlock_rules(plan_));
    if (!abi) return std::unexpected(std::move(abi).error());
    return {};
  }

  Result<void> filter_calls() {
    const FilterChoice choice{.notify_sockets = notify_, .program_list = plan_.program_list};
    Fd listener;
    if (launch_.weakening.seccomp) {
      // Left out on purpose.
    } else if (notify_) {
      STOCKADE_ASSIGN(listener, install_seccomp_filter_with_listener(choice));
    } else {
      STOCKADE_TRY(install_seccomp_filter(choice));
    }
    const int fds[] = {itself_.get(), listener.get(), mount_namespace_.get(), diag_.get()};
    STOCKADE_TRY(send_message(channels_.agent,
                              WireWriter().put(Report::ready).put(static_cast<uint8_t>(notify_)).bytes(),
                              std::span(fds, listener ? 4 : 1)));
    for (Fd* given : {&itself_, &mount_namespace_, &diag_}) given->reset();
    return {};
  }

  Result<void> await(Order order) {
    char given = 0;
    ssize_t count;
    while ((count = ::recv(channels_.agent, &given, 1, 0)) < 0 && errno == EINTR) {
    }
    if (count != 1 || given != static_cast<char>(order)) return fail(ErrorKind::internal, "the supervisor is gone");
    return {};
  }

  // As execvp(3) does: the first place where it can be run; a file that is there but can't be run is remembered.
  [[noreturn]] void execute() {
    if (!await(Order::release)) ::_exit(1);
    ::syscall(SYS_close_range, 3U, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */);
    int failure = ENOENT;
    const std::string* culprit = &plan_.command[0];
    for (const std::string& program : launch_.programs) {
      ::execve(program.c_str(), launch_.argv.data(), launch_.environment.data());
      if (errno == ENOENT || errno == ENOTDIR) continue;
      failure = errno;
      culprit = &program;
      if (errno != EACCES) break;
    }
    (void)send_message(channels_.agent,
                       WireWriter().put(Report::exec_failed).put(static_cast<int32_t>(failure)).put(*culprit).bytes());
    ::_exit(failure == ENOENT ? 127 : 126);
  }

  const Launch& launch_;
  const SandboxPlan& plan_;
  const InitChannels& channels_;
  const bool notify_;
  Fd terminal_;                // the slave, until the streams are connected
  Fd user_namespace_;          // root mode: the agent's, until it is entered
  Fd itself_;                  // for the supervisor
  Fd mount_namespace_, diag_;  // for the observer
};

}  // namespace

void run_agent(const Launch& launch, const InitChannels& channels, const AgentStart& start) {
  AgentProcess(launch, channels, start).run();
}

}  // namespace stockade::sandbox
