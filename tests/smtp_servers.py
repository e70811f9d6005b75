"""Real mail servers on loopback: aiosmtpd, and one that says whatever a test wants."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Mailbox:
    """What a server took, and where it listens."""

    port: int = 0
    envelopes: list[Envelope] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    answer: str = "250 kept as 42"
    """What it says to a mail; it keeps those that it takes."""

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep the mail."""
        if self.answer.startswith("250"):
            self.envelopes.append(envelope)
        return self.answer

    def login(self, server: SMTP, session: Session, envelope: Envelope, how: str, who: Any) -> Any:
        """Let everybody in who knows the password."""
        if not isinstance(who, LoginPassword):
            return AuthResult(success=False, handled=False)
        self.logins.append((who.login.decode(), who.password.decode()))
        return AuthResult(success=who.password == b"right", handled=False)

    @property
    def messages(self) -> list[EmailMessage]:
        """The mails, parsed."""
        return [
            message_from_bytes(bytes(e.original_content or b""), policy=policy.default)
            for e in self.envelopes
        ]


@asynccontextmanager
async def mail_server(tls: ssl.SSLContext | None = None, **settings: Any) -> AsyncIterator[Mailbox]:
    """An aiosmtpd on a free port; `tls` encrypts from the first byte."""
    mailbox = Mailbox()

    def connected() -> SMTP:
        mailbox.connections += 1
        return SMTP(
            mailbox,
            hostname="mail.example.org",
            authenticator=mailbox.login,
            auth_required=settings.get("auth_required", False),
            **{name: value for name, value in settings.items() if name != "auth_required"},
        )

    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0, ssl=tls)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()


Script = Mapping[str, str | Callable[[], str | None] | None]
"""What to answer to a command; None hangs up, "" says nothing."""

_WELL = {
    "": "220 scripted",
    "EHLO": "250-scripted\r\n250 SIZE 1000000",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    ".": "250 taken",
    "RSET": "250 ok",
    "QUIT": "221 bye",
}


@dataclass
class Transcript:
    """What was said to the server."""

    port: int = 0
    lines: list[str] = field(default_factory=list)
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has gone."""

    def count(self, verb: str) -> int:
        """How often a command was given."""
        return sum(line.upper().startswith(verb) for line in self.lines)


@asynccontextmanager
async def scripted_server(script: Script | None = None) -> AsyncIterator[Transcript]:
    """A server that answers by verb (or by whole command), and else says what it should."""
    told = Transcript()
    answers: dict[str, Any] = {**_WELL, **(script or {})}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.connections += 1
        try:
            await _converse(answers, told, reader, writer)
        except ConnectionError:
            pass
        finally:
            told.gone.set()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    told.port = server.sockets[0].getsockname()[1]
    try:
        yield told
    finally:
        server.close()


async def _converse(
    answers: Mapping[str, Any],
    told: Transcript,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Greet, then answer one command after the other until somebody hangs up."""
    command, in_data = "", False
    while True:
        if not in_data or command == ".":
            answer = answers.get(command, answers.get(command.partition(" ")[0], "500 what?"))
            answer = answer() if callable(answer) else answer
            if answer is None:
                return
            if answer:
                writer.write(f"{answer}\r\n".encode())
                await writer.drain()
            in_data = answer.startswith("354")
        line = await reader.readline()
        if not line:
            return
        command = line.decode().rstrip("\r\n")
        if not in_data or command == ".":
            told.lines.append(command)
