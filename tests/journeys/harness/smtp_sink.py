"""A real SMTP server that remembers every mail that it took, and can stall before or after DATA."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import Any, Literal

from aiosmtpd.controller import Controller
from journeys.harness.ports import reserved_port

Stage = Literal["rcpt", "data"]
Mood = Callable[[Stage, int], str | None]
"""What the n-th RCPT or DATA (from 1) gets: a reply, "stall", or None for "well"."""
STALL = "stall"


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as it came: its Message-ID, its subject, and when (µs)."""

    id: str
    subject: str
    at: int


def friendly(stage: Stage, number: int) -> str | None:
    """All is well."""
    return None


@dataclass
class SmtpSink:
    """What came in so far.

    `taken` are mails answered 250; `seen` those whose body came in, whatever the answer;
    `asked` counts RCPT.
    """

    port: int
    mood: Mood = friendly
    taken: list[Mail] = field(default_factory=list)
    seen: list[Mail] = field(default_factory=list)
    asked: int = 0
    _release: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """A recipient is named."""
        self.asked += 1
        refusal = await self._reply("rcpt", self.asked)
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - same
        """A mail came in whole."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        mail = Mail(str(message["Message-ID"]), str(message["Subject"]), time.time_ns() // 1000)
        self.seen.append(mail)
        refusal = await self._reply("data", len(self.seen))
        if refusal is not None:
            return refusal
        self.taken.append(mail)
        return "250 OK"

    async def _reply(self, stage: Stage, number: int) -> str | None:
        wish = self.mood(stage, number)
        if wish != STALL:
            return wish
        await self._release.wait()  # ends, by cancelling, when the client is gone
        return None


@contextmanager
def smtp_sink(mood: Mood = friendly) -> Iterator[SmtpSink]:
    """Listen until the block ends."""
    with reserved_port() as port:
        sink = SmtpSink(port, mood)
        controller = Controller(sink, hostname="127.0.0.1", port=port, ready_timeout=20)
        controller.start()
        try:
            yield sink
        finally:
            controller.stop()
