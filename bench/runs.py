"""Runs of the built program, for the benchmarks: started in a folder of their own, found, measured, ended."""
import contextlib
import json
import os
import pathlib
import select
import socket
import subprocess
import time

from world import proportional_set_size

POLICY = """version: 1
sandbox: {{ memory: 512MiB, cpus: 1, pids: {pids}, disk: 256MiB }}
network:
  resolver: 127.0.0.1:53
  allow:
    - {{ host: api.example.com, ports: [443], tls: passthrough }}
files:
  - {{ host: {work}, access: write }}
  - {{ host: {tools}, at: /bench, access: read }}
limits: {{ time: 60s }}
"""
CONNECT = "import socket, sys; socket.socket(fileno=int(sys.argv[1])).connect(sys.argv[2]); print(flush=True); sys.stdin.read()"


class Folder:
    """A home, a work folder and a policy below `path`, of root's or of an ordinary user's."""

    def __init__(self, path, tools, pids=256, user=0):
        self.user = user
        self.home, self.work, self.policy = path / "home", path / "work", path / "policy.yaml"
        self.work.mkdir()
        (self.home / "run").mkdir(parents=True, mode=0o700)
        self.policy.write_text(POLICY.format(pids=pids, work=self.work, tools=tools))
        self.environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8",
                            "XDG_STATE_HOME": str(self.home / "state"), "XDG_RUNTIME_DIR": str(self.home / "run")}
        for made in (self.work, self.home, self.home / "run", self.policy):
            os.chown(made, user, user)


class Running:
    """One run; `ready` is the time from its start until its program's first line, in seconds."""

    def __init__(self, program, folder, command, name=None):
        words = [str(program), "run", "--quiet", "--policy", str(folder.policy), *(["--name", name] if name else []), "--", *command]
        self.folder = folder
        begin = time.monotonic()
        self.process = subprocess.Popen(words, cwd=folder.work, env=folder.environment, stdin=subprocess.DEVNULL,
                                        user=folder.user, group=folder.user, extra_groups=[],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        self.ready = time.monotonic() - begin
        if line.strip() != b"ready":
            self.process.kill()
            raise RuntimeError("stockade run: " + self.process.communicate()[1].decode(errors="replace").strip())

    def ours(self):
        """The supervisor and its workers: {name: pid}, without the sandbox's init."""
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found = {"supervisor": pid}
        for child in map(int, children):
            with contextlib.suppress(FileNotFoundError):  # some live for a moment only
                found[pathlib.Path(f"/proc/{child}/comm").read_text().strip()] = child
        self.init = found.pop("stockade-init", None)
        return found

    def wait_for_helpers(self, deadline=20.0):
        """Inspector and dialer come a little after the agent."""
        end = time.monotonic() + deadline
        while not {"inspector", "dialer"} <= self.ours().keys():
            if time.monotonic() > end:
                raise RuntimeError("no inspector or dialer came up")
            time.sleep(0.005)

    def memory(self):
        self.wait_for_helpers()
        return proportional_set_size(self.ours().values())

    def inside(self):
        """How many processes its pid namespace holds."""
        self.ours()
        own = os.readlink(f"/proc/{self.init}/ns/pid")
        count = 0
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    count += os.readlink(f"/proc/{entry}/ns/pid") == own
                except OSError:
                    pass
        return count

    def wait_for_processes(self, count, deadline=20.0):
        end = time.monotonic() + deadline
        while self.inside() < count:
            if time.monotonic() > end:
                raise RuntimeError(f"only {self.inside()} of {count} processes came up")

    def control(self):
        """A connection to this run's control socket, and the process of the same user that made it: only such are heard."""
        runtime = self.folder.home / "run" / "stockade"
        for path in runtime.iterdir():
            if json.loads((self.folder.home / "state" / "stockade" / path.name / "run.json").read_text())["supervisor_pid"] == self.process.pid:
                peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                connector = subprocess.Popen(["/usr/bin/python3", "-c", CONNECT, str(peer.fileno()), str(path / "control.sock")], pass_fds=[peer.fileno()],
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=self.folder.user, group=self.folder.user, extra_groups=[])
                connector.stdout.readline()
                return peer, connector
        raise RuntimeError("no control socket")

    def kill(self, command=None):
        """Asks for the end, by the control socket or by `stockade kill`; seconds from the request until init is dead, which the kernel lets happen only when every
        process of its namespace was reaped."""
        self.ours()
        (peer, connector), init = self.control(), os.pidfd_open(self.init)
        waiting = select.poll()
        waiting.register(init, select.POLLIN)
        request = b'{"jsonrpc": "2.0", "id": 1, "method": "kill", "params": {"reason": "benchmark"}}\n'
        begin = time.monotonic()
        if command:
            killer = subprocess.Popen(command, env=self.folder.environment, user=self.folder.user, group=self.folder.user, extra_groups=[])
        else:
            peer.sendall(request)
        if not waiting.poll(30000):
            raise RuntimeError("init outlived its kill by 30 s")
        took = time.monotonic() - begin
        if command:
            killer.wait(timeout=30)
        os.close(init)
        peer.close()
        connector.communicate()
        self.process.communicate(timeout=30)
        return took

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()
