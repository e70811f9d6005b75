"""Reading a body that nobody has verified yet: how long, how large, and how many at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from engine.errors import RulewaveError
from engine.intake.asgi import Receive
from engine.model import Answer

TOO_LARGE = Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", "the body is too large")
TOO_SLOW = Answer(HTTPStatus.REQUEST_TIMEOUT, "too_slow", "the body did not arrive in time")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much patience the intake has with a client that has proved nothing yet.

    `body_seconds` is for the whole body, `bodies` the number of unfinished bodies held at once,
    `linger_seconds` how long a refused client may go on writing before the connection closes.
    """

    body_seconds: float = 10.0
    bodies: int = 256
    linger_seconds: float = 0.5


class Refused(RulewaveError):
    """The request is answered without being looked at further; its body may still be coming."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


class ClientGone(RulewaveError):
    """The client went away before its body was whole."""


class Places:
    """Room for unfinished bodies.

    When it is full, the body that began first gives way and is told that it was too slow. So
    slow clients, however many, can only push out each other: a body that is sent in one go is
    whole long before 256 others have begun. To make the newcomer wait or to refuse it would let
    256 slow clients shut everybody out for as long as they like.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        # A dict keeps the order in which they began.
        self._taken: dict[asyncio.Timeout, None] = {}

    def take(self, deadline: asyncio.Timeout) -> None:
        """Hold a place; `deadline` is brought forward when it has to be given up."""
        if deadline in self._taken:
            return
        if len(self._taken) >= self._number:
            self._give_way(next(iter(self._taken)))
        self._taken[deadline] = None

    def leave(self, deadline: asyncio.Timeout) -> None:
        """Free the place, if one was taken."""
        self._taken.pop(deadline, None)

    def _give_way(self, deadline: asyncio.Timeout) -> None:
        self.leave(deadline)
        if not deadline.expired():
            deadline.reschedule(asyncio.get_running_loop().time())


class Reader:
    """Reads bodies within their limits. One for a listener, since the places are shared."""

    def __init__(self, max_body: int, limits: Limits) -> None:
        self._max_body = max_body
        self._seconds = limits.body_seconds
        self._places = Places(limits.bodies)

    async def read(self, receive: Receive) -> bytes:
        """The whole body, or Refused, or ClientGone."""
        try:
            async with asyncio.timeout(self._seconds) as deadline:
                try:
                    return await self._collect(receive, deadline)
                finally:
                    self._places.leave(deadline)
        except TimeoutError:
            raise Refused(TOO_SLOW) from None

    async def _collect(self, receive: Receive, deadline: asyncio.Timeout) -> bytes:
        # Not a list of parts: chunks of one byte would take 40 times their size.
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            body += message.get("body", b"")
            if len(body) > self._max_body:
                raise Refused(TOO_LARGE)
            if not message.get("more_body"):
                return bytes(body)
            if body:
                self._places.take(deadline)
