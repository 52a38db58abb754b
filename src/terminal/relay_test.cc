// The relay on real ptys: this test sits at the outer terminal, a forked "shell" does job control there as a login
// shell would, and a small supervisor holds a real bash on an inner pty, arranged as the sandbox's init arranges it.
#include "terminal/relay.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>

#include "base/pid.h"
#include "terminal/escape_filter.h"

namespace stockade::terminal {
namespace {

constexpr int kPatienceMs = 20'000;
constexpr uid_t kOrdinaryUser = 12345;

struct PtyPair {
  Fd master;
  Fd slave;
};

PtyPair make_pty() {
  PtyPair pty;
  pty.master.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  (void)::unlockpt(pty.master.get());
  pty.slave.reset(::ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  return pty;
}

// --- the inner side --------------------------------------------------------------------------------------------------

// Init: leader of a session on the pty, the agent in a process group of its own. Reports the agent's states.
int be_init(int slave, int go, int report, const std::string& script) {
  (void)::setsid();
  (void)::ioctl(slave, TIOCSCTTY, 0);
  (void)::signal(SIGTTOU, SIG_IGN);
  (void)::signal(SIGHUP, SIG_IGN);
  const pid_t agent = ::fork();
  if (agent == 0) {
    (void)::setpgid(0, 0);
    (void)::tcsetpgrp(slave, ::getpgrp());
    (void)::signal(SIGTTOU, SIG_DFL);
    (void)::signal(SIGHUP, SIG_DFL);
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    char byte;
    (void)!::read(go, &byte, 1);
    for (int fd = 0; fd < 3; ++fd) (void)::dup2(slave, fd);
    ::execl("/bin/bash", "bash", "-c", script.c_str(), nullptr);
    ::_exit(127);
  }
  (void)!::write(report, &agent, sizeof(agent));
  while (true) {
    int status;
    if (::waitpid(agent, &status, WUNTRACED) < 0) return 1;
    (void)!::write(report, &status, sizeof(status));
    if (!WIFSTOPPED(status)) return 0;
  }
}

int supervise_bash(RelayLink link, const std::string& script) {
  PtyPair pty = make_pty();
  auto go = make_pipe().value();
  auto reports = make_pipe().value();
  auto init = fork_child([&] {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_all_except({pty.slave.get(), go.read.get(), reports.write.get()});
    return be_init(pty.slave.get(), go.read.get(), reports.write.get(), script);
  });
  pty.slave.reset();
  reports.write.reset();
  pid_t agent = 0;
  if (::read(reports.read.get(), &agent, sizeof(agent)) != sizeof(agent)) return 125;
  if (!link.hand_over(pty.master.get())) return 125;
  pty.master.reset();
  link.notice("stockade: a notice\x1b[31m");
  (void)write_all(go.write.get(), "g");
  while (true) {
    pollfd polled[] = {{link.fd(), POLLIN, 0}, {reports.read.get(), POLLIN, 0}};
    if (::poll(polled, 2, -1) < 0) return 125;
    if (polled[1].revents) {
      int status;
      if (::read(reports.read.get(), &status, sizeof(status)) != sizeof(status)) return 125;
      if (!WIFSTOPPED(status)) {
        const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        (void)link.ended(code);
        return code;
      }
      (void)link.frozen();
    }
    if (!polled[0].revents) continue;
    const auto requests = link.on_readable();
    if (!requests) return 125;
    for (const RelayRequest& request : *requests) {
      switch (request.kind) {
        case RelayRequest::Kind::freeze:
          (void)::kill(-agent, SIGSTOP);
          (void)link.frozen();
          break;
        case RelayRequest::Kind::thaw:
          (void)::kill(-agent, SIGCONT);
          (void)::kill(-agent, SIGWINCH);
          break;
        case RelayRequest::Kind::signal:
          (void)::kill(-agent, request.number);
          break;
        case RelayRequest::Kind::closed:
          return 137;  // init dies by our destructor, the agent with init
      }
    }
  }
}

// --- the outer side --------------------------------------------------------------------------------------------------

struct SessionOptions {
  std::string script;
  bool background = false;
  bool shell = true;       // false: the relay leads the session itself, as under `xterm -e`
  bool in_script = false;  // the relay's parent is another process of the same job
  bool stdin_is_null = false;
  std::string stdout_path;  // not the terminal
  uid_t user = 0;
  bool own_terminal = true;  // false: as after su, the terminal's device is another user's
  std::function<int(RelayLink)> supervise;
};

class Session {
 public:
  explicit Session(SessionOptions options) : options_(std::move(options)) {
    (void)::prctl(PR_SET_CHILD_SUBREAPER, 1);
    outer_ = make_pty();
    const winsize size{30, 100, 0, 0};
    (void)::ioctl(outer_.master.get(), TIOCSWINSZ, &size);
    if (options_.user && options_.own_terminal) {
      EXPECT_EQ(::fchown(outer_.slave.get(), options_.user, options_.user), 0);
    }
    commands_ = make_pipe().value();
    events_ = make_pipe().value();
    (void)::tcgetattr(outer_.slave.get(), &settings_);
    shell_ = fork_child([this] { return be_shell(); }).value();
    commands_.read.reset();
    events_.write.reset();
    (void)set_nonblocking(outer_.master.get());
  }

  // The terminal goes away; everything on it must end, whatever the test left running.
  ~Session() {
    shell_ = Pid();
    hang_up();
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
  }

  void type(std::string_view text) { EXPECT_TRUE(write_all(outer_.master.get(), text)); }
  void command(char letter) { EXPECT_TRUE(write_all(commands_.write.get(), {&letter, 1})); }
  void hang_up() {
    outer_.slave.reset();
    outer_.master.reset();
  }

  // Reads what the person sees until `text` is part of it.
  bool sees(std::string_view text) {
    while (seen_.find(text) == std::string::npos) {
      pollfd readable{outer_.master.get(), POLLIN, 0};
      if (::poll(&readable, 1, kPatienceMs) <= 0) return false;
      char buffer[4096];
      const ssize_t count = ::read(outer_.master.get(), buffer, sizeof(buffer));
      if (count <= 0) return false;
      seen_.append(buffer, static_cast<size_t>(count));
    }
    return true;
  }
  const std::string& seen() const { return seen_; }

  // The shell's next report: "stopped 20", "exited 3", "signalled 9". Keeps the terminal drained meanwhile.
  std::string event() {
    std::string line;
    while (true) {
      pollfd polled[] = {{events_.read.get(), POLLIN, 0}, {outer_.master.get(), POLLIN, 0}};
      if (::poll(polled, 2, kPatienceMs) <= 0) return "nothing";
      if (polled[1].revents & POLLIN) {
        char buffer[4096];
        const ssize_t count = ::read(outer_.master.get(), buffer, sizeof(buffer));
        if (count > 0) seen_.append(buffer, static_cast<size_t>(count));
        continue;
      }
      char byte;
      if (::read(events_.read.get(), &byte, 1) != 1) return "closed";
      if (byte == '\n') return line;
      line += byte;
    }
  }

  termios settings() const {
    termios now{};
    (void)::tcgetattr(outer_.slave.get(), &now);
    return now;
  }
  bool is_restored() const { return same_settings(settings(), settings_); }
  // Waits until the relay holds the terminal, seen from outside.
  bool becomes_raw() const {
    for (int i = 0; i < kPatienceMs; ++i) {
      if (!(settings().c_lflag & ICANON)) return true;
      (void)::poll(nullptr, 0, 1);
    }
    return false;
  }
  bool becomes_restored() const {
    for (int i = 0; i < kPatienceMs; ++i) {
      if (is_restored()) return true;
      (void)::poll(nullptr, 0, 1);
    }
    return false;
  }
  int master() const { return outer_.master.get(); }
  pid_t number_after(std::string_view label) {
    const size_t at = seen_.find(label);
    return at == std::string::npos ? 0 : std::atoi(seen_.c_str() + at + label.size());
  }

 private:
  static void become_stream(int fd, int stream) {
    if (fd < 0 || ::dup2(fd, stream) < 0) ::_exit(99);
  }

  int be_job() {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (options_.stdin_is_null) become_stream(::open("/dev/null", O_RDONLY), 0);
    if (options_.in_script) {
      const pid_t child = ::fork();
      if (child != 0) {
        int status;
        (void)::waitpid(child, &status, 0);
        return WEXITSTATUS(status);
      }
    }
    if (!options_.stdout_path.empty()) become_stream(::open(options_.stdout_path.c_str(), O_WRONLY | O_CREAT, 0600), 1);
    const auto supervise = options_.supervise ? options_.supervise : [this](RelayLink link) {
      return supervise_bash(std::move(link), options_.script);
    };
    return run_behind_relay(plan_stdio(), supervise);
  }

  int be_shell() {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)::setsid();
    (void)::ioctl(outer_.slave.get(), TIOCSCTTY, 0);
    for (int fd = 0; fd < 3; ++fd) (void)::dup2(outer_.slave.get(), fd);
    outer_.master.reset();
    outer_.slave.reset();
    if (options_.user && (::setgid(options_.user) != 0 || ::setuid(options_.user) != 0)) return 99;
    const auto report = [this](const char* what, int number) {
      (void)write_all(events_.write.get(), fmt::format("{} {}\n", what, number));
    };
    if (!options_.shell) {
      const pid_t reporter = ::fork();
      if (reporter == 0) return be_job();
      int status;
      (void)::waitpid(reporter, &status, 0);
      report("exited", WEXITSTATUS(status));
      return 0;
    }
    (void)::signal(SIGTTOU, SIG_IGN);
    const pid_t job = ::fork();
    if (job == 0) {
      (void)::setpgid(0, 0);
      if (!options_.background) (void)::tcsetpgrp(0, ::getpgrp());
      (void)::signal(SIGTTOU, SIG_DFL);
      return be_job();
    }
    (void)::setpgid(job, job);
    while (true) {
      int status;
      if (::waitpid(job, &status, WUNTRACED) < 0) return 1;
      (void)::tcsetpgrp(0, ::getpgrp());
      if (!WIFSTOPPED(status)) {
        WIFEXITED(status) ? report("exited", WEXITSTATUS(status)) : report("signalled", WTERMSIG(status));
        return 0;
      }
      report("stopped", WSTOPSIG(status));
      char letter;
      if (::read(commands_.read.get(), &letter, 1) != 1) return 1;
      if (letter == 'f') (void)::tcsetpgrp(0, job);
      (void)::kill(-job, SIGCONT);
    }
  }

  SessionOptions options_;
  PtyPair outer_;
  PipeEnds commands_;
  PipeEnds events_;
  termios settings_{};
  std::string seen_;
  Pid shell_;
};

constexpr const char* kWait = "while :; do read -t 0.02 x </dev/null; sleep 0.02; done";

bool dies(pid_t pid) {
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return errno == ESRCH;
  pollfd exited{pidfd.get(), POLLIN, 0};
  return ::poll(&exited, 1, kPatienceMs) > 0;
}

TEST(Relay, PassesTextAndTheExitStatusAndRestoresTheTerminal) {
  Session session(
      {.script = "printf 'grüße 日本語 \\e[31mred\\e[0m \\e]52;c;AAAA\\a<%s>\\n' \"$(stty size)\"; exit 42"});
  EXPECT_EQ(session.event(), "exited 42");
  EXPECT_TRUE(session.sees("grüße 日本語 \x1b[31mred\x1b[0m <30 100>\r\n")) << session.seen();
  EXPECT_TRUE(session.is_restored());
  EXPECT_EQ(session.seen().find("52;c"), std::string::npos);
  EXPECT_TRUE(session.sees("stockade: a notice\\e[31m")) << "after the agent's own output, escaped";
}

TEST(Relay, WorksForAnOrdinaryUserAlsoOnATerminalOfSomebodyElse) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  for (const bool own : {true, false}) {
    Session session(
        {.script = "echo ready; read line; echo \"got $line\"; exit 4", .user = kOrdinaryUser, .own_terminal = own});
    ASSERT_TRUE(session.sees("ready")) << session.seen();
    session.type("keys\r");
    EXPECT_TRUE(session.sees("got keys"));
    EXPECT_EQ(session.event(), "exited 4");
    EXPECT_TRUE(session.is_restored());
  }
}

TEST(Relay, TellsTheAgentOfANewWindowSize) {
  Session session({.script = std::string("trap 'stty size; exit 7' WINCH; echo ready; ") + kWait});
  ASSERT_TRUE(session.sees("ready"));
  const winsize size{50, 132, 0, 0};
  ASSERT_EQ(::ioctl(session.master(), TIOCSWINSZ, &size), 0);
  EXPECT_TRUE(session.sees("50 132"));
  EXPECT_EQ(session.event(), "exited 7");
}

TEST(Relay, ControlCInterruptsTheAgentAndNotTheRelay) {
  Session session({.script = std::string("trap 'echo interrupted; exit 3' INT; echo ready; ") + kWait});
  ASSERT_TRUE(session.sees("ready") && session.becomes_raw());
  session.type("\x03");
  EXPECT_TRUE(session.sees("interrupted"));
  EXPECT_EQ(session.event(), "exited 3");
}

TEST(Relay, ControlZStopsTheJobWithTheTerminalRestoredAndItGoesOn) {
  Session session({.script = "printf '\\e[?2004h'; echo ready; while read line; do echo got $line; done; exit 5"});
  ASSERT_TRUE(session.sees("ready") && session.becomes_raw());
  for (int round = 0; round < 3; ++round) {
    session.type("\x1a");
    ASSERT_EQ(session.event(), fmt::format("stopped {}", SIGTSTP));
    EXPECT_TRUE(session.is_restored());
    EXPECT_NE(session.seen().find("\x1b[?2004l"), std::string::npos);
    session.command('f');
    ASSERT_TRUE(session.becomes_raw());
    session.type(fmt::format("line {}\r", round));
    ASSERT_TRUE(session.sees(fmt::format("got line {}", round))) << session.seen();
  }
  session.type("\x04");
  EXPECT_EQ(session.event(), "exited 5");
  EXPECT_TRUE(session.is_restored());
}

TEST(Relay, ControlZStopsTheScriptThatStartedItToo) {
  Session session({.script = "echo ready; read line; exit 5", .in_script = true});
  ASSERT_TRUE(session.sees("ready") && session.becomes_raw());
  session.type("\x1a");
  ASSERT_EQ(session.event(), fmt::format("stopped {}", SIGTSTP)) << "the shell waits for the script, not for the relay";
  session.command('f');
  ASSERT_TRUE(session.becomes_raw());
  session.type("on\r");
  EXPECT_EQ(session.event(), "exited 5");
}

TEST(Relay, ControlZIsAKeyForAnAgentThatReadsKeys) {
  Session session({.script = "stty raw -echo; echo ready; head -c 1 | od -An -tx1; stty sane; exit 6"});
  ASSERT_TRUE(session.sees("ready") && session.becomes_raw());
  session.type("\x1a");
  EXPECT_EQ(session.event(), "exited 6");
  EXPECT_TRUE(session.sees("1a"));
}

TEST(Relay, AnAgentWithJobsOfItsOwnKeepsControlZForThem) {
  // A shell with job control: its job stops, it does not. (A job that is just starting a program by vfork can't stop.)
  Session session({.script = "set -m; bash -c 'echo inside; read x'; echo back=$?; kill -9 %1; exit 9"});
  ASSERT_TRUE(session.sees("inside\r\n") && session.becomes_raw());
  session.type("\x1a");
  EXPECT_TRUE(session.sees("back=148")) << session.seen();
  EXPECT_EQ(session.event(), "exited 9");
}

TEST(Relay, StopsForASignalFromElsewhereToo) {
  Session session({.script = "echo relay=$PPID; read line; echo \"got $line\""});
  ASSERT_TRUE(session.sees("relay=") && session.becomes_raw());
  pid_t relay = ::tcgetpgrp(session.master());
  ASSERT_GT(relay, 0);
  ASSERT_EQ(::kill(relay, SIGTSTP), 0);
  EXPECT_EQ(session.event(), fmt::format("stopped {}", SIGTSTP));
  EXPECT_TRUE(session.is_restored());
  session.command('f');
  ASSERT_TRUE(session.becomes_raw());
  session.type("on\r");
  EXPECT_EQ(session.event(), "exited 0");
}

TEST(Relay, WithNoShellToContinueItControlZStopsNothing) {
  Session session({.script = "echo ready; read line; echo \"got $line\"; exit 8", .shell = false});
  ASSERT_TRUE(session.sees("ready") && session.becomes_raw());
  session.type("\x1a");
  session.type("still here\r");
  EXPECT_TRUE(session.sees("still here"));
  EXPECT_EQ(session.event(), "exited 8") << session.seen();
}

TEST(Relay, ForwardsTerminationToTheAgent) {
  Session session({.script = std::string("trap 'echo terminated; exit 11' TERM; echo ready; ") + kWait});
  ASSERT_TRUE(session.sees("ready") && session.becomes_raw());
  ASSERT_EQ(::kill(::tcgetpgrp(session.master()), SIGTERM), 0);
  EXPECT_EQ(session.event(), "exited 11");
}

TEST(Relay, UndoesWhatAKilledAgentLeftOnTheScreen) {
  Session session({.script = "printf '\\e[?1049h\\e[?25l\\e[?1000h\\e[>1u'; kill -9 $$"});
  EXPECT_EQ(session.event(), "exited 137");
  EXPECT_TRUE(session.sees("\x1b[<1u"));
  EXPECT_TRUE(session.sees("\x1b[?25h\x1b[?1000l\x1b[?1049l")) << session.seen();
}

TEST(Relay, HangUpKillsTheAgent) {
  Session session({.script = std::string("trap '' HUP; echo pid=$$.; ") + kWait});
  ASSERT_TRUE(session.sees(".") && session.becomes_raw());
  const pid_t agent = session.number_after("pid=");
  ASSERT_GT(agent, 0);
  session.hang_up();
  EXPECT_TRUE(dies(agent));
}

TEST(Relay, AKilledRelayTakesTheAgentWithItAndTheSupervisorRestoresTheTerminal) {
  Session session({.script = std::string("echo pid=$$.; ") + kWait});
  ASSERT_TRUE(session.sees(".") && session.becomes_raw());
  const pid_t agent = session.number_after("pid=");
  ASSERT_EQ(::kill(::tcgetpgrp(session.master()), SIGKILL), 0);
  EXPECT_EQ(session.event(), "signalled 9");
  EXPECT_TRUE(session.becomes_restored());
  EXPECT_TRUE(dies(agent));
}

TEST(Relay, InTheBackgroundItWritesAndLeavesTheTerminalAlone) {
  Session session({.script = "echo working; exit 12", .background = true});
  EXPECT_EQ(session.event(), "exited 12");
  EXPECT_TRUE(session.sees("working"));
  EXPECT_TRUE(session.is_restored());
}

TEST(Relay, InTheBackgroundAnAgentThatWantsKeysStopsUntilItIsBroughtForward) {
  Session session({.script = "stty raw -echo; head -c 1 | od -An -tx1; stty sane; exit 13", .background = true});
  EXPECT_EQ(session.event(), fmt::format("stopped {}", SIGTTOU));
  EXPECT_TRUE(session.is_restored());
  session.command('f');
  ASSERT_TRUE(session.becomes_raw());
  session.type("A");
  EXPECT_EQ(session.event(), "exited 13");
  EXPECT_TRUE(session.sees("41"));
}

TEST(Relay, ContinuedInTheBackgroundItLeavesTheTerminalAlone) {
  Session session({.script = "echo ready; kill -STOP $$; echo done; exit 14"});
  ASSERT_EQ(session.event(), fmt::format("stopped {}", SIGTSTP)) << "the agent stopped itself";
  session.command('b');
  EXPECT_EQ(session.event(), "exited 14");
  EXPECT_TRUE(session.sees("done"));
  EXPECT_TRUE(session.is_restored());
}

TEST(Relay, WithoutATerminalOnStdinTheKeyboardStaysWithThePerson) {
  Session session(
      {.script = std::string("trap 'echo interrupted; exit 15' INT; echo ready; ") + kWait, .stdin_is_null = true});
  ASSERT_TRUE(session.sees("ready"));
  EXPECT_TRUE(session.is_restored()) << "no raw mode";
  session.type("\x03");
  EXPECT_EQ(session.event(), "exited 15");
}

TEST(Relay, WithStdoutElsewhereItReadsLinesAndTheTerminalEchoes) {
  Session session(
      {.script = "echo ready; read line; echo \"got $line\"; read line || exit 16", .stdout_path = "/dev/null"});
  ASSERT_TRUE(session.sees("ready"));
  EXPECT_TRUE(session.is_restored());
  session.type("words\r");
  ASSERT_TRUE(session.sees("got words"));
  EXPECT_EQ(session.seen().find("words\r\n"), session.seen().rfind("words\r\n", session.seen().find("got")))
      << "echoed once: " << session.seen();
  session.type("\x04");
  EXPECT_EQ(session.event(), "exited 16");
}

TEST(Relay, TakesTheSupervisorsOwnStatusWhenItEndsWithoutAWord) {
  Session session({.supervise = [](RelayLink) { return 125; }});
  EXPECT_EQ(session.event(), "exited 125");
  Session killed({.supervise = [](RelayLink) { return ::raise(SIGKILL); }});
  EXPECT_EQ(killed.event(), "exited 125");
  EXPECT_TRUE(killed.sees("stockade: the supervisor ended unexpectedly"));
}

TEST(Relay, PassesALotOfOutputWithoutLosingAByte) {
  Session session({.script = "seq 1 200000; echo end"});
  EXPECT_EQ(session.event(), "exited 0");
  EXPECT_TRUE(session.sees("\r\n200000\r\nend\r\n"));
  size_t lines = 0;
  for (const char c : session.seen()) lines += c == '\n';
  EXPECT_EQ(lines, 200'002u);  // and the notice
}

TEST(PlanStdio, NeverHandsATerminalIn) {
  for (int bits = 0; bits < 8; ++bits) {
    const std::array<bool, 3> terminals{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0};
    const StdioPlan plan = plan_stdio(terminals);
    EXPECT_EQ(plan.pty, terminals);
    EXPECT_EQ(plan.relay, bits != 0);
  }
  EXPECT_EQ(plan_stdio({true, true, false}).keyboard, Keyboard::raw);
  EXPECT_EQ(plan_stdio({true, false, true}).keyboard, Keyboard::lines);
  EXPECT_EQ(plan_stdio({false, true, true}).keyboard, Keyboard::none);
}

}  // namespace
}  // namespace stockade::terminal
