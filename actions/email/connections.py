"""Open connections to mail servers: few, reused while they last, never trusted blindly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actions.email.parameters import SmtpConnection

if TYPE_CHECKING:
    from aiosmtplib import SMTP

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_CONNECT_SECONDS = 15.0
_PROBE_SECONDS = 5.0
_GOODBYE_SECONDS = 1.0
_MOST_OPEN = 4


@dataclass(slots=True)
class _Server:
    """What is open to one server: at most as many connections as there are seats."""

    seats: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_OPEN))
    idle: list[tuple[SMTP, asyncio.TimerHandle]] = field(default_factory=list)


class Connections:
    """Lends connections, and closes them when nobody asked for `idle` seconds."""

    def __init__(self, idle: float = 30.0) -> None:
        self._idle = idle
        self._servers: dict[SmtpConnection, _Server] = {}

    @asynccontextmanager
    async def lease(self, settings: SmtpConnection, seconds: float) -> AsyncIterator[SMTP]:
        """A connection that is logged in and has just answered; closed after any error."""
        server = self._servers.setdefault(settings, _Server())
        async with server.seats:
            client = await _reused(server) or await _connected(settings, seconds)
            try:
                await _introduced(client)
                yield client
            except BaseException:
                client.close()
                raise
            if client.is_connected:
                self._put_back(server, client)

    def _put_back(self, server: _Server, client: SMTP) -> None:
        """Keep it a while for the next mail."""

        def expire() -> None:
            server.idle.remove(entry)
            client.close()

        entry = (client, asyncio.get_running_loop().call_later(self._idle, expire))
        server.idle.append(entry)

    async def close(self) -> None:
        """Say goodbye on all that are open."""
        from aiosmtplib import SMTPException

        while self._servers:
            _, server = self._servers.popitem()
            for client, timer in server.idle:
                timer.cancel()
                try:
                    await client.quit(timeout=_GOODBYE_SECONDS)
                except (SMTPException, OSError):
                    client.close()


async def _reused(server: _Server) -> SMTP | None:
    """An idle connection that still answers; the server may have left in the meantime."""
    from aiosmtplib import SMTPException

    while server.idle:
        client, timer = server.idle.pop()
        timer.cancel()
        try:
            await client.rset(timeout=_PROBE_SECONDS)
        except (SMTPException, OSError):
            client.close()
        except BaseException:
            client.close()
            raise
        else:
            return client
    return None


async def _introduced(client: SMTP) -> None:
    """Ask what the server can; one that knows no EHLO is greeted anew, the old way, by MAIL."""
    from aiosmtplib import SMTPHeloError

    if client.is_ehlo_or_helo_needed:
        with suppress(SMTPHeloError):
            await client.ehlo()


async def _connected(settings: SmtpConnection, seconds: float) -> SMTP:
    """A new connection: encrypted and logged in as the settings say."""
    from aiosmtplib import SMTP

    client = SMTP(
        hostname=settings.host,
        port=settings.port or _PORTS[settings.tls],
        username=settings.username,
        password=settings.password,
        use_tls=settings.tls == "tls",
        start_tls=settings.tls == "starttls",
        validate_certs=settings.verify is not False,
        cert_bundle=settings.verify if isinstance(settings.verify, str) else None,
        timeout=seconds,
    )
    await client.connect(timeout=min(seconds, _CONNECT_SECONDS))
    return client
