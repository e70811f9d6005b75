"""A far side that betrays what it was told: an HTTP server and a mail server, each in a thread."""

from __future__ import annotations

import base64
import html
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote


@dataclass
class Heard:
    """What was said to a server, whole, and its port."""

    port: int = 0
    said: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


class _Echo(BaseHTTPRequestHandler):
    """Answers with all that it was told, in every way of writing it; `/fail` with 500."""

    protocol_version = "HTTP/1.1"
    heard: Heard

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        told = {"path": self.path, "body": body, "headers": dict(self.headers)}
        self.heard.said.append(json.dumps(told, ensure_ascii=False))
        number = int(self.headers.get("X-Number", "0"))
        answer = json.dumps(
            {"number": number, "told": told, "again": list(map(_ways, self.headers.values()))}
        )
        self.send_response(500 if self.path.startswith("/fail") else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Was", self.headers.get("Authorization", ""))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _ways(text: str) -> list[str]:
    return [
        base64.b64encode(text.encode()).decode(), quote(text, safe=""), html.escape(text),
        json.dumps(text).replace("/", "\\/"), repr(text.encode()), text.encode().hex(),
    ]  # fmt: skip


class _Mail(socketserver.StreamRequestHandler):
    """Takes mail; a login as `refused` is answered with the password that was tried."""

    heard: Heard

    def handle(self) -> None:
        self._say("220 mail.example.org")
        while line := self.rfile.readline().decode().strip():
            self.heard.said.append(line)
            verb, _, rest = line.partition(" ")
            if verb.upper() == "EHLO":
                self._say("250-mail.example.org", "250 AUTH PLAIN")
            elif verb.upper() == "AUTH":
                self._judge(base64.b64decode(rest.partition(" ")[2]).decode())
            elif verb.upper() == "DATA":
                self._take()
            elif verb.upper() == "QUIT":
                return self._say("221 bye")
            else:
                self._say("250 ok")
        return None

    def _judge(self, login: str) -> None:
        self.heard.logins.append(login)
        _, user, password = login.split("\0")
        if user == "refused":
            # So long that what people are shown of it is cut in the middle of the password.
            self._say(f"535 {password} is wrong {'x' * (300 - 50 - len(password))} {password}")
        else:
            self._say(f"235 welcome with {password}")

    def _take(self) -> None:
        self._say("354 go on")
        while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
            self.heard.said.append(line)
        self._say("250 taken")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class _Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def echo() -> Iterator[Heard]:
    """The HTTP server, until the block ends."""
    yield from _serve(ThreadingHTTPServer, _Echo)


@contextmanager
def mail() -> Iterator[Heard]:
    """The mail server, until the block ends."""
    yield from _serve(_Threads, _Mail)


def _serve(kind: type[socketserver.TCPServer], handler: Any) -> Iterator[Heard]:
    heard = Heard()
    with kind(("127.0.0.1", 0), type("Handler", (handler,), {"heard": heard})) as server:
        heard.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield heard
        finally:
            server.shutdown()
            thread.join()
