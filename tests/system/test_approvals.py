"""Wall 3 and 5, the action `ask`: what asks is held, no byte of it leaves, until a person outside has approved it; a
denial, a deadline and the run's end refuse it."""
import json
import os
import re
import socket
import subprocess

import pytest

from person import ORDINARY_UID, PROGRAM, SERVERS

NAMES = {"api.test": SERVERS, "mail.test": SERVERS, "free.test": SERVERS}
AWS = "AKIA" + "Q3EGRJ7TZX5LK2WM"  # made up here, in the format that its maker publishes
POLICY = """
run: {{ workdir: /tmp }}
network:
  resolver: 20.0.0.1:53
  trust: [{ca}]
  inspect: {{ secrets: {secrets} }}
  allow:
    - {{ host: api.test, ports: [80], protocol: http, ask: true }}
    - {{ host: api.test, ports: [443], tls: passthrough, ask: true }}
    - {{ host: api.test, ports: [9000], protocol: tcp, ask: true }}
    - {{ host: mail.test, ports: [80], protocol: http, methods: [GET] }}
    - {{ host: mail.test, ports: [80], protocol: http, methods: [POST], ask: true }}
    - {{ host: free.test, ports: [443], tls: inspect }}
{more}
"""
GET = ["curl", "-sS", "-m", "60", "http://api.test/"]


class Asking:
    """A run inside of which something waits."""

    def __init__(self, person, command, more="", name="asking", secrets="off", **options):
        self.person, self.name = person, name
        self.before = len(person.internet.seen())
        self.run = person.start(*command, name=name, policy=POLICY.format(ca=person.internet.ca, more=more, secrets=secrets), **options)

    def waiting(self, count=1):
        """What waits, as soon as that many do."""
        def list_it():
            done = self.person.stockade("approvals", self.name, "--json")
            found = json.loads(done.stdout) if done.status == 0 else []
            return found if len(found) >= count else None
        return self.run.wait_until(list_it, f"{count} things wait", deadline=60)

    def say(self, verb, entry, *more):
        done = self.person.stockade(verb, self.name, str(entry["event"]), *more)
        assert done.status == 0, done
        return done

    def seen(self, *kinds):
        return [event for event in self.person.internet.seen()[self.before:] if event["kind"] in kinds]

    def events(self, **wanted):
        return self.person.events(self.run.show()["id"], **wanted)


@pytest.fixture
def ask(online):
    return lambda command, **options: Asking(online, command, **options)


def test_a_connection_is_held_until_it_is_approved(online, ask):
    asking = ask(GET)
    entry, = asking.waiting()
    assert entry["action"] == "connect to api.test:80" and entry["rule"].startswith("network.allow[0]"), entry
    assert not asking.seen("dns", "connect", "http"), "nothing of it has left, not even a question for the name"
    said = asking.say("approve", entry)
    assert "connect to api.test:80" in said.stderr
    done = asking.run.wait()
    assert done.status == 0 and "api.test" in done.stdout, done
    assert f"waiting for approval: connect to api.test:80: stockade approve {asking.run.show()['id']} {entry['event']}" in done.stderr
    asked, = asking.events(decision="ask")
    approval, = asking.events(kind="approval")
    allowed, = asking.events(kind="connect", decision="allow")
    assert asked["seq"] == entry["event"] < approval["seq"] < allowed["seq"]
    assert re.fullmatch(rf"uid {online.uid} pid \d+", approval["evidence"]["by"]) and approval["wall"] == "monitor", approval
    assert allowed["evidence"]["approval"] == str(approval["seq"])
    assert online.stockade("audit", "verify", asking.name).status == 0


def test_a_denied_connection_is_refused_with_the_reason(online, ask):
    asking = ask(GET)
    asking.say("deny", asking.waiting()[0], "--reason", "not on a Friday")
    done = asking.run.wait()
    refusal = json.loads(done.stdout)
    assert "a person denied it: not on a Friday" in json.dumps(refusal), refusal
    assert not asking.seen("dns", "connect", "http")
    assert asking.events(kind="approval", decision="deny")
    why = online.stockade("why", asking.name)
    assert "a person denied it" in why.stdout and "network.allow[0]" in why.stdout, why
    assert online.stockade("audit", "verify", asking.name).status == 0


def test_passed_through_tls_and_plain_tcp_are_held_as_well(ask):
    tcp = "import socket; s = socket.create_connection(('api.test', 9000)); s.sendall(b'hello'); print(s.recv(5).decode())"
    asking = ask(["/usr/bin/python3", "-c", tcp])
    entry, = asking.waiting()
    assert not asking.seen("connect") and entry["action"] == "connect to api.test:9000"
    asking.say("approve", entry)
    assert asking.run.wait().stdout == "hello\n"
    asking = ask(["curl", "-sSk", "https://api.test/"], name="tls")
    entry, = asking.waiting()
    assert not asking.seen("connect", "tls")
    asking.say("approve", entry)
    assert "api.test" in asking.run.wait().stdout


def test_a_method_that_asks_holds_the_request_alone(ask):
    asking = ask(["sh", "-c", "curl -sS http://mail.test/; for i in 1 2; do curl -sS -d letter$i http://mail.test/echo; done"])
    entry, = asking.waiting()
    assert entry["action"] == "send POST /echo to mail.test:80", entry
    assert [event["method"] for event in asking.seen("http")] == ["GET"]
    asking.say("approve", entry)
    second = asking.run.wait_until(lambda: [e for e in asking.waiting() if e["event"] != entry["event"]], "the next asks")
    assert len(asking.seen("http")) == 2
    asking.say("deny", second[0])
    done = asking.run.wait()
    assert "letter1" in done.stdout and "letter2" not in done.stdout and "a person denied it" in done.stdout, done
    assert len(asking.seen("http")) == 2


@pytest.mark.parametrize("word", ["approve", "deny"])
@pytest.mark.parametrize("where", ["body", "query"])
def test_a_secret_is_held_before_a_byte_of_it_leaves(ask, word, where):
    secret = ["-d", f"key: {AWS}"] if where == "body" else ["-G", "--data-urlencode", f"q={AWS}"]
    asking = ask(["curl", "-sS", *secret, "https://free.test/echo"], secrets="ask")
    entry, = asking.waiting()
    assert "send" in entry["action"] and "a secret in its" in entry["action"] and AWS not in json.dumps(entry), entry
    assert AWS not in json.dumps(asking.seen("http"))
    said = asking.say(word, entry)
    assert AWS not in said.stderr and "secret" in said.stderr
    done = asking.run.wait()
    assert (AWS in done.stdout) == (word == "approve"), done
    requests = asking.seen("http")
    assert len(requests) == (word == "approve"), requests
    assert AWS not in json.dumps(asking.events())


def test_each_secret_asks_by_itself(ask):
    other = "sk_live_" + "51HqT2eKx9Vw3Lm8Zp4Rb7Nc6"
    asking = ask(["curl", "-sS", "-d", f"one: {AWS} two: {other}", "https://free.test/echo"], secrets="ask")
    first, = asking.waiting()
    asking.say("approve", first)
    second = asking.run.wait_until(lambda: [e for e in asking.waiting() if e["event"] != first["event"]], "the other asks")
    asking.say("deny", second[0])
    done = asking.run.wait()
    assert "stockade_blocked" in done.stdout and not asking.seen("http"), done


def test_nobody_in_time_is_a_denial(ask):
    asking = ask(GET, more="limits: { approval: 300ms }")
    done = asking.run.wait()
    assert "nobody approved it within 0.3 s" in done.stdout, done
    assert not asking.seen("dns", "connect")
    approval, = asking.events(kind="approval")
    assert approval["decision"] == "deny" and approval["evidence"]["by"] == "deadline", approval


def test_the_end_of_the_run_denies_what_waits(online, ask):
    asking = ask(["sh", "-c", f"curl -sS http://api.test/ & while [ ! -e {online.work}/end ]; do sleep 0.05; done"],
                 more=f"files: [{{ host: {online.work}, access: write }}]")
    asking.waiting()
    online.write(online.work / "end", "")
    assert asking.run.wait().status == 0
    approval, = asking.events(kind="approval")
    assert approval["decision"] == "deny" and approval["evidence"]["by"] == "end of the run", approval
    assert not asking.seen("dns", "connect") and asking.events()[-1]["kind"] == "end"
    assert online.stockade("audit", "verify", asking.name).status == 0


def test_a_run_that_waits_can_be_killed(online, ask):
    asking = ask(GET)
    entry, = asking.waiting()
    assert online.stockade("kill", asking.name).status == 0
    assert asking.run.wait().status == 137
    assert not asking.seen("dns", "connect")
    assert online.stockade("approve", asking.name, str(entry["event"])).status == 1
    assert asking.events(kind="approval", decision="deny")
    assert online.stockade("audit", "verify", asking.name).status == 0


def test_two_that_wait_are_decided_one_by_one(online, ask):
    asking = ask(["sh", "-c", "curl -sSk https://api.test/ & curl -sS -d x http://mail.test/echo; wait"])
    entries = {entry["kind"]: entry for entry in asking.waiting(2)}
    assert "2 to approve" in online.stockade("ps").stdout
    listed = online.stockade("approvals").stdout
    assert "connect to api.test:443" in listed and "send POST /echo to mail.test:80" in listed, listed
    asking.say("deny", entries["request"])
    assert [entry["kind"] for entry in asking.waiting()] == ["connect"]
    asking.say("approve", entries["connect"])
    done = asking.run.wait()
    assert "a person denied it" in done.stdout and [event["host"] for event in asking.seen("http")] == ["api.test"], done


def test_there_is_no_way_to_approve_several(online, ask):
    asking = ask(GET)
    asking.waiting()
    for words in (["approve", asking.name], ["approve", asking.name, "all"], ["approve", asking.name, "--all"], ["approve"]):
        assert online.stockade(*words).status == 2, words
    assert online.stockade("approve", asking.name, "999999").status == 1
    assert len(asking.waiting()) == 1 and not asking.seen("connect")


def test_equal_connections_share_an_approval_for_a_minute_and_others_do_not(ask):
    asking = ask(["sh", "-c", "curl -sS http://api.test/ & curl -sS http://api.test/; wait; curl -sS http://api.test/ && curl -sSk https://api.test/"])
    entry = asking.run.wait_until(lambda: [e for e in asking.waiting() if e["waiting"] == 2], "both wait")[0]
    asking.say("approve", entry)
    third = asking.run.wait_until(lambda: [e for e in asking.waiting() if e["event"] != entry["event"]], "another port asks")
    assert third[0]["subject"] == "api.test:443" and len(asking.seen("http")) == 3
    asking.say("deny", third[0])
    asking.run.wait()


def outsider(person, words):
    """The same program, as the same user, in a pid namespace of its own."""
    enter = ["unshare", "--pid", "--fork", "--mount-proc"] if person.is_root else ["unshare", "-r", "--pid", "--fork", "--mount-proc"]
    return subprocess.run(person.command(*enter, PROGRAM, *words), env=person.environment(), cwd=person.work, text=True, capture_output=True)


def test_nobody_approves_from_inside_a_sandbox(online, ask):
    asking = ask(["sh", "-c", f"{PROGRAM} approvals; {PROGRAM} approve asking 1; curl -sS -m 60 http://api.test/"],
                 more=f"files: [{{ host: {PROGRAM}, at: {PROGRAM}, access: read }}]")
    entry, = asking.waiting()
    for verb in (["approvals", asking.name], ["approve", asking.name, str(entry["event"])], ["deny", asking.name, str(entry["event"])]):
        done = outsider(online, verb)
        assert done.returncode == 1 and "outside of every sandbox" in done.stderr, done
    path = online.runtime / "stockade" / asking.run.show()["id"] / "control.sock"
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "approve", "params": {"event": entry["event"]}}) + "\n"
    script = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode()); print(s.recv(4096).decode())"
    enter = ["unshare", "--pid", "--fork"] if online.is_root else ["unshare", "-r", "--pid", "--fork"]
    done = subprocess.run(online.command(*enter, "/usr/bin/python3", "-c", script, path, request), text=True, capture_output=True)
    assert "outside of every sandbox" in done.stdout and "result" not in done.stdout or done.returncode != 0, done
    assert len(asking.waiting()) == 1 and not asking.seen("dns", "connect")
    online.stockade("kill", asking.name)
    assert "approved" not in asking.run.wait().stderr


@pytest.mark.parametrize("uid", [0])  # only root can become another user to try it
def test_another_user_does_not_approve(online, ask):
    asking = ask(GET)
    entry, = asking.waiting()
    path = online.runtime / "stockade" / asking.run.show()["id"] / "control.sock"
    script = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
    done = subprocess.run(["setpriv", f"--reuid={ORDINARY_UID}", f"--regid={ORDINARY_UID}", "--clear-groups", "/usr/bin/python3", "-c", script],
                          text=True, capture_output=True)
    assert "PermissionError" in done.stderr, done


def test_a_path_that_hides_or_turns_text_is_refused_and_nobody_is_asked(ask):
    script = ("import socket; s = socket.create_connection(('mail.test', 80));"
              "s.sendall(b'POST /\\xe2\\x80\\xae\\xe2\\x80\\x8bx HTTP/1.1\\r\\nHost: mail.test\\r\\nContent-Length: 0\\r\\n\\r\\n'); print(s.recv(4096))")
    asking = ask(["/usr/bin/python3", "-c", script])
    done = asking.run.wait()
    assert "HTTP/1.1 400" in done.stdout, done
    assert not asking.events(decision="ask") and asking.events(kind="request", decision="deny")


def test_a_full_pipe_of_the_agent_does_not_hold_the_supervisor(online):
    read, write = os.pipe()
    try:
        policy = POLICY.format(ca=online.internet.ca, more="", secrets="off")
        # Filled from inside; blocking again then, as the supervisor's own descriptor of it is.
        fill = ("import os, subprocess\nos.set_blocking(2, False)\ntry:\n  while True: os.write(2, b'x' * 4096)\n"
                "except BlockingIOError: os.set_blocking(2, True)\nsubprocess.run(['curl', '-s', 'http://api.test/'])")
        run = online.start("/usr/bin/python3", "-c", fill, name="full", policy=policy, stderr=write)
        run.wait_until(lambda: json.loads(online.stockade("approvals", "full", "--json").stdout or "[]"), "it waits")
        assert online.stockade("kill", "full").status == 0
        os.close(write)
        write = None
        with os.fdopen(read) as reader:
            read = None
            reader.read()
        assert run.process.wait(30) == 137
    finally:
        for end in (read, write):
            if end is not None:
                os.close(end)


def test_the_proxy_asks_as_well(online):
    policy = online.policy(POLICY.format(ca=online.internet.ca, more="", secrets="off"))
    process = subprocess.Popen(online.command(PROGRAM, "proxy", "--policy", policy, "--listen", "127.0.0.1:0"), env=online.environment(),
                               cwd=online.work, text=True, stderr=subprocess.PIPE)
    try:
        line = process.stderr.readline()
        port, run = re.search(r"listening on 127\.0\.0\.1:(\d+) as run (\S+);", line).groups()
        curl = subprocess.Popen(online.command("curl", "-sS", "-x", f"http://127.0.0.1:{port}", "http://api.test/"), text=True, stdout=subprocess.PIPE)
        line = next(line for line in process.stderr if "waiting for approval" in line)
        event = re.search(rf"stockade approve {run} (\d+)", line)[1]
        assert online.stockade("approve", run, event).status == 0
        assert "api.test" in curl.communicate(timeout=30)[0]
    finally:
        process.terminate()
        process.stderr.close()
        process.wait(30)
