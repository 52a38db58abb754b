"""The servers of the miniature internet, one asyncio process in the `inet` namespace. Writes what it sees to seen.jsonl.

DNS on 53 (UDP and TCP): answers the configured names; a value may be a list of lists, answered in turn (rebinding).
HTTP on 80 and TLS on 443 (certificates for every configured name): GET / answers the name, /echo the request,
/redirect?to=URL a redirect, /v1/responses and /v1/messages the scripted model. A host with a folder in sites/ is a static site.
TCP echo on 7. A listener on every other port of interest records the connect."""
import asyncio
import json
import mimetypes
import pathlib
import ssl
import struct
import subprocess
import sys
import urllib.parse

from model import Model

CONFIG = json.loads(pathlib.Path(sys.argv[1]).read_text())
FOLDER = pathlib.Path(CONFIG["folder"])
NAMES = CONFIG["names"]
SEEN = open(FOLDER / "seen.jsonl", "a", buffering=1)
TURNS = {}


def saw(kind, **details):
    SEEN.write(json.dumps({"kind": kind, **details}) + "\n")


# ---- DNS --------------------------------------------------------------------------------------------------------------
def addresses_of(name):
    value = NAMES.get(name)
    if value is None:
        for pattern, candidate in NAMES.items():
            if pattern.startswith("*.") and name.endswith(pattern[1:]):
                value = candidate
    if value is None:
        return None
    if isinstance(value, list) and value and isinstance(value[0], list):
        turn = TURNS.get(name, 0)
        TURNS[name] = turn + 1
        return value[min(turn, len(value) - 1)]
    return value if isinstance(value, list) else [value]


def dns_answer(query):
    if len(query) < 12:
        return None
    ident, _, questions = struct.unpack(">HHH", query[:6])
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += query[at] + 1
    kind, klass = struct.unpack(">HH", query[at + 1:at + 5])
    question = query[12:at + 5]
    name = ".".join(labels).lower()
    saw("dns", name=name, type=kind)
    addresses = addresses_of(name)
    records = b""
    count = 0
    for address in addresses or []:
        six = ":" in address
        if (kind, six) not in ((1, False), (28, True)):
            continue
        data = __import__("socket").inet_pton(10 if six else 2, address)
        records += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 1, len(data)) + data
        count += 1
    flags = 0x8180 if addresses is not None else 0x8183
    return struct.pack(">HHHHHH", ident, flags, 1, count, 0, 0) + question + records


class Dns(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        answer = dns_answer(data)
        if answer:
            self.transport.sendto(answer, peer)


async def dns_tcp(reader, writer):
    try:
        while True:
            size = struct.unpack(">H", await reader.readexactly(2))[0]
            answer = dns_answer(await reader.readexactly(size))
            writer.write(struct.pack(">H", len(answer)) + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


# ---- HTTP -------------------------------------------------------------------------------------------------------------
MODEL = Model(CONFIG["model_script"])


async def read_request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    headers = {}
    for line in lines[1:]:
        if ":" in line:
            key, value = line.split(":", 1)
            headers[key.strip().lower()] = value.strip()
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while True:
            size = int((await reader.readline()).split(b";")[0], 16)
            chunk = await reader.readexactly(size)
            await reader.readline()
            body += chunk
            if size == 0:
                break
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    return method, target, headers, body


def respond(writer, status, body, content_type="text/plain", extra=()):
    if isinstance(body, str):
        body = body.encode()
    head = [f"HTTP/1.1 {status} X", f"content-type: {content_type}", f"content-length: {len(body)}", *extra]
    writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)


def answer_from_site(writer, site, method, path):
    """A static site: what lies in sites/HOST below the servers' folder."""
    file = site / path.lstrip("/")
    if file.is_dir():
        file = file / "index.html"
    if method not in ("GET", "HEAD") or not file.is_file() or site not in file.resolve().parents:
        respond(writer, 404, "not found")
        return
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    body = file.read_bytes()
    if method == "HEAD":
        writer.write(f"HTTP/1.1 200 X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode())
    else:
        respond(writer, 200, body, kind)


async def http(reader, writer):
    local = writer.get_extra_info("sockname")
    tls = writer.get_extra_info("ssl_object") is not None
    saw("connect", address=local[0], port=local[1], tls=tls)
    try:
        while True:
            method, target, headers, body = await read_request(reader)
            saw("http", method=method, target=target, host=headers.get("host", ""), body=len(body), tls=tls,
                port=local[1], text=body[:2000].decode("latin-1"))
            url = urllib.parse.urlsplit(target)
            site = FOLDER / "sites" / headers.get("host", "").split(":")[0]
            if url.path in ("/v1/responses", "/v1/messages"):
                MODEL.answer(url.path, body, writer)
            elif site.is_dir():
                answer_from_site(writer, site, method, urllib.parse.unquote(url.path))
            elif url.path == "/open/metadata":
                respond(writer, 302, "", extra=["location: http://169.254.169.254/"])
            elif url.path == "/redirect":
                to = urllib.parse.parse_qs(url.query)["to"][0]
                respond(writer, 302, "", extra=[f"location: {to}"])
            elif url.path == "/echo":
                respond(writer, 200, json.dumps({"method": method, "target": target, "headers": headers,
                                                 "body": body.decode("latin-1")}), "application/json")
            elif url.path.startswith("/bytes/"):
                respond(writer, 200, b"x" * int(url.path.split("/")[2]), "application/octet-stream")
            elif url.path.startswith("/files/"):
                path = FOLDER / "files" / url.path[len("/files/"):]
                if path.is_file() and FOLDER in path.resolve().parents:
                    respond(writer, 200, path.read_bytes(), "application/octet-stream")
                else:
                    respond(writer, 404, "not found")
            else:
                respond(writer, 200, f"hello from {headers.get('host', '')}\n")
            await writer.drain()
            if headers.get("connection", "").lower() == "close":
                break
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError, ssl.SSLError):
        pass
    finally:
        try:
            writer.close()
        except RuntimeError:
            pass


async def echo(reader, writer):
    local = writer.get_extra_info("sockname")
    saw("connect", address=local[0], port=local[1], tls=False)
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except (ConnectionError, OSError):
        pass
    finally:
        writer.close()


def make_certificates():
    """A CA and one certificate for all the names, by the openssl program."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=FOLDER)
    names = sorted(set(NAMES) | {"localhost"})
    alternatives = ",".join(f"DNS:{name}" for name in names) + ",IP:20.0.0.1"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Miniature Internet CA",
            "-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "server.key",
            "-out", "server.csr", "-subj", "/CN=miniature.internet")
    (FOLDER / "ext").write_text(f"subjectAltName={alternatives}\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "ext", "-out", "server.pem")
    (FOLDER / "ca.pem").chmod(0o644)


async def main():
    make_certificates()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FOLDER / "server.pem", FOLDER / "server.key")
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Dns, local_addr=("20.0.0.1", 53))
    for serve, port, tls in ((dns_tcp, 53, None), (http, 80, None), (http, 8080, None), (http, 443, context),
                             (http, 8443, context), (echo, 7, None), (echo, 9000, None)):
        await asyncio.start_server(serve, ["0.0.0.0", "::"], port, ssl=tls, limit=1 << 20, backlog=1024)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
