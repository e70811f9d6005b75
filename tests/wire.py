"""Real listeners on real sockets, and clients that write bytes by hand."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from engine.daemon.listeners import bind, parse_listen, serve
from engine.intake.app import build_intake
from engine.intake.bodies import Limits
from engine.model import Answer, Delivery
from engine.sources.signature import Refused, sign, verify

SECRET = "sampleSecret0123456789sampleSecret0123456789sampleSecret01234567"
BODY = '{"event":"user.created","data":{"description":"Анна — «Базовый» 🚀"}}'.encode()
PATIENCE = 15.0


class Listener:
    """An application served in a thread of its own; `errors` is what the event loop complained of."""

    def __init__(
        self, app: Callable[..., Awaitable[None]], listen: str = "127.0.0.1:0", grace: float = 0.2
    ) -> None:
        self.app = app
        self.grace = grace
        self.sockets = bind(parse_listen(listen))
        self.address: Any = self.sockets[0].getsockname()
        self.family = self.sockets[0].family
        self.errors: list[dict[str, Any]] = []
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self._stop = asyncio.Event()
        self._up.set()
        await serve(self.app, self.sockets, stop=self._stop, grace=self.grace)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(PATIENCE)
        return self

    def stop(self) -> None:
        """Tell it to stop; returns at once."""
        self.loop.call_soon_threadsafe(self._stop.set)

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self.stop()
        self.join()
        if error is None:
            assert self.errors == []

    def connect(self) -> socket.socket:
        """A connection that gives up after some patience."""
        client = socket.socket(self.family)
        client.settimeout(PATIENCE)
        try:
            client.connect(self.address)
        except OSError:
            client.close()
            raise
        return client


@dataclass
class Store:
    """An `accept` that verifies and remembers."""

    answer: Answer | Exception | None = None
    secret: str = SECRET
    deliveries: list[Delivery] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)

    async def accept(self, delivery: Delivery) -> Answer:
        try:
            verify(delivery.headers, delivery.body, [self.secret])
        except Refused as refused:
            return Answer(refused.status, refused.code, refused.message)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        if any(delivery.body == other.body for other in self.deliveries):
            return Answer(200, "duplicate", event_id="e1")
        self.deliveries.append(delivery)
        return ACCEPTED

    def intake(
        self, limits: Limits | None = None, **settings: Any
    ) -> Callable[..., Awaitable[None]]:
        """The real intake over this store."""
        limits = limits or Limits(body_seconds=5.0, linger_seconds=0.1)
        return build_intake(self.accept, on_answer=self.counted.append, limits=limits, **settings)


ACCEPTED = Answer(202, "accepted", event_id="e1")


@dataclass(frozen=True)
class Reply:
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a refusal, whose body must have no more than this form."""
        assert set(self.json) == {"error"}
        assert set(self.json["error"]) == {"code", "message"}
        return self.json["error"]["code"]


def head(*lines: str, method: str = "POST", path: str = "/webhook", length: object = None) -> bytes:
    """The head of a request: the given header lines, and a length where one is given."""
    more = [] if length is None else [f"Content-Length: {length}"]
    whole = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *lines, *more]
    return "\r\n".join([*whole, "", ""]).encode("latin1")


def signed(body: bytes = BODY, secret: str = SECRET) -> tuple[str, str]:
    """The two header lines that a panel sends with a body."""
    return "Content-Type: application/json", f"X-Remnawave-Signature: {sign(body, secret)}"


def good(body: bytes = BODY) -> bytes:
    """A whole request that is to be accepted."""
    return head(*signed(body), length=len(body)) + body


def chunked(body: bytes, size: int = 7) -> bytes:
    """The body in the chunked encoding."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def read_all(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    got = bytearray()
    try:
        while data := client.recv(65536):
            got += data
    except ConnectionResetError:
        pass
    return bytes(got)


def talk(listener: Listener, raw: bytes | Iterable[bytes], *, end: bool = False) -> list[Reply]:
    """Send bytes, and return every answer that comes before the connection closes."""
    with listener.connect() as client:
        for part in [raw] if isinstance(raw, bytes) else raw:
            client.sendall(part)
        if end:
            client.shutdown(socket.SHUT_WR)
        return replies(read_all(client))


def ask(listener: Listener, raw: bytes) -> Reply:
    """Send a request and return its one answer, without waiting for the close."""
    with listener.connect() as client:
        client.sendall(raw)
        return one_reply(client)


def one_reply(client: socket.socket) -> Reply:
    """The next answer on a connection that may stay open."""
    got = bytearray()
    while True:
        try:
            return _take(bytes(got))[0]
        except ValueError:
            data = client.recv(65536)
            assert data, f"closed after {bytes(got)!r}"
            got += data


def replies(raw: bytes) -> list[Reply]:
    """The answers in what was received."""
    found = []
    while raw:
        reply, raw = _take(raw)
        found.append(reply)
    return found


def _take(raw: bytes) -> tuple[Reply, bytes]:
    """The first answer, and the rest; ValueError where it is not whole."""
    top, blank, rest = raw.partition(b"\r\n\r\n")
    if not blank:
        raise ValueError(raw)
    status, *lines = top.decode("latin1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    size = int(headers.get("content-length", 0))
    if len(rest) < size:
        raise ValueError(raw)
    return Reply(int(status.split(" ")[1]), headers, rest[:size]), rest[size:]
