"""Of those that wait for a target's rate the most urgent goes next, and the rate holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.clock import SECOND, ManualClock
from engine.daemon.assembly import open_journal
from engine.errors import JournalUnavailable
from engine.running.slots import Slots

pytestmark = pytest.mark.anyio
T = TypeVar("T")


@dataclass
class Timeline:
    """A clock that moves to the next moment for which anybody waits, when the test says so.

    `changed` is set whenever somebody comes, begins to wait for a moment, or has gone.
    """

    clock: ManualClock = field(default_factory=lambda: ManualClock(1_000_000 * SECOND))
    waits: list[tuple[int, asyncio.Future[bool]]] = field(default_factory=list)
    tasks: list[asyncio.Future[Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Begin something that takes a slot."""
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: self.changed.set())
        self.tasks.append(task)
        return task

    async def wait_until(self, moment: int) -> bool:
        """Wait until the clock is moved there."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.waits.append((moment, future))
        self.changed.set()
        return await future

    async def go_on(self, slots: Slots) -> bool:
        """Go to the next moment for which somebody waits; False where nobody does."""
        await self.calm(slots)
        if not self.waits:
            return False
        moment, future = min(self.waits, key=lambda wait: wait[0])
        self.waits.remove((moment, future))
        self.clock.move(max(0, moment - self.clock.now()))
        future.set_result(True)
        await self.calm(slots)
        return True

    async def calm(self, slots: Slots) -> None:
        """Until everything has run that need not wait for time to go by."""
        while not self._rests(slots):
            self.changed.clear()
            await self.changed.wait()

    def _rests(self, slots: Slots) -> bool:
        """Whether each target's slot has its moment, and whoever is left waits."""
        under_way = sum(not task.done() for task in self.tasks)
        by_themselves = len(self.waits) - slots.targets
        return by_themselves >= 0 and under_way <= slots.waiting + by_themselves


@asynccontextmanager
async def waiting_rooms(
    folder: Path, rates: Callable[[str], int | None] = lambda _: SECOND
) -> AsyncIterator[tuple[Slots, Timeline]]:
    """Waiting rooms on a journal, and the time that goes by in them."""
    time = Timeline()

    def asked(target: str) -> int | None:
        time.changed.set()  # whoever comes asks first, and is in the room by the next turn
        return rates(target)

    async with open_journal(f"sqlite:///{folder}/slots.db") as journal:
        yield Slots(journal, time.clock, time.wait_until, asked), time


def _enter(
    slots: Slots,
    time: Timeline,
    served: list[str],
    name: str,
    priority: int = 0,
    target: str = "t",
) -> None:
    async def one() -> None:
        await slots.take(target, priority)
        served.append(name)

    time.start(one())


async def _until_all_served(slots: Slots, time: Timeline) -> None:
    while await time.go_on(slots):
        pass


async def test_who_came_late_and_is_urgent_goes_before_all_that_wait(tmp_path: Path) -> None:
    async with waiting_rooms(tmp_path) as (slots, time):
        served: list[str] = []
        for number in range(20):
            _enter(slots, time, served, f"bulk{number}", -10)
        await time.go_on(slots)
        _enter(slots, time, served, "urgent", 10)
        _enter(slots, time, served, "usual")
        await _until_all_served(slots, time)
        assert served[:4] == ["bulk0", "bulk1", "urgent", "usual"]
        assert served[4:] == [f"bulk{number}" for number in range(2, 20)]


async def test_a_target_that_backs_up_does_not_delay_another(tmp_path: Path) -> None:
    async with waiting_rooms(tmp_path) as (slots, time):
        served: list[str] = []
        for number in range(5):
            _enter(slots, time, served, f"slow{number}")
        await time.calm(slots)
        _enter(slots, time, served, "other", target="u")
        await time.calm(slots)
        assert served == ["slow0", "other"]
        await _until_all_served(slots, time)


async def test_a_target_without_a_rate_waits_for_nobody(tmp_path: Path) -> None:
    async with waiting_rooms(tmp_path, lambda _: None) as (slots, _):
        assert await slots.take("t", 0) == 0


async def test_the_wait_is_told_and_nobody_waits_in_an_empty_room(tmp_path: Path) -> None:
    async with waiting_rooms(tmp_path) as (slots, time):
        assert await slots.take("t", 0) == 0
        second = time.start(slots.take("t", 0))
        await _until_all_served(slots, time)
        assert await second == SECOND


async def test_one_that_goes_away_leaves_its_slot_to_the_next(tmp_path: Path) -> None:
    async with waiting_rooms(tmp_path) as (slots, time):
        await slots.take("t", 0)
        gone = time.start(slots.take("t", 10))
        stays = time.start(slots.take("t", 0))
        await time.calm(slots)
        gone.cancel()
        await _until_all_served(slots, time)
        assert await stays == SECOND


async def test_a_stop_sends_all_away(tmp_path: Path) -> None:
    async with waiting_rooms(tmp_path) as (slots, _):

        async def stopped(moment: int) -> bool:
            return False

        slots.wait_until = stopped
        await slots.take("t", 0)
        assert await asyncio.gather(slots.take("t", 0), slots.take("t", 1)) == [None, None]


async def test_a_journal_that_is_away_is_told_to_all_that_wait(tmp_path: Path) -> None:
    async with waiting_rooms(tmp_path) as (slots, _):

        class Away:
            async def write(self, operation: object) -> Awaitable[int]:
                raise JournalUnavailable("disk full")

        slots.journal = Away()  # type: ignore[assignment]
        found = await asyncio.gather(slots.take("t", 0), slots.take("t", 1), return_exceptions=True)
        assert all(isinstance(one, JournalUnavailable) for one in found)


async def test_a_rate_that_a_reload_takes_away_lets_all_in(tmp_path: Path) -> None:
    steps: list[int | None] = [SECOND, SECOND, None]

    def rate(_: str) -> int | None:
        return steps.pop(0) if len(steps) > 1 else steps[0]

    async with waiting_rooms(tmp_path, rate) as (slots, _):
        waits = await asyncio.gather(slots.take("t", 0), slots.take("t", 0))
        assert waits == [0, 0]


async def test_two_calls_are_never_closer_than_a_step_however_late_the_first_one_is(
    tmp_path: Path,
) -> None:
    async with waiting_rooms(tmp_path) as (slots, time):
        begin, calls = time.clock.now(), list[int]()

        async def one(work: int) -> None:
            await slots.take("t", 0)
            if work:
                await time.wait_until(time.clock.now() + work)
            await slots.keep_apart("t")
            calls.append(time.clock.now() - begin)

        tasks = [time.start(one(work)) for work in (SECOND // 2, 0, SECOND // 4, 0)]
        await _until_all_served(slots, time)
        await asyncio.gather(*tasks)
        assert [call / SECOND for call in calls] == [0.5, 1.5, 2.5, 3.5]
