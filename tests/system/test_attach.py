"""`stockade attach`: the firewall on something that runs already, and nothing of it left afterwards."""
import os
import signal
import subprocess
import time

import pytest

from attached import Town, UID, WITHOUT_PRIVILEGES, processes_of
from person import PROGRAM, SERVERS, Person

NAMES = {"api.test": SERVERS, "evil.test": "20.4.4.4"}
POLICY = """
version: 1
network:
  resolver: 20.0.0.1:53
  allow:
    - { host: api.test, ports: [80], protocol: http }
"""


@pytest.fixture
def root(internet):
    person = Person(0, internet)
    yield person
    person.close()


@pytest.fixture
def town(internet):
    with Town(internet) as made:
        yield made


class Attached:
    def __init__(self, person, words, policy=POLICY, options=()):
        self.person = person
        command = [PROGRAM, "attach", *words, "--policy", person.policy(policy), "--name", "it", *options]
        self.process = subprocess.Popen(person.command(*command), cwd=person.work, env=person.environment(),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.said = ""
        self.hear("attached to")

    def hear(self, words):
        while words not in self.said:
            line = self.process.stderr.readline()
            assert line, f"it ended without '{words}': {self.said}{self.process.wait()}"
            self.said += line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.finish()
        finally:
            if self.process.poll() is None:
                self.process.kill()

    def finish(self):
        self.said += self.process.stderr.read()  # until nobody of ours is left to say anything
        return self.process.wait(60)

    def detach(self):
        self.process.send_signal(signal.SIGTERM)
        return self.finish()


def requests_seen(internet, host):
    return [event for event in internet.seen("http") if event.get("host") == host]


def test_what_is_open_is_cut_and_what_follows_passes_the_firewall_until_it_is_detached(root, town, internet):
    puppet = town.start()
    assert "hello from evil.test" in puppet.do("get('evil.test')")
    assert puppet.do(f"kept.update(s=socket.create_connection(('{SERVERS}', 80), 5)) or 'open'") == "open"
    before = town.look()
    with Attached(root, ["--pid", puppet.pid]) as attached:
        assert "1 open connections were cut" in attached.said
        assert "raised ConnectionAbortedError" in puppet.do("kept['s'].recv(1)")
        assert "hello from api.test" in puppet.do("get('api.test')")
        reached = len(internet.seen("connect"))
        assert "403" in puppet.do("get('evil.test')").split("\n")[0]
        assert "403" in puppet.do("get('20.4.4.4')").split("\n")[0]
        assert len(internet.seen("connect")) == reached, "a refused connection reached the servers"
        assert root.show("it")["status"] == "running" and root.show("it")["runtime"] == "attach"
        assert "evil.test:80" in root.stockade("why", "it").stdout + root.stockade("logs", "it").stdout
        assert root.events(kind="attach")[0]["evidence"]["connections_cut"] == "1"
        assert attached.detach() == 0
        assert "given back" in attached.said
    assert town.look() == before
    assert "hello from evil.test" in puppet.do("get('evil.test')")
    assert root.last_run()["ended_by"] == "signal" and root.stockade("audit", "verify", "it").status == 0


def test_no_address_protocol_or_device_leads_past_the_firewall(root, town, internet):
    puppet = town.start()
    with Attached(root, ["--netns", town.path]):
        seen = len(internet.seen())
        for attempt in (
                "get('10.66.0.1')", "get('20.9.9.9')", "get('20.9.1.1')", "get('2a00:1450::1')", "get('20.0.0.1')",
                # bound to the device: no route of ours is asked
                "(lambda s: (s.settimeout(2), s.setsockopt(socket.SOL_SOCKET, 25, b'eth0'), s.connect(('20.4.4.4', 80))))"
                "(socket.socket())"):
            answer = puppet.do(attempt)
            assert answer.startswith("raised") or "403" in answer.split("\n")[0], (attempt, answer)
        # A name is asked of us wherever it is asked; no packet goes to any resolver, and none out of the device.
        puppet.do("(lambda s: (s.setsockopt(socket.SOL_SOCKET, 25, b'eth0'), s.sendto(b'x' * 40, ('20.0.0.1', 53))))"
                  "(socket.socket(type=socket.SOCK_DGRAM))")
        assert "198.1" in puppet.do("socket.gethostbyname('evil.test')")
        assert [event for event in internet.seen()[seen:]] == []
        # Nor is anybody on the wire told that those addresses are here.
        arp = internet.run(["python3", "-c", "import socket\ns = socket.socket(type=socket.SOCK_DGRAM)\n"
                            "s.sendto(b'x', ('10.66.0.77', 9))\nimport time; time.sleep(1)"])
        assert arp.returncode == 0
        neighbours = internet.run(["ip", "neigh", "show", "10.66.0.77"]).stdout
        assert "lladdr" not in neighbours, neighbours


def test_tls_is_opened_for_who_trusts_the_attachments_authority(root, town, internet):
    policy = f"""
version: 1
network:
  resolver: 20.0.0.1:53
  trust: [{internet.ca}]
  allow: [{{ host: api.test, ports: [443], paths: [/], tls: inspect }}]
"""
    puppet = town.start()
    puppet.do("kept.update(ssl=__import__('ssl'))")
    with Attached(root, ["--pid", puppet.pid], policy=policy) as attached:
        path = next(word for word in attached.said.split() if word.endswith("authority.pem"))
        copy = town.folder / "authority.pem"
        copy.write_bytes(open(path, "rb").read())
        copy.chmod(0o644)
        ask = ("__import__('urllib.request').request.urlopen('https://api.test{}', "
               f"context=kept['ssl'].create_default_context(cafile='{copy}'), timeout=30).read().decode()")
        assert puppet.do(ask.format("/")) == "hello from api.test\n"
        assert "403" in puppet.do(ask.format("/other"))


def test_a_limit_that_is_reached_ends_the_processes(root, town):
    puppet = town.start()
    before = town.look()
    with Attached(root, ["--pid", puppet.pid], policy=POLICY + "limits: { connections: 2 }\n") as attached:
        for _ in range(3):
            try:
                puppet.do("get('api.test')")
            except (AssertionError, BrokenPipeError):
                break
        assert attached.finish() == 137
    assert puppet.process.wait(60) == -signal.SIGKILL
    assert town.look() == before and root.last_run()["ended_by"] == "limit:connections"


def test_packet_sockets_send_nowhere_where_the_links_can_be_closed_outside(root, town, internet):
    """Docker gives CAP_NET_RAW to every container."""
    puppet = town.start(only("net_raw"), uid=None)
    puppet.do("kept.update(p=socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) or kept['p'].bind(('eth0', 0))")
    puppet.do("kept['p'].setsockopt(263, 20, 1)")  # PACKET_QDISC_BYPASS
    host = ["nsenter", f"--net=/run/netns/{internet.host}"]
    sniff = subprocess.Popen([*host, "python3", "-c", SNIFF], stdout=subprocess.PIPE, text=True)
    assert sniff.stdout.readline() == "ready\n"
    send = "kept['p'].send(b'\\xff' * 6 + b'\\x02' * 6 + b'\\x88\\xb5' + b'marker-{}' * 10)"
    assert puppet.do(send.format("before")) > 0 and sniff.stdout.readline() == "before\n"
    before = town.look()
    with Attached(root, ["--pid", puppet.pid]) as attached:
        for _ in range(20):
            puppet.do(send.format("during"))
        assert "hello from api.test" in puppet.do("get('api.test')")
        assert "403" in puppet.do("get('evil.test')").split("\n")[0]
        assert "stockade-" in internet.run(["nft", "list", "ruleset"]).stdout
        assert attached.detach() == 0
    assert town.look() == before and internet.run(["nft", "list", "ruleset"]).stdout == ""
    puppet.do(send.format("after"))
    assert sniff.stdout.readline() == "after\n", "a frame came through while attached"
    sniff.kill()
    sniff.communicate()


# What a bridge or a router would see of frames from the target: those that are delivered to a protocol, behind ingress.
SNIFF = """
import re, socket
heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
heard.bind(("town0", 0x88b5))
print("ready", flush=True)
while True:
    print(re.search(rb"marker-([a-z]+?)marker", heard.recv(2000))[1].decode(), flush=True)
"""


def test_what_stays_inside_stays_possible(root, town):
    puppet = town.start()
    puppet.do("kept.update(l=socket.create_server(('0.0.0.0', 8080))) or 1")
    puppet.do("kept.update(c=socket.create_connection(('127.0.0.1', 8080))) or kept.update(a=kept['l'].accept()[0]) or 1")
    with Attached(root, ["--pid", puppet.pid]) as attached:
        assert "0 open connections were cut" in attached.said
        assert puppet.do("kept['c'].send(b'still') and kept['a'].recv(9).decode()") == "still"
        for address in ("127.0.0.1", "10.66.0.2"):
            assert puppet.do(f"socket.create_connection(('{address}', 8080), 3).getpeername()[1]") == 8080
        # from outside, nobody comes in
        done = root.internet.run(["python3", "-c", "import socket; socket.create_connection(('10.66.0.2', 8080), 1)"])
        assert done.returncode != 0


def test_kill_nine_of_the_supervisor_gives_everything_back(root, town):
    puppet = town.start()
    before = town.look()
    attached = Attached(root, ["--pid", puppet.pid])
    ours = processes_of(attached.process.pid)
    assert len(ours) >= 3, ours
    os.kill(attached.process.pid, signal.SIGKILL)
    attached.finish()
    town.wait_until_as(before)
    assert "hello from evil.test" in puppet.do("get('evil.test')")
    assert root.stockade("ps", "--json").stdout.strip() == "[]"
    assert root.last_run()["ended_by"] == "error:supervisor"


def test_kill_nine_of_all_at_once_gives_everything_back(root, town):
    puppet = town.start()
    before = town.look()
    attached = Attached(root, ["--pid", puppet.pid])
    for pid in processes_of(attached.process.pid).values():
        os.kill(pid, signal.SIGKILL)
    attached.finish()
    town.wait_until_as(before)
    assert "hello from evil.test" in puppet.do("get('evil.test')")


def test_kill_nine_at_any_moment_of_its_start_gives_everything_back(root, town):
    puppet = town.start()
    before = town.look()
    command = root.command(PROGRAM, "attach", "--pid", puppet.pid, "--policy", root.policy(POLICY))
    for moment in range(12):
        process = subprocess.Popen(command, cwd=root.work, env=root.environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(moment * 0.01)
        process.kill()
        process.stderr.read()
        process.wait(60)
        town.wait_until_as(before)
    assert "hello from evil.test" in puppet.do("get('evil.test')")


@pytest.mark.parametrize("worker", ["inspector", "dialer"])
def test_a_worker_that_dies_opens_nothing_until_it_is_detached(root, town, internet, worker):
    puppet = town.start()
    before = town.look()
    with Attached(root, ["--pid", puppet.pid]) as attached:
        victims = {name: pid for name, pid in processes_of(attached.process.pid).items() if worker in name}
        assert len(victims) == 1, processes_of(attached.process.pid)
        seen = len(internet.seen())
        os.kill(*victims.values(), signal.SIGKILL)
        attached.hear("no network until you detach")
        assert puppet.do("get('api.test', timeout=2)").startswith("raised")
        assert puppet.do("get('20.4.4.4', timeout=2)").startswith("raised")
        assert internet.seen()[seen:] == []
        assert root.show("it")["status"] == "running"
        assert attached.detach() != 0
    assert town.look() == before
    assert root.last_run()["ended_by"].startswith("error:")
    assert "hello from api.test" in puppet.do("get('api.test')")


def test_a_lost_worker_detaches_or_kills_where_that_is_asked_for(root, town):
    before = town.look()
    for choice in ("detach", "kill"):
        puppet = town.start()
        with Attached(root, ["--pid", puppet.pid], options=["--if-lost", choice]) as attached:
            inspector = next(pid for name, pid in processes_of(attached.process.pid).items() if "inspector" in name)
            os.kill(inspector, signal.SIGKILL)
            assert attached.finish() != 0
        assert town.look() == before
        if choice == "kill":
            assert puppet.process.wait(60) == -signal.SIGKILL
        else:
            assert "hello from evil.test" in puppet.do("get('evil.test')")
            puppet.close()


def test_the_kill_switch_ends_the_processes_before_they_have_their_network_again(root, town):
    puppet, other = town.start(), town.start()
    before = town.look()
    with Attached(root, ["--pid", puppet.pid]) as attached:
        assert root.stockade("kill", "it", "--reason", "a test").status == 0
        assert attached.finish() == 137
    assert puppet.process.wait(60) == -signal.SIGKILL and other.process.wait(60) == -signal.SIGKILL
    assert town.look() == before and root.last_run()["ended_by"] == "kill"


def test_a_pause_holds_the_traffic(root, town):
    puppet = town.start()
    with Attached(root, ["--pid", puppet.pid]):
        assert root.stockade("pause", "it").status == 0
        assert puppet.do("get('api.test', timeout=1)").startswith("raised")
        assert root.stockade("resume", "it").status == 0
        assert "hello from api.test" in puppet.do("get('api.test')")


def test_the_end_of_the_target_is_the_end_of_the_attachment(root, town):
    puppet = town.start()
    before = town.look()
    attached = Attached(root, ["--pid", puppet.pid])
    puppet.close()
    assert attached.finish() == 0
    assert town.look() == before and root.last_run()["ended_by"] == "agent"


def test_a_container_by_its_name(root, town):
    name = f"stk-attach-{os.getpid()}"
    puppet = town.start_container(name)
    before = town.look()
    with Attached(root, ["--container", name]) as attached:
        assert f"container {name} (crun" in attached.said
        assert "hello from api.test" in puppet.do("get('api.test')")
        assert "403" in puppet.do("get('evil.test')").split("\n")[0]
        assert attached.detach() == 0
    assert town.look() == before
    attached = Attached(root, ["--container", name])
    os.kill(attached.process.pid, signal.SIGKILL)
    attached.finish()
    town.wait_until_as(before)
    assert "hello from evil.test" in puppet.do("get('evil.test')")


# ---- refusals ------------------------------------------------------------------------------------------------------

def refused(person, *words, policy=POLICY):
    done = person.stockade("attach", *words, "--policy", person.policy(policy))
    assert done.status != 0 and " as run " not in done.stderr, done
    return done.stderr


def only(capability):
    """Root, with that one capability."""
    return ["setpriv", f"--bounding-set=-all,+{capability}", f"--inh-caps=-all,+{capability}", "--clear-groups"]


@pytest.mark.parametrize("capability", ["net_admin", "sys_admin", "net_raw"])
def test_who_could_undo_it_is_refused(root, town, capability):
    # A link that does not end where we could close it: packet sockets would pass.
    town.inside("ip", "link", "add", "one", "type", "veth", "peer", "name", "two")
    town.inside("ip", "link", "set", "one", "addrgenmode", "none")
    before = town.look()
    puppet = town.start(only(capability), uid=None)
    said = refused(root, "--pid", puppet.pid)
    assert f"CAP_{capability.upper()}" in said and "could undo it" in said
    assert town.look() == before
    assert root.runs() == []


def test_who_could_regain_it_by_executing_a_program_is_refused(root, town):
    puppet = town.start(["setpriv", "--inh-caps=-all", "--clear-groups"])
    assert "could regain, by executing a program, CAP_NET_ADMIN" in refused(root, "--pid", puppet.pid)


def test_one_such_process_beside_the_target_is_enough(root, town):
    puppet = town.start()
    town.start([], uid=None)
    assert "CAP_NET_ADMIN" in refused(root, "--pid", puppet.pid)


def test_a_socket_of_another_network_is_a_second_way_out(root, town, internet):
    import socket
    outside = socket.socket(type=socket.SOCK_DGRAM)
    os.set_inheritable(outside.fileno(), True)
    command = ["nsenter", f"--net={town.path}", *WITHOUT_PRIVILEGES, f"--reuid={UID}", f"--regid={UID}", "sleep", "1000"]
    sleeper = subprocess.Popen(command, pass_fds=[outside.fileno()])
    outside.close()
    try:
        end = time.monotonic() + 60
        while os.readlink(f"/proc/{sleeper.pid}/exe").rsplit("/", 1)[-1] != "sleep" and time.monotonic() < end:
            time.sleep(0.01)
        assert "holds a socket of another network" in refused(root, "--pid", sleeper.pid)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_the_hosts_own_network_is_refused(root, town):
    assert "host's own network" in refused(root, "--pid", os.getpid())
    assert "host's own network" in refused(root, "--netns", f"/run/netns/{root.internet.host}")  # where it is started
    assert "no network namespace" in refused(root, "--netns", "/etc/passwd")
    assert "no process" in refused(root, "--pid", 2 ** 22 - 1)
    assert "no running container" in refused(root, "--container", "stk-nobody")


def test_a_second_attachment_is_refused(root, town):
    puppet = town.start()
    with Attached(root, ["--pid", puppet.pid]):
        rules = town.inside("nft", "list", "ruleset")
        assert "another Stockade is attached" in refused(root, "--pid", puppet.pid)
        assert town.inside("nft", "list", "ruleset") == rules
        assert "hello from api.test" in puppet.do("get('api.test')")


def test_an_ordinary_user_may_attach_to_what_they_made_and_to_nothing_else(internet, town):
    person = Person(UID, internet)
    try:
        puppet = town.start()
        assert "not yours" in refused(person, "--pid", puppet.pid)
        made = ["unshare", "-rn", "sh", "-c", "ip link set lo up; exec \"$@\"", "sh", *WITHOUT_PRIVILEGES[:-1], "python3", "-c",
                "import sys; print('up', flush=True); sys.stdin.readline(); import urllib.request as u; "
                "print(u.urlopen('http://api.test/').read().decode())"]
        process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", f"mount --bind {town.folder}/resolv.conf /etc/resolv.conf; exec \"$@\"", "sh",
             "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *made],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "up\n"
        with Attached(person, ["--pid", process.pid]) as attached:
            out, _ = process.communicate("go\n", timeout=60)
            assert out == "hello from api.test\n\n"
            assert attached.finish() == 0
    finally:
        person.close()


# ---- what is not covered -----------------------------------------------------------------------------------------

def test_what_leads_elsewhere_is_listed(root, town):
    import socket
    ours, theirs = socket.socketpair()
    os.set_inheritable(theirs.fileno(), True)
    command = ["nsenter", f"--net={town.path}", *WITHOUT_PRIVILEGES, f"--reuid={UID}", f"--regid={UID}", "sleep", "1000"]
    sleeper = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    try:
        end = time.monotonic() + 60
        while os.readlink(f"/proc/{sleeper.pid}/exe").rsplit("/", 1)[-1] != "sleep" and time.monotonic() < end:
            time.sleep(0.01)
        with Attached(root, ["--pid", sleeper.pid]) as attached:
            attached.detach()
            for words in ("shares the host's files", "shares the host's IPC", "sees the host's processes", "by a unix socket"):
                assert words in attached.said, (words, attached.said)
            assert len(root.events(kind="uncovered")) >= 4
    finally:
        sleeper.kill()
        sleeper.wait()
        ours.close()
        theirs.close()


# A resolver that an engine opens in a container's network lives outside: what it is asked, it asks the world.
RESOLVER_OF_AN_ENGINE = """
import ctypes, os, socket, sys, time
own, town = os.open("/proc/self/ns/net", 0), os.open(sys.argv[1], 0)
libc = ctypes.CDLL(None)
libc.setns(town, 0)
inside = socket.socket(type=socket.SOCK_DGRAM)
inside.bind(("127.0.0.11", 40053))
libc.setns(own, 0)
os.close(town)
print("ready", flush=True)
while True:
    data, who = inside.recvfrom(4096)
    print(len(data), flush=True)
"""


def test_an_engines_resolver_inside_is_closed_while_attached(root, town):
    resolver = subprocess.Popen(["python3", "-c", RESOLVER_OF_AN_ENGINE, town.path], stdout=subprocess.PIPE, text=True)
    try:
        assert resolver.stdout.readline() == "ready\n"
        town.inside("nft", "add table ip engine; add chain ip engine out { type nat hook output priority -100; }; "
                           "add rule ip engine out ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:40053")
        (town.folder / "resolv.conf").write_text("nameserver 127.0.0.11\n")
        puppet = town.start()
        before = town.look()
        send = "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x' * {}, ('127.0.0.11', {}))"
        with Attached(root, ["--pid", puppet.pid]) as attached:
            assert "hello from api.test" in puppet.do("get('api.test')")
            puppet.do(send.format(20, 40053))
            assert attached.detach() == 0
            assert "UDP port 40053" in attached.said
        assert town.look() == before
        puppet.do(send.format(33, 40053))
        assert resolver.stdout.readline() == "33\n", "a packet came through while attached"
    finally:
        resolver.kill()
        resolver.communicate()
