"""The words of ASGI that the intake uses, and how it writes a refusal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from engine.model import Answer

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")
_MORE_HEADERS = {
    HTTPStatus.METHOD_NOT_ALLOWED: ((b"allow", b"POST"),),
    HTTPStatus.SERVICE_UNAVAILABLE: ((b"retry-after", b"5"),),
}
_END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


def error_body(code: str, message: str) -> bytes:
    """The body of every refusal."""
    return json.dumps({"error": {"code": code, "message": message}}).encode()


async def acknowledge(answer: Answer, send: Send) -> None:
    """Send a 2xx; the connection stays open for the next delivery."""
    body = json.dumps({"event_id": answer.event_id, "status": answer.code}).encode()
    headers = [_JSON, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse(answer: Answer, send: Send) -> None:
    """Send a refusal and close; the request's body was read to its end."""
    await _say(answer, send)
    await send(_END)


async def refuse_unread(answer: Answer, receive: Receive, send: Send, *, linger: float) -> None:
    """Send a refusal while the body may still be coming in, then close.

    To close at once would reset the connection and take the answer away from a client that is
    still writing, so its bytes are thrown away for up to `linger` seconds. And the server below
    waits for ever on a full queue when nobody takes from it, so somebody does to the very end.
    """
    throwing_away = asyncio.create_task(_throw_away(receive))
    try:
        await _say(answer, send)
        await asyncio.wait((throwing_away,), timeout=linger)
        await send(_END)
    finally:
        throwing_away.cancel()


async def _say(answer: Answer, send: Send) -> None:
    body = error_body(answer.code, answer.message)
    more = _MORE_HEADERS.get(HTTPStatus(answer.status), ())
    headers = [_JSON, (b"content-length", b"%d" % len(body)), _CLOSE, *more]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _throw_away(receive: Receive) -> None:
    while (await receive()).get("more_body"):
        pass
