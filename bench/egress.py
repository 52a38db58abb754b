"""Wall 3 against HAProxy in TCP mode with splice: throughput, new connections, memory of idle connections."""
import contextlib
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

from world import NAME, PORT, RESOLVER, SERVER_ADDRESS, World, proportional_set_size

# What a TCP socket is made of in the kernel, apart from the data in its buffers.
SOCKET_CACHES = ("TCP", "TCPv6", "sock_inode_cache", "filp", "dentry", "eventpoll_epi", "eventpoll_pwq", "tcp_bind_bucket",
                 "tcp_bind2_bucket", "kmalloc-32", "kmalloc-64", "kmalloc-192")
HAPROXY = """
global
  nbthread 1
  maxpipes 128
  maxconn 9500
defaults
  mode tcp
  timeout connect 10s
  timeout client 600s
  timeout server 600s
  option splice-auto
  maxconn 9500
listen bench
  bind 127.0.0.1:{port} namespace {client}
  server s {server}:{port}
"""


@contextlib.contextmanager
def haproxy(world, folder):
    client = world.client("haproxy")
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=PORT, client=client, server=SERVER_ADDRESS))
    child = world.spawn(["haproxy", "-db", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_listener(client, child)
        yield {"client": client, "host": "127.0.0.1", "pids": [child.pid]}
    finally:
        world.end(child)


def wait_for_listener(client, child):
    for _ in range(200):
        if child.poll() is not None:
            raise RuntimeError("haproxy: " + child.stderr.read())
        table = subprocess.run(["ip", "netns", "exec", client, "ss", "-Hltn", f"sport = :{PORT}"], capture_output=True, text=True)
        if table.stdout.strip():
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=0.05)
    raise RuntimeError("haproxy does not listen")


@contextlib.contextmanager
def stockade(world, folder):
    """The inspector and the dialer with the real log; the client resolves the name through the inspector."""
    client = world.client("stockade")
    state = folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    child = world.spawn([str(world.tools / "egress_bench"), f"/run/netns/{client}", NAME, str(PORT), RESOLVER, str(state)],
                        stdout=subprocess.PIPE, text=True)
    resolv = pathlib.Path("/etc/netns") / client
    try:
        resolv.mkdir(parents=True)
        (resolv / "resolv.conf").write_text("nameserver 198.18.0.1\n")
        words = child.stdout.readline().split()
        if not words or words[0] != "ready":
            raise RuntimeError("egress_bench did not start")
        yield {"client": client, "host": NAME, "pids": [child.pid, *map(int, words[1:])], "workers": list(map(int, words[1:]))}
    finally:
        world.end(child)
        subprocess.run(["rm", "-rf", str(resolv)], check=False)
        with contextlib.suppress(OSError):
            resolv.parent.rmdir()


RUN_POLICY = """version: 1
network:
  resolver: {resolver}
  allow:
    - {{ host: {name}, ports: [{port}], protocol: tcp, tls: passthrough{programs} }}
files:
  - {{ host: {tools}, at: /bench, access: read }}
"""


def whole_run(world, program, folder, label, programs=""):
    """The client inside `stockade run`: everything that stands in a connection's way does."""
    place = folder / label
    (place / "run").mkdir(parents=True, mode=0o700)
    policy = place / "policy.yaml"
    policy.write_text(RUN_POLICY.format(resolver=RESOLVER, name=NAME, port=PORT, programs=programs, tools=world.tools))
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(place), "XDG_STATE_HOME": str(place / "state"), "XDG_RUNTIME_DIR": str(place / "run")}
    command = [str(program), "run", "--quiet", "--policy", str(policy), "--",
               "/bin/sh", "-c", '"$@"; exit $?', "sh", "/bench/bench_traffic"]  # the client is a child, as an agent's tools are

    def client(words):
        done = world.internet.run([*command, *map(str, words)], env=environment, cwd=place, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"stockade run, traffic {words}: {done.stderr.strip()}")
        return json.loads(done.stdout)
    return {"host": NAME, "run": client}


def interleaved(world, sides, words, key, rounds):
    """Medians of each side, one after the other in each round."""
    values = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            run = side.get("run") or (lambda words, side=side: world.in_client(side["client"], words))
            values[name].append(run([words[0], side["host"], PORT, *words[1:]])[key])
    return {name: statistics.median(list_) for name, list_ in values.items()}


def slab_bytes():
    sizes = {}
    for line in pathlib.Path("/proc/slabinfo").read_text().splitlines()[2:]:
        fields = line.split()
        sizes[fields[0]] = int(fields[1]) * int(fields[3])
    return {name: sizes.get(name, 0) for name in SOCKET_CACHES}


def idle_memory(world, side, connections):
    """Bytes for each idle connection: our processes' proportional set size, and half of the growth of the kernel's socket
    caches (of four sockets a connection two are the proxy's)."""
    before_pss, before_slab = proportional_set_size(side["pids"]), slab_bytes()
    client = subprocess.Popen(["ip", "netns", "exec", side["client"], str(world.tools / "bench_traffic"), "idle", side["host"],
                               str(PORT), str(connections)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if client.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{connections} idle connections were not reached")
        taken = wait_until_taken(side["client"], connections)
        after_pss, after_slab = proportional_set_size(side["pids"]), slab_bytes()
    finally:
        client.communicate("\n", timeout=60)
    kernel = sum(max(0, after_slab[name] - before_slab[name]) for name in SOCKET_CACHES) / 2
    return {"processes": (after_pss - before_pss) * 1024 / taken, "kernel": kernel / taken, "taken": taken}


def wait_until_taken(client, connections, patience=20.0):
    """How many the proxy has taken, seen by its sockets having read the client's byte: all of them, or what it has after
    `patience` (HAProxy takes the last thousands slowly)."""
    end = time.monotonic() + patience
    while True:
        table = subprocess.run(["ip", "netns", "exec", client, "ss", "-Htn", "state", "established", f"sport = :{PORT}"],
                               capture_output=True, text=True).stdout.splitlines()
        taken = sum(line.split()[0] == "0" for line in table)
        if taken >= connections or time.monotonic() > end:
            return taken
        time.sleep(0.2)


def measure_idle(tools, connections=9000):
    """With servers of its own: what many short connections leave behind, and 9,000 long ones, would slow the other."""
    with tempfile.TemporaryDirectory(prefix="stockade-bench-", dir="/srv") as name, World(tools) as world:
        folder = pathlib.Path(name)
        with haproxy(world, folder) as theirs, stockade(world, folder) as ours:
            return {name: idle_memory(world, side, connections) for name, side in (("stockade", ours), ("haproxy", theirs))}


def measure(program, tools, seconds=2.0, rounds=5):
    result = {"idle": measure_idle(tools)}
    with tempfile.TemporaryDirectory(prefix="stockade-bench-", dir="/srv") as name, World(tools) as world:
        folder = pathlib.Path(name)
        with haproxy(world, folder) as theirs, stockade(world, folder) as ours:
            plain = whole_run(world, program, folder, "plain")
            picky = whole_run(world, program, folder, "programs", ", programs: [/bench/bench_traffic]")
            sides = {"stockade": plain, "haproxy": theirs}
            result["pss_kib"] = proportional_set_size(ours["workers"])
            for connections in (1, 64):
                result[f"stream_{connections}"] = interleaved(world, sides, ["stream", connections, seconds], "bytes_per_second", rounds)
            # A longer round would run out of local ports (28,000 in TIME_WAIT), and measure that.
            result["rate"] = interleaved(world, {**sides, "programs": picky}, ["rate", 32, min(seconds, 0.7)], "connections_per_second", rounds)
            return result


if __name__ == "__main__":
    import sys
    print(json.dumps(measure(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), *map(float, sys.argv[3:4])), indent=1))
