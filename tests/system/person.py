"""A person who uses the built program: root, or an ordinary user that needs no account. Everything of theirs (home, XDG
directories, workspace, policies) lies in one temporary folder; they run `stockade` with a clean environment."""
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import textwrap
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("STOCKADE", REPOSITORY / "build" / "stockade"))
SERVERS = "20.1.2.3"  # an address of the miniature internet's servers that is not the host's gateway, which is forbidden
SERVERS6 = "2a00:1450::1"
ORDINARY_UID = 64321  # no account has it
# A program with sanitizers in it is slower, and its memory is not its own: bounds on both are wider for it.
SANITIZED = b"__asan_init" in PROGRAM.read_bytes() if PROGRAM.exists() else False
SLOWNESS = 10 if SANITIZED else 1
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


@dataclasses.dataclass
class Done:
    status: int
    stdout: str
    stderr: str

    def __str__(self):
        return f"status {self.status}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class Run:
    """A run that is going on, started with a name."""

    def __init__(self, person, name, process):
        self.person, self.name, self.process = person, name, process

    def wait(self, timeout=60):
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()  # takes the whole sandbox with it
            self.process.communicate()
            raise
        return Done(self.process.returncode, out, err)

    def show(self):
        return self.person.show(self.name)

    def wait_until(self, condition, what, deadline=20.0):
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            if result := condition():
                return result
            if self.process.poll() is not None:
                raise AssertionError(f"the run ended before {what}: {self.wait()}")
            time.sleep(0.01)
        raise AssertionError(f"no {what} within {deadline} s")

    def wait_for_file(self, path):
        return self.wait_until(path.exists, f"{path.name} appears")

    def wait_for_parts(self):
        """Our own processes by name, once the start of each is behind it: helpers come a moment after the agent, and
        confine themselves last; the supervisor does when it has forked the last of them. With a terminal, the relay is the
        process that was started, and the supervisor below it."""
        inherited = int(process_status("self")["Seccomp_filters"])

        def parts():
            statuses = {pid: process_status(pid) for pid in (self.process.pid, *descendants(self.process.pid))}
            init = next((pid for pid, status in statuses.items() if status.get("Name") == "stockade-init"), None)
            if init is None or not all(statuses.values()):
                return None
            supervisor = statuses[init]["PPid"]
            helpers = {status["Name"].removeprefix("stockade-"): pid for pid, status in statuses.items()
                       if status["PPid"] == supervisor or status["Name"] == "relay"}
            ready = (all(int(statuses[pid]["Seccomp_filters"]) > inherited for pid in helpers.values())
                     and statuses[int(supervisor)]["NoNewPrivs"] == "1")
            whole = {"init", "inspector", "dialer", "observer"} <= helpers.keys()
            return ready and whole and {"supervisor": int(supervisor), **helpers}
        return self.wait_until(parts, "supervisor, init, inspector, dialer, observer are up")


class Person:
    def __init__(self, uid, internet=None):
        self.uid = uid
        self.internet = internet
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="stockade-test-"))
        self.folder.chmod(0o755)
        self.home = self.directory("home")
        self.work = self.directory("work")
        self.policies = self.directory("policies")
        self.state = self.directory("state")
        self.runtime = self.directory("runtime", 0o700)
        self.started = []

    @property
    def is_root(self):
        return self.uid == 0

    def close(self):
        for run in self.started:
            if run.process.poll() is None:
                run.process.kill()
            for stream in (run.process.stdout, run.process.stderr, run.process.stdin):
                if stream:
                    stream.close()
            run.process.wait()
        self.stockade("ps")  # settles what a test killed
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- files of the person ----
    def directory(self, name, mode=0o755):
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        os.chown(path, self.uid, self.uid)
        return path

    def write(self, path, text, mode=None):
        path = pathlib.Path(path)
        missing = [parent for parent in path.parents if not parent.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        if mode is not None:
            path.chmod(mode)
        for made in (*missing, path):
            os.chown(made, self.uid, self.uid)
        return path

    def policy(self, text, name="policy.yaml"):
        if isinstance(text, str):
            text = textwrap.dedent(text)
            if "version:" not in text:
                text = "version: 1\n" + text
        return self.write(self.policies / name, text)

    # ---- the program ----
    def environment(self, extra=None):
        return {"HOME": str(self.home), "PATH": PATH, "LANG": "C.UTF-8", "XDG_STATE_HOME": str(self.state),
                "XDG_RUNTIME_DIR": str(self.runtime), "TERM": "xterm", **(extra or {})}

    def command(self, *words):
        """The command line that runs `words` as this person, in the internet's host namespace if there is one."""
        line = [str(word) for word in words]
        if not self.is_root:
            line = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "--", *line]
        return self.internet.inside(line) if self.internet else line

    def stockade(self, *words, cwd=None, env=None, input=None, timeout=60):
        done = subprocess.run(self.command(PROGRAM, *words), cwd=cwd or self.work, env=self.environment(env), text=True,
                              errors="replace", capture_output=True, timeout=timeout,
                              **({"input": input} if input is not None else {"stdin": subprocess.DEVNULL}))
        return Done(done.returncode, done.stdout, done.stderr)

    def words_of_run(self, command, policy=None, options=()):
        words = ["run", *options]
        if policy is not None:
            words += ["--policy", policy if isinstance(policy, pathlib.Path) else self.policy(policy)]
        return [*words, "--", *command]

    def run(self, *command, policy=None, options=(), **more):
        """`stockade run` to its end."""
        return self.stockade(*self.words_of_run(command, policy, options), **more)

    def sh(self, script, **more):
        return self.run("sh", "-c", script, **more)

    def python(self, script, **more):
        return self.run("/usr/bin/python3", "-c", textwrap.dedent(script), **more)

    def start(self, *command, name="it", policy=None, options=(), cwd=None, env=None, **popen):
        popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
        words = self.words_of_run(command, policy, ["--name", name, *options])
        process = subprocess.Popen(self.command(PROGRAM, *words), cwd=cwd or self.work, env=self.environment(env),
                                   text=True, errors="replace", **popen)
        run = Run(self, name, process)
        self.started.append(run)
        return run

    # ---- what the program says about runs ----
    def runs(self):
        """The records of all runs, oldest first."""
        return json.loads(self.stockade("ps", "--all", "--json").stdout)

    def show(self, run):
        done = self.stockade("show", run, "--json")
        assert done.status == 0, done
        return json.loads(done.stdout)

    def last_run(self):
        return self.runs()[-1]

    def events(self, run=None, **wanted):
        """The events of a run (the last one) whose fields are as wanted; `subject` and `reason` need only be in there."""
        run = run or self.last_run()["id"]
        path = self.state / "stockade" / run / "events.jsonl"
        events = [json.loads(line) for line in path.read_text().splitlines()]
        return [event for event in events if all(
            value in event.get(key, "") if key in ("subject", "reason") else event.get(key) == value
            for key, value in wanted.items())]

    def ended_by(self):
        return self.last_run()["ended_by"]


def alive(pid):
    """Is it a process that still runs (a zombie does not)?"""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def process_status(pid):
    """What /proc says of a process; nothing of one that has ended."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def descendants(pid):
    """All processes below `pid`, as the host sees them."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found, queue = [], [pid]
    while queue:
        parent = queue.pop()
        for child in (child for child, its in parents.items() if its == parent):
            found.append(child)
            queue.append(child)
    return found


def kill(pid, number=signal.SIGKILL):
    os.kill(pid, number)
