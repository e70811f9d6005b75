"""The far side of the demo's actions: catches mails and HTTP calls, and keeps them to be shown."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http import HTTPStatus
from typing import Any

_BUSY, _CREATED, _WELL = 503, 201, 200
_BOT = re.compile(r"/bot[^/]+/")
_WRITTEN = {"ok": True, "result": {"message_id": 1}}
"""What Telegram says to a message."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it arrived: headers decoded, text as a reader sees it."""

    sender: str
    to: str
    subject: str
    text: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HttpCall:
    """A request as it arrived, and the status that it was answered with."""

    method: str
    path: str
    key: str
    body: str
    status: int


@dataclass
class FarSide:  # without slots: Python before 3.11.3 stumbles when aiosmtpd looks through them
    """Whatever arrived so far.

    To show what becomes of failures, the first call of one path is turned away, and one mailbox
    does not exist.
    """

    mails: list[Mail] = field(default_factory=list)
    calls: list[HttpCall] = field(default_factory=list)
    smtp_port: int = 0
    http_port: int = 0
    busy_once: str = "/crm/customers/anna_k"
    unknown: str = "gone@example.org"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        if address == self.unknown:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a mail."""
        self.mails.append(mail_of(bytes(envelope.content), tuple(envelope.rcpt_tos)))
        return "250 OK: caught by the demo"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        try:
            call = await self._read(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        self.calls.append(call)
        body = json.dumps(_WRITTEN if call.status == _WELL else {})
        writer.write(
            f"HTTP/1.1 {call.status} {HTTPStatus(call.status).phrase}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
        )
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> HttpCall:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        pairs = [line.partition(":") for line in head[1:] if line]
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        busy = path == self.busy_once and not any(call.path == path for call in self.calls)
        status = _WELL if _BOT.search(path) else _BUSY if busy else _CREATED
        path = _BOT.sub("/bot…/", path)
        key = headers.get("idempotency-key", "")
        return HttpCall(method, path, key, body.decode("utf-8", "replace"), status)


@asynccontextmanager
async def open_far_side() -> AsyncIterator[FarSide]:
    """Listen on free loopback ports until the end of the block."""
    from aiosmtpd.smtp import SMTP  # only the demo needs it

    far = FarSide()
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(
        lambda: SMTP(far, enable_SMTPUTF8=True, loop=loop), "127.0.0.1", 0
    )
    http = await asyncio.start_server(far.answer, "127.0.0.1", 0)
    far.smtp_port, far.http_port = (s.sockets[0].getsockname()[1] for s in (smtp, http))
    try:
        yield far
    finally:
        smtp.close()
        http.close()


def mail_of(content: bytes, recipients: tuple[str, ...]) -> Mail:
    """A mail as its reader sees it."""
    message = message_from_bytes(content, policy=policy.default)
    text = message.get_body(("plain", "html")) if isinstance(message, EmailMessage) else None
    return Mail(
        sender=str(message["From"] or ""),
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or ""),
        text=str(text.get_content()).replace("\r\n", "\n").strip() if text else "",
        recipients=recipients,
    )
