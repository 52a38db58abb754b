"""Wall 5: the kill switch, pause and resume; and whatever dies, nothing inside outlives it."""
import json
import pathlib
import textwrap
import time

import pytest

from person import SLOWNESS, alive, descendants, kill

POLICY = """
files: [{ host: ., access: write }]
network: { allow: [{ host: api.test, tls: passthrough }] }
"""
# Ten processes that ignore every signal they can, half of them in sessions of their own.
STUBBORN = """
import os, signal, time
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except OSError: pass
for i in range(9):
    if os.fork() == 0:
        if i % 2: os.setsid()
        while True: time.sleep(1)
open('ready', 'w').close()
while True: time.sleep(1)
"""


def start_stubborn(person, name="stubborn"):
    run = person.start("/usr/bin/python3", "-c", STUBBORN, name=name, policy=POLICY)
    run.wait_for_file(person.work / "ready")
    run.wait_for_parts()
    pids = descendants(run.process.pid)
    assert len(pids) >= 14  # ten of the agent, init, inspector, dialer, observer
    return run, pids


def gone_after(pids, limit):
    """The time until none of `pids` runs any more; more than `limit` seconds is a failure."""
    begin = time.monotonic()
    limit *= SLOWNESS
    while any(alive(pid) for pid in pids):
        if time.monotonic() - begin > limit:
            raise AssertionError(f"still alive after {limit} s: {[p for p in pids if alive(p)]}")
        time.sleep(0.001)
    return time.monotonic() - begin


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "R"
    except OSError:
        return False


def test_kill_ends_everything_at_once(stockade):
    run, pids = start_stubborn(stockade)
    done = stockade.stockade("kill", "stubborn", "--reason", "enough")
    assert done.status == 0, done
    gone_after(pids, 0.5)
    assert run.wait().status == 137
    assert run.show()["ended_by"] == "kill"
    events = stockade.events(run.show()["id"], kind="kill")
    assert len(events) == 1 and events[0]["wall"] == "monitor" and "enough" in json.dumps(events[0])


def test_kill_by_id_and_a_prefix_is_no_id(stockade):
    run, _ = start_stubborn(stockade)
    identity = run.show()["id"]
    assert stockade.stockade("kill", "stub").status == 1
    assert run.process.poll() is None
    assert stockade.stockade("kill", identity).status == 0
    assert run.wait().status == 137


def test_kill_all(stockade):
    runs = [stockade.start("sleep", "60", name=f"r{i}") for i in range(3)]
    for run in runs:
        run.wait_until(lambda: any(r["name"] == run.name for r in json.loads(stockade.stockade("ps", "--json").stdout)), "listed")
    assert stockade.stockade("kill", "--all").status == 0
    assert [run.wait().status for run in runs] == [137, 137, 137]
    assert json.loads(stockade.stockade("ps", "--json").stdout) == []


def test_kill_of_what_has_ended_or_never_was(stockade):
    stockade.run("true", options=["--name", "over"])
    assert stockade.stockade("kill", "over").status == 1
    assert stockade.stockade("kill", "never").status == 1
    assert stockade.stockade("kill").status == 2


def test_pause_stands_still_and_resume_goes_on(stockade):
    run = stockade.start("/usr/bin/python3", "-c", "import time\nn = 0\nwhile True:\n n += 1\n open('count', 'w').write(str(n))\n time.sleep(0.002)",
                         policy=POLICY)
    count = stockade.work / "count"
    run.wait_for_file(count)
    assert stockade.stockade("pause", "it").status == 0
    assert run.show()["status"] == "paused"
    stood = count.stat().st_mtime_ns
    time.sleep(0.2)  # the one thing that needs time: that nothing happens in it
    assert count.stat().st_mtime_ns == stood
    assert stockade.stockade("resume", "it").status == 0
    run.wait_until(lambda: count.stat().st_mtime_ns != stood, "it goes on")
    assert run.show()["status"] == "running"
    assert stockade.stockade("kill", "it").status == 0
    assert run.wait().status == 137


def test_a_paused_run_can_be_killed(stockade):
    run, pids = start_stubborn(stockade)
    assert stockade.stockade("pause", "stubborn").status == 0
    assert stockade.stockade("kill", "stubborn").status == 0
    gone_after(pids, 0.5)
    assert run.wait().status == 137


def test_a_load_that_holds_init_back_can_be_paused_and_killed(stockade):
    """Of an ordinary user, init has the agent's uid, and no cgroup holds the run: the agent may try to make it slow. Each
    process inside counts in a page of its own workspace: from the pause on, none gets any further."""
    counts = stockade.write(stockade.work / "counts", bytes(201 * 8))
    run = stockade.start("/usr/bin/python3", "-c", textwrap.dedent("""
        import mmap, os, time
        for attack in (lambda: os.setpriority(os.PRIO_PROCESS, 1, 19), lambda: os.setpriority(os.PRIO_USER, 0, 19),
                       lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0))):
            try:
                attack()
                print("done", flush=True)
            except PermissionError:
                pass
        counts = memoryview(mmap.mmap(os.open("counts", os.O_RDWR), 201 * 8)).cast("Q")
        waiting, start = os.pipe()
        for i in range(200):
            if os.fork() == 0:
                os.close(start)
                os.read(waiting, 1)
                while True:
                    counts[i] += 1
        open("spinning", "w").close()
        os.close(start)
        while True:
            counts[200] += 1
        """), policy=POLICY)
    run.wait_for_file(stockade.work / "spinning")
    init = run.wait_for_parts()["init"]
    for _ in range(3):
        assert stockade.stockade("pause", "it").status == 0
        stood = counts.read_bytes()
        inside = descendants(init)
        assert len(inside) == 201
        # One that freezes may be woken inside the kernel, and sleeps on: it runs for a moment, but none of its own code.
        run.wait_until(lambda: not any(is_running(pid) for pid in inside), "nothing inside runs")
        assert counts.read_bytes() == stood
        assert stockade.stockade("resume", "it").status == 0
    run.wait_until(lambda: counts.read_bytes() != stood, "it goes on")
    began = time.monotonic()
    assert stockade.stockade("kill", "it").status == 0
    assert time.monotonic() - began < 2 * SLOWNESS
    done = run.wait()
    assert done.status == 137 and done.stdout == "", done


@pytest.mark.parametrize("dies", ["with its log", "before its log"])
def test_a_later_verb_clears_away_what_a_dead_supervisor_left(stockade, dies):
    run = stockade.start("sh", "-c", "mkdir -m 0 /tmp/closed; echo x > /tmp/x; touch there; sleep 100",
                         policy="sandbox: { memory: 128MiB, disk: 1GiB }\nfiles: [{ host: ., access: write }]\n")
    run.wait_for_file(stockade.work / "there")
    state = stockade.state / "stockade" / run.show()["id"]
    assert list((state / "work").glob("scratch-*"))
    run.process.kill()
    run.wait()
    if dies == "before its log":
        (state / "events.jsonl").unlink()
    assert stockade.stockade("ps").status == 0
    assert not (state / "work").exists() and not list((stockade.runtime / "stockade").iterdir())
    assert json.loads((state / "run.json").read_text())["ended_by"] == "error:supervisor"


@pytest.mark.parametrize("part", ["supervisor", "inspector", "dialer", "observer", "init"])
def test_kill_9_of_a_part_ends_the_whole_sandbox_within_100_ms(stockade, part):
    run, pids = start_stubborn(stockade)
    kill(run.wait_for_parts()[part])
    gone_after(pids, 0.1)
    done = run.wait()
    assert done.status == (-9 if part == "supervisor" else 137), done
    record = run.show()  # settles what a dead supervisor could not write
    assert record["status"] == "ended" and record["ended_by"] == f"error:{part}", record
    last = stockade.events(record["id"])[-1]
    assert last["kind"] == ("unclean_end" if part == "supervisor" else "end") and last["subject"] == record["ended_by"]
    verified = stockade.stockade("audit", "verify", record["id"], "--json")
    assert verified.status == 0, verified
    assert json.loads(verified.stdout)["integrity"] == ("recovered" if part == "supervisor" else "clean")


def test_what_the_supervisor_left_is_removed_by_the_next_verb(stockade):
    run, _ = start_stubborn(stockade)
    kill(run.process.pid)
    run.wait()
    assert stockade.stockade("ps").status == 0
    left = [p for p in (stockade.runtime / "stockade").iterdir()] if (stockade.runtime / "stockade").exists() else []
    assert left == []
    left = [path for path in pathlib.Path("/sys/fs/cgroup").glob("**/stockade-*") if run.show()["id"] in path.name]
    assert left == []


def test_a_daemon_does_not_outlive_the_agent(stockade):
    done = stockade.python("""
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open('daemon', 'w').write('alive')
                while True:
                    time.sleep(0.01); os.utime('daemon')
            os._exit(0)
        while not os.path.exists('daemon'): time.sleep(0.01)
        """, policy=POLICY)
    assert done.status == 0, done
    stood = (stockade.work / "daemon").stat().st_mtime_ns
    time.sleep(0.1)
    assert (stockade.work / "daemon").stat().st_mtime_ns == stood


def test_sigterm_reaches_the_agent(stockade):
    run = stockade.start("sh", "-c", "trap 'echo got it; exit 9' TERM; touch ready; while :; do sleep 0.02; done", policy=POLICY)
    run.wait_for_file(stockade.work / "ready")
    run.process.terminate()
    done = run.wait()
    assert (done.status, done.stdout) == (9, "got it\n"), done


def test_the_control_socket_is_out_of_the_agents_reach(stockade):
    run = stockade.start("/usr/bin/python3", "-c", f"""
import os, socket
found = []
for top in ('/run', '/tmp', '{stockade.folder}'):
    for folder, _, names in os.walk(top):
        found += [os.path.join(folder, n) for n in names if n.endswith('.sock')]
print(found)
for line in open('/proc/net/unix').read().splitlines()[1:]:
    if 'control' in line: print(line)
""", policy=POLICY)
    done = run.wait()
    assert done.stdout == "[]\n", done
