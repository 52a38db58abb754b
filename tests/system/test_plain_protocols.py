"""Wall 3 where neither TLS nor HTTP is spoken first: real clients and servers of PostgreSQL, MariaDB, Redis, SMTP, SSH and
git. What the startup says is in the log, the TLS that begins inside is opened, and no secret reaches a server: the
tests look at what the servers wrote down."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from internet import wait_for_port
from person import ORDINARY_UID, REPOSITORY, SERVERS

NAMES = {name: SERVERS for name in ("db.test", "shop.test", "cache.test", "mail.test", "ssh.test", "git.test")}
TOKEN = "glpat-" + "Zk82hdKq01mmXv93bQwe"  # made up

POLICY = """
run: {{ workdir: /tmp }}
network:
  resolver: 20.0.0.1:53
  trust: [{ca}]
  inspect: {{ secrets: {level} }}
  allow:
    - {{ host: db.test, ports: [5432], protocol: {tcp} }}
    - {{ host: shop.test, ports: [3307], protocol: mysql }}
    - {{ host: cache.test, ports: [6379, 6380], protocol: tcp }}
    - {{ host: mail.test, ports: [587], protocol: tcp }}
    - {{ host: ssh.test, ports: [22], protocol: tcp }}
    - {{ host: git.test, ports: [9418], protocol: tcp }}
files:{files}
"""
AS_USER = ["setpriv", f"--reuid={ORDINARY_UID}", f"--regid={ORDINARY_UID}", "--clear-groups"]
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8", "HOME": "/tmp"}


@pytest.fixture
def policy(online):
    def text(level="deny", tcp="tcp", files=" []"):
        return POLICY.format(ca=online.internet.ca, level=level, tcp=tcp, files=files)
    return text


@pytest.fixture(scope="module")
def serve(internet):
    """Starts servers in the internet, as a user that has an account in their mount namespace alone."""
    passwd = internet.path / "passwd"
    passwd.write_text(f"root:x:0:0::/root:/bin/sh\nserver:x:{ORDINARY_UID}:{ORDINARY_UID}::/tmp:/bin/sh\n")
    inside = ["unshare", "-m", "sh", "-c", f'mount --bind {passwd} /etc/passwd && exec "$@"', "sh"]
    started = []

    class Serve:
        user = [*inside, *AS_USER]

        @staticmethod
        def folder(name):
            folder = internet.path / name
            folder.mkdir(mode=0o755)
            for source in ("server.pem", "server.key"):
                shutil.copy(internet.path / source, folder / source)
                os.chown(folder / source, ORDINARY_UID, ORDINARY_UID)
                (folder / source).chmod(0o600)
            os.chown(folder, ORDINARY_UID, ORDINARY_UID)
            return folder

        @staticmethod
        def start(command, port, log):
            with open(log, "ab") as out:
                started.append(internet.serve([str(word) for word in command], env=ENVIRONMENT, cwd="/", stdin=subprocess.DEVNULL,
                                              stdout=out, stderr=out))
            wait_for_port(internet, port)

    yield Serve
    for server in started:
        server.terminate()
    for server in started:
        server.wait()


def sessions(person, decision, subject):
    return [event for event in person.events(kind="session", decision=decision) if event["subject"] == subject]


def assert_stopped(person, subject, protocol, seen):
    """The secret was refused, the log says so without quoting it, and the server saw no byte of it."""
    event = sessions(person, "deny", subject)[-1]
    assert "secret" in event["reason"] and event["evidence"]["protocol"] == protocol, event
    assert TOKEN not in json.dumps(person.events())
    assert b"glpat" not in seen, seen


# ---- PostgreSQL

@pytest.fixture(scope="module")
def postgres(serve):
    place = next((place for place in sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin")) if (place / "postgres").exists()), None)
    place = place or next((pathlib.Path(place) for place in ("/usr/bin", "/usr/local/bin") if os.path.exists(f"{place}/initdb")), None)
    if not place or not shutil.which("psql"):
        pytest.skip("PostgreSQL is not installed")
    folder = serve.folder("postgres")
    (folder / "password").write_text("correct horse")
    (folder / "password").chmod(0o644)
    subprocess.run([*serve.user, place / "initdb", "-D", folder / "data", "-A", "scram-sha-256", "-U", "alice", "-N",
                    f"--pwfile={folder}/password"], check=True, capture_output=True, env=ENVIRONMENT, cwd="/")
    with open(folder / "data/pg_hba.conf", "a") as rules:
        rules.write("host all all 0.0.0.0/0 scram-sha-256\n")
    log = folder / "log"
    serve.start([*serve.user, place / "postgres", "-D", folder / "data", "-h", "0.0.0.0", "-k", "", "-F", "-c", "log_statement=all",
                 "-c", "ssl=on", "-c", f"ssl_cert_file={folder}/server.pem", "-c", f"ssl_key_file={folder}/server.key"], 5432, log)
    return log


def psql(tls, *words):
    ending = "sslmode=disable" if tls == "clear" else "sslmode=verify-full sslrootcert=$SSL_CERT_FILE"
    commands = " ".join(f"-c \"{word}\"" for word in words)
    return f"PGPASSWORD='correct horse' psql -X -tA \"host=db.test user=alice dbname=postgres {ending}\" {commands}"


@pytest.mark.parametrize("tls", ["inside", "clear"])
def test_postgresql(online, policy, postgres, tls):
    done = online.sh(psql(tls, "select 6 * 7"), policy=policy())
    assert (done.status, done.stdout) == (0, "42\n"), done
    event = sessions(online, "allow", "db.test:5432")[-1]
    assert event["evidence"]["user"] == "alice" and event["evidence"]["database"] == "postgres", event
    assert ("tls" in event["evidence"]) == (tls == "inside") and "horse" not in json.dumps(online.events())
    assert not online.events(decision="deny")


@pytest.mark.parametrize("tls", ["inside", "clear"])
def test_no_secret_reaches_postgresql(online, policy, postgres, tls):
    before = postgres.stat().st_size
    done = online.sh(psql(tls, "select 1", f"select '{TOKEN}'"), policy=policy())
    assert done.status != 0 and done.stdout == "1\n", done
    assert_stopped(online, "db.test:5432", "postgresql", postgres.read_bytes()[before:])


def test_a_bulk_load_into_postgresql_goes_through_whole(online, policy, postgres):
    done = online.sh("seq 1 200000 | sed 's/$/ and some words to fill the line/' >rows && " + psql(
        "inside", "create temp table rows (line text)", "\\copy rows from rows", "select count(*), sum(length(line)) from rows"),
        policy=policy())
    assert (done.status, done.stdout.split()[-1]) == (0, "200000|7488895"), done


def test_another_protocol_on_its_port_is_refused(online, policy, postgres):
    script = "import socket; s = socket.create_connection(('db.test', 5432)); s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n'); print(s.recv(10))"
    done = online.python(script, policy=policy())
    assert "ConnectionResetError" in done.stderr, done
    event = sessions(online, "deny", "db.test:5432")[-1]
    assert event["reason"].startswith("postgresql: ") and "passthrough" in event["hint"], event


def test_what_passes_through_is_not_read(online, policy, postgres):
    done = online.sh(psql("clear", f"select '{TOKEN}'"), policy=policy(tcp="tcp, tls: passthrough"))
    assert (done.status, done.stdout) == (0, TOKEN + "\n"), done
    assert not online.events(kind="session")
    assert "db.test" in done.stderr and "not searched" in done.stderr  # the warning


def test_log_lets_a_secret_pass_and_says_so(online, policy, postgres):
    done = online.sh(psql("inside", f"select '{TOKEN}'"), policy=policy("log"))
    assert (done.status, done.stdout) == (0, TOKEN + "\n"), done
    assert "secret" in sessions(online, "log", "db.test:5432")[-1]["reason"]


# ---- MariaDB, on a port of its own that the rule names the protocol of

@pytest.fixture(scope="module")
def mariadb(serve):
    if not os.path.exists("/usr/sbin/mariadbd") or not shutil.which("mariadb-install-db") or not shutil.which("mysql"):
        pytest.skip("MariaDB is not installed")
    folder = serve.folder("mariadb")
    subprocess.run([*serve.user, "mariadb-install-db", "--no-defaults", f"--datadir={folder}/data", "--auth-root-authentication-method=normal",
                    "--skip-test-db"], check=True, capture_output=True, env=ENVIRONMENT, cwd="/")
    (folder / "init.sql").write_text("create user 'alice'@'%' identified by 'correct horse';\ncreate database shop;\n"
                                     "grant all on shop.* to 'alice'@'%';\n")
    serve.start([*serve.user, "mariadbd", "--no-defaults", f"--datadir={folder}/data", "--port=3307", "--bind-address=0.0.0.0",
                 f"--socket={folder}/socket", f"--init-file={folder}/init.sql", "--skip-name-resolve", "--general-log",
                 f"--general-log-file={folder}/log", f"--ssl-cert={folder}/server.pem", f"--ssl-key={folder}/server.key"],
                3307, folder / "err")
    return folder / "log"


def mysql(tls, statement):
    ending = "--skip-ssl" if tls == "clear" else "--ssl-ca=$SSL_CERT_FILE --ssl-verify-server-cert"
    return f"mysql --no-defaults -N -h shop.test -P 3307 -u alice '-pcorrect horse' {ending} shop -e \"{statement}\""


@pytest.mark.parametrize("tls", ["inside", "clear"])
def test_mariadb(online, policy, mariadb, tls):
    done = online.sh(mysql(tls, "select 6 * 7"), policy=policy())
    assert (done.status, done.stdout) == (0, "42\n"), done
    event = sessions(online, "allow", "shop.test:3307")[-1]
    assert event["evidence"]["user"] == "alice" and event["evidence"]["database"] == "shop", event
    assert ("tls" in event["evidence"]) == (tls == "inside")


@pytest.mark.parametrize("tls", ["inside", "clear"])
def test_no_secret_reaches_mariadb(online, policy, mariadb, tls):
    before = mariadb.stat().st_size
    done = online.sh(mysql(tls, f"select '{TOKEN}'"), policy=policy())
    assert done.status != 0 and TOKEN not in done.stdout, done
    assert_stopped(online, "shop.test:3307", "mysql", mariadb.read_bytes()[before:])


# ---- Redis, in the clear and inside TLS from the first byte

@pytest.fixture(scope="module")
def redis(serve):
    if not shutil.which("redis-server") or not shutil.which("redis-cli"):
        pytest.skip("Redis is not installed")
    folder = serve.folder("redis")
    serve.start([*serve.user, "redis-server", "--port", "6379", "--tls-port", "6380", "--tls-cert-file", folder / "server.pem",
                 "--tls-key-file", folder / "server.key", "--tls-auth-clients", "no", "--tls-ca-cert-file", folder / "server.pem",
                 "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--appendonly", "yes", "--appendfsync", "always",
                 "--dir", folder], 6380, folder / "log")
    return lambda: b"".join(path.read_bytes() for path in folder.glob("appendonlydir/*"))


def redis_cli(tls, *words):
    ending = "-p 6379" if tls == "clear" else "-p 6380 --tls --cacert $SSL_CERT_FILE"
    return f"redis-cli -h cache.test {ending} {' '.join(words)}"


@pytest.mark.parametrize("tls", ["inside", "clear"])
def test_redis(online, policy, redis, tls):
    done = online.sh(f"{redis_cli(tls, 'set', 'greeting', 'hello')} && {redis_cli(tls, '-n', '3', 'ping')}", policy=policy())
    assert done.status == 0 and done.stdout.split() == ["OK", "PONG"], done
    assert b"greeting" in redis() and not online.events(decision="deny")


@pytest.mark.parametrize("tls", ["inside", "clear"])
def test_no_secret_reaches_redis(online, policy, redis, tls):
    done = online.sh(redis_cli(tls, "set", "a", TOKEN), policy=policy())
    assert "OK" not in done.stdout, done
    assert_stopped(online, "cache.test:6379" if tls == "clear" else "cache.test:6380", "redis", redis())


# ---- SMTP with STARTTLS

@pytest.fixture(scope="module")
def mail(internet, serve):
    folder = serve.folder("mail")
    shutil.copy(REPOSITORY / "tests/internet/mail.py", folder)
    (folder / "received").touch()
    # As root: its port is one below 1024.
    serve.start(["python3", folder / "mail.py", "587", folder / "server.pem", folder / "server.key",
                 folder / "received"], 587, folder / "log")
    return lambda: (folder / "received").read_bytes()


SEND = """
import smtplib, sys
server = smtplib.SMTP('mail.test', 587, local_hostname='agent')
if {tls}:
    import ssl
    server.starttls(context=ssl.create_default_context())
server.login('alice', 'correct horse')
print(server.sendmail('alice@agent.test', ['bob@mail.test'], 'Subject: hello\\r\\n\\r\\n{text}\\r\\n'))
server.quit()
"""


@pytest.mark.parametrize("tls", [True, False])
def test_mail(online, policy, mail, tls):
    done = online.python(SEND.format(tls=tls, text="the words of this mail"), policy=policy())
    assert (done.status, done.stdout) == (0, "{}\n"), done
    assert b"the words of this mail" in mail()
    event = sessions(online, "allow", "mail.test:587")[-1]
    assert event["evidence"]["recipients"] == "bob@mail.test" and event["evidence"]["user"] == "alice", event
    assert ("tls" in event["evidence"]) == tls
    assert not online.events(decision="deny")


@pytest.mark.parametrize("tls", [True, False])
def test_no_secret_is_mailed(online, policy, mail, tls):
    done = online.python(SEND.format(tls=tls, text=f"for you: {TOKEN}"), policy=policy())
    assert done.status != 0 and "{}" not in done.stdout, done
    assert_stopped(online, "mail.test:587", "smtp", mail())


def test_a_mail_server_that_does_not_prove_itself_gets_nothing(online, mail):
    before = len(mail())
    done = online.python(SEND.format(tls=True, text="words"), policy="""
        network:
          resolver: 20.0.0.1:53
          allow: [{ host: mail.test, ports: [587], protocol: tcp }]
        """)
    assert done.status != 0, done
    assert "the certificate of mail.test" in sessions(online, "deny", "mail.test:587")[-1]["reason"]
    assert b"alice" not in mail()[before:]


# ---- SSH and git

@pytest.fixture(scope="module")
def ssh_server(internet):
    if not os.path.exists("/usr/sbin/sshd"):
        pytest.skip("sshd is not installed")
    folder = internet.path / "ssh"
    folder.mkdir(mode=0o755)
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "client.pub", folder / "authorized")
    (folder / "config").write_text(f"ListenAddress 0.0.0.0:22\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nPidFile none\n"
                                   "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nForceCommand cat\n")
    server = internet.serve(["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"', "sh",
                             "/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
    wait_for_port(internet, 22)
    yield folder
    server.terminate()
    server.wait()


def test_ssh_goes_through_and_the_log_says_that_nothing_in_it_is_seen(online, policy, ssh_server):
    key = online.write(online.directory("keys") / "id", (ssh_server / "client").read_bytes(), 0o600)
    done = online.sh("head -c 3000000 /dev/zero | ssh -i /keys/id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
                     "-o LogLevel=ERROR -o BatchMode=yes root@ssh.test | wc -c",
                     policy=policy(files=f"\n  - {{ host: {key.parent}, at: /keys, access: read }}"))
    assert (done.status, done.stdout) == (0, "3000000\n"), done
    event = sessions(online, "allow", "ssh.test:22")[-1]
    assert event["evidence"]["protocol"] == "ssh" and "nothing in it is seen" in event["evidence"]["encryption"], event
    assert "SSH is encrypted by itself" in done.stderr


@pytest.fixture(scope="module")
def git_server(internet, serve):
    folder = serve.folder("git")
    environment = {**ENVIRONMENT, **{f"GIT_{who}_{what}": "a@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}}
    for line in (["init", "-q", "work"], ["-C", "work", "commit", "-q", "--allow-empty", "-m", "first"],
                 ["clone", "-q", "--bare", "work", "repo.git"]):
        subprocess.run([*AS_USER, "git", *line], cwd=folder, check=True, env=environment, capture_output=True)
    serve.start([*serve.user, "git", "daemon", "--reuseaddr", "--listen=0.0.0.0", "--export-all", "--enable=receive-pack",
                 f"--base-path={folder}", folder], 9418, folder / "log")
    return folder / "repo.git"


def test_git(online, policy, git_server):
    done = online.sh("git clone -q git://git.test/repo.git && git -C repo log --format=%s", policy=policy())
    assert (done.status, done.stdout) == (0, "first\n"), done
    evidence = sessions(online, "allow", "git.test:9418")[-1]["evidence"]
    assert (evidence["host"], evidence["path"], evidence["request"]) == ("git.test", "/repo.git", "git-upload-pack"), evidence


def test_no_secret_is_pushed_as_a_name(online, policy, git_server):
    done = online.sh(f"git clone -q git://git.test/repo.git && cd repo && git push -q origin HEAD:refs/heads/{TOKEN}", policy=policy())
    assert done.status != 0, done
    refs = subprocess.run([*AS_USER, "git", "-C", git_server, "for-each-ref"], capture_output=True, check=True).stdout
    assert_stopped(online, "git.test:9418", "git", refs)
