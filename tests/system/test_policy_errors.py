"""A policy that is wrong starts nothing: exit status 125, with file, line and column."""
import re

import pytest

MALFORMED = {
    "unknown key": ("version: 1\nnetwork:\n  alow: []\n", r":3:3: .*(alow).*"),
    "wrong unit": ("version: 1\nsandbox: { memory: 512MB }\n", r":2:\d+: .*512MB.*"),
    "wrong type": ("version: 1\nsandbox: { pids: many }\n", r":2:\d+: .*"),
    "duplicate key": ("version: 1\nname: a\nname: b\n", r":3:1: .*name.*"),
    "tab": ("version: 1\nsandbox:\n\tpids: 3\n", r":3:1: .*tab.*"),
    "anchor": ("version: 1\nname: &a x\n", r":2:\d+: .*anchor.*"),
    "expanding anchors": ("version: 1\na: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n", r":2:\d+: .*"),
    "no version": ("name: x\n", r":1:1: .*version.*"),
    "another version": ("version: 2\n", r":1:10: .*"),
    "glob that escapes": ("version: 1\nfiles: [{ host: \"../**/.env\", access: hide }]\n", r":2:\d+: .*\.\..*"),
    "dot dot": ("version: 1\nfiles: [{ host: /srv/../etc, access: read }]\n", r":2:\d+: .*\.\..*"),
    "not built: copy": ("version: 1\nfiles: [{ host: ., access: copy }]\n", r":2:\d+: .*not built.*"),
    "not built: secrets": ("version: 1\nsecrets: { K: { from: env, hosts: [a.test] } }\n", r":2:\d+: .*not built.*"),
    "not built: redact": ("version: 1\nnetwork: { inspect: { secrets: redact } }\n", r":2:\d+: .*not built.*"),
    "rule that never matches": ("version: 1\nnetwork: { allow: [{ host: a.test, tls: passthrough, paths: [/x] }] }\n", r":2:\d+: .*"),
    "empty file": ("", r""),
    "two documents": ("version: 1\n---\nversion: 1\n", r":\d+:\d+: .*"),
    "no mapping": ("- a\n- b\n", r":1:1: .*"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed(stockade, kind):
    text, expected = MALFORMED[kind]
    path = stockade.write(stockade.policies / "policy.yaml", text)
    done = stockade.run("touch", "started", policy=path)
    assert done.status == 125, done
    assert re.search(re.escape("policy.yaml") + expected, done.stderr), done
    assert not (stockade.work / "started").exists()
    assert stockade.runs() == []


def test_invalid_utf8(stockade):
    path = stockade.write(stockade.policies / "policy.yaml", b"version: 1\nname: \xff\xfe\n")
    done = stockade.run("true", policy=path)
    assert done.status == 125 and "policy.yaml:2:" in done.stderr, done


def test_a_hundred_megabytes(stockade):
    path = stockade.write(stockade.policies / "policy.yaml", b"version: 1\n")
    with open(path, "ab") as file:
        file.truncate(100 << 20)
    done = stockade.run("true", policy=path, timeout=10)
    assert done.status == 125 and "policy.yaml" in done.stderr, done


def test_all_errors_come_at_once(stockade):
    done = stockade.run("true", policy="version: 1\nnam: x\nsandbox: { memry: 1, pids: -3 }\nlimits: { tim: 3s }\n")
    assert done.status == 125, done
    for line, column in ((2, 1), (3, 12), (3, 28), (4, 11)):
        assert f"policy.yaml:{line}:{column}" in done.stderr, done


def test_the_nearest_key_is_named(stockade):
    done = stockade.run("true", policy="version: 1\nnetwrok: {}\n")
    assert "network" in done.stderr, done


def test_check_says_the_same_and_answers_1(stockade):
    path = stockade.policy("version: 1\nnam: x\n")
    done = stockade.stockade("policy", "check", path)
    assert done.status == 1, done
    assert "policy.yaml:2:1" in done.stdout + done.stderr
    assert stockade.stockade("policy", "check", stockade.policy("version: 1\n")).status == 0


def test_the_usual_advice_is_a_policy_that_works(stockade):
    stockade.write(stockade.home / "inbox/today.txt", "Meet at noon.\n")
    stockade.write(stockade.home / "outbox/old.txt", "old\n")
    done = stockade.sh("cat /inbox/today.txt > /outbox/summary.txt; ls /outbox; touch /usr/x 2>/dev/null || echo read-only", policy="""
        sandbox: { memory: 512MiB, cpus: 1, pids: 256 }
        network:
          allow:
            - { host: api.openai.com }
            - { host: auth.openai.com }
        files:
          - { host: ~/inbox, at: /inbox, access: read }
          - { host: ~/outbox, at: /outbox, access: write-only }
        limits: { time: 300s }
        run: { workdir: /outbox }
        """)
    assert done.status == 0, done
    assert done.stdout == "summary.txt\nread-only\n"
    assert (stockade.home / "outbox/summary.txt").read_text() == "Meet at noon.\n"
    assert (stockade.home / "outbox/old.txt").read_text() == "old\n"
