"""Wall 5: the log says everything, in order, and shows whether somebody changed it."""
import json
import re

REFUSED = """
import socket
for address, port, times in (('20.0.0.9', 443, 5), ('20.0.0.9', 80, 2), ('evil.test', 443, 3)):
    for _ in range(times):
        try: socket.create_connection((address, port), 5).close()
        except OSError: pass
"""
POLICY = """
run: { workdir: /tmp }
network:
  allow:
    - { host: api.test, tls: passthrough }
"""


def refused_run(person):
    done = person.python(REFUSED, policy=POLICY)
    assert done.status == 0, done
    return person.last_run()["id"]


def test_every_refusal_is_counted(stockade):
    run = refused_run(stockade)
    counts = {}
    for event in stockade.events(run, decision="deny"):
        if event["kind"] in ("connect", "folded"):
            counts[event["subject"]] = counts.get(event["subject"], 0) + event.get("count", 1)
    assert counts == {"20.0.0.9:443": 5, "20.0.0.9:80": 2, "evil.test:443": 3}


def test_the_log_verifies(stockade):
    run = refused_run(stockade)
    done = stockade.stockade("audit", "verify", run)
    assert done.status == 0, done


def test_an_edit_is_found_and_named(stockade):
    run = refused_run(stockade)
    path = stockade.state / "stockade" / run / "events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for change in (lambda l: [l[0], l[1].replace(b"20.0.0.9", b"20.0.0.8"), *l[2:]], lambda l: l[:1] + l[2:], lambda l: l[:-1],
                   lambda l: [l[0], l[2], l[1], *l[3:]], lambda l: l + [l[-1]]):
        path.write_bytes(b"".join(change(lines)))
        done = stockade.stockade("audit", "verify", run)
        assert done.status == 1, done
    path.write_bytes(b"".join(lines))
    assert stockade.stockade("audit", "verify", run).status == 0


def test_why_says_what_why_and_what_would_allow_it(stockade):
    run = refused_run(stockade)
    done = stockade.stockade("why", run)
    assert done.status == 0, done
    for expected in ("evil.test:443", "network.allow", "host: evil.test"):
        assert expected in done.stdout, done


def test_why_names_the_deny_rule_with_its_place(stockade):
    policy = stockade.policy("""\
        version: 1
        run: { workdir: /tmp }
        network:
          allow: [{ host: "*.some.test", ports: [443], tls: passthrough }]
          deny:
            - { host: bad.some.test }
        """)
    done = stockade.python("""
        import socket
        try:
            s = socket.create_connection(('bad.some.test', 443), 5); s.recv(1)
        except OSError: pass
        """, policy=policy)
    assert done.status == 0, done
    done = stockade.stockade("why", stockade.last_run()["id"])
    assert "bad.some.test:443" in done.stdout and re.search(r"policy\.yaml:6:\d+", done.stdout), done
    as_json = json.loads(stockade.stockade("why", stockade.last_run()["id"], "--json").stdout)
    assert "bad.some.test:443" in json.dumps(as_json)


def test_why_of_a_run_without_refusals(stockade):
    stockade.run("true")
    done = stockade.stockade("why", stockade.last_run()["id"])
    assert done.status == 1 and "refused nothing" in done.stderr, done


def test_logs_and_audit_show_the_same(stockade):
    run = refused_run(stockade)
    logs = stockade.stockade("logs", run)
    assert logs.status == 0 and "20.0.0.9:443" in logs.stdout and "deny" in logs.stdout, logs
    raw = [json.loads(line) for line in stockade.stockade("logs", run, "--json").stdout.splitlines()]
    assert [event["seq"] for event in raw] == list(range(1, len(raw) + 1))
    audit = stockade.stockade("audit", run)
    assert audit.status == 0 and "network" in audit.stdout, audit
    assert json.loads(stockade.stockade("audit", run, "--json").stdout)


def test_what_the_agent_chose_cannot_move_the_persons_cursor(stockade):
    stockade.run("sh", "-c", "exit 3", "\x1b]0;title\x07\x1b[2J\u202eevil", policy="run: { workdir: /tmp }\n")
    for words in (["ps", "--all"], ["show", stockade.last_run()["id"]], ["logs", stockade.last_run()["id"]]):
        done = stockade.stockade(*words)
        assert done.status == 0 and "\x1b" not in done.stdout and "\u202e" not in done.stdout, done


def test_only_the_person_can_read_the_state(stockade):
    refused_run(stockade)
    for path in [stockade.state / "stockade", *(stockade.state / "stockade").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0 or path.suffix == ".pub", path


def test_a_run_starts_with_the_end_of_the_one_before(stockade):
    first, second = refused_run(stockade), refused_run(stockade)
    end = stockade.events(first)[-1]
    assert end["kind"] == "end"
    assert end["hash"] in json.dumps(stockade.events(second)[0])
