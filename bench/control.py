"""The kill switch, the memory of our own processes, and how the rest of the machine feels what happens inside."""
import json
import os
import pathlib
import select
import statistics
import subprocess
import tempfile
import time

import start
from runs import Folder, Running
from world import proportional_set_size

ATTACKS = {"fork bomb": ["bomb"], "10 GiB of memory": ["memory"], "disk filled": ["disk"], "inodes filled": ["inodes"],
           "100,000 descriptors": ["descriptors"], "100,000 refused connections": ["refused", "192.0.2.1", "443"],
           "1 GiB line on stdout": ["line"]}


def hostile(*words):
    return ["/bench/bench_hostile", *words]


def kills(program, folder, rounds):
    """Milliseconds, for ten idle processes and for a fork bomb at its limit of 256."""
    result = {}
    by_command = [str(program), "kill", "bench-kill"]
    for label, words, count, command in (("ten", ["processes", "10"], 11, None), ("bomb", ["bomb"], 250, None),
                                         ("ten_by_command", ["processes", "10"], 11, by_command)):
        times = []
        for _ in range(rounds):
            run = Running(program, folder, hostile(*words), name="bench-kill")
            try:
                run.wait_for_processes(count)
                times.append(run.kill(command) * 1000)
            finally:
                run.end()
        times.sort()
        result[label] = {"median": statistics.median(times), "worst": times[-1], "rounds": rounds}
    return result


def podman_kill(rounds, tools):
    """The same ten processes in a podman container: from `podman kill` to the end of its init. Or why not."""
    with start.without_unified_cgroups() as holder, tempfile.TemporaryDirectory(
            prefix="stockade-bench-", dir="/srv", ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        (folder / "work").mkdir()
        bundle = start.crun_bundle(folder, folder / "work")
        inside = ["nsenter", "--mount", "--target", str(holder)] if holder else []
        podman = [*inside, "podman", "--root", str(folder / "storage"), "--runroot", str(folder / "run"), "--cgroup-manager", "cgroupfs"]
        run = [*podman, "run", "--rm", "-d", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096",
               "--pids-limit", "256", "-v", "/usr:/usr:ro", "-v", f"{tools}:/bench:ro", "--rootfs", str(bundle / "rootfs"), *hostile("processes", "10")]
        times = []
        for _ in range(rounds):
            done = subprocess.run(run, capture_output=True, text=True, timeout=60)
            if done.returncode != 0:
                return {"skipped": (done.stderr.strip().splitlines() or ["podman failed"])[-1]}
            ident = done.stdout.strip()
            pid = int(subprocess.run([*podman, "inspect", "-f", "{{.State.Pid}}", ident], capture_output=True, text=True, check=True).stdout)
            init = os.pidfd_open(pid)
            begin = time.monotonic()
            killer = subprocess.Popen([*podman, "kill", ident], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for_end(init)
            times.append((time.monotonic() - begin) * 1000)
            os.close(init)
            killer.wait(timeout=60)
            while subprocess.run([*podman, "container", "exists", ident], timeout=60).returncode == 0:
                time.sleep(0.05)  # --rm: its own clean-up runs behind
        return {"median": statistics.median(times), "worst": max(times), "rounds": rounds}


def wait_for_end(pidfd):
    waiting = select.poll()
    waiting.register(pidfd, select.POLLIN)
    waiting.poll(30000)


def tick_during(tools, action):
    """The 1 ms timer's lateness while `action` runs."""
    timer = subprocess.Popen([str(tools / "bench_tick"), "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    timer.stdout.readline()
    begin = time.monotonic()
    action()
    took = time.monotonic() - begin
    result = json.loads(timer.communicate("\n", timeout=30)[0])
    return {**result, "seconds": took}


def attack(program, folder, words, seconds):
    run = Running(program, folder, hostile(*words))
    try:
        os.set_blocking(run.process.stdout.fileno(), False)
        end = time.monotonic() + seconds
        while run.process.poll() is None and time.monotonic() < end:
            try:
                while run.process.stdout.read1(1 << 20):
                    pass
            except (BlockingIOError, TypeError):
                pass
            time.sleep(0.002)
    finally:
        run.end()


def responsiveness(program, tools, folder, seconds=5.0):
    result = {"nothing": tick_during(tools, lambda: time.sleep(2))}
    for label, words in ATTACKS.items():
        result[label] = tick_during(tools, lambda words=words: attack(program, folder, words, seconds))
    return result


def kills_of_a_user(program, tools, rounds):
    """The same by an ordinary user without a cgroup of their own."""
    with tempfile.TemporaryDirectory(prefix="stockade-bench-", dir="/srv") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        return kills(program, Folder(folder, tools, user=start.USER), rounds)


def measure(program, tools, rounds=50):
    with tempfile.TemporaryDirectory(prefix="stockade-bench-", dir="/srv") as name:
        folder = Folder(pathlib.Path(name), tools)
        run = Running(program, folder, hostile("processes", "1"))
        try:
            run.wait_for_helpers()
            result = {"pss_kib": {name: proportional_set_size([pid]) for name, pid in run.ours().items()}}
        finally:
            run.end()
        result["kill"] = kills(program, folder, rounds)
        result["kill_user"] = kills_of_a_user(program, tools, rounds)
        result["podman"] = podman_kill(min(rounds, 10), tools)
        result["ticks"] = responsiveness(program, tools, folder)
        return result


if __name__ == "__main__":
    import sys
    print(json.dumps(measure(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), *map(int, sys.argv[3:])), indent=1))
