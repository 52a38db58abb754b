"""Wall 3 for programs that know nothing of it: real clients reach what the policy names, through no proxy variable."""
import os
import pathlib
import shutil
import subprocess

import pytest

from internet import wait_for_port
from person import ORDINARY_UID, REPOSITORY, SERVERS, SERVERS6

NAMES = {"api.test": SERVERS, "git.test": SERVERS, "db.test": SERVERS, "ssh.test": SERVERS,
         "six.test": SERVERS6, "deep.wild.test": SERVERS}


def policy(person, more=""):
    return f"""
run: {{ workdir: /tmp }}
network:
  resolver: 20.0.0.1:53
  allow:
    - {{ host: api.test, ports: [80], protocol: http }}
    - {{ host: api.test, ports: [443], tls: passthrough }}
    - {{ host: git.test, tls: passthrough }}
    - {{ host: six.test, ports: [80], protocol: http }}
    - {{ host: "*.wild.test", tls: passthrough }}
    - {{ host: db.test, ports: [5432], protocol: tcp }}
    - {{ host: ssh.test, ports: [22], protocol: tcp }}
files:
  - {{ host: {person.internet.ca}, at: /ca.pem, access: read }}
{more}"""


def assert_reached(person, *subjects):
    allowed = {event["subject"] for event in person.events(kind="connect", decision="allow")}
    assert allowed >= set(subjects), allowed
    assert person.events(decision="deny") == []


def test_curl(online):
    done = online.run("curl", "-sS", "--cacert", "/ca.pem", "https://api.test/", "http://api.test/", "https://deep.wild.test/",
                      policy=policy(online))
    assert (done.status, done.stdout) == (0, "hello from api.test\nhello from api.test\nhello from deep.wild.test\n"), done
    assert_reached(online, "api.test:443", "api.test:80", "deep.wild.test:443")


def test_python(online):
    done = online.python("""
        import ssl, urllib.request
        trust = ssl.create_default_context(cafile='/ca.pem')
        print(urllib.request.urlopen('https://api.test/', context=trust).read().decode(), end='')
        print(len(urllib.request.urlopen('https://api.test/bytes/3000000', context=trust).read()))
        print(urllib.request.urlopen('http://api.test/echo', data=b'x' * 1000000).read().count(b'x') >= 1000000)
        """, policy=policy(online))
    assert (done.status, done.stdout) == (0, "hello from api.test\n3000000\nTrue\n"), done
    assert_reached(online, "api.test:443", "api.test:80")


def test_node(online):
    node = shutil.which("node", path="/usr/bin:/usr/local/bin")
    if not node:
        pytest.skip("node is not installed")
    done = online.run(node, "-e", "Promise.all(['https://api.test/', 'http://api.test/'].map(u => fetch(u).then(r => r.text())))"
                      ".then(all => process.stdout.write(all.join('')))", policy=policy(
                          online, "sandbox: { env: { set: { NODE_EXTRA_CA_CERTS: /ca.pem } } }\n"))
    assert (done.status, done.stdout) == (0, "hello from api.test\n" * 2), done
    assert_reached(online, "api.test:443", "api.test:80")


def test_git_over_https(online):
    files = online.internet.path / "files"
    if not files.exists():
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@x",
                       "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@x"}
        for line in ("git init -q work", "git -C work commit -q --allow-empty -m first",
                     "git clone -q --bare work files/repo.git", "git -C files/repo.git update-server-info"):
            subprocess.run(line.split(), cwd=online.internet.path, check=True, env=environment, capture_output=True)
    done = online.sh("GIT_SSL_CAINFO=/ca.pem git clone -q https://git.test/files/repo.git && git -C repo log --format=%s",
                     policy=policy(online))
    assert (done.status, done.stdout) == (0, "first\n"), done
    assert_reached(online, "git.test:443")


@pytest.fixture(scope="session")
def static_go_program(tmp_path_factory):
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if not go:
        pytest.skip("go is not installed")
    folder = REPOSITORY / "build" / "clients"
    folder.mkdir(parents=True, exist_ok=True)
    source = pathlib.Path(__file__).parent / "clients/fetch.go"
    if not (folder / "fetch").exists() or (folder / "fetch").stat().st_mtime < source.stat().st_mtime:
        cache = tmp_path_factory.mktemp("go")
        subprocess.run([go, "build", "-o", folder / "fetch", source], check=True, cwd=cache,
                       env={"PATH": os.environ["PATH"], "HOME": str(cache), "GOCACHE": str(cache / "cache"), "CGO_ENABLED": "0",
                            "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOPROXY": "off"})
    return folder / "fetch"


def test_a_static_go_program(online, static_go_program):
    done = online.run("/fetch", "/ca.pem", "https://api.test/", "http://api.test/", policy=policy(
        online, f"  - {{ host: {static_go_program}, at: /fetch, access: read }}\n"))
    assert (done.status, done.stdout) == (0, "200 hello from api.test\n" * 2), done
    assert_reached(online, "api.test:443", "api.test:80")


def test_a_host_that_has_only_ipv6(online):
    done = online.run("curl", "-sS", "http://six.test/", policy=policy(online))
    assert (done.status, done.stdout) == (0, "hello from six.test\n"), done


def find_postgres():
    places = [*sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin")), pathlib.Path("/usr/bin"), pathlib.Path("/usr/local/bin")]
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


@pytest.fixture(scope="module")
def database(internet, tmp_path_factory):
    place = find_postgres()
    if not place or not shutil.which("psql"):
        pytest.skip("PostgreSQL is not installed")
    folder = internet.path / "postgres"
    folder.mkdir()
    os.chown(folder, ORDINARY_UID, ORDINARY_UID)
    user = ["setpriv", f"--reuid={ORDINARY_UID}", f"--regid={ORDINARY_UID}", "--clear-groups"]
    # PostgreSQL wants an account: one in a mount namespace of its own.
    passwd = internet.path / "passwd"
    passwd.write_text(f"root:x:0:0::/root:/bin/sh\npg:x:{ORDINARY_UID}:{ORDINARY_UID}::/tmp:/bin/sh\n")
    inside = ["unshare", "-m", "sh", "-c", f'mount --bind {passwd} /etc/passwd && exec "$@"', "sh", *user]
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}
    subprocess.run([*inside, place / "initdb", "-D", folder / "data", "-A", "trust", "-U", "pg", "-N"], check=True,
                   capture_output=True, env=environment, cwd="/")
    with open(folder / "data/pg_hba.conf", "a") as rules:
        rules.write("host all all 0.0.0.0/0 trust\n")
    log = open(internet.path / "postgres.log", "w")
    server = internet.serve([*inside, str(place / "postgres"), "-D", str(folder / "data"), "-h", "0.0.0.0", "-k", "", "-F"],
                            env=environment, cwd="/", stdout=log, stderr=log)
    try:
        wait_for_port(internet, 5432)
        yield
    finally:
        server.terminate()
        server.wait()
        log.close()


def test_psql(online, database):
    done = online.run("psql", "-h", "db.test", "-U", "pg", "-d", "postgres", "-tAc", "select 6 * 7", policy=policy(online))
    assert (done.status, done.stdout) == (0, "42\n"), done
    assert_reached(online, "db.test:5432")


@pytest.fixture(scope="module")
def ssh_server(internet):
    if not os.path.exists("/usr/sbin/sshd"):
        pytest.skip("sshd is not installed")
    folder = internet.path / "ssh"
    folder.mkdir(mode=0o755)
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "client.pub", folder / "authorized")
    (folder / "config").write_text(f"""\
ListenAddress 0.0.0.0:22
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
ForceCommand echo hello from ssh
""")
    server = internet.serve(["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"', "sh",
                             "/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
    try:
        wait_for_port(internet, 22)
        yield folder
    finally:
        server.terminate()
        server.wait()


def test_ssh(online, ssh_server):
    key = online.write(online.directory("keys") / "id", (ssh_server / "client").read_bytes(), 0o600)
    done = online.run("ssh", "-i", "/keys/id", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
                      "LogLevel=ERROR", "-o", "BatchMode=yes", "root@ssh.test", policy=policy(
                          online, f"  - {{ host: {key.parent}, at: /keys, access: read }}\n"))
    assert (done.status, done.stdout) == (0, "hello from ssh\n"), done
    assert_reached(online, "ssh.test:22")


def test_a_programs_own_server_on_localhost(online):
    before = len(online.internet.seen())
    done = online.python("""
        import http.server, threading, urllib.request, socket
        for family, host in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')):
            class Server(http.server.ThreadingHTTPServer): address_family = family
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(200); self.end_headers(); self.wfile.write(b'mine ')
                def log_message(self, *_): pass
            server = Server((host, 0), Handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            for name in ('localhost', host if family == socket.AF_INET else '[::1]', 'dev.localhost'):
                try: print(urllib.request.urlopen(f'http://{name}:{server.server_port}/').read().decode(), end='')
                except OSError as error: print(name, error)
        """, policy=policy(online))
    assert done.stdout == "mine " * 6, done
    assert len(online.internet.seen()) == before
    assert online.events(decision="deny") == []


def test_udp_between_its_own_programs_stays_inside(online):
    done = online.python("""
        import socket
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); server.bind(('127.0.0.1', 0)); server.settimeout(5)
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); client.sendto(b'ping', server.getsockname())
        print(server.recv(10).decode())
        """, policy=policy(online))
    assert done.stdout == "ping\n", done
