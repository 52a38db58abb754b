"""A run at a terminal behaves as without Stockade: size, keys, job control, colours; and what acts on the person's
terminal does not pass."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from person import PROGRAM

POLICY = "files: [{ host: ., access: write }]\n"


class Terminal:
    """A shell at a pty, as a person has it; types and reads."""

    def __init__(self, person):
        self.person = person
        self.master, slave = pty.openpty()
        self.resize(24, 80)
        os.fchown(slave, person.uid, person.uid)

        def become_leader():
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests under nohup ignores it, and so would the run
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.shell = subprocess.Popen(person.command("bash", "--norc", "--noprofile", "-i"), cwd=person.work, stdin=slave,
                                      stdout=slave, stderr=slave, env=person.environment({"PS1": "ready> "}), preexec_fn=become_leader)
        os.close(slave)
        self.text = ""
        self.expect("ready> ")

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys.encode())

    def expect(self, pattern, deadline=20.0):
        """Reads until `pattern` has come, and forgets what is before its end."""
        end = time.monotonic() + deadline
        while not (found := re.search(pattern, self.text)):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"{pattern!r} did not come: {self.text!r}")
            try:
                self.text += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(f"the terminal ended before {pattern!r}: {self.text!r}") from None
        before = self.text[:found.end()]
        self.text = self.text[found.end():]
        return before

    def run(self, *command, options=""):
        words = " ".join("'" + word.replace("'", "'\\''") + "'" for word in command)
        # Sourced from a file, so that nothing of it is echoed and taken for the agent's output.
        line = f"{PROGRAM} run --quiet {options} --policy {self.person.policy(POLICY)} -- {words}\n"
        self.type(f". {self.person.write(self.person.policies / 'go', line)}\n")
        self.expect("policies/go")

    def status(self):
        self.expect("ready> ")
        self.type("echo status=$?=\n")
        return int(re.search(r"status=(\d+)=\r", self.expect(r"status=\d+=\r")).group(1))

    def settings(self):
        """As a program that the shell starts finds them (the shell's own line editor changes them for itself)."""
        self.type("stty -g; echo now=$((1+1))\n")
        return re.search(r"([0-9a-f]+(?::[0-9a-f]+){10,})\r", self.expect(r"now=2\r[^>]*ready> ")).group(1)

    def close(self):
        self.shell.kill()
        os.close(self.master)
        self.shell.wait()


@pytest.fixture
def terminal(stockade):
    terminal = Terminal(stockade)
    yield terminal
    terminal.close()


def test_the_agent_has_a_terminal_of_its_own_and_its_size(terminal):
    terminal.run("sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size; tty")
    assert re.search(r"24 80\r\n/dev/pts/\d", terminal.expect(r"/dev/pts/\d+"))
    assert terminal.status() == 0


def test_the_exit_status_comes_through(terminal):
    terminal.run("sh", "-c", "exit 42")
    assert terminal.status() == 42


def test_resize(terminal):
    terminal.run("bash", "-c", "trap 'stty size; exit' WINCH; echo up; while :; do sleep 0.05; done")
    terminal.expect("up")
    terminal.resize(40, 132)
    terminal.expect("40 132")
    assert terminal.status() == 0


def test_ctrl_c(terminal):
    # exec: an interrupt while dash starts a child is lost, also without Stockade.
    for _ in range(5):
        terminal.run("sh", "-c", "echo up; exec sleep 60")
        terminal.expect("up")
        terminal.type("\x03")
        assert terminal.status() == 130


def test_ctrl_c_is_the_agents_to_handle(terminal):
    terminal.run("bash", "-c", "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 0.05; done")
    terminal.expect("up")
    terminal.type("\x03")
    terminal.expect("caught")
    assert terminal.status() == 5


def test_ctrl_z_stops_everything_and_fg_goes_on(terminal):
    work = terminal.person.work
    terminal.run("bash", "-c", "echo x > count; (while :; do echo x >> count; sleep 0.01; done) & echo up; read line; echo got $line")
    terminal.expect("up")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect("ready> ")
    size = (work / "count").stat().st_size
    time.sleep(0.2)  # that nothing happens takes time to see
    assert (work / "count").stat().st_size == size
    terminal.type("fg\n")
    terminal.expect("\n")
    terminal.type("hello\n")
    terminal.expect("got hello")
    assert terminal.status() == 0


def test_a_shell_inside_has_job_control(terminal):
    terminal.run("bash", "--norc", "--noprofile", "-i")
    terminal.type("sleep 50 | cat\n")
    time.sleep(0.3)
    terminal.type("\x1a")
    seen = terminal.expect("Stopped")
    assert "no job control" not in seen
    terminal.type("kill %1; exit 3\n")
    terminal.expect("exit")
    terminal.type("exit 3\n")
    terminal.expect("ready> |exit")


def test_keys_pass_raw_to_programs_that_want_them(terminal):
    terminal.run("/usr/bin/python3", "-c", "import tty,os; tty.setraw(0); os.write(1,b'raw'); print(os.read(0,20),end='\\r\\n')")
    terminal.expect("raw")
    terminal.type("\x1b[A")
    terminal.expect(re.escape("b'\\x1b[A'"))
    assert terminal.status() == 0


def test_colours_pass_and_what_acts_on_the_terminal_does_not(terminal):
    terminal.run("printf", r"begin \033[31mred\033[0m \033]52;c;c2VjcmV0\007 \033[21t \033]50;font\007 \033P+q\033\\ end\n")
    seen = terminal.expect("end")
    assert "\x1b[31mred\x1b[0m" in seen
    for dropped in ("]52", "[21t", "]50", "\x1bP"):
        assert dropped not in seen
    assert terminal.status() == 0


def test_a_pipe_in_the_command_line_stays_a_pipe(terminal):
    terminal.type(f"{PROGRAM} run --quiet -- sh -c 'test -t 0 && echo in; test -t 1 || echo piped' | tr a-z A-Z\n")
    terminal.expect("IN\r\nPIPED\r\n")
    assert terminal.status() == 0


def test_the_terminal_is_as_before_after_a_kill(terminal):
    before = terminal.settings()
    terminal.run("/usr/bin/python3", "-c", "import tty,time; tty.setraw(0); print('up'); time.sleep(60)", options="--name it")
    terminal.expect("up")
    assert terminal.person.stockade("kill", "it").status == 0
    assert terminal.status() == 137
    assert terminal.settings() == before


def test_a_hang_up_ends_the_run(stockade):
    terminal = Terminal(stockade)
    terminal.run("sh", "-c", "touch up; sleep 60", options="--name it")
    end = time.monotonic() + 20
    while not (stockade.work / "up").exists() and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(terminal.shell.pid, signal.SIGKILL)
    terminal.close()
    end = time.monotonic() + 10
    while stockade.show("it")["status"] != "ended" and time.monotonic() < end:
        time.sleep(0.02)
    assert stockade.show("it")["status"] == "ended"
