"""Who may call a target next: of those that wait for its rate, the most urgent one."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

from engine.clock import Clock
from engine.errors import ActionFailed
from engine.journal import runs
from engine.journal.sqlite import SqliteJournal
from engine.model import Reason

_MOST_AHEAD = 64
"""More calls than this can never lie ahead: so many jobs are in hand at most."""


@dataclass(order=True, slots=True)
class _Waiting:
    """One that waits; the most urgent first, and of those the one that came first."""

    urgency: int
    number: int
    since: int = field(compare=False)
    turn: asyncio.Future[int | None] = field(compare=False)


@dataclass(slots=True)
class _Room:
    """Those that wait for one target, and the task that lets one in at each slot."""

    waiting: list[_Waiting] = field(default_factory=list)
    serving: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Slots:
    """The waiting rooms of all targets that have a rate.

    The journal says when a target's next slot is, so a rate holds over restarts too. Who gets it
    is found out only when it has come: one that came late and is more urgent goes first.

    Attributes:
        wait_until: waits for a moment; False where the daemon stops first.
        rates: target → µs between two calls; None for a target without a rate.
    """

    journal: SqliteJournal
    clock: Clock
    wait_until: Callable[[int], Awaitable[bool]]
    rates: Callable[[str], int | None]
    _rooms: dict[str, _Room] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=count)

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return sum(not one.turn.done() for room in self._rooms.values() for one in room.waiting)

    @property
    def targets(self) -> int:
        """For how many targets anybody waits."""
        return len(self._rooms)

    async def take(self, target: str, priority: int) -> int | None:
        """Wait for a slot; how long that took (µs), None where the daemon stops first."""
        if self.rates(target) is None:
            return 0
        turn: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        room = self._rooms.setdefault(target, _Room())
        waiting = _Waiting(-priority, next(self._numbers), self.clock.now(), turn)
        heapq.heappush(room.waiting, waiting)
        if room.serving is None:
            room.serving = asyncio.ensure_future(self._serve(target, room))
        try:
            return await turn
        except asyncio.CancelledError:
            turn.cancel()
            raise

    async def another(self, target: str, priority: int) -> None:
        """One more slot inside a try, which has had its first; ActionFailed where the daemon stops."""
        if await self.take(target, priority) is None:
            message = "handed back: the daemon stopped"
            raise ActionFailed(message, retry=True, reason=Reason.HANDED_BACK)

    async def keep_apart(self, target: str) -> None:
        """Wait until the call before lies a whole step back; await it right before the first byte.

        Between its slot and its call a run reads the journal, connects and so on, one faster than
        another: without this, two calls could come closer to each other than their slots are.
        """
        step = self.rates(target)
        if step is None:
            return
        now, last = self.clock.now(), self._last.get(target, 0)
        if last > now + _MOST_AHEAD * step:  # the clock was set back
            last = 0
        start = self._last[target] = max(now, last + step)
        if start > now:
            await self.wait_until(start)

    async def _serve(self, target: str, room: _Room) -> None:
        """Let one in at each slot, until nobody waits."""
        try:
            while self._someone(room):
                slot = await self._slot(target)
                going_on = await self.wait_until(slot) if slot > self.clock.now() else True
                if not going_on:
                    break
                if self._someone(room):
                    first = heapq.heappop(room.waiting)
                    first.turn.set_result(max(0, self.clock.now() - first.since))
            error = None
        except Exception as failed:  # noqa: BLE001 - whoever waits has to hear of it
            error = failed
        del self._rooms[target]
        for one in room.waiting:
            if not one.turn.done() and error is not None:
                one.turn.set_exception(error)
            elif not one.turn.done():
                one.turn.set_result(None)

    async def _slot(self, target: str) -> int:
        step, now = self.rates(target), self.clock.now()
        if step is None:  # a reload took the rate away
            return now
        return await self.journal.write(runs.take_slot(target, now=now, step=step))

    def _someone(self, room: _Room) -> bool:
        """Whether somebody waits who has not gone away."""
        while room.waiting and room.waiting[0].turn.done():
            heapq.heappop(room.waiting)
        return bool(room.waiting)
