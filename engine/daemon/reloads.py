"""Reloads the rules whenever somebody wishes it: the files on disk, or a signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from engine.errors import JournalUnavailable
from engine.reloading.reloader import Reloader
from engine.reloading.watching import Watching

_AGAIN_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0
log = structlog.get_logger("rulewave.reload")


@asynccontextmanager
async def reloads(reloader: Reloader, rules: Path, stopping: asyncio.Event) -> AsyncIterator[None]:
    """Reload on SIGHUP and on changes, until the end of the block."""
    wishes = Reloads(reloader, stopping)
    watching = Watching(rules, lambda: reloader.seen, wishes.wish, stopping)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, wishes.wish)
    tasks = [asyncio.create_task(watching.run()), asyncio.create_task(wishes.run())]
    try:
        yield
    finally:
        stopping.set()
        loop.remove_signal_handler(signal.SIGHUP)
        await reloader.rest(_PATIENCE_SECONDS)
        await asyncio.gather(*tasks)


@dataclass(slots=True)
class Reloads:
    """One reload after the other; wishes that come meanwhile make one more."""

    reloader: Reloader
    stopping: asyncio.Event
    _wished: asyncio.Event = field(default_factory=asyncio.Event)

    def wish(self) -> None:
        """Reload soon."""
        self._wished.set()

    async def run(self) -> None:
        """Reload when it is wished."""
        while await self._until_wished():
            self._wished.clear()
            await self._reload()

    async def _reload(self) -> None:
        try:
            await self.reloader.reload()
        except JournalUnavailable as error:  # the rules in force stay, and it is tried again
            log.error("rules.journal_away", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), _AGAIN_SECONDS)
            self.wish()
        except asyncio.CancelledError:
            if not self.stopping.is_set():  # else it was too long for the stop to wait for
                raise
        except Exception:  # ours; the rules in force stay
            log.exception("rules.reload_failed")

    async def _until_wished(self) -> bool:
        waits = [asyncio.ensure_future(event.wait()) for event in (self._wished, self.stopping)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return not self.stopping.is_set()
