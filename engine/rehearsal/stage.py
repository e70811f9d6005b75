"""The production engine on a clock that stands still: events go in, time goes by, nothing is done.

The journal lies in memory, and what is due is taken from its queue and handed to the runner. A step
that waits for its target's rate is laid aside while time goes on, as it is by a live daemon.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

from engine.action import Registry
from engine.clock import ManualClock
from engine.deciding.own import own_event
from engine.deciding.planning import identifier
from engine.errors import RulewaveError
from engine.journal import replaying, runs
from engine.journal.memory import MemoryJournal
from engine.journal.operations import load_statements
from engine.library import Library, rate_of
from engine.model import NEVER, Answer, Delivery, Event
from engine.pipeline import IntakeSettings, Pipeline
from engine.queue import sqlite as queue
from engine.rehearsal.acting import NoSecrets, Play, no_connection, performer
from engine.rehearsal.recalling import event_of
from engine.rules.model import Rule, RuleSet
from engine.running.alarm import Alarm, Call
from engine.running.clocks import Clocks
from engine.running.handing import HandOver
from engine.running.pausing import Pausing
from engine.running.runner import Runner
from engine.sources.signature import sign

_SECRET = "rehearsal0123456789rehearsal0123456789rehearsal0123456789abcdefg"  # noqa: S105
_ENDLESS = 100_000


class TooLong(RulewaveError):
    """A rehearsal that does not come to its end in the time that it has."""


class Bell(Alarm):
    """Notes for when somebody wishes to be woken, and leaves it to the stage."""

    def __init__(self) -> None:
        self.moments: dict[str, int] = {}

    def at(self, name: str, moment: int, call: Call) -> None:
        """Note the moment: the last wish of a name counts."""
        del call
        self.moments[name] = moment


@dataclass(slots=True)
class _Life:
    """What one life of the daemon holds in memory: a restart begins with a new one."""

    pipeline: Pipeline
    runner: Runner
    handing: HandOver
    clocks: Clocks
    bell: Bell


@dataclass(slots=True)
class Stage:
    """One story, told by the production engine.

    Attributes:
        play: how the tries of steps end.
        deadline: the moment of `time.monotonic()` at which it is given up, with `TooLong`.
        ticking: the rules whose clocks go.
        reloader: whoever replaces the rules, once they were replaced.
    """

    clock: ManualClock
    journal: MemoryJournal
    library: Library
    actions: Registry
    play: Play
    deadline: float = float("inf")
    ticking: Callable[[str], bool] = lambda _: True
    reloader: object = None
    life: _Life = field(init=False)
    _open: set[asyncio.Task[None]] = field(default_factory=set)
    _waiting: list[tuple[int, int, asyncio.Future[bool]]] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.life = self._live()

    # ---------------------------------------------------------------- a life of the daemon

    async def start(self) -> None:
        """Begin a life: pick up what the one before left behind."""
        life = self.life
        await life.pipeline.start()
        await life.runner.pausing.start()
        await life.handing.reconcile()
        await self._tick()

    async def restart(self, down_for: int) -> None:
        """End this life and begin another one so much later (µs)."""
        await self._lay_down()
        self.clock.move(down_for)
        self.life = self._live()
        await self.start()

    async def end(self) -> None:
        """Leave off whatever is still under way."""
        await self._lay_down()

    async def _lay_down(self) -> None:
        waiting, self._waiting = self._waiting, []
        for _, _, future in waiting:
            future.set_result(False)
        await self._let_go_on()
        left = [*self._open]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _live(self) -> _Life:
        journal, library, clock = self.journal, self.library, self.clock
        bell = Bell()
        intake = IntakeSettings((_SECRET,), None, 2**62)
        pipeline = Pipeline(journal, library, clock, intake, queue.enqueue)
        runner = Runner(
            journal, library, self.actions, NoSecrets(), clock, queue.enqueue,
            Pausing(journal, clock),
            connect=no_connection, wait_until=self._wait_until,
            rates=partial(rate_of, library), performer=performer(self.play, clock.now),
        )  # fmt: skip
        handing = HandOver(
            journal, bell, clock, queue.enqueue, queue.has_job, queue.lanes,
            ring=_nobody_listens, open_lanes=lambda _: None, in_hand=runner.in_hand,
            rule=library.version,
        )  # fmt: skip
        runner.on_own = handing.on_own = pipeline.heard
        clocks = Clocks(journal, library, bell, clock, pipeline.raise_own)
        return _Life(pipeline, runner, handing, clocks, bell)

    # ---------------------------------------------------------------- events come in

    async def deliver(self, body: bytes) -> Answer:
        """A panel sends this body now."""
        header = (b"X-Remnawave-Signature", sign(body, _SECRET).encode())
        return await self.life.pipeline.accept(Delivery((header,), body))

    async def know(self, body: bytes) -> None:
        """Take a state over as decided: all that comes of it is that its subject is known."""
        event = event_of(body, self.clock.now(), self.library.book)
        digest = hashlib.sha256(body).digest()
        kept = replace(event, id=identifier("ev", event.source, digest.hex()))
        await self.journal.write(replaying.keep(replaying.Stored(kept, digest)))

    async def raise_own(self, event: Event, digest: bytes) -> bool:
        """Rulewave raises an event itself."""
        return await self.life.pipeline.raise_own(event, digest)

    async def tell(self, type: str, data: dict[str, object]) -> None:
        """Rulewave raises an event of this type now."""
        now = self.clock.now()
        await self.raise_own(*own_event(type, data, once=now, now=now))

    # ---------------------------------------------------------------- time goes by

    async def until(self, end: int) -> None:
        """Let time go by, stopping at each moment at which something is due."""
        await self.settle()
        for _ in range(_ENDLESS):
            due = await self.next_moment()
            if due is None or due > end:
                break
            self.clock.move(max(0, due - self.clock.now()))
            await self._wake()
            await self.settle()
        else:
            raise TooLong("it never comes to rest")
        self.clock.move(max(0, end - self.clock.now()))
        await self._wake()
        await self.settle()

    async def pass_to(self, moment: int) -> None:
        """Let time go by, where all that was due by now is done already."""
        due = await self.next_moment()
        if due is not None and due <= moment:
            await self.until(moment)
        self.clock.move(max(0, moment - self.clock.now()))

    async def next_moment(self, *, ticks: bool = True) -> int | None:
        """When something will be due next; None where nothing will."""
        due = await self.journal.read(runs.next_due())
        moments = [moment for moment, _, _ in self._waiting[:1]]
        if due is not None and due < NEVER:
            moments.append(due)
        tick = self.life.bell.moments.get("clock")
        if ticks and tick is not None:
            moments.append(tick)
        return min(moments, default=None)

    async def settle(self) -> None:
        """Decide, hand over and work until nothing is left to do at this moment."""
        for _ in range(_ENDLESS):
            self._check_time()
            decided = await self.life.pipeline.decide()
            await self.life.handing.hand_over()
            worked = await self._work()
            if not decided and not worked:
                return
        raise TooLong("it never comes to rest")

    async def _wake(self) -> None:
        """Ring the clocks that are due, and go on with the steps whose turn has come."""
        now = self.clock.now()
        tick = self.life.bell.moments.get("clock")
        if tick is not None and tick <= now:
            await self._tick()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, future = heapq.heappop(self._waiting)
            future.set_result(True)
            await self._let_go_on()

    async def _tick(self) -> None:
        self.life.bell.moments.pop("clock", None)
        await self.life.clocks.tick(self.ticking)

    async def _work(self) -> int:
        """Take job after job until there is none; how many there were."""
        count = 0
        while (job := await self.journal.write(queue.take())) is not None:
            self._check_time()
            task = asyncio.ensure_future(self.life.runner.handle(job))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
            await self._let_go_on()
            count += 1
        return count

    async def _let_go_on(self) -> None:
        """Until every step has ended, or waits for its target's rate.

        Nothing here waits for the world outside: whoever can go on does when it is its turn.
        """
        for _ in range(_ENDLESS):
            if self._rests():
                return
            await asyncio.sleep(0)
        raise TooLong("a step never ends")

    def _rests(self) -> bool:
        """Whether nothing goes on before time does; each target's slot has its moment by then."""
        slots = self.life.runner.slots
        return len(self._open) <= slots.waiting and slots.targets <= len(self._waiting)

    async def _wait_until(self, moment: int) -> bool:
        if moment <= self.clock.now():
            return True
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (moment, next(self._numbers), future))
        return bool(await future)

    def _check_time(self) -> None:
        if time.monotonic() > self.deadline:
            raise TooLong("it takes too long")


async def _nobody_listens() -> None:
    """There is no worker to ring for."""


def open_memory(*, large: bool = False) -> MemoryJournal:
    """A journal for stages, with all tables."""
    statements = {**load_statements("sqlite"), **queue.STATEMENTS}
    return MemoryJournal(statements, queue.SCHEMA, large=large)


def library_of(journal: MemoryJournal, ruleset: RuleSet, clock: ManualClock) -> Library:
    """These rules in force; nothing older is known than what the stage sees itself."""
    return Library(journal, ruleset, _forgotten, clock)


def _forgotten(stored: object, ruleset: RuleSet, *, steps: bool = True) -> Rule | None:
    del stored, ruleset, steps
    return None
