"""The ASGI front for the webhook: every limit, then one delivery, then its answer. The hot path."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

import structlog

from engine.intake.asgi import (
    Asgi,
    Message,
    Receive,
    Scope,
    Send,
    acknowledge,
    refuse,
    refuse_unread,
)
from engine.intake.bodies import TOO_LARGE, ClientGone, Limits, Reader, Refused
from engine.model import Answer, Delivery
from engine.sources.signature import HEADER

Accept = Callable[[Delivery], Awaitable[Answer]]
"""Verifies and stores a delivery, and says how to answer it."""

_NOT_FOUND = Answer(HTTPStatus.NOT_FOUND, "not_found", "there is nothing here")
_WRONG_METHOD = Answer(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "only POST is allowed")
_NOT_JSON = Answer(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_json", "the Content-Type is not application/json"
)
_DOUBLED = Answer(
    HTTPStatus.BAD_REQUEST, "signature_doubled", "more than one X-Remnawave-Signature header"
)
_BROKEN = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "something went wrong here")

_JSON_TYPE = re.compile(rb"application/([\w.!#$&^-]+\+)?json[ \t]*(;.*)?", re.IGNORECASE)
_ACCEPTED = range(200, 300)

_log = structlog.get_logger()


class Front:
    """Answers the webhook itself and leaves health checks to the application behind it.

    Framing (Content-Length against Transfer-Encoding, doubled lengths, HTTP/2) is settled by the
    listener, before a request exists at all; see `engine.daemon.http1`.
    """

    def __init__(
        self,
        behind: Asgi,
        accept: Accept,
        *,
        path: str,
        max_body: int,
        on_answer: Callable[[str], None],
        limits: Limits,
    ) -> None:
        self._behind = behind
        self._accept = accept
        self._path = path
        self._max_body = max_body
        self._on_answer = on_answer
        self._linger = limits.linger_seconds
        self._reader = Reader(max_body, limits)
        self._pending: set[asyncio.Future[Answer]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak ASGI."""
        if scope["type"] == "lifespan":
            await self._behind(scope, self._until_settled(receive), send)
        elif scope["type"] != "http":
            await self._behind(scope, receive, send)
        elif scope["path"] == self._path:
            await self._webhook(scope, receive, send)
        elif scope["method"] in {"GET", "HEAD"}:
            await self._behind(scope, receive, send)
        else:
            # Whatever has a body ends here: nothing behind the front reads one.
            await refuse_unread(_NOT_FOUND, receive, send, linger=self._linger)

    async def _webhook(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            delivery = await self._delivery(scope, receive)
        except Refused as refused:
            self._on_answer(refused.answer.code)
            await refuse_unread(refused.answer, receive, send, linger=self._linger)
        except ClientGone:
            self._on_answer("client_gone")
        else:
            answer = await self._answer(delivery)
            self._on_answer(answer.code)
            say = acknowledge if answer.status in _ACCEPTED else refuse
            await say(answer, send)

    async def _delivery(self, scope: Scope, receive: Receive) -> Delivery:
        """What was sent, or Refused, or ClientGone."""
        if scope["method"] != "POST":
            raise Refused(_WRONG_METHOD)
        headers = tuple(scope["headers"])
        refusal = _judge(headers, self._max_body)
        if refusal is not None:
            raise Refused(refusal)
        return Delivery(headers, await self._reader.read(receive))

    async def _answer(self, delivery: Delivery) -> Answer:
        """Wait for the commit, in a task of its own: a client that goes away must not undo it."""
        accepting = asyncio.ensure_future(self._accept(delivery))
        self._pending.add(accepting)
        accepting.add_done_callback(self._settled)
        try:
            return await asyncio.shield(accepting)
        except Exception:  # noqa: BLE001 - whatever it is, `_settled` logs it and we answer
            return _BROKEN

    def _settled(self, accepting: asyncio.Future[Answer]) -> None:
        self._pending.discard(accepting)
        error = None if accepting.cancelled() else accepting.exception()
        if error is not None:
            _log.error("intake.failed", exc_info=error)

    def _until_settled(self, receive: Receive) -> Receive:
        """At the end, first wait for the commits whose clients did not."""

        async def patient() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown" and self._pending:
                await asyncio.wait(self._pending)
            return message

        return patient


def _judge(headers: Iterable[tuple[bytes, bytes]], max_body: int) -> Answer | None:
    """What can be refused before a byte of the body is read."""
    signatures = 0
    types = []
    for name, value in headers:
        if name == HEADER:
            signatures += 1
        elif name == b"content-type":
            types.append(value)
        elif name == b"content-length" and int(value) > max_body:
            return TOO_LARGE
    if signatures > 1:
        return _DOUBLED
    return None if len(types) == 1 and _JSON_TYPE.fullmatch(types[0]) else _NOT_JSON
