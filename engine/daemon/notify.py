"""What the daemon tells systemd: sd_notify(3), one datagram at a time."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Self

_MICRO = 1_000_000
_PATIENCE = 1.0
_MORE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Notifier:
    """The way to the service manager; without an `address` there is none, and nothing is told.

    `watchdog` is how many seconds may pass between two signs of life; None where nobody watches.
    """

    address: str | None = None
    watchdog: float | None = None

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Self:
        """What systemd told this process; the variables are removed, so that no child has them."""
        names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        address, span, pid = (environ.pop(name, "") for name in names)
        watched = span.isdecimal() and int(span) > 0 and pid in {"", str(os.getpid())}
        known = address.startswith(("/", "@"))
        return cls(address if known else None, int(span) / _MICRO if watched else None)

    def tell(self, *facts: str) -> None:
        """Send facts such as `READY=1`, all in one datagram; nobody fails for want of a listener."""
        if self.address is None:
            return
        # "@" stands for the zero byte of a name that is no file.
        where = self.address.replace("@", "\0", 1) if self.address[0] == "@" else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.settimeout(_PATIENCE)
            way.sendto("\n".join(facts).encode(), where)

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Reloading inside the block, ready after it, however it went."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self.tell("READY=1")

    @asynccontextmanager
    async def extending(self, seconds: float = _MORE_SECONDS) -> AsyncIterator[None]:
        """Ask for more time while the block lasts: a migration may take longer than a start."""
        asking = asyncio.create_task(self._extend(seconds))
        try:
            yield
        finally:
            asking.cancel()

    async def _extend(self, seconds: float) -> None:
        while True:
            self.tell(f"EXTEND_TIMEOUT_USEC={int(seconds * _MICRO)}")
            await asyncio.sleep(seconds / 3)
