"""What an agent can do a hundred thousand times, or for a gigabyte: it ends as the policy says, nothing of ours grows with
it, and no event is lost."""
import os
import pty
import threading

import pytest

from person import SANITIZED, process_status

TMP = "run: { workdir: /tmp }\n"
MEBIBYTE = 1 << 20
LINE = """
import os, sys
piece = memoryview(b'x' * (1 << 20))
for _ in range(int(sys.argv[1])):
    done = 0
    while done < len(piece): done += os.write(1, piece[done:])
"""
CONNECTS = 100_000
# A reset at once instead of a connection that lingers: 100,000 of them use up no ports.
REFUSED = f"""
import os, socket, struct
hard = struct.pack('ii', 1, 0)
made = 0
for n in range({CONNECTS}):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, hard)
        if s.connect_ex(('20.0.0.9', 1000 + n % 7)) == 0: made += 1
print(made)
"""


def peak_memory(pid):
    """The most that a process ever had in memory, in bytes; nothing of one that has ended."""
    peak = process_status(pid).get("VmHWM")
    return peak and int(peak.split()[0]) * 1024


def read_all(fd, seen):
    while True:
        try:
            piece = os.read(fd, MEBIBYTE)
        except OSError:  # a terminal whose other end is closed
            return
        if not piece:
            return
        seen.append((len(piece), piece.count(b"x")))


def flood(stockade, mebibytes, stdout, theirs):
    """A line of so many MiB, with its output in `stdout`; (bytes, x's) that arrived at `theirs`, and by how much each of our
    processes grew."""
    run = stockade.start("/usr/bin/python3", "-c", "import os\nopen('up', 'w')\nwhile not os.path.exists('go'): pass\n" + LINE,
                         str(mebibytes), stdout=stdout, stderr=stdout, policy="files: [{ host: ., access: write }]\n")
    os.close(stdout)
    run.wait_for_file(stockade.work / "up")
    ours = run.wait_for_parts().values()
    before = {pid: peak_memory(pid) for pid in ours}
    seen = []
    reader = threading.Thread(target=read_all, args=(theirs, seen))
    reader.start()
    grown = {}

    def note():
        for pid in ours:
            if peak := peak_memory(pid):
                grown[pid] = max(grown.get(pid, 0), peak - before[pid])
    (stockade.work / "go").touch()
    while run.process.poll() is None:
        note()
        reader.join(0.02)
    reader.join()
    os.close(theirs)
    return run.process.returncode, [sum(column) for column in zip(*seen)], grown


@pytest.mark.parametrize("kind, mebibytes", [("pipe", 1024), ("terminal", 64)])
def test_a_gigabyte_in_one_line_passes_and_nothing_of_ours_grows(stockade, kind, mebibytes):
    theirs, ours = os.pipe() if kind == "pipe" else pty.openpty()
    status, (size, letters), grown = flood(stockade, mebibytes, ours, theirs)
    assert status == 0 and letters == size == mebibytes * MEBIBYTE
    assert len(grown) == (5 if kind == "pipe" else 6) and max(grown.values()) < (64 if SANITIZED else 4) * MEBIBYTE, grown


def test_a_gigabyte_in_one_line_ends_with_the_time(stockade):
    """Nobody reads it: the agent waits in its write, and the limit ends the run."""
    theirs, ours = os.pipe()
    run = stockade.start("/usr/bin/python3", "-c", LINE, "1024", stdout=ours, policy=TMP + "limits: { time: 500ms }\n")
    os.close(ours)
    assert run.process.wait(30) == 124
    os.close(theirs)
    assert run.show()["ended_by"] == "limit:time"


def test_no_refusal_of_a_hundred_thousand_is_lost(stockade):
    done = stockade.python(REFUSED, policy=TMP + "network: { allow: [{ host: api.test, tls: passthrough }] }\n", timeout=300)
    assert done.status == 0, done
    made = int(done.stdout)
    assert made > CONNECTS // 2
    run = stockade.last_run()
    refusals = [event for event in stockade.events(run["id"], decision="deny") if event["kind"] in ("connect", "folded")]
    assert sum(event.get("count", 1) for event in refusals) == made
    assert {event["subject"] for event in refusals} == {f"20.0.0.9:{port}" for port in range(1000, 1007)}
    assert run["counters"]["denials"] == 7  # different ones
    assert stockade.stockade("audit", "verify", run["id"]).status == 0


def test_thousands_of_requests_that_never_end_are_refused_and_the_run_goes_on(stockade):
    done = stockade.python("""
        import resource, socket
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        head = b'GET / HTTP/1.1\\r\\nHost: 20.1.1.1\\r\\nX: ' + b'y' * 60000
        held = []
        for _ in range(min(6000, hard - 100)):
            try:
                s = socket.create_connection(('20.1.1.1', 80), 5)
                s.setblocking(False)
                s.send(head)
                held.append(s)
            except OSError: pass
        for s in held: s.close()
        for _ in range(100):
            try:
                with socket.create_connection(('20.1.1.1', 80), 5) as s:
                    s.sendall(b'GET / HTTP/1.1\\r\\nHost: other\\r\\n\\r\\n')
                    answer = s.recv(100)
            except OSError: continue
            if answer.startswith(b'HTTP/1.1 403'): break
        print(answer[:12].decode())
        """, policy=TMP + "network: { allow: [{ address: 20.1.1.1, ports: [80], protocol: http }] }\n", timeout=120)
    assert done.status == 0 and done.stdout == "HTTP/1.1 403\n", done
    assert stockade.ended_by() == "agent"
