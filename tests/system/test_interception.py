"""Wall 3 inside TLS: connections are opened by the run's own authority, which programs trust without a setting of their
own; requests are judged, servers are verified, and what goes wrong is said where it can be read."""
import json

import pytest

from person import PATH, SERVERS

NAMES = {"api.test": SERVERS, "other.test": SERVERS, "evil.test": SERVERS, "*.wild.test": SERVERS}

POLICY = """
run: {{ workdir: /tmp }}
network:
  resolver: 20.0.0.1:53
  trust: [{ca}]
  allow:
    - {{ host: api.test, ports: [443], methods: [GET, POST], paths: [/, /echo, /open/**, /v1/**, "/bytes/*"] }}
    - {{ host: "*.wild.test", ports: [443] }}
{more}
"""


@pytest.fixture
def policy(online):
    return lambda more="", **rest: POLICY.format(ca=online.internet.ca, more=more, **rest)


def test_curl_works_without_a_setting_of_its_own(online, policy):
    done = online.run("curl", "-sS", "-w", "%{http_version} %{ssl_verify_result}\n", "https://api.test/", "https://a.wild.test/",
                      policy=policy())
    assert done.status == 0 and done.stdout == "hello from api.test\n1.1 0\nhello from a.wild.test\n1.1 0\n", done
    requests = online.events(kind="request", decision="allow")
    assert [event["subject"] for event in requests] == ["api.test:443", "a.wild.test:443"]


def test_python_and_node_work_without_a_setting_of_their_own(online, policy):
    done = online.python("import urllib.request; print(urllib.request.urlopen('https://api.test/').read().decode(), end='')",
                         policy=policy())
    assert done.status == 0 and done.stdout == "hello from api.test\n", done
    done = online.run("node", "-e", "fetch('https://api.test/').then(r => r.text()).then(t => process.stdout.write(t))",
                      policy=policy(), timeout=60)
    assert done.status == 0 and done.stdout == "hello from api.test\n", done


def test_a_body_goes_through_whole_both_ways(online, policy):
    done = online.sh("head -c 300000 /dev/zero | tr '\\0' x >up && curl -sS --data-binary @up https://api.test/echo -o out && "
                     "curl -sS https://api.test/bytes/3000000 | wc -c && wc -c <out", policy=policy())
    size, echoed = map(int, done.stdout.split())
    assert done.status == 0 and size == 3_000_000 and echoed > 300_000, done


@pytest.mark.parametrize("words, reason", [
    (["https://api.test/closed"], "path"), (["-X", "DELETE", "https://api.test/echo"], "method"),
    (["https://api.test/open/../closed"], "path"), (["-H", "Host: other.test", "https://api.test/"], "Host"),
    (["-H", "X-HTTP-Method-Override: DELETE", "https://api.test/echo"], "another request")])
def test_a_request_inside_tls_is_judged(online, policy, words, reason):
    before = len(online.internet.seen("http"))
    done = online.run("curl", "-sS", "--path-as-is", *words, policy=policy())
    assert json.loads(done.stdout)["error"]["type"] == "stockade_blocked" and reason in done.stdout, done
    assert len(online.internet.seen("http")) == before
    assert online.events(kind="request", decision="deny")


def test_a_server_that_does_not_prove_itself_is_told_inside_tls(online):
    done = online.run("curl", "-sS", "https://api.test/", policy="""
        network:
          resolver: 20.0.0.1:53
          allow: [{ host: api.test }]
        """)
    answer = json.loads(done.stdout)
    assert "the certificate of api.test: " in answer["error"]["message"], done
    assert not online.internet.seen("http")[-1:] or online.internet.seen("http")[-1]["host"] != "api.test:unverified"


def test_a_name_that_no_rule_allows_is_not_dialled(online, policy):
    done = online.run("curl", "-sS", "https://evil.test/", policy=policy())
    assert done.status != 0 and online.events(kind="connect", decision="deny"), done


def test_a_program_with_roots_of_its_own_refuses_and_the_log_says_so(online, policy):
    done = online.run("curl", "-sS", "--capath", "/none", "--cacert", "/etc/ssl/openssl.cnf", "https://api.test/", policy=policy())
    assert done.status != 0
    done = online.sh(f"unset SSL_CERT_FILE CURL_CA_BUNDLE; curl -sS --capath /none --cacert {online.internet.ca} https://api.test/",
                     policy=policy(f"files: [{{ host: {online.internet.ca}, access: read }}]"))
    assert done.status != 0, done
    noted = [event for event in online.events(kind="connect") if "certificate" in event["reason"]]
    assert noted and "passthrough" in noted[-1]["hint"]


def test_the_authority_is_the_runs_own_and_its_key_is_nowhere_inside(online, policy):
    script = "cat /run/stockade/authority.pem; grep -rl 'PRIVATE KEY' /run /etc /tmp 2>/dev/null"
    first, second = (online.sh(script, policy=policy()).stdout for _ in range(2))
    assert first.startswith("-----BEGIN CERTIFICATE-----") and first != second and "PRIVATE" not in first


def test_a_rule_that_passes_through_stands_beside_one_that_opens(online):
    done = online.sh(f"curl -sS --cacert /ca.pem https://other.test/ && curl -sS https://api.test/", policy=f"""
        network:
          resolver: 20.0.0.1:53
          trust: [{online.internet.ca}]
          allow:
            - {{ host: api.test }}
            - {{ host: other.test, tls: passthrough }}
        files: [{{ host: {online.internet.ca}, at: /ca.pem, access: read }}]
        """)
    assert done.status == 0 and done.stdout == "hello from other.test\nhello from api.test\n", done


def test_an_explicit_proxy_opens_tls_as_well(online, policy):
    done = online.run("curl", "-sS", "https://api.test/", "https://api.test/closed",
                      policy=policy("sandbox: { env: { proxy: true } }"))
    assert done.stdout.startswith("hello from api.test\n") and "stockade_blocked" in done.stdout, done


@pytest.mark.parametrize("text, said", [
    ("{ host: api.test, protocol: http, tls: inspect }", "no TLS to inspect"),
    ("{ host: api.test, tls: passthrough, paths: [/x] }", "can't be judged"),
    ("{ host: api.test }, { host: api.test, tls: passthrough }", "keep one")])
def test_rules_that_contradict_themselves_are_refused(stockade, text, said):
    done = stockade.run("true", policy=f"network: {{ allow: [{text}] }}\n")
    assert done.status == 125 and said in done.stderr, done


def test_a_trust_file_without_a_certificate_starts_nothing(stockade):
    place = stockade.write(stockade.work / "none.pem", "nothing")
    done = stockade.run("true", policy=f"network: {{ trust: [{place or stockade.work / 'none.pem'}], allow: [{{ host: api.test }}] }}\n")
    assert done.status == 125 and "none.pem" in done.stderr, done
