"""Wall 3 inside TLS for the programs that agents use: each works as it is installed, with the default of `tls`, against a
server of its own kind, and trusts the run's authority by what stockade puts in its place (docs/clients.md)."""
import glob
import json
import pathlib
import shutil
import subprocess

import pytest

import agents
import client_libraries
import registries
from person import PATH, SERVERS

NAMES = {"api.test": SERVERS, "ws.test": SERVERS, "grpc.test": SERVERS, "model.test": SERVERS, "evil.test": SERVERS,
         **{name: SERVERS for name in registries.NAMES}}
SCRIPT = [turn for _ in range(4) for turn in ({"run": "echo spoken >said.txt; cat said.txt; curl -sS -m 5 https://evil.test/"}, {"say": "It is done."})]
HERE = pathlib.Path(__file__).resolve().parent
HELLO = "hello from api.test\n"


@pytest.fixture(scope="module")
def filled(internet):
    registries.fill(internet)


@pytest.fixture(scope="module")
def libraries():
    return client_libraries.install()


@pytest.fixture(scope="module")
def other_servers(internet, libraries):
    server = internet.serve(["env", f"PYTHONPATH={libraries / 'python'}", "/usr/bin/python3", str(HERE / "clients/servers.py"),
                             str(internet.path)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline() == "ready\n"
        yield
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


@pytest.fixture
def policy(online):
    """What a person would write, but for the resolver and the authority of the miniature internet."""
    def write(files="", more="", workdir="/tmp"):
        return f"""
extends: [packages]
run: {{ workdir: {workdir} }}
network:
  resolver: 20.0.0.1:53
  trust: [{online.internet.ca}]
  allow:
    - {{ host: api.test }}
    - {{ host: git.test }}
    - {{ host: ws.test, ports: [9443] }}
    - {{ host: grpc.test, ports: [50051] }}
    - {{ host: model.test, methods: [HEAD, POST], paths: [/, "/v1/**"] }}
files: [{files}]
{more}"""
    return write


@pytest.fixture
def with_libraries(policy, libraries):
    def write(**more):
        return policy(files=f"{{ host: {libraries}, at: /clients, access: read }}", **more)
    return write


def found(name, path=PATH):
    where = shutil.which(name, path=path)
    if not where:
        pytest.skip(f"{name} is not installed")
    return where


def assert_opened(person, *subjects):
    """Each was judged as a request, which only opened TLS shows; nothing was refused."""
    requests = {event["subject"] for event in person.events(kind="request", decision="allow")}
    assert requests >= set(subjects), requests
    refused = [(event["kind"], event["subject"], event.get("reason")) for event in person.events(decision="deny")]
    assert refused == []


# ---- programs of the distribution ----
@pytest.mark.parametrize("name, options", [("curl", ["-sS"]), ("wget", ["-qO-"])])
def test_a_downloader(online, policy, name, options):
    done = online.run(found(name), *options, "https://api.test/", policy=policy())
    assert (done.status, done.stdout) == (0, HELLO), done
    assert_opened(online, "api.test:443")


def test_programs_without_any_variable(online, policy):
    fetch = "import urllib.request; print(urllib.request.urlopen('https://api.test/').read().decode(), end='')"
    done = online.sh(f"""
        env -i /usr/bin/curl -sS https://api.test/
        env -i /usr/bin/python3 -c "{fetch}"
        env -i openssl s_client -verify_return_error -connect api.test:443 </dev/null 2>&1 | grep 'Verify return code' | head -1
        """, policy=policy())
    assert done.stdout.startswith(HELLO * 2) and "return code: 0 (ok)" in done.stdout, done


def test_git_clones(online, policy, filled):
    done = online.sh("git clone -q https://git.test/repo.git && git -C repo log --format=%s", policy=policy())
    assert (done.status, done.stdout) == (0, "first\n"), done
    assert_opened(online, "git.test:443")


# ---- package managers, with their default registries ----
def test_npm_installs(online, policy, filled):
    found("npm")
    done = online.sh("npm install --no-fund --loglevel=error small-thing >log 2>&1 || cat log; node -p 'require(\"small-thing\")'",
                     policy=policy(), timeout=120)
    assert done.stdout == "small thing of npm\n", done
    assert_opened(online, "registry.npmjs.org:443")


def test_npm_publishes_nothing(online, policy, filled):
    found("npm")
    done = online.sh("""
        echo '{"name": "leak", "version": "1.0.0"}' >package.json
        echo '//registry.npmjs.org/:_authToken=of-the-attacker' >.npmrc
        npm publish --loglevel=error""", policy=policy(), timeout=120)
    assert done.status != 0 and online.events(kind="request", decision="deny", subject="registry.npmjs.org:443"), done


def test_pip_installs(online, policy, filled):
    done = online.sh("/usr/bin/python3 -m pip install -q --target lib --disable-pip-version-check small-thing && "
                     "PYTHONPATH=lib /usr/bin/python3 -c 'import small_thing; print(small_thing.WHAT)'",
                     policy=policy(), env={"PIP_CONFIG_FILE": "/dev/null"}, timeout=120)
    assert (done.status, done.stdout) == (0, "small thing of PyPI\n"), done
    assert_opened(online, "pypi.org:443", "files.pythonhosted.org:443")


def programs_of_rust(person):
    """The distribution's, or a toolchain of root's own, which no ordinary user sees."""
    own = sorted(glob.glob("/root/.rustup/toolchains/*/bin")) if person.is_root else []
    return own[0] if own else str(pathlib.Path(found("cargo")).parent)


def test_cargo_fetches_and_builds(online, policy, filled):
    folder = programs_of_rust(online)
    done = online.sh("""
        cargo init -q --vcs none --name it app && cd app && echo 'small-thing = "1"' >>Cargo.toml
        echo 'fn main() { println!("{}", small_thing::WHAT); }' >src/main.rs
        cargo run -q""", policy=policy(more="sandbox: { memory: 2GiB }"), env={"PATH": f"{folder}:{PATH}"}, timeout=180)
    assert (done.status, done.stdout) == (0, "small thing of crates.io\n"), done
    assert_opened(online, "index.crates.io:443", "static.crates.io:443")


def test_go_gets_a_module(online, policy, filled):
    go = found("go", f"{PATH}:/usr/local/go/bin")
    done = online.sh("""
        mkdir app && cd app && go mod init it 2>/dev/null && go get example.com/small/thing 2>&1
        cat $(go list -m -f '{{.Dir}}' example.com/small/thing)/thing.go
        """, policy=policy(more="sandbox: { memory: 2GiB, env: { set: { GOSUMDB: 'off', GOTOOLCHAIN: local } } }"),
                     env={"PATH": f"{PATH}:{pathlib.Path(go).parent}"}, timeout=180)
    assert 'What = "small thing of Go"' in done.stdout, done
    assert_opened(online, "proxy.golang.org:443")


# ---- libraries ----
PYTHON = """
import sys; sys.path.insert(0, '/clients/python')
import urllib.request, urllib3, requests, httpx, httplib2
url = 'https://api.test/'
print('urllib', urllib.request.urlopen(url).read().decode(), end='')
print('urllib3', urllib3.request('GET', url).data.decode(), end='')
print('requests', requests.get(url).text, end='')
print('httpx', httpx.get(url).text, end='')
print('httplib2', httplib2.Http().request(url)[1].decode(), end='')
"""
NODE = """
const url = 'https://api.test/'
const by_https = () => new Promise((done, failed) =>
  require('https').get(url, answer => answer.on('data', text => done(text.toString()))).on('error', failed))
const main = async () => {
  process.stdout.write('https ' + await by_https())
  process.stdout.write('fetch ' + await (await fetch(url)).text())
  process.stdout.write('undici ' + await (await require('/clients/node_modules/undici').request(url)).body.text())
}
main().then(() => process.exit(0))
"""


def test_libraries_of_python(online, with_libraries):
    done = online.python(PYTHON, policy=with_libraries(), timeout=60)
    names = ["urllib", "urllib3", "requests", "httpx", "httplib2"]
    assert (done.status, done.stdout) == (0, "".join(f"{name} {HELLO}" for name in names)), done
    assert_opened(online, "api.test:443")


def test_libraries_of_node(online, with_libraries):
    done = online.run(found("node"), "-e", NODE, policy=with_libraries(), timeout=60)
    assert (done.status, done.stdout) == (0, "".join(f"{name} {HELLO}" for name in ("https", "fetch", "undici"))), done
    assert_opened(online, "api.test:443")


def test_websockets_of_python(online, with_libraries, other_servers):
    done = online.python("""
        import sys; sys.path.insert(0, '/clients/python')
        from websockets.sync.client import connect
        with connect('wss://ws.test:9443/') as socket:
            socket.send('one'); print(socket.recv())
        """, policy=with_libraries(), timeout=60)
    assert (done.status, done.stdout) == (0, "heard one\n"), done
    assert_opened(online, "ws.test:9443")


def test_ws_of_node(online, with_libraries, other_servers):
    done = online.run(found("node"), "-e", """
        const socket = new (require('/clients/node_modules/ws'))('wss://ws.test:9443/')
        socket.on('open', () => socket.send('one'))
        socket.on('message', text => { console.log(text.toString()); socket.close() })
        """, policy=with_libraries(), timeout=60)
    assert (done.status, done.stdout) == (0, "heard one\n"), done
    assert_opened(online, "ws.test:9443")


def test_grpc_of_python(online, with_libraries, other_servers):
    done = online.python("""
        import sys; sys.path.insert(0, '/clients/python')
        import grpc
        channel = grpc.secure_channel('grpc.test:50051', grpc.ssl_channel_credentials())
        print(channel.unary_unary('/test.Echo/Say')(b'one', timeout=20).decode())
        print(*[part.decode() for part in channel.unary_stream('/test.Echo/Count')(b'3', timeout=20)])
        """, policy=with_libraries(), timeout=60)
    assert (done.status, done.stdout) == (0, "heard one\n0 1 2\n"), done
    assert_opened(online, "grpc.test:50051")


def test_grpc_of_node(online, with_libraries, other_servers):
    done = online.run(found("node"), "-e", """
        const grpc = require('/clients/node_modules/@grpc/grpc-js')
        const client = new grpc.Client('grpc.test:50051', grpc.credentials.createSsl())
        const same = bytes => bytes
        client.makeUnaryRequest('/test.Echo/Say', same, same, Buffer.from('one'), { deadline: Date.now() + 20000 },
          (error, answer) => { console.log(error ? error.message : answer.toString()); client.close() })
        """, policy=with_libraries(), timeout=60)
    assert (done.status, done.stdout) == (0, "heard one\n"), done
    assert_opened(online, "grpc.test:50051")


# ---- Java: each that is installed; nothing but the program's own output ----
def java_homes():
    return sorted({str(pathlib.Path(java).resolve().parents[1]) for java in glob.glob("/usr/lib/jvm/*/bin/java")})


def test_java(online, policy):
    homes = java_homes() or pytest.skip("no JDK is installed")
    files = f"{{ host: {HERE}/clients/Fetch.java, at: /Fetch.java, access: read }}"
    for home in homes:
        done = online.sh(f"{home}/bin/java /Fetch.java https://api.test/ && {home}/bin/keytool -list -cacerts -storepass changeit "
                         "-alias stockade-run >/dev/null", policy=policy(files=files, more="sandbox: { memory: 2GiB }"), timeout=120)
        assert (done.status, done.stdout) == (0, HELLO), (home, done)
        assert "JAVA" not in done.stderr
        assert_opened(online, "api.test:443")


# ---- browsers ----
@pytest.mark.parametrize("browser", ["chromium", "chromium-headless-shell"])
def test_a_browser_of_the_chromium_family(online, policy, browser):
    done = online.run(found(browser), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "https://api.test/",
                      policy=policy(more="sandbox: { memory: 3GiB }"), timeout=180)
    assert "hello from api.test" in done.stdout, done
    assert online.events(kind="request", decision="allow", subject="api.test:443")


def test_firefox(online, policy):
    browser = found("firefox")
    seen = len(online.internet.seen("http"))
    done = online.run(browser, "--headless", "--screenshot", "/tmp/it.png", "https://api.test/", policy=policy(
        more="sandbox: { memory: 3GiB }"), timeout=180)
    assert online.events(kind="request", decision="allow", subject="api.test:443"), done
    assert "api.test" in [event["host"] for event in online.internet.seen("http")[seen:]], done


def test_sqlite_and_nss_read_the_store_of_certificates(online, policy):
    done = online.python("""
        import os, sqlite3
        store = sqlite3.connect(os.path.expanduser('~/.pki/nssdb/cert9.db'))
        print(store.execute('pragma integrity_check').fetchone()[0], [name for name, in store.execute('select a3 from nssPublic')][0].decode())
        """, policy=policy())
    assert (done.status, done.stdout) == (0, "ok Stockade, this run's own authority\n"), done
    found("certutil")
    done = online.sh("certutil -M -d sql:$HOME/.pki/nssdb -n \"Stockade, this run's own authority\" -t C,, -f /dev/null; "
                     "certutil -L -d sql:$HOME/.pki/nssdb", policy=policy())
    assert "Stockade, this run's own authority" in done.stdout and "C,," in done.stdout, done


# ---- agents (Codex: test_codex.py) ----
def test_claude_code_does_what_its_model_says_and_nothing_else(online, policy):
    agents.install()
    work = online.directory("project")
    done = online.run(*agents.claude_command(), env={"PATH": f"{agents.CLAUDE.parent}:{PATH}"}, timeout=180, policy=policy(
        files=f"{{ host: {work}, at: /project, access: write }}", workdir="/project",
        more="sandbox: { memory: 4GiB, env: { set: " + json.dumps(agents.claude_environment("https://model.test")) + " } }\n"
             "limits: { time: 170s }"))
    assert done.status == 0 and "It is done." in done.stdout, done
    assert (work / "said.txt").read_text() == "spoken\n"
    assert online.events(kind="request", decision="allow", subject="model.test:443")
    assert online.events(kind="connect", decision="deny", subject="evil.test:443")
