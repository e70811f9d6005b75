"""A real HTTP server that remembers every call, and answers late, badly or not at all when asked."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG = 0
"""The status that means: do not answer until the sink is released, then 200."""
DROP = -1
"""The status that means: close the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the step (its path), whose event (mark), the key, and when it came (µs)."""

    step: str
    mark: str
    key: str
    at: int
    body: dict[str, Any]


Mood = Callable[[Call, int], int]
"""The status that the n-th call (from 1) with one key is answered with."""


def friendly(call: Call, number: int) -> int:
    """All is well."""
    return 200


@dataclass
class HttpSink:
    """What came in so far."""

    mood: Mood = friendly
    calls: list[Call] = field(default_factory=list)
    port: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    _seen: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def note(self, call: Call) -> int:
        """Remember a call; the status that it gets."""
        with self._lock:
            self.calls.append(call)
            self._seen[call.key] += 1
            number = self._seen[call.key]
        return self.mood(call, number)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sink: HttpSink

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if len(content) < int(self.headers["Content-Length"]):
            self.close_connection = True  # the caller was killed before it had said all
            return
        body = json.loads(content)
        call = Call(
            self.path.strip("/"), body["mark"], self.headers["Idempotency-Key"],
            time.time_ns() // 1000, body,
        )  # fmt: skip
        status = self.sink.note(call)
        if status == HANG:
            self.sink.released.wait()
            status = 200
        if status == DROP:
            self.close_connection = True
            return
        answer = json.dumps({"receipt": receipt_of(call.key)}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A daemon that is killed in the middle of a call is no error here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def receipt_of(key: str) -> str:
    """What the sink gives back for a key: a later step hands it on."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


@contextmanager
def http_sink(mood: Mood = friendly) -> Iterator[HttpSink]:
    """Listen until the block ends."""
    sink = HttpSink(mood)
    handler = type("Handler", (_Handler,), {"sink": sink})
    with _Server(("127.0.0.1", 0), handler) as server:
        sink.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield sink
        finally:
            sink.released.set()
            server.shutdown()
            thread.join()
