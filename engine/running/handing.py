"""Hands over to the queue what is due, wakes for what is next, and finds what was forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass, field

import structlog

from engine.clock import MINUTE, SECOND, Clock
from engine.errors import JournalUnavailable
from engine.journal import runs
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.model import OPEN_STATES, DueRun, Run, State
from engine.queue.jobs import Enqueue
from engine.running.alarm import Alarm
from engine.running.recording import Change, cancelled_meanwhile, hand_over
from engine.running.retries import after_crash

MOST = 500
REREAD_SECONDS = 5
_BLOCKED = SECOND // 5
log = structlog.get_logger("rulewave.running")

HasJob = Callable[[str], Op[bool]]


@dataclass(slots=True)
class HandOver:
    """Moves due runs from the journal's future into the queue's now.

    Attributes:
        lanes: the lanes in which anything lies, of rules long gone too.
        ring: tells the worker that something lies in the queue.
        open_lanes: makes the worker serve these lanes.
        in_hand: runs that this process works on right now.
    """

    journal: SqliteJournal
    alarm: Alarm
    clock: Clock
    enqueue: Enqueue
    has_job: HasJob
    lanes: Callable[[], Op[list[str]]]
    ring: Callable[[], Awaitable[None]]
    open_lanes: Callable[[set[str]], None]
    in_hand: Container[str]
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Pick up what an earlier life left, then keep watch."""
        await self.reconcile()
        self.alarm.every("reread", REREAD_SECONDS, self.hand_over)
        self.alarm.every("reconcile", MINUTE / SECOND, self.reconcile)
        await self.hand_over()

    def notice(self, changed: Sequence[Run]) -> None:
        """Runs were made or moved: serve their lanes, and wake for those that are later."""
        live = [run for run in changed if run.state in OPEN_STATES]
        if not live:
            return
        self.open_lanes({run.lane for run in live})
        if any(run.state is State.QUEUED for run in live):
            self._soon(self.ring())
        pending = [run.due for run in live if run.state is State.PENDING]
        if pending:
            self.alarm.at("due", min(pending), self.hand_over)

    def poke(self) -> None:
        """The backlog is decided: what waited for that may be due."""
        self.alarm.at("due", self.clock.now(), self.hand_over)

    async def hand_over(self) -> None:
        """Queue all that is due, and set the alarm for the next."""
        try:
            async with self._lock:
                await self._hand_over()
        except JournalUnavailable as error:
            log.error("handover.journal_away", error=str(error))

    async def _hand_over(self) -> None:
        count = MOST
        while count == MOST:
            count = await self.journal.write(hand_over(self.enqueue, self.clock.now(), MOST))
            if count:
                await self._wake_worker()
        due = await self.journal.read(runs.next_due())
        if due is not None:
            # What is past and still pending waits for the decider: look again soon.
            soonest = self.clock.now() + _BLOCKED
            self.alarm.at("due", max(due, soonest), self.hand_over)

    async def reconcile(self) -> None:
        """Runs that are under way by the journal, but not in the queue or in hand, go on."""
        try:
            # Looked for beside the writer: most runs under way are where they belong.
            lost = await self.journal.list(self._lost())
            for first in range(0, len(lost), MOST):
                await self.journal.write(self._recover_all(lost[first : first + MOST]))
            await self._wake_worker()
        except JournalUnavailable as error:
            log.error("reconcile.journal_away", error=str(error))

    async def _wake_worker(self) -> None:
        self.open_lanes(set(await self.journal.read(self.lanes())))
        await self.ring()

    def _lost(self) -> Op[list[str]]:
        lost = []
        for id, state in (yield from runs.under_way()):
            if id in self.in_hand:
                continue
            if state is State.RUNNING or not (yield from self.has_job(id)):
                lost.append(id)
        return lost

    def _recover_all(self, ids: Sequence[str]) -> Op[None]:
        for id in ids:
            yield from self._recover(id)

    def _recover(self, id: str) -> Op[None]:
        run = yield from runs.by_id(id)
        if run is None or id in self.in_hand:
            return
        if run.state is State.QUEUED and not (yield from self.has_job(id)):
            due = DueRun(run.id, run.lane, run.priority, run.cursor, run.attempt)
            yield from self.enqueue([due])
        elif run.state is State.RUNNING:
            yield from _end_lost_try(run, self.clock.now())

    def _soon(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _end_lost_try(run: Run, now: int) -> Op[None]:
    open_tries = yield from runs.open_attempts(run.id)
    irrevocable = any(passed for _, _, passed in open_tries)
    for path, number, _ in open_tries:
        yield from runs.end_attempt(
            run.id, path, number, now=now, outcome="unknown", reason="outcome_unknown",
            message="the process ended in the middle of this try",
        )  # fmt: skip
    after = after_crash(run, irrevocable=irrevocable, now=now)
    after = cancelled_meanwhile(Change(run, after), run, now)
    yield from runs.save(run, after)
    log.info("run.recovered", run=run.id, rule=run.rule, state=after.state.value)
