"""A mail server with STARTTLS that writes down every byte it was told, decrypted: mail.py PORT CERTIFICATE KEY FILE."""
import socketserver
import ssl
import sys

PORT, CERTIFICATE, KEY, FILE = int(sys.argv[1]), *sys.argv[2:5]
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.load_cert_chain(CERTIFICATE, KEY)


class Session(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(30)
        self.rest = b""
        self.say("220 mail.test ESMTP")
        content = False
        while (line := self.line()) is not None:
            with open(FILE, "ab") as log:
                log.write(line)
            word = line.strip().upper().split(b" ")[0]
            if content:
                content = line != b".\r\n"
                if not content:
                    self.say("250 taken")
            elif word == b"EHLO":
                self.say("250-mail.test\r\n250-STARTTLS\r\n250 AUTH PLAIN")
            elif word == b"STARTTLS":
                self.say("220 go ahead")
                self.request = CONTEXT.wrap_socket(self.request, server_side=True)
            elif word == b"AUTH":
                self.say("235 welcome")
            elif word == b"DATA":
                self.say("354 go ahead")
                content = True
            elif word == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def say(self, text):
        self.request.sendall(text.encode() + b"\r\n")

    def line(self):
        """The next line, or what came of it before the connection ended."""
        while b"\n" not in self.rest:
            try:
                more = self.request.recv(65536)
            except OSError:
                more = b""
            if not more:
                if self.rest:
                    with open(FILE, "ab") as log:
                        log.write(self.rest)
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line + b"\n"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("0.0.0.0", PORT), Session).serve_forever()
