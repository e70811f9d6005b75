"""A real mail server that can be away, and notes when each mail came by the clock of the month."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from journeys.month.model import Effect

from engine.clock import Clock


@dataclass
class Post:
    """What a mail server took, and how it is."""

    clock: Clock
    password: str
    port: int = 0
    away: bool = False
    taken: list[Effect] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    refused: int = 0
    _open: list[asyncio.BaseTransport] = field(default_factory=list)

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep the mail of whoever has logged in."""
        if not session.authenticated:
            return "530 log in first"
        mail = message_from_bytes(bytes(envelope.original_content or b""), policy=policy.default)
        self.taken += [
            Effect(to, str(mail["Subject"]), self.clock.now()) for to in envelope.rcpt_tos
        ]
        self.ids.append(str(mail["Message-ID"]))
        return "250 kept"

    def login(self, server: SMTP, session: Session, envelope: Envelope, how: str, who: object) -> AuthResult:  # fmt: skip
        """Let in who knows the password of the day."""
        known = isinstance(who, LoginPassword) and who.password.decode() == self.password
        return AuthResult(success=known, handled=False)

    def leave(self) -> None:
        """Be away: hang up on everybody, and on whoever comes."""
        self.away = True
        for transport in self._open:
            transport.close()
        self._open.clear()

    def connected(self) -> asyncio.Protocol:
        """Whoever answers a connection."""
        if self.away:
            self.refused += 1
            return _Nobody()
        return _Clerk(
            self, self._open, hostname="mail.example.org", authenticator=self.login,
            auth_require_tls=False,
        )  # fmt: skip


class _Nobody(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Clerk(SMTP):
    def __init__(self, post: Post, open_ones: list[asyncio.BaseTransport], **settings: object) -> None:  # fmt: skip
        super().__init__(post, **settings)
        self._open_ones = open_ones

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open_ones.append(transport)
        super().connection_made(transport)


@asynccontextmanager
async def post_office(clock: Clock, password: str) -> AsyncIterator[Post]:
    """A mail server until the block ends."""
    post = Post(clock, password)
    server = await asyncio.get_running_loop().create_server(post.connected, "127.0.0.1", 0)
    post.port = server.sockets[0].getsockname()[1]
    try:
        yield post
    finally:
        post.leave()
        server.close()
