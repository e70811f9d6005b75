"""Wakes for what is due later: APScheduler as an in-memory clock, never as a store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from engine.clock import Clock, to_datetime

Call = Callable[[], Awaitable[Any]]
# One that works, and others that only leave word: the library drops what is beyond its limit.
_MANY = 100


class Alarm:
    """Calls back at moments, and every so often."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The default would silently drop whatever is a second late.
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults=defaults)
        self._moments: dict[str, int] = {}
        self._again: dict[str, bool] = {}
        self._stopped = False

    def start(self) -> None:
        """Begin to wake."""
        self._scheduler.start()

    def stop(self) -> None:
        """Wake no more."""
        self._stopped = True
        self._scheduler.shutdown(wait=False)

    def every(self, name: str, seconds: float, call: Call) -> None:
        """Call again and again."""

        async def ring() -> None:  # the library runs whatever is no coroutine function in a thread
            await self._unless_stopped(call())

        self._scheduler.add_job(ring, "interval", seconds=seconds, id=name)

    def at(self, name: str, moment: int, call: Call) -> None:
        """Call once at a moment (at once where it is past); an earlier wish of that name stays."""
        now = self._clock.now()
        moment = max(moment, now)
        known = self._moments.get(name)
        if known is not None and now < known <= moment:
            return
        self._moments[name] = moment

        async def ring() -> None:
            self._moments.pop(name, None)
            await self._unless_stopped(self._answer(name, call))

        self._scheduler.add_job(
            ring, "date",
            run_date=to_datetime(moment), id=name, replace_existing=True, max_instances=_MANY,
        )  # fmt: skip

    async def _unless_stopped(self, ringing: Awaitable[Any]) -> None:
        """A stop ends what is under way; that is no error to tell of."""
        try:
            await ringing
        except asyncio.CancelledError:
            if not self._stopped:
                raise

    async def _answer(self, name: str, call: Call) -> None:
        """Call back; a ring in the middle of that is answered right after it, never dropped."""
        if name in self._again:
            self._again[name] = True
            return
        self._again[name] = True
        try:
            while self._again[name]:
                self._again[name] = False
                await call()
        finally:
            del self._again[name]
