"""Where the network benchmarks run: three namespaces of our own, made on entry and gone on exit.

    client ── lo, redirected or with HAProxy's listener       the agent's side
    host   ── 20.0.0.2, where Stockade's dialer or HAProxy connects from
    inet   ── 20.0.0.1, where the server and a resolver are

HAProxy runs in `host` and listens in `client`, as Stockade's inspector does: both sides of both are the same namespaces.
"""
import contextlib
import json
import os
import pathlib
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests" / "internet"))
from internet import RESOLVER, Internet  # noqa: E402

PORT = 7000
SERVER_ADDRESS = "20.7.0.1"  # not the gateway: the dialer refuses that
NAME = "bench.test"


class World:
    def __init__(self, tools):
        self.tools = tools
        self.internet = Internet(names={NAME: SERVER_ADDRESS})
        self.clients = []
        self.children = []

    def __enter__(self):
        self.internet.__enter__()
        try:
            self.start_server()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def start_server(self):
        server = self.internet.serve([str(self.tools / "bench_traffic"), "serve", SERVER_ADDRESS, str(PORT)],
                                     stdout=subprocess.PIPE, text=True)
        self.children.append(server)
        if server.stdout.readline().strip() != "ready":
            raise RuntimeError("the benchmark's server did not start")

    def client(self, label):
        """A new namespace with nothing but lo."""
        name = f"stk-bench-{label}-{os.getpid()}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.clients.append(name)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        return name

    def spawn(self, command, **options):
        child = subprocess.Popen(self.internet.inside(command), **options)
        self.children.append(child)
        return child

    def in_client(self, namespace, words):
        """Runs `traffic` there and gives its JSON."""
        done = subprocess.run(["ip", "netns", "exec", namespace, str(self.tools / "bench_traffic"), *map(str, words)],
                              capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"traffic {words}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def end(self, child):
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def __exit__(self, *_):
        for child in self.children:
            self.end(child)
        for name in self.clients:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        self.internet.__exit__(None, None, None)


def proportional_set_size(pids):
    """KiB, summed over processes."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total
