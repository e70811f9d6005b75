"""HTTP/1.1 taken strictly: what two readers could frame differently is refused, and so is HTTP/2."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import h11
import hypercorn.protocol
from hypercorn.protocol.h11 import H11Protocol

from engine.intake.asgi import error_body

_VERSIONS = frozenset({b"1.0", b"1.1"})
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(.*?)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_ENCODING = re.compile(rb"^transfer-encoding[ \t]*:", re.IGNORECASE | re.MULTILINE)
_BARE_LF_OR_FOLD = re.compile(rb"(?<!\r)\n|\n[ \t]")


class StrictConnection(h11.Connection):
    """h11, less what it forgives.

    h11 takes bare LF and folded lines, merges equal lengths, and lets Transfer-Encoding win over
    Content-Length. A proxy before us may read the same bytes otherwise.
    """

    def __init__(self, max_head: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=max_head)
        self._max_head = max_head
        self.over = False

    def next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        """The next event, or h11.RemoteProtocolError; nothing more once `over` is set."""
        if self.over:
            return h11.NEED_DATA
        if self.their_state is not h11.IDLE:
            return super().next_event()
        waiting = self.trailing_data[0]
        event = super().next_event()
        if isinstance(event, h11.Request):
            head = waiting[: len(waiting) - len(self.trailing_data[0])]
            status = _fault(event, head, self._max_head)
            if status is not None:
                raise h11.RemoteProtocolError(status.phrase, error_status_hint=status)
        return event


def _fault(request: h11.Request, head: bytes, max_head: int) -> HTTPStatus | None:
    """With what to refuse a request, judged by its head as it was sent."""
    if request.http_version not in _VERSIONS:
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    if len(head) > max_head:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if _BARE_LF_OR_FOLD.search(head):
        return HTTPStatus.BAD_REQUEST
    lengths = _LENGTH.findall(head)
    if len(lengths) > 1 or (lengths and (b"," in lengths[0] or _ENCODING.search(head))):
        return HTTPStatus.BAD_REQUEST
    return None


class StrictProtocol(H11Protocol):
    """Hypercorn's HTTP/1.1 over a strict connection, without the way up to HTTP/2."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connection = self._strict = StrictConnection(self.config.h11_max_incomplete_size)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Never answer `Upgrade: h2c`: a server may ignore it, and goes on in HTTP/1.1."""

    async def _maybe_recycle(self) -> None:
        """Once the server stops, read no further request; Hypercorn would wait on it for ever."""
        if self.context.terminated.is_set():
            self._strict.over = True
        await super()._maybe_recycle()

    async def _send_error_response(self, status_code: int) -> None:
        """The refusal of what is no request yet, in the same form as any other."""
        status = HTTPStatus(status_code)
        body = error_body(status.name.lower(), status.phrase)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


def install() -> None:
    """Make Hypercorn speak it. 0.18 has no setting for its protocol class, hence its version pin."""
    hypercorn.protocol.H11Protocol = StrictProtocol  # type: ignore[attr-defined]
