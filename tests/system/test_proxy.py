"""The firewall for what speaks to a proxy: `env.proxy` inside a sandbox, and `stockade proxy` alone."""
import signal
import subprocess
import time

import pytest

from person import PROGRAM, SERVERS

NAMES = {"api.test": SERVERS, "evil.test": SERVERS, "metadata.test": "169.254.169.254"}
NETWORK = """
network:
  resolver: 20.0.0.1:53
  allow:
    - {{ host: api.test, ports: [80], protocol: http }}
    - {{ host: api.test, ports: [443], tls: passthrough }}
    - {{ host: metadata.test, ports: [80], protocol: http }}
"""


def policy(person, proxy="true"):
    return f"""
run: {{ workdir: /tmp }}
sandbox: {{ env: {{ proxy: {proxy} }} }}
files: [{{ host: {person.internet.ca}, at: /ca.pem, access: read }}]
""" + NETWORK.format()


def test_proxy_variables_are_there_when_asked_for(online):
    done = online.run("env", policy=policy(online))
    names = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert {"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} <= set(names) and "localhost" in names["NO_PROXY"], done
    off = online.run("env", policy=policy(online, "false"))
    assert "_PROXY" not in off.stdout.upper(), off


def test_curl_through_the_proxy_variables(online):
    done = online.sh("""
        curl -sSv --cacert /ca.pem https://api.test/ 2>/tmp/log; grep -c 'CONNECT api.test:443' /tmp/log
        curl -sS http://api.test/
        curl -sS -o /dev/null -w '%{http_connect}\\n' --cacert /ca.pem https://evil.test/ 2>/dev/null
        curl -sS -o /dev/null -w '%{http_code}\\n' http://evil.test/
        curl -sS -o /dev/null -w '%{http_code}\\n' http://metadata.test/""", policy=policy(online))
    lines = done.stdout.splitlines()
    assert lines[0] == "hello from api.test" and lines[1] != "0" and lines[2] == "hello from api.test", done
    assert lines[3:5] == ["403", "403"] and lines[5] in ("403", "502"), done
    for subject in ("evil.test:443", "evil.test:80", "metadata.test"):
        assert online.events(decision="deny", subject=subject), subject


def test_socks(online):
    done = online.sh("""
        proxy=$(env | sed -n 's/^ALL_PROXY=//p;s/^all_proxy=//p' | head -1); echo "$proxy"
        curl -sS --noproxy '' -x "$proxy" --cacert /ca.pem https://api.test/
        curl -sS --noproxy '' -x "$proxy" http://evil.test/ >/dev/null 2>&1 || echo refused""", policy=policy(online))
    assert "socks5" in done.stdout.splitlines()[0] and "hello from api.test" in done.stdout and "refused" in done.stdout, done


@pytest.fixture
def proxy(online):
    path = online.policy(NETWORK.format())
    process = subprocess.Popen(online.command(PROGRAM, "proxy", "--policy", path, "--listen", "127.0.0.1:3128"), cwd=online.work,
                               env=online.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def curl(*words):
        return subprocess.run(online.internet.inside(["curl", "-sS", "-m", "10", "--cacert", str(online.internet.ca), *words]),
                              capture_output=True, text=True)
    end = time.monotonic() + 10
    while curl("-x", "http://127.0.0.1:3128", "http://api.test/").returncode == 7:  # nothing listens yet
        assert process.poll() is None and time.monotonic() < end, process.communicate()
    yield curl
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)


def test_the_proxy_alone(proxy, internet):
    for scheme in ("http", "socks5h"):
        for url in ("http://api.test/", "https://api.test/"):
            done = proxy("-x", f"{scheme}://127.0.0.1:3128", url)
            assert done.stdout == "hello from api.test\n", (scheme, url, done)
    before = len([e for e in internet.seen() if e["kind"] != "dns"])
    for url in ("http://evil.test/", "https://evil.test/", "http://metadata.test/", "http://20.0.0.1/", "http://127.0.0.1:3128/",
                "http://[::1]/", "http://169.254.169.254/"):
        for scheme in ("http", "socks5h"):
            done = proxy("-x", f"{scheme}://127.0.0.1:3128", "--noproxy", "", "-f", url)
            assert done.returncode != 0 and "hello" not in done.stdout, (scheme, url, done)
    assert len([e for e in internet.seen() if e["kind"] != "dns"]) == before
