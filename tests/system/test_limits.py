"""Wall 5: a limit ends what it should end, as the policy says, and the record names it."""
import os
import textwrap
import time

import pytest

from person import SLOWNESS

TMP = "run: { workdir: /tmp }\n"


def test_the_time_limit_gives_124(stockade):
    begin = time.monotonic()
    done = stockade.run("sleep", "60", policy=TMP + "limits: { time: 300ms }\n")
    assert done.status == 124, done
    assert time.monotonic() - begin < 3 * SLOWNESS
    assert stockade.ended_by() == "limit:time"
    assert "time" in done.stderr


def test_the_time_limit_asks_first_and_then_kills(stockade):
    done = stockade.sh("trap 'echo asked' TERM; while :; do sleep 0.05; done", policy=TMP + "limits: { time: 300ms }\n")
    assert done.status == 124 and done.stdout.startswith("asked"), done
    assert stockade.ended_by() == "limit:time"


def test_an_agent_that_ends_in_the_grace_still_ended_by_time(stockade):
    done = stockade.sh("trap 'exit 7' TERM; while :; do sleep 0.05; done", policy=TMP + "limits: { time: 300ms }\n")
    assert done.status == 124, done
    assert stockade.ended_by() == "limit:time"


def test_running_out_of_memory_ends_the_run_even_if_the_agent_is_not_what_the_kernel_killed(stockade):
    done = stockade.sh("""/usr/bin/python3 -c "b = [bytearray(b'x') * (1 << 20) for _ in range(10240)]"; sleep 30""",
                       policy=TMP + "sandbox: { memory: 64MiB }\n")
    assert done.status == 137 and stockade.ended_by() == "limit:memory", done


def test_ten_gibibytes_of_memory_give_137(stockade):
    begin = time.monotonic()
    done = stockade.python("""
        blocks = []
        for _ in range(10 * 1024):
            blocks.append(bytearray(b'x') * (1 << 20))
        """, policy=TMP + "sandbox: { memory: 64MiB }\n")
    assert done.status == 137, done
    assert stockade.ended_by() == "limit:memory"
    assert time.monotonic() - begin < 10 * SLOWNESS


FILE_IN_MEMORY = {
    "memfd": "os.memfd_create('x')",
    "tmp": "os.open('/tmp/x', os.O_CREAT | os.O_WRONLY)",
    "unlinked": "os.open('/tmp', os.O_TMPFILE | os.O_WRONLY)",
    "shm": "os.open('/dev/shm/x', os.O_CREAT | os.O_WRONLY)",
}


@pytest.mark.parametrize("place", FILE_IN_MEMORY)
def test_files_in_memory_count(stockade, place):
    done = stockade.python(f"""
        import os
        fd = {FILE_IN_MEMORY[place]}
        try:
            for _ in range(64): os.write(fd, b'x' * (1 << 20))
            keep = [bytearray(b'x') * (1 << 20) for _ in range(512)]
            print('has it all')
        except OSError: print('refused')
        """, policy=TMP + "sandbox: { memory: 96MiB, disk: 96MiB }\n")
    assert done.stdout == "" and done.status == 137 and stockade.ended_by() == "limit:memory", done


@pytest.mark.parametrize("flags", ["mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS", "mmap.MAP_SHARED | mmap.MAP_ANONYMOUS"])
def test_pages_that_forked_processes_share_count_once(stockade, flags):
    done = stockade.python(f"""
        import mmap, os, signal
        pages = mmap.mmap(-1, 24 << 20, {flags}); pages.write(b'x' * (24 << 20))
        children = []
        for _ in range(20):
            if (pid := os.fork()) == 0: signal.pause()
            children.append(pid)
        import time; time.sleep(0.5)  # the limit is polled meanwhile
        print('all there', flush=True)
        more = bytearray(b'x') * (256 << 20)
        print('and more')
        """, policy=TMP + "sandbox: { memory: 128MiB, disk: 16MiB }\n")
    assert done.stdout == "all there\n" and done.status == 137 and stockade.ended_by() == "limit:memory", done


def test_a_fork_bomb_stays_below_pids(stockade):
    done = stockade.python("""
        import os, time
        made = 0
        try:
            for _ in range(5000):
                if os.fork() == 0:
                    time.sleep(60)
                made += 1
        except OSError as error:
            print(made, error.errno)
        """, policy=TMP + "sandbox: { pids: 50 }\n")
    assert done.status == 0, done
    assert done.stdout == "49 11\n", done  # with the one that forks


def test_a_fork_bomb_that_never_gives_up_ends_with_the_time(stockade):
    begin = time.monotonic()
    done = stockade.python("""
        import os
        while True:
            try: os.fork()
            except OSError: pass
        """, policy=TMP + "sandbox: { pids: 200 }\nlimits: { time: 1s }\n")
    assert done.status == 124 and stockade.ended_by() == "limit:time", done
    assert time.monotonic() - begin < 20


def test_threads_count_as_pids(stockade):
    done = stockade.python("""
        import threading, time
        threads = [threading.Thread(target=time.sleep, args=(60,), daemon=True) for _ in range(500)]
        try:
            for t in threads: t.start()
            print('started them all', flush=True)
        except RuntimeError: print('refused', flush=True)
        import os; os._exit(0)
        """, policy=TMP + "sandbox: { pids: 50 }\n")
    assert done.stdout == "refused\n", done


def test_disk_is_full_by_bytes(stockade):
    done = stockade.sh("""
        head -c 64M /dev/zero > /tmp/big 2>/dev/null && echo wrote; rm -f /tmp/big
        head -c 64M /dev/zero > ~/big 2>/dev/null && echo wrote; rm -f ~/big
        head -c 64M /dev/zero > /dev/shm/big 2>/dev/null && echo wrote; rm -f /dev/shm/big
        echo ok > /tmp/small && cat /tmp/small""", policy=TMP + "sandbox: { disk: 16MiB }\n")
    assert done.stdout == "ok\n", done


@pytest.mark.parametrize("place", ["/tmp", "~", "/dev/shm"])
def test_the_disk_limit_is_met_to_the_page(stockade, place):
    done = stockade.python(f"""
        import os
        fd = os.open(os.path.expanduser('{place}/big'), os.O_CREAT | os.O_WRONLY)
        try:
            while True: os.write(fd, b'x' * 4096)
        except OSError as error: print(os.fstat(fd).st_size, error.errno)
        """, policy=TMP + "sandbox: { disk: 16MiB }\n")
    assert done.stdout == f"{16 << 20} 28\n", done


def test_disk_is_full_by_inodes(stockade):
    done = stockade.python("""
        made = 0
        try:
            for made in range(20000): open(f'/tmp/{made}', 'w').close()
        except OSError as error: print(made, error.errno)
        else: print('all')
        """, policy=TMP + "sandbox: { disk: 16MiB, inodes: 500 }\n")
    made, number = map(int, done.stdout.split())
    assert made == 500 and number == 28, done


@pytest.mark.parametrize("limit, script", [
    ("disk", "fd = open('/tmp/big', 'wb')\nwhile True: fd.write(b'x' * (1 << 20))"),
    ("disk", "import os\nfd = open('/tmp/big', 'wb')\nos.unlink('/tmp/big')\nwhile True: fd.write(b'x' * (1 << 20))"),
    ("inodes", "for n in range(1_000_000): open(f'/tmp/{n}', 'w').close()")])
def test_on_a_real_disk_the_limits_are_polled_and_end_the_run(stockade, limit, script):
    """More disk than memory: scratch lies in the run's state."""
    done = stockade.python(script, policy=TMP + "sandbox: { memory: 64MiB, disk: 96MiB, inodes: 500 }\n")
    assert done.status == 137 and stockade.ended_by() == f"limit:{limit}", done
    run = stockade.state / "stockade" / stockade.last_run()["id"]
    assert not (run / "work").exists()


@pytest.mark.parametrize("limit, script", [
    ("disk", "fd = open('big', 'wb')\nwhile True: fd.write(b'x' * (1 << 20))"),
    ("disk", "fd = open('big', 'wb')\nos.unlink('big')\nwhile True: fd.write(b'x' * (1 << 20))"),
    ("disk", """
        fd = open('/tmp/half', 'wb'); fd.write(b'x' * (10 << 20)); fd.close()
        fd = open('half', 'wb'); fd.write(b'x' * (10 << 20)); fd.close()
        time.sleep(60)"""),
    ("inodes", "for n in range(1_000_000): open(f'{n}', 'w').close()"),
    ("inodes", "for n in range(1_000_000): os.symlink('x', f'{n}')"),
    ("inodes", """
        os.mkdir('closed'); at = os.open('closed', os.O_RDONLY); os.chmod('closed', 0o300)
        for n in range(1_000_000): os.mkdir(f'{n}', dir_fd=at)"""),
], ids=["bytes", "unlinked bytes", "bytes in two places", "files", "links", "in a closed directory"])
def test_what_is_written_to_a_write_only_mount_counts_as_disk(stockade, limit, script):
    out = stockade.directory("out")
    policy = f"files: [{{ host: {out}, at: /out, access: write-only }}]\n"
    done = stockade.python("import os, time\nos.chdir('/out')\n" + textwrap.dedent(script),
                           policy=TMP + policy + "sandbox: { memory: 64MiB, disk: 16MiB, inodes: 500 }\n")
    assert done.status == 137 and stockade.ended_by() == f"limit:{limit}", done


def test_a_write_only_mount_is_polled_and_said_to_be(stockade):
    out = stockade.directory("out")
    policy = TMP + f"files: [{{ host: {out}, at: /out, access: write-only }}]\n"
    said = stockade.stockade("policy", "explain", stockade.policy(policy + "sandbox: { memory: 64MiB, disk: 16MiB }\n"))
    assert "Disk for what it writes outside mounts and in write-only ones: 16MiB [polled: supervisor]" in said.stdout, said
    done = stockade.run("true", policy=policy + "sandbox: { strictness: hard, memory: 64MiB, disk: 16MiB }\n")
    assert done.status == 125 and "disk, inodes" in done.stderr and "write-only" in done.stderr, done


def test_descriptors_run_out(stockade):
    done = stockade.python("""
        import os
        opened = []
        try:
            for _ in range(100_000): opened.append(os.open('/dev/null', os.O_RDONLY))
        except OSError as error: print(len(opened), error.errno)
        """, policy=TMP + "sandbox: { open_files: 100 }\n")
    assert done.stdout == "97 24\n", done  # with the three it began with


def test_a_file_has_its_size(stockade):
    done = stockade.python("""
        import os, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        fd = os.open('/tmp/f', os.O_CREAT | os.O_WRONLY)
        try:
            for _ in range(64): os.write(fd, b'x' * (1 << 20))
        except OSError as error: print(os.fstat(fd).st_size, error.errno)
        """, policy=TMP + "sandbox: { file_size: 4MiB }\n")
    assert done.stdout == f"{4 << 20} 27\n", done


def test_no_core_is_dumped(stockade):
    done = stockade.sh("ulimit -c; ulimit -Hc; sh -c 'kill -SEGV $$'; ls -A", policy="files: [{ host: ., access: write }]\n")
    assert done.stdout == "0\n0\n", done
    assert os.listdir(stockade.work) == []


def test_one_cpu_is_one_cpu(stockade):
    """Two busy processes under half a CPU use about half a CPU."""
    done = stockade.python("""
        import os, time
        child = os.fork()
        end = time.monotonic() + 2
        while time.monotonic() < end: pass
        if child == 0: os._exit(0)
        os.waitpid(child, 0)
        t = os.times(); print(t.user + t.system + t.children_user + t.children_system)
        """, policy=TMP + "sandbox: { cpus: 0.5 }\n")
    assert float(done.stdout) < 1.6, done  # 4 s without the limit, 1 with it


@pytest.mark.parametrize("denials, status", [(3, 137), (9, 137), (10, 0)])
def test_different_refusals_count(stockade, denials, status):
    done = stockade.python("""
        import socket
        for port in range(1, 11):
            for _ in range(3):
                try:
                    with socket.create_connection(('20.0.0.9', port), 5) as refused:
                        refused.sendall(b'GET / HTTP/1.1\\r\\nHost: 20.0.0.9\\r\\n\\r\\n')
                        refused.recv(1)  # it is in the log
                except OSError: pass
        """, policy=TMP + f"network: {{ allow: [{{ host: api.test, tls: passthrough }}] }}\nlimits: {{ denials: {denials} }}\n")
    assert done.status == status, done
    assert stockade.ended_by() == ("limit:denials" if status else "agent")


def test_strict_refuses_what_the_kernel_cannot_hold(stockade):
    done = stockade.run("true", policy=TMP + "sandbox: { strictness: hard, memory: 64MiB, disk: 32MiB }\n")
    if stockade.is_root:
        assert done.status == 0, done
    else:  # no delegated cgroup here: memory would be polled
        assert done.status == 125 and "memory" in done.stderr, done


def test_a_flood_on_stdout_harms_nobody_else(stockade):
    done = stockade.sh("head -c 64M /dev/zero | tr '\\0' x | wc -c >&2; head -c 16M /dev/zero | tr '\\0' x",
                       policy=TMP + "sandbox: { memory: 256MiB }\n")
    assert done.status == 0 and len(done.stdout) == 16 << 20
