#!/usr/bin/env python3
"""Records what real clients say at the start, over a loopback socket: NAME.txt beside this file, a line "C HEX" or
"S HEX" for what each side says in turn. The servers are scripts of a few answers; the clients are psql, mysql, git, ssh,
redis-cli, ldapsearch, openssl s_client and Python's own and packaged ones. A client that is not installed is skipped.
A ClientHello is cut after 16 bytes. User alice, password secret, for all.

    python3 capture.py [NAME…]
"""
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
C = None  # a step: take what the client says


def serve(listener, steps, record):
    connection, _ = listener.accept()
    for step in steps:
        if step is C:
            said = take(connection)
            if said[:2] == b"\x16\x03":
                said = said[:16]
            if said:
                record.append(("C", said))
        else:
            # imaplib makes up its tags: the answer names the last one.
            tag = record[-1][1].split(b" ")[0] if record else b""
            step = step.replace(b"TAG", tag)
            connection.sendall(step)
            record.append(("S", step))
    connection.close()


def take(connection):
    """Everything until the client pauses."""
    said = b""
    connection.settimeout(5)
    try:
        while chunk := connection.recv(65536):
            said += chunk
            connection.settimeout(0.3)
    except OSError:
        pass
    return said


def capture(name, steps, client):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    record = []
    server = threading.Thread(target=serve, args=(listener, steps, record), daemon=True)
    server.start()
    port = listener.getsockname()[1]
    if callable(client):
        try:
            client(port)
        except Exception as error:  # the script ends in the midst of the protocol
            print(f"{name}: client ended: {type(error).__name__}")
    else:
        command = [part.replace("PORT", str(port)) for part in client]
        environment = dict(os.environ, PGPASSWORD="secret", LC_ALL="C", HOME="/nonexistent")
        try:
            subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=15)
        except FileNotFoundError:
            print(f"{name}: {command[0]} is not installed")
            return
        except subprocess.TimeoutExpired:
            pass
    server.join(12)
    listener.close()
    write(name, record)


def write(name, record):
    if not any(speaker == "C" for speaker, _ in record):
        print(f"{name}: nothing was said")
        return
    (HERE / f"{name}.txt").write_text("".join(f"{speaker} {said.hex()}\n" for speaker, said in record))


def openssl(protocol, *more):
    return ["openssl", "s_client", "-connect", "127.0.0.1:PORT", "-starttls", protocol, *more]


def mysql_greeting(flags=0xDFFFFFFF):
    body = (b"\x0a8.0.36\0" + struct.pack("<I", 7) + b"abcdefgh\0" + struct.pack("<H", flags & 0xFFFF) + b"\xff" +
            struct.pack("<H", 2) + struct.pack("<H", flags >> 16) + b"\x15" + b"\0" * 10 + b"ijklmnopqrst\0" +
            b"mysql_native_password\0")
    return struct.pack("<I", len(body))[:3] + b"\0" + body


def amqp_start():
    def long_string(text):
        return struct.pack(">I", len(text)) + text
    body = struct.pack(">HHBB", 10, 10, 0, 9) + long_string(b"") + long_string(b"PLAIN AMQPLAIN") + long_string(b"en_US")
    return b"\1\0\0" + struct.pack(">I", len(body)) + body + b"\xce"


def amqp_tune():
    body = struct.pack(">HHHIH", 10, 30, 2047, 131072, 60)
    return b"\1\0\0" + struct.pack(">I", len(body)) + body + b"\xce"


def smtp_mail(port):
    import smtplib
    with smtplib.SMTP("127.0.0.1", port, local_hostname="me.example", timeout=5) as client:
        client.login("alice", "secret")
        client.sendmail("a@a.example", ["b@b.example", "c@c.example"], "Subject: x\n\n.leading dot\n")


def smtp_tls(port):
    import smtplib
    client = smtplib.SMTP("127.0.0.1", port, local_hostname="me.example", timeout=5)
    client.starttls()


def imap_login(port):
    import imaplib
    imaplib.IMAP4("127.0.0.1", port).login("alice", "secret")


def pop_login(port):
    import poplib
    client = poplib.POP3("127.0.0.1", port, timeout=5)
    client.user("alice")
    client.pass_("secret")


def pop_tls(port):
    import poplib
    poplib.POP3("127.0.0.1", port, timeout=5).stls()


def ftp_login(port):
    import ftplib
    client = ftplib.FTP()
    client.connect("127.0.0.1", port, timeout=5)
    client.login("alice", "secret")


def ftp_tls(port):
    import ftplib
    client = ftplib.FTP_TLS()
    client.connect("127.0.0.1", port, timeout=5)
    client.auth()


def mqtt(port, version):
    import paho.mqtt.client
    client = paho.mqtt.client.Client(paho.mqtt.client.CallbackAPIVersion.VERSION2, client_id="client-7", protocol=version)
    client.username_pw_set("alice", "secret")
    client.will_set("topic", "gone")
    client.connect("127.0.0.1", port)
    client.loop(1)


def nats(port):
    import asyncio
    import nats as library
    asyncio.run(library.connect(f"nats://127.0.0.1:{port}", user="alice", password="secret", name="demo",
                                allow_reconnect=False, connect_timeout=2))


def amqp(port):
    import pika
    pika.BlockingConnection(pika.ConnectionParameters(
        "127.0.0.1", port, "shop", pika.PlainCredentials("alice", "secret"), socket_timeout=2,
        blocked_connection_timeout=2, stack_timeout=3))


def redis_python(port):
    import redis
    redis.Redis(port=port, username="alice", password="secret", db=4, socket_timeout=2).get("k")


def mysql_python(port):
    import pymysql
    pymysql.connect(host="127.0.0.1", port=port, user="alice", password="secret", database="shop", connect_timeout=2,
                    ssl_disabled=True, program_name="demo")


def ldap_bind(port):
    import ldap3
    ldap3.Connection(ldap3.Server("127.0.0.1", port, connect_timeout=2, get_info=ldap3.NONE), "cn=alice,dc=example",
                     "secret", receive_timeout=1).bind()


def ssh(name):
    """Both sides are real: what passes between ssh and sshd."""
    with tempfile.TemporaryDirectory() as folder:
        key = f"{folder}/key"
        os.makedirs("/run/sshd", exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        spare = socket.create_server(("127.0.0.1", 0))
        port = spare.getsockname()[1]
        spare.close()
        daemon = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", "/dev/null", "-p", str(port), "-h", key,
                                   "-o", "ListenAddress=127.0.0.1", "-o", f"PidFile={folder}/pid"],
                                  stderr=subprocess.DEVNULL)
        listener = socket.create_server(("127.0.0.1", 0))
        client = subprocess.Popen(["ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                                   "-o", "BatchMode=yes", "-p", str(listener.getsockname()[1]), "alice@127.0.0.1"],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        inside, _ = listener.accept()
        for _ in range(50):
            try:
                outside = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                threading.Event().wait(0.1)
        record = []
        for speaker, source, sink in [("C", inside, outside), ("S", outside, inside)] * 2:
            said = take(source)
            record.append((speaker, said))
            sink.sendall(said)
        for process in (client, daemon):
            process.kill()
            process.wait()
        write(name, record)


HELLO = b"250-mx.example\r\n250-PIPELINING\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n"
XMPP = (b"<?xml version='1.0'?><stream:stream from='im.example' id='1' version='1.0' xmlns='jabber:client' "
        b"xmlns:stream='http://etherx.jabber.org/streams'><stream:features><starttls "
        b"xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>")
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
LDAP_OK = bytes.fromhex("300c02010178070a010004000400")
IMAP = b"* OK [CAPABILITY IMAP4REV1 STARTTLS] hi\r\n"


def mongodb(name):
    """The driver looks at the server over one connection, and logs in over the next: that one is recorded."""
    import bson
    import pymongo
    listener = socket.create_server(("127.0.0.1", 0))
    record = []

    def answer(connection, record):
        said = take(connection)
        record.append(("C", said))
        body = bson.encode({"ismaster": True, "helloOk": True, "minWireVersion": 0, "maxWireVersion": 21, "ok": 1.0,
                            "maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000, "readOnly": False})
        section = struct.pack("<iiqii", 8, 0, 0, 0, 1) + body
        if struct.unpack("<i", said[12:16])[0] == 2013:
            section = struct.pack("<iB", 0, 0) + body
            code = 2013
        else:
            code = 1
        connection.sendall(struct.pack("<iiii", 16 + len(section), 1, struct.unpack("<i", said[4:8])[0], code) + section)

    def serve_twice():
        for number in range(2):
            connection, _ = listener.accept()
            answer(connection, record if number else [])

    server = threading.Thread(target=serve_twice, daemon=True)
    server.start()
    client = pymongo.MongoClient("127.0.0.1", listener.getsockname()[1], username="alice", password="secret",
                                 authSource="admin", appname="demo", compressors="zlib", directConnection=True,
                                 serverSelectionTimeoutMS=1500, socketTimeoutMS=1000)
    try:
        client.admin.command("ping")
    except pymongo.errors.PyMongoError as error:
        print(f"{name}: client ended: {type(error).__name__}")
    server.join(3)
    write(name, record[:1])


CAPTURES = {
    "postgresql_psql_plain": ([C, b"N", C, b"N", C], ["psql", "-h", "127.0.0.1", "-p", "PORT", "-U", "alice", "shop", "-c", ""]),
    "postgresql_psql_tls": ([C, b"S", C], ["psql", "host=127.0.0.1 port=PORT user=alice dbname=shop sslmode=require gssencmode=disable", "-c", ""]),
    "postgresql_openssl": ([C, b"S", C], openssl("postgres")),
    "mysql_client_plain": ([mysql_greeting(), C], ["mysql", "-h", "127.0.0.1", "-P", "PORT", "-u", "alice", "-psecret", "--skip-ssl", "shop"]),
    "mysql_client_tls": ([mysql_greeting(), C], ["mysql", "-h", "127.0.0.1", "-P", "PORT", "-u", "alice", "-psecret", "--ssl", "shop"]),
    "mysql_pymysql": ([mysql_greeting(), C], mysql_python),
    "mysql_openssl": ([mysql_greeting(), C], openssl("mysql")),
    "redis_cli": ([C, b"+OK\r\n", C, b"+OK\r\n", C], ["redis-cli", "-h", "127.0.0.1", "-p", "PORT", "--user", "alice", "--pass", "secret", "-n", "4", "GET", "k"]),
    "redis_python": ([C, b"+OK\r\n", C, b"+OK\r\n", C, b"+OK\r\n", C], redis_python),
    "smtp_smtplib_tls": ([b"220 mx.example\r\n", C, HELLO, C, b"220 go\r\n", C], smtp_tls),
    "smtp_smtplib_mail": ([b"220 mx.example\r\n", C, HELLO, C, b"235 ok\r\n", C, b"250 ok\r\n", C, b"250 ok\r\n", C,
                           b"250 ok\r\n", C, b"354 go\r\n", C, b"250 queued\r\n", C, b"221 bye\r\n"], smtp_mail),
    "smtp_openssl": ([b"220 mx.example\r\n", C, HELLO, C, b"220 go\r\n", C], openssl("smtp")),
    "imap_openssl": ([IMAP, C, b"* CAPABILITY IMAP4rev1 STARTTLS\r\n. OK\r\n", C, b". OK\r\n", C], openssl("imap")),
    "imap_imaplib_login": ([IMAP, C, b"* CAPABILITY IMAP4rev1\r\nTAG OK done\r\n", C, b"TAG OK in\r\n"], imap_login),
    "pop3_poplib_login": ([b"+OK hi\r\n", C, b"+OK\r\n", C, b"+OK in\r\n"], pop_login),
    "pop3_poplib_tls": ([b"+OK hi\r\n", C, b"+OK\r\nSTLS\r\n.\r\n", C, b"+OK go\r\n", C], pop_tls),
    "pop3_openssl": ([b"+OK hi\r\n", C, b"+OK go\r\n", C], openssl("pop3")),
    "ftp_ftplib_login": ([b"220 hi\r\n", C, b"331 pw\r\n", C, b"230 in\r\n"], ftp_login),
    "ftp_ftplib_tls": ([b"220 hi\r\n", C, b"234 go\r\n", C], ftp_tls),
    "ftp_openssl": ([b"220 hi\r\n", C, b"234 go\r\n", C], openssl("ftp")),
    "ldap_openssl": ([C, LDAP_OK, C], openssl("ldap")),
    "ldap_ldapsearch_tls": ([C, LDAP_OK, C], ["ldapsearch", "-x", "-ZZ", "-H", "ldap://127.0.0.1:PORT", "-D", "cn=alice,dc=example", "-w", "secret"]),
    "ldap_ldap3_bind": ([C], ldap_bind),
    "xmpp_openssl": ([C, XMPP, C, PROCEED, C], openssl("xmpp", "-xmpphost", "im.example")),
    "git_ls_remote": ([C], ["git", "-c", "protocol.version=2", "ls-remote", "git://127.0.0.1:PORT/a/b.git"]),
    "git_push": ([C], ["git", "archive", "--remote=git://127.0.0.1:PORT/~alice/b.git", "HEAD"]),
    "amqp_pika": ([C, amqp_start(), C, amqp_tune(), C], amqp),
    "mqtt_paho_311": ([C], lambda port: mqtt(port, 4)),
    "mqtt_paho_5": ([C], lambda port: mqtt(port, 5)),
    "nats_python": ([b'INFO {"server_id":"x","server_name":"n1","version":"2.10.0","max_payload":1048576}\r\n', C], nats),
}

if __name__ == "__main__":
    special = {"ssh_openssh": ssh, "mongodb_pymongo": mongodb}
    for wanted_name in sys.argv[1:] or [*CAPTURES, *special]:
        if wanted_name in special:
            special[wanted_name](wanted_name)
        else:
            capture(wanted_name, *CAPTURES[wanted_name])
