"""Hands over to the queue what is due, wakes for what is next, and finds what was forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from engine.clock import MINUTE, SECOND, Clock
from engine.deciding.planning import plan_on_failure
from engine.errors import JournalUnavailable
from engine.journal import runs
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.model import NEVER, OPEN_STATES, DueRun, Reason, Run, State
from engine.queue.jobs import Enqueue, lane_of
from engine.rules.model import Rule
from engine.running.admitting import Admitting
from engine.running.alarm import Alarm
from engine.running.recording import Change, cancelled_meanwhile, hand_over
from engine.running.retries import after_crash
from engine.telling import tell_dead

MOST = 500
REREAD_SECONDS = 5
_BLOCKED = SECOND // 5
log = structlog.get_logger("rulewave.running")

HasJob = Callable[[str], Op[bool]]


async def _no_rule(_: str) -> None:
    """Nobody knows it."""


@dataclass(slots=True)
class HandOver:
    """Moves due runs from the journal's future into the queue's now.

    Attributes:
        lanes: the lanes in which anything lies, of rules long gone too.
        ring: tells the worker that something lies in the queue.
        open_lanes: makes the worker serve these lanes.
        in_hand: runs that this process works on right now.
        rule: the rule of a version; None where nobody knows it.
        on_own: told how many events of the daemon's own a commit stored.
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
    rule: Callable[[str], Awaitable[Rule | None]] = _no_rule
    on_own: Callable[[int], None] = lambda _: None
    _behind: bool = False
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
        self._behind |= any(run.reason == Reason.CONCURRENCY for run in live)
        if self._behind and any(run.ended is not None and not run.path for run in changed):
            self.poke()  # what waited for its end may go on
        if not live:
            return
        self.open_lanes({lane_of(run.lane, run.priority) for run in live})
        if any(run.state is State.QUEUED for run in live):
            self._soon(self.ring())
        pending = [run.due for run in live if run.state is State.PENDING and run.due < NEVER]
        if pending:
            self.alarm.at("due", min(pending), self.hand_over)

    def poke(self, moment: int | None = None) -> None:
        """Look at that moment, or now: what waited for the backlog, or was put off, may be due."""
        self.alarm.at("due", self.clock.now() if moment is None else moment, self.hand_over)

    async def hand_over(self) -> None:
        """Queue all that is due, and set the alarm for the next."""
        try:
            async with self._lock:
                await self._hand_over()
        except JournalUnavailable as error:
            log.error("handover.journal_away", error=str(error))

    async def _hand_over(self) -> None:
        admitting = Admitting(self.journal, self.clock, self.rule, self.notice)
        self._behind = await admitting.admit()
        count = MOST
        while count == MOST:
            count = await self.journal.write(hand_over(self.enqueue, self.clock.now(), MOST))
            if count:
                await self._wake_worker()
        due = await self.journal.read(runs.next_due())
        if due is not None and due < NEVER:
            # What is past and still pending waits for the decider: look again soon.
            soonest = self.clock.now() + _BLOCKED
            self.alarm.at("due", max(due, soonest), self.hand_over)

    async def reconcile(self) -> None:
        """Runs that are under way by the journal, but not in the queue or in hand, go on."""
        try:
            # Looked for beside the writer: most runs under way are where they belong.
            lost = await self.journal.list(self._lost())
            for first in range(0, len(lost), MOST):
                bite = lost[first : first + MOST]
                # Looked up before the commit, which runs where nothing can be compiled.
                rules = {version: await self.rule(version) for _, version in bite if version}
                ids = [id for id, _ in bite]
                self.on_own(await self.journal.write(self._recover_all(ids, rules)))
            await self._wake_worker()
        except JournalUnavailable as error:
            log.error("reconcile.journal_away", error=str(error))

    async def _wake_worker(self) -> None:
        self.open_lanes(set(await self.journal.read(self.lanes())))
        await self.ring()

    def _lost(self) -> Op[list[tuple[str, str | None]]]:
        """Ids of what is lost; with the rule's version where it may end as a dead letter."""
        lost: list[tuple[str, str | None]] = []
        for id, state in (yield from runs.under_way()):
            if id in self.in_hand:
                continue
            if state is State.RUNNING:
                run = yield from runs.by_id(id)
                lost.append((id, run.version if run else None))
            elif not (yield from self.has_job(id)):
                lost.append((id, None))
        return lost

    def _recover_all(self, ids: Sequence[str], rules: Mapping[str, Rule | None]) -> Op[int]:
        stored = 0
        for id in ids:
            stored += yield from self._recover(id, rules)
        return stored

    def _recover(self, id: str, rules: Mapping[str, Rule | None]) -> Op[int]:
        """How many own events that stored: one where it ended as a dead letter."""
        run = yield from runs.by_id(id)
        if run is None or id in self.in_hand:
            return 0
        if run.state is State.QUEUED and not (yield from self.has_job(id)):
            due = DueRun(run.id, run.lane, run.priority, run.cursor, run.attempt)
            yield from self.enqueue([due])
        elif run.state is State.RUNNING:
            return (yield from _end_lost_try(run, rules.get(run.version), self.clock.now()))
        return 0

    def _soon(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _end_lost_try(run: Run, rule: Rule | None, now: int) -> Op[int]:
    open_tries = yield from runs.open_attempts(run.id)
    irrevocable = any(passed for _, _, passed in open_tries)
    for path, number, _ in open_tries:
        yield from runs.end_attempt(
            run.id, path, number, now=now, outcome="unknown", reason="outcome_unknown",
            message="the process ended in the middle of this try",
        )  # fmt: skip
    after = after_crash(run, irrevocable=irrevocable, now=now)
    after = cancelled_meanwhile(Change(run, after), run, now)
    log.info("run.recovered", run=run.id, rule=run.rule, state=after.state.value)
    if not (yield from runs.save(run, after)) or after.state is not State.DEAD:
        return 0
    yield from runs.add(plan_on_failure(after, rule, now))
    return (yield from tell_dead([after], lambda _: rule, now))
