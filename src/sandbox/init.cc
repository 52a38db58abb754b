#include "sandbox/init.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "base/confine.h"
#include "base/wire.h"
#include "sandbox/devices.h"
#include "sandbox/privileges.h"
#include "sandbox/root_fs.h"
#include "sandbox/seccomp_filter.h"
#include "sandbox/trust.h"

namespace stockade::sandbox {

namespace {

// Where our argv lies. A constant: a fact about this process, which glibc tells its constructors, also in a static
// program; reading it from /proc/self/stat takes half a millisecond.
std::span<char> argument_area;

[[gnu::constructor]] void find_argument_area(int argc, char** argv) {
  if (argc > 0) argument_area = {argv[0], argv[argc - 1] + std::strlen(argv[argc - 1])};
}

constexpr char kName[] = "stockade-init";

void hide_arguments() {
  ::prctl(PR_SET_NAME, kName, 0, 0, 0);
  std::ranges::fill(argument_area, '\0');
  std::memcpy(argument_area.data(), kName, std::min(sizeof(kName), argument_area.size()));
}

[[noreturn]] void give_up(int socket, const Error& error) {
  (void)send_message(socket, encode_failure(error));
  ::_exit(1);
}

Result<void> prepare_init(const Launch& launch, const InitChannels& channels) {
  std::vector<int> keep = launch.idmaps.descriptors();
  keep.insert(keep.end(), {channels.control, channels.agent, launch.sysctls.get()});
  keep.insert(keep.end(), std::begin(channels.stdio), std::end(channels.stdio));
  keep.insert(keep.end(), channels.entrances.begin(), channels.entrances.end());
  close_all_except(keep.data(), keep.size());
  if (launch.identity.mode == Mode::user) {
    // A process that is not dumpable can't write its own maps.
    if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0) return fail_errno("prepare to map ids");
    STOCKADE_TRY(map_own_ids(launch.identity, launch.outer_uid, launch.outer_gid));
  } else if (::setgroups(0, nullptr) < 0) {
    return fail_errno("leave all groups");
  }
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return fail_errno("forbid dumps of init");
  if (::setsid() < 0) return fail_errno("start a session of its own");
  if (::sethostname(launch.plan->hostname.data(), launch.plan->hostname.size()) < 0 || ::setdomainname("", 0) < 0)
    return fail_errno("set the sandbox's host name");
  if (::chdir("/") < 0) return fail_errno("leave the working directory");
  return {};
}

Result<Fd> watch_children() {
  sigset_t all;
  ::sigfillset(&all);
  if (::sigprocmask(SIG_SETMASK, &all, nullptr) < 0) return fail_errno("block signals");
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  Fd fd(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("watch children");
  return fd;
}

// Waits until they are made, and joins the network.
Result<LateNamespaces> take_namespaces(int control) {
  Message message;
  STOCKADE_ASSIGN(const ReceiveState state, receive_message(control, message));
  const size_t networks = message.bytes.starts_with('n') ? 1 : 0;
  if (state != ReceiveState::message || message.fds.size() < networks || message.fds.size() > networks + 1)
    return fail(ErrorKind::internal, "the supervisor is gone");
  LateNamespaces namespaces;
  if (message.bytes.size() > 1) namespaces.authority = message.bytes.substr(1);
  if (networks) namespaces.network = std::move(message.fds.front());
  if (message.fds.size() > networks) namespaces.user = std::move(message.fds.back());
  if (namespaces.network && ::setns(namespaces.network.get(), CLONE_NEWNET) < 0)
    return fail_errno("enter the sandbox's network");
  return namespaces;
}

Result<void> complete_trust(const RootFs& root, const std::string& authority) {
  if (!root.trust.empty() && authority.empty()) return fail(ErrorKind::internal, "there is no authority to trust");
  for (const RootFs::TrustFile& trusted : root.trust) {
    STOCKADE_ASSIGN(const std::string ending, trust_ending(*trusted.mount, authority));
    STOCKADE_TRY(write_all(trusted.file.get(), ending));
  }
  return {};
}

Result<pid_t> fork_agent(const Launch& launch, const InitChannels& channels, const AgentStart& start) {
  clone_args args{};
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
  if (pid < 0) return fail_errno("fork the agent's process");
  if (pid == 0) run_agent(launch, channels, start);
  return static_cast<pid_t>(pid);
}

// Init leads the session whose terminal this is. Every signal that the terminal has for init (hang-up, background
// access) stays blocked for ever, so it can neither stop nor end it; and init keeps the slave open, as a shell would,
// so that an agent which redirects all its streams finds its terminal again in /dev/tty.
Result<Pty> make_terminal(const Launch& launch, int terminals) {
  if (!launch.plan->terminal) return Pty();
  STOCKADE_ASSIGN(Pty pty, open_own_pty(terminals));
  const Identity& identity = launch.identity;
  if (identity.mode == Mode::root && ::fchown(pty.slave.get(), identity.agent_kuid, identity.agent_kgid) < 0)
    return fail_errno("give the terminal to the agent");
  if (::ioctl(pty.slave.get(), TIOCSCTTY, 0) < 0) return fail_errno("take the terminal");
  return pty;
}

// Standard descriptors become the sandbox's /dev/null: init holds no end of the agent's pipes.
Result<void> let_go_of_stdio() {
  STOCKADE_ASSIGN(const Fd null, open_at(AT_FDCWD, "/dev/null", O_RDWR));
  for (int fd = 0; fd < 3; ++fd) {
    if (::dup2(null.get(), fd) < 0) return fail_errno("let go of standard descriptors");
  }
  return {};
}

Result<void> give_up_privileges(const Launch& launch, const InitChannels& channels) {
  const Identity& identity = launch.identity;
  if (identity.mode == Mode::root) {
    STOCKADE_TRY(keep_capabilities_across_ids());
    if (::setresgid(identity.init_kgid, identity.init_kgid, identity.init_kgid) < 0 ||
        ::setresuid(identity.init_kuid, identity.init_kuid, identity.init_kuid) < 0)
      return fail_errno("become a user of its own");
  }
  STOCKADE_TRY(stockade::drop_capabilities(channels.keep_kill ? 1ULL << CAP_KILL : 0, BoundingSet::must_be_empty));
  STOCKADE_TRY(set_no_new_privileges());
  // After the change of ids, which clears both.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
    return fail_errno("bind init to its supervisor");
  return install_seccomp_filter(init_filter());
}

void report_agent(int control, int status) {
  WireWriter message;
  if (WIFSTOPPED(status)) {
    message.put(Report::stopped).put(static_cast<int32_t>(WSTOPSIG(status)));
  } else if (WIFCONTINUED(status)) {
    message.put(Report::continued).put(int32_t{0});
  } else {
    const bool signalled = WIFSIGNALED(status);
    message.put(Report::exited)
        .put(static_cast<uint8_t>(signalled))
        .put(static_cast<int32_t>(signalled ? WTERMSIG(status) : WEXITSTATUS(status)));
  }
  (void)send_message(control, message.bytes());
  if (!WIFSTOPPED(status) && !WIFCONTINUED(status)) ::_exit(0);
}

void reap(int control, pid_t agent) {
  int status = 0;
  pid_t pid;
  while ((pid = ::waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
    if (pid == agent) report_agent(control, status);
  }
}

void obey(int control) {
  char order;
  const ssize_t count = ::recv(control, &order, 1, MSG_DONTWAIT);
  if (count == 0) ::_exit(0);  // the supervisor is gone
  if (count < 0) return;
  if (order == static_cast<char>(Order::stop_all)) ::kill(-1, SIGSTOP);
  if (order == static_cast<char>(Order::continue_all)) ::kill(-1, SIGCONT);
}

[[noreturn]] void serve(int control, int children, pid_t agent) {
  while (true) {
    pollfd watched[2] = {{control, POLLIN, 0}, {children, POLLIN, 0}};
    if (::poll(watched, 2, -1) < 0) continue;
    if (watched[1].revents) {
      signalfd_siginfo info;
      while (::read(children, &info, sizeof(info)) > 0) {
      }
      reap(control, agent);
    }
    if (watched[0].revents) obey(control);
  }
}

}  // namespace

void run_init(const Launch& launch, const InitChannels& channels) {
  const auto must = [&](auto result) {
    if (!result) give_up(channels.control, result.error());
    if constexpr (!std::is_same_v<decltype(result), Result<void>>) return std::move(*result);
  };
  must(prepare_init(launch, channels));
  const Fd children = must(watch_children());
  Fd terminals = must(make_terminals());
  Pty pty = must(make_terminal(launch, terminals.get()));
  const RootFs root = must(build_root(launch, terminals.get()));
  LateNamespaces namespaces = must(take_namespaces(channels.control));
  must(complete_trust(root, namespaces.authority));
  const pid_t agent = must(fork_agent(
      launch, channels,
      {.terminal = pty.slave.get(), .user_namespace = namespaces.user.get(), .notify_sockets = root.notify_sockets}));
  // Beside the agent's preparations, for each waits for all CPUs (synchronize_rcu_expedited): the old root's end here,
  // the unused copy of /dev/pts' with the other descriptors below.
  must(drop_old_root());
  namespaces = {};
  must(let_go_of_stdio());
  hide_arguments();
  must(give_up_privileges(launch, channels));
  const int fds[] = {root.proc.get(), root.usage.get(), pty.master.get()};
  must(send_message(channels.control, WireWriter().put(Report::root).bytes(), std::span(fds, pty.master ? 3 : 2)));
  const int keep[] = {channels.control, children.get(), pty.slave.get()};
  close_all_except(keep, 3);
  serve(channels.control, children.get(), agent);
}

Result<void> send_namespaces(int control, const LateNamespaces& namespaces) {
  std::vector<int> fds;
  for (const Fd* fd : {&namespaces.network, &namespaces.user})
    if (*fd) fds.push_back(fd->get());
  return send_message(control, (namespaces.network ? "n" : "-") + namespaces.authority, fds);
}

std::string encode_failure(const Error& error) {
  WireWriter message;
  message.put(Report::failed)
      .put(static_cast<uint8_t>(error.kind()))
      .put(static_cast<int32_t>(error.error_number()))
      .put(error.message())
      .put(error.hint());
  return message.bytes();
}

Error decode_failure(std::string_view bytes) {
  WireReader reader(bytes);
  const uint8_t kind_number = reader.get<uint8_t>();
  const auto kind = kind_number <= static_cast<uint8_t>(ErrorKind::internal) ? static_cast<ErrorKind>(kind_number)
                                                                             : ErrorKind::internal;
  (void)reader.get<int32_t>();
  std::string text = reader.get_string(kMessageLimit);
  const std::string hint = reader.get_string(kMessageLimit);
  if (!reader.finished()) return Error(ErrorKind::internal, "the sandbox's set-up failed without a reason");
  Error error(kind, std::move(text));
  return hint.empty() ? error : std::move(error).hint(hint);
}

}  // namespace stockade::sandbox
