// The agent's terminal in the kernel: stopping, going on, job control, and which streams are the pty.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "sandbox/engine_fixture.h"

namespace stockade::sandbox {
namespace {

using testing::as_user;
using testing::count_litter;
using testing::shell_plan;

constexpr int kPatience = 20'000;
constexpr char kCtrlC[] = "\x03", kCtrlZ[] = "\x1a";

SandboxPlan terminal_plan(std::vector<std::string> command) {
  SandboxPlan plan = shell_plan("");
  plan.command = std::move(command);
  plan.environment.push_back("TERM=dumb");
  plan.terminal = true;
  return plan;
}

// Python's own handler for INT can run just before the pause, which then goes on.
SandboxPlan pausing(const std::string& before) {
  return terminal_plan({"python3", "-c",
                        "import os,signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n" + before +
                            "\nos.write(1,b'up')\nwhile True: signal.pause()"});
}

SandboxPlan interactive_bash() { return terminal_plan({"bash", "--norc", "--noprofile", "-i"}); }

// A person at the master of the pty.
struct Person {
  std::optional<NativeSandbox> sandbox;
  std::string seen;
  std::string error;

  explicit Person(const SandboxPlan& plan, NativeSandbox::Options options = {}) {
    static int serial = 0;
    options.run_id = fmt::format("test-terminal-{}-{}", ::getpid(), ++serial);
    auto made = NativeSandbox::launch(plan, options);
    if (made) {
      if (auto released = made->release(); !released) error = released.error().render();
      sandbox = std::move(*made);
    } else {
      error = made.error().render();
    }
    if (!error.empty()) std::fprintf(stderr, "%s\n", error.c_str());
  }
  bool is_running() const { return sandbox && error.empty(); }
  int master() { return sandbox->handles().pty_master.get(); }

  // Waits for `text`, and forgets everything up to it.
  bool sees(std::string_view text) {
    while (true) {
      if (const size_t at = seen.find(text); at != std::string::npos) {
        seen.erase(0, at + text.size());
        return true;
      }
      pollfd fd{master(), POLLIN, 0};
      char buffer[4096];
      const ssize_t count = ::poll(&fd, 1, kPatience) == 1 ? ::read(fd.fd, buffer, sizeof(buffer)) : 0;
      if (count <= 0) {
        std::fprintf(stderr, "no \"%s\" in \"%s\"\n", std::string(text).c_str(), seen.c_str());
        return false;
      }
      seen.append(buffer, static_cast<size_t>(count));
    }
  }
  bool types(std::string_view keys) { return write_all(master(), keys).has_value(); }
  bool has_no_news() { return !sandbox->poll_status(); }
  bool reports(EventKind kind, int code) {
    pollfd fd{sandbox->status_fd(), POLLIN, 0};
    ::poll(&fd, 1, kPatience);
    const auto status = sandbox->poll_status();
    if (status && status->kind == kind && status->agent.code == code) return true;
    std::fprintf(stderr, "status: %d %d\n", status ? static_cast<int>(status->kind) : -1,
                 status ? status->agent.code : -1);
    return false;
  }
};

pid_t init_of_this_process() {
  return std::atoi(read_file(fmt::format("/proc/{0}/task/{0}/children", ::getpid()), 100)->c_str());
}

class EngineTerminal : public testing::EngineTest {};
INSTANTIATE_TEST_SUITE_P(AsRootAndUser, EngineTerminal, ::testing::Values(0U, testing::kOrdinaryUser),
                         testing::user_name);

TEST_P(EngineTerminal, StopsTheAgentByCtrlZAndContinuesItAgain) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    Person person(pausing(""));
    for (int round = 0; round < 3; ++round) {
      if (!person.is_running() || (round == 0 && !person.sees("up"))) return false;
      if (!person.types(kCtrlZ) || !person.reports(EventKind::stopped, SIGTSTP)) return false;
      if (!person.sandbox->signal_agent(SIGCONT) || !person.reports(EventKind::continued, 0)) return false;
    }
    return person.types(kCtrlC) && person.reports(EventKind::exited, SIGINT);
  }));
}

TEST_P(EngineTerminal, FreezesAnAgentThatHasStoppedAndContinuesItAfterTheThaw) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    Person person(pausing("signal.signal(signal.SIGCONT, lambda *_: os.write(1,b'again'))"));
    if (!person.is_running() || !person.sees("up")) return false;
    if (!person.types(kCtrlZ) || !person.reports(EventKind::stopped, SIGTSTP)) return false;
    return person.sandbox->freeze() && person.sandbox->thaw() && person.sandbox->signal_agent(SIGCONT) &&
           person.sees("again");
  }));
}

TEST_P(EngineTerminal, StopsAnAgentThatIsToldToBySignal) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    Person person(pausing(""));
    return person.is_running() && person.sees("up") && person.sandbox->signal_agent(SIGTSTP) &&
           person.reports(EventKind::stopped, SIGTSTP);
  }));
}

TEST_P(EngineTerminal, StopsAnAgentWithoutATerminalToo) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    SandboxPlan plan = pausing("");
    plan.terminal = false;
    auto pipe = make_pipe();
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    Person person(plan, {.run_id = "", .stdio = {null.get(), pipe->write.get(), null.get()}});
    char up[2];
    if (!person.is_running() || ::read(pipe->read.get(), up, 2) != 2) return false;
    return person.sandbox->signal_agent(SIGTSTP) && person.reports(EventKind::stopped, SIGTSTP) &&
           person.sandbox->signal_agent(SIGCONT) && person.reports(EventKind::continued, 0) &&
           person.sandbox->signal_agent(SIGINT) && person.reports(EventKind::exited, SIGINT);
  }));
}

TEST_P(EngineTerminal, GivesAnInteractiveShellJobControl) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    Person person(interactive_bash());
    if (!person.is_running() || !person.types("set -o | grep monitor; echo r''eady\n")) return false;
    if (!person.sees("monitor")) return false;
    if (person.seen.find("no job control") != std::string::npos) return false;
    if (!person.sees("on\r\n") || !person.sees("ready\r\n")) return false;
    if (!person.types("(echo u''p; exec sleep 600)\n") || !person.sees("up\r\n")) return false;
    if (!person.types(kCtrlZ) || !person.sees("Stopped")) return false;
    if (!person.types("jobs; bg; kill %1; wait; echo go''ne\n") || !person.sees("gone\r\n")) return false;
    // The job stopped, not the agent.
    return person.has_no_news() && person.types("exit 7\n") && person.reports(EventKind::exited, 7);
  }));
}

TEST_P(EngineTerminal, NeverSaysThatThereIsNoJobControl) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    Person person(interactive_bash());
    if (!person.is_running() || !person.types("exit 3\n") || !person.sees("exit 3")) return false;
    const bool complained = person.seen.find("job control") != std::string::npos;
    return !complained && person.reports(EventKind::exited, 3);
  }));
}

TEST_P(EngineTerminal, InterruptsTheForegroundJobAsATerminalWould) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    // No subshell: bash forgets an INT that comes just before its exec.
    const std::string job =
        "python3 -c 'import os,signal;signal.signal(2,signal.SIG_DFL);os.write(1,b\"u\" b\"p\\n\");signal.pause()'\n";
    Person person(interactive_bash());
    if (!person.is_running() || !person.types(job) || !person.sees("up\r\n")) return false;
    if (!person.sandbox->signal_agent(SIGTSTP) || !person.sees("Stopped")) return false;
    if (!person.types(job) || !person.sees("up\r\n")) return false;
    // The shell prompts again. (What is typed now it may discard: the signal reaches it as well.)
    return person.sandbox->signal_agent(SIGINT) && person.sees("$ ") && person.has_no_news();
  }));
}

TEST_P(EngineTerminal, SignalsAnAgentThatHasLeftItsGroup) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    // Into a child's group, which is in the same session; init's own is refused.
    Person person(
        pausing("try: os.setpgid(0,1); sys.exit(1)\n"
                "except PermissionError: pass\n"
                "child=os.fork()\n"
                "if child==0: signal.pause()\n"
                "os.setpgid(child,child); os.setpgid(0,child)"));
    return person.is_running() && person.sees("up") && person.sandbox->signal_agent(SIGSTOP) &&
           person.reports(EventKind::stopped, SIGSTOP) && person.sandbox->signal_agent(SIGKILL) &&
           person.reports(EventKind::exited, SIGKILL);
  }));
}

TEST_P(EngineTerminal, LeavesInitUntouchedByTheSignalsOfATerminal) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    // Init's group in the foreground, so that the keys reach init.
    Person person(pausing("signal.signal(signal.SIGTTOU, signal.SIG_IGN)\nos.tcsetpgrp(0,1)"));
    if (!person.is_running() || !person.sees("up")) return false;
    if (!person.types(kCtrlC) || !person.types(kCtrlZ) || !person.types("\x1c")) return false;
    // Nor by those that a hang-up and an access from the background bring.
    const pid_t init = init_of_this_process();
    for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT}) {
      if (::kill(init, number) < 0 && ::geteuid() == 0) return false;
    }
    return person.sandbox->signal_agent(SIGSTOP) && person.reports(EventKind::stopped, SIGSTOP);
  }));
}

TEST_P(EngineTerminal, EndsNothingWhenItsMasterIsClosed) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    Person person(pausing(""));
    if (!person.is_running() || !person.sees("up")) return false;
    person.sandbox->handles().pty_master.reset();
    return person.sandbox->signal_agent(SIGSTOP) && person.reports(EventKind::stopped, SIGSTOP) &&
           person.sandbox->process_count() == 2U;
  }));
}

TEST_P(EngineTerminal, KeepsTheTerminalOfAnAgentThatLeavesAllItsStreams) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    Person person(terminal_plan({"sh", "-c", "exec </dev/null >/dev/null 2>&1; echo still here >/dev/tty; sleep 600"}));
    return person.is_running() && person.sees("still here\r\n");
  }));
}

TEST_P(EngineTerminal, PutsOnlyTheStreamsOnThePtyThatBelongThere) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    for (int mask = 1; mask < 8; ++mask) {
      auto pipe = make_pipe();
      const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
      // What belongs on the pty is not looked at: -1.
      NativeSandbox::Options options;
      std::string wanted;
      for (int i = 0; i < 3; ++i) {
        options.pty[i] = (mask >> i) & 1;
        options.stdio[i] = options.pty[i] ? -1 : i == 0 ? null.get() : pipe->write.get();
        wanted += options.pty[i] ? "pty " : "no ";
      }
      Person person(terminal_plan({"sh", "-c",
                                   "s=; for i in 0 1 2; do if [ -t $i ]; then s=\"${s}pty \"; else s=\"${s}no \"; fi; "
                                   "done; echo \"$s\" >/dev/tty; echo plain; echo plain >&2"}),
                    options);
      pipe->write.reset();
      if (!person.is_running() || !person.sees(wanted + "\r\n") || !person.reports(EventKind::exited, 0)) return false;
      std::string plain;
      char buffer[64];
      for (ssize_t count; (count = ::read(pipe->read.get(), buffer, sizeof(buffer))) > 0;)
        plain.append(buffer, static_cast<size_t>(count));
      std::string expected;
      for (int i = 1; i < 3; ++i) expected += options.pty[i] ? "" : "plain\n";
      if (plain != expected) return false;
    }
    return true;
  }));
}

TEST_P(EngineTerminal, RefusesStreamsThatWouldLetTheAgentOut) {
  testing::TempTree tree(GetParam());
  const std::string block = tree.path() + "/block";
  ASSERT_TRUE(::geteuid() != 0 || ::mknod(block.c_str(), S_IFBLK | 0600, makedev(7, 0)) == 0);
  EXPECT_TRUE(as_user(GetParam(), [&] {
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (::grantpt(master.get()) < 0 || ::unlockpt(master.get()) < 0) return false;
    const Fd slave(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    const Fd directory(::open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const Fd node(::open(block.c_str(), O_PATH | O_CLOEXEC));
    const Fd datagrams(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const Fd stream(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const Fd alone(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0) return false;
    const Fd letters(pair[0]), other_letters(pair[1]);
    const char* const kSocket = "is a socket that could be connected";
    const struct {
      int fd;
      const char* why;
    } cases[] = {{datagrams.get(), kSocket},
                 {stream.get(), kSocket},
                 {alone.get(), kSocket},
                 {letters.get(), kSocket},
                 {slave.get(), "is a terminal"},
                 {master.get(), "is a terminal"},
                 {directory.get(), "is a directory"},
                 {node.get(), "is a block device"},
                 {-1, "is closed"}};
    for (const auto& each : cases) {
      if (each.fd == node.get() && !node) continue;  // an ordinary user made none
      for (int i = 0; i < 3; ++i) {
        SandboxPlan plan = shell_plan("true");
        NativeSandbox::Options options{.run_id = "test-refused", .stdio = {null.get(), null.get(), null.get()}};
        options.stdio[i] = each.fd;
        for (const bool terminal : {false, true}) {
          plan.terminal = terminal;
          for (int other = 0; other < 3; ++other) options.pty[other] = other != i;
          const auto sandbox = NativeSandbox::launch(plan, options);
          if (sandbox || sandbox.error().render().find(each.why) == std::string::npos) return false;
        }
      }
    }
    return true;
  }));
}

TEST_P(EngineTerminal, TakesAConnectedUnixStreamAsNodeMakesThem) {
  EXPECT_TRUE(as_user(GetParam(), [&] {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return false;
    const Fd ours(pair[0]), theirs(pair[1]);
    return static_cast<bool>(NativeSandbox::launch(
        shell_plan("true"), {.run_id = "test-pair", .stdio = {theirs.get(), theirs.get(), theirs.get()}}));
  }));
}

TEST_P(EngineTerminal, RefusesATerminalThatNoStreamIsOn) {
  EXPECT_TRUE(as_user(GetParam(), [] {
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const auto sandbox = NativeSandbox::launch(
        terminal_plan({"true"}),
        {.run_id = "test-none", .stdio = {null.get(), null.get(), null.get()}, .pty = {false, false, false}});
    return !sandbox && sandbox.error().kind() == ErrorKind::invalid_input;
  }));
}

}  // namespace
}  // namespace stockade::sandbox
