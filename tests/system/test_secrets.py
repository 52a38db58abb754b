"""Wall 3, content: a secret on its way out is found, refused where the agent can read why, and no byte of it arrives."""
import base64
import json

import pytest

from person import SERVERS

NAMES = {"api.test": SERVERS}
# Made up here, in the formats that their makers publish.
AWS = "AKIA" + "Q3EGRJ7TZX5LK2WM"
STRIPE = "sk_live_" + "51HqT2eKx9Vw3Lm8Zp4Rb7Nc6"
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + base64.b64encode(bytes(range(256)) * 3).decode() + "\n-----END RSA PRIVATE KEY-----"

POLICY = """
run: {{ workdir: /tmp }}
network:
  resolver: 20.0.0.1:53
  trust: [{ca}]
  inspect: {{ secrets: {level} }}
  allow:
    - {{ host: api.test, ports: [80], protocol: http }}
    - {{ host: api.test, ports: [443] }}
"""
# Each is a way to say the secret.
WAYS = {
    "body": lambda secret: ["--data-binary", f"here it is: {secret}\n"],
    "json": lambda secret: ["-H", "content-type: application/json", "--data-binary", json.dumps({"messages": [{"content": secret}]})],
    "base64": lambda secret: ["--data-binary", json.dumps({"x": base64.b64encode(secret.encode()).decode()})],
    "hex": lambda secret: ["--data-binary", secret.encode().hex()],
    "behind a megabyte": lambda secret: ["--data-binary", "@-", "STDIN", "word " * 200_000 + secret],
    "chunked": lambda secret: ["-H", "transfer-encoding: chunked", "--data-binary", "word " * 2000 + secret + " word" * 2000],
    "form": lambda secret: ["-F", f"file={secret}"],
    "header": lambda secret: ["-H", f"x-note: {secret}"],
    "query": lambda secret: ["-G", "--data-urlencode", f"q={secret}"],
    "user agent": lambda secret: ["-A", secret],
}


@pytest.fixture
def send(online):
    """curl with these words, from inside; what the servers saw meanwhile is `send.seen`."""
    words_file = online.work / "words.json"

    def run(words, level="deny", url="https://api.test/echo"):
        online.write(words_file, json.dumps(words))
        before = len(online.internet.seen())
        done = online.python(f"""
            import json, subprocess, sys
            given = json.load(open('/words.json'))
            body = given.pop() if 'STDIN' in given else ''
            words = [word for word in given if word != 'STDIN']
            sys.exit(subprocess.run(['curl', '-sS', *words, {url!r}], input=body, text=True).returncode)
            """, policy=POLICY.format(ca=online.internet.ca, level=level) +
            f"files: [{{ host: {words_file}, at: /words.json, access: read }}]\n")
        run.seen = json.dumps(online.internet.seen()[before:])
        return done
    return run


@pytest.mark.parametrize("way, scheme", [*((way, "https") for way in WAYS), ("body", "http"), ("query", "http")])
def test_a_secret_does_not_leave(online, send, way, scheme):
    for secret in (AWS, STRIPE):
        done = send(WAYS[way](secret), url=f"{scheme}://api.test/echo")
        assert "stockade_blocked" in done.stdout and secret not in done.stdout, (way, secret, done)
        assert secret not in send.seen and '"http"' not in send.seen, send.seen  # not even a whole request
        event = online.events(kind="request", decision="deny")[-1]
        assert "secret" in event["reason"] and secret not in json.dumps(event) and event["evidence"]["fingerprint"], event


def test_a_private_key_does_not_leave(send):
    assert "stockade_blocked" in send(["--data-binary", KEY]).stdout


def test_what_is_no_secret_passes_whole(send):
    text = "\n".join(f"line {number}: nothing to see, only words and {number * 7919} numbers" for number in range(20_000))
    done = send(["--data-binary", "@-", "STDIN", text])
    assert json.loads(done.stdout)["body"] == text


def test_the_key_by_which_a_client_proves_itself_passes(send):
    done = send(["-H", f"authorization: Bearer {STRIPE}", "--data-binary", "hello"])
    assert json.loads(done.stdout)["headers"]["authorization"].endswith(STRIPE), done


def test_log_lets_it_pass_and_says_so(online, send):
    done = send(["--data-binary", f"here: {AWS}"], level="log")
    assert json.loads(done.stdout)["body"] == f"here: {AWS}", done
    assert [event for event in online.events(kind="request", decision="log") if "secret" in event["reason"]]


def test_off_searches_nothing(online, send):
    done = send(["--data-binary", f"here: {AWS}"], level="off")
    assert json.loads(done.stdout)["body"] == f"here: {AWS}", done
    assert not [event for event in online.events(kind="request") if "secret" in event["reason"]]
