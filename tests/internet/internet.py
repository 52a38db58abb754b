"""The miniature internet: two network namespaces of our own, and the servers in one of them. See README.md."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SERVER_ADDRESS = "20.0.0.1"
RESOLVER = f"{SERVER_ADDRESS}:53"


def _ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Internet:
    """with Internet(names={"api.test": "20.0.0.1"}) as internet: internet.run([...])"""

    def __init__(self, names=None, model_script=None):
        self.names = dict(names or {})
        self.model_script = model_script or []
        tag = f"{os.getpid()}-{id(self) & 0xffff:x}"
        self.host = f"stk-host-{tag}"
        self.inet = f"stk-inet-{tag}"
        self.folder = tempfile.TemporaryDirectory(prefix="stockade-internet-")
        self.path = pathlib.Path(self.folder.name)
        self.path.chmod(0o755)
        self.process = None

    def __enter__(self):
        try:
            self._make_namespaces()
            self._start_servers()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for name in (self.host, self.inet):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        self.folder.cleanup()

    def _make_namespaces(self):
        for name in (self.host, self.inet):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", self.host, "link", "add", "up0", "type", "veth", "peer", "name", "down0", "netns", self.inet)
        _ip("-n", self.host, "addr", "add", "20.0.0.2/30", "dev", "up0")
        _ip("-n", self.inet, "addr", "add", f"{SERVER_ADDRESS}/30", "dev", "down0")
        # Any IPv4 address is local to the servers, so each test may give its names any address.
        _ip("-n", self.inet, "route", "add", "local", "0.0.0.0/0", "dev", "lo")
        _ip("-n", self.host, "addr", "add", "2a00:20::2/126", "dev", "up0", "nodad")
        _ip("-n", self.inet, "addr", "add", "2a00:20::1/126", "dev", "down0", "nodad")
        _ip("-n", self.host, "link", "set", "up0", "up")
        _ip("-n", self.inet, "link", "set", "down0", "up")
        _ip("-n", self.inet, "-6", "route", "add", "local", "2a00:1450::/32", "dev", "lo")
        _ip("-n", self.host, "route", "add", "default", "via", SERVER_ADDRESS)
        _ip("-n", self.host, "-6", "route", "add", "default", "via", "2a00:20::1")

    def _start_servers(self):
        config = {"names": self.names, "model_script": self.model_script, "folder": str(self.path)}
        (self.path / "config.json").write_text(json.dumps(config))
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.inet, sys.executable, str(HERE / "servers.py"), str(self.path / "config.json")],
            stdout=subprocess.PIPE, stderr=open(self.path / "servers.err", "w"), text=True)
        ready = self.process.stdout.readline().strip()
        if ready != "ready":
            raise RuntimeError("servers did not start: " + (self.path / "servers.err").read_text())

    @property
    def ca(self):
        """The CA that signed the servers' certificates (readable by everyone)."""
        return self.path / "ca.pem"

    def seen(self, kind=None):
        """What the servers saw: dicts with `kind` (dns, connect, http, tls) and details, in order."""
        path = self.path / "seen.jsonl"
        if not path.exists():
            return []
        events = [json.loads(line) for line in path.read_text().splitlines() if line]
        return [event for event in events if kind is None or event["kind"] == kind]

    def inside(self, command):
        """A command line that runs `command` in the host namespace (all else stays as it is)."""
        return ["nsenter", f"--net=/run/netns/{self.host}", *command]

    def run(self, command, **options):
        options.setdefault("timeout", 60)
        options.setdefault("capture_output", True)
        options.setdefault("text", True)
        return subprocess.run(self.inside(command), **options)

    def serve(self, command, **options):
        """Starts another server (psql, sshd, …) in the servers' namespace; the caller ends it."""
        return subprocess.Popen(["nsenter", f"--net=/run/netns/{self.inet}", *command], **options)


def wait_for_port(internet, port, deadline=20.0):
    """Waits until something in the servers' namespace accepts on `port`."""
    script = f"import socket; socket.create_connection(('{SERVER_ADDRESS}', {port}), 1).close()"
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        done = subprocess.run(["nsenter", f"--net=/run/netns/{internet.inet}", sys.executable, "-c", script],
                              capture_output=True)
        if done.returncode == 0:
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port}")
