"""HTTP/2 through the firewall: spoken on both sides where both can, translated where only one does; every request of a
connection is judged by itself, bodies are searched, and what is refused can be read."""
import json

import pytest

from internet import HERE as INTERNET, wait_for_port
from person import SERVERS

NAMES = {"h2.test": SERVERS, "other.test": SERVERS}
KEY = "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"

POLICY = """
run: {{ workdir: /tmp }}
network:
  resolver: 20.0.0.1:53
  trust: [{ca}]
  allow:
    - {{ host: h2.test, ports: [4443], paths: [/, /echo, /trailers, /events, /hints, /early, /die, "/bytes/*"] }}
    - {{ host: h2.test, ports: [443] }}
    - {{ host: h2.test, ports: [8080], protocol: http }}
"""


@pytest.fixture(scope="module")
def servers(internet):
    processes = [internet.serve(["node", str(INTERNET / "http2.mjs"), str(internet.path), port, mode])
                 for port, mode in (("4443", "tls"), ("8081", "clear"))]
    wait_for_port(internet, 4443)
    wait_for_port(internet, 8081)
    yield internet
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def policy(servers):
    return POLICY.format(ca=servers.ca)


def curl(online, policy, *words, **options):
    return online.run("curl", "-sS", *words, policy=policy, **options)


def test_both_sides_speak_http2_where_both_can(online, policy):
    done = curl(online, policy, "-w", "%{http_version}\n", "https://h2.test:4443/", "https://h2.test:4443/hints")
    assert done.stdout == "hello from h2.test:4443 over 2.0\n2\nhinted\n2\n", done
    paths = [(event["evidence"]["method"], event["evidence"]["path"]) for event in online.events(kind="request", decision="allow")]
    assert paths == [("GET", "/"), ("GET", "/hints")]


def test_a_client_of_http1_gets_http1(online, policy):
    done = curl(online, policy, "--http1.1", "-w", "%{http_version}\n", "https://h2.test:4443/")
    assert done.stdout == "hello from h2.test:4443 over 1.1\n1.1\n", done


def test_a_client_that_speaks_http2_only_reaches_a_server_that_does_not(online, policy):
    script = """
        const http2 = require('http2');
        const client = http2.connect('https://h2.test');
        const ask = client.request({':path': '/'});
        ask.on('response', head => console.log(head[':status']));
        ask.on('data', data => process.stdout.write(data));
        ask.on('end', () => client.close());
        ask.end();
    """
    done = online.run("node", "-e", script, policy=policy, timeout=60)
    assert done.stdout == "200\nhello from h2.test:443\n", done


def test_bodies_go_through_whole_both_ways(online, policy):
    done = online.sh("head -c 3000000 /dev/urandom >up && curl -sS -H content-type:application/octet-stream --data-binary @up https://h2.test:4443/echo -o down && "
                     "cmp up down && curl -sS https://h2.test:4443/bytes/5000000 | wc -c", policy=policy)
    assert done.status == 0 and int(done.stdout) == 5_000_000, done


def test_trailers_events_and_many_streams_at_once(online, policy):
    done = curl(online, policy, "-v", "https://h2.test:4443/trailers")
    assert "x-checksum: 42" in done.stderr and done.stdout == "with trailers\n", done
    done = curl(online, policy, "-N", "https://h2.test:4443/events")
    assert done.stdout == "data: one\n\ndata: two\n\ndata: three\n\n", done
    done = curl(online, policy, "-Z", "--parallel-max", "30", "https://h2.test:4443/bytes/[10000-10059]", "-o", "/tmp/part#1")
    assert done.status == 0, done
    assert len(online.events(kind="request", decision="allow")) == 60


def test_a_request_is_judged_and_its_neighbours_go_on(online, policy):
    before = len(online.internet.seen("http2"))
    done = curl(online, policy, "-w", "%{http_code} %{http_version}\n", "https://h2.test:4443/",
                "https://h2.test:4443/forbidden", "https://h2.test:4443/")
    first, refused, last = done.stdout.replace("}}\n", "}}").split("\n", 1)[0], done.stdout, done.stdout.splitlines()[-1]
    assert first.startswith("hello from") and last == "200 2" and "403 2" in refused and "stockade_blocked" in refused, done
    assert len(online.internet.seen("http2")) == before + 2


@pytest.mark.parametrize("place", ["body", "query", "header"])
def test_no_byte_of_a_secret_leaves(online, policy, place):
    before = len(online.internet.seen("http2"))
    words = {"body": ["--data-binary", "x" * 20000 + KEY, "https://h2.test:4443/echo"],
             "query": [f"https://h2.test:4443/echo?q={KEY}"],
             "header": ["-H", f"x-note: {KEY}", "https://h2.test:4443/echo"]}[place]
    done = curl(online, policy, *words)
    assert json.loads(done.stdout)["error"]["type"] == "stockade_blocked", done
    assert KEY not in json.dumps(online.internet.seen("http2")[before:])


def test_a_response_that_breaks_off_is_no_whole_one(online, policy):
    done = curl(online, policy, "https://h2.test:4443/die")
    assert done.status != 0 or "stockade_blocked" in done.stdout, done


def test_a_server_that_answers_early_is_heard(online, policy):
    done = online.sh("head -c 200000 /dev/zero | tr '\\0' x | curl -sS -w '%{http_code}' --data-binary @- https://h2.test:4443/early",
                     policy=policy)
    assert done.stdout == "too much\n413", done


def test_http2_without_tls_is_judged_too(online, servers):
    policy = """
        run: { workdir: /tmp }
        network:
          resolver: 20.0.0.1:53
          allow: [{ host: h2.test, ports: [8081], protocol: http, paths: [/echo] }]
        """
    ask = "curl -sS --http2-prior-knowledge -w '%{http_code} %{http_version}\\n' -d hi http://h2.test:8081"
    done = online.sh(f"{ask}/echo; {ask}/other", policy=policy)
    assert done.stdout.startswith("hi200 2\n") and done.stdout.endswith("403 2\n"), done
