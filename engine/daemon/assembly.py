"""Joins the parts: what opens is put on one stack, and closes in the opposite order."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from engine.action import Registry
from engine.addresses import sqlite_path
from engine.clock import SECOND, Clock
from engine.console.app import Readiness
from engine.console.desk import Desk
from engine.console.metrics import Metrics, Numbers
from engine.daemon.registry import find_actions
from engine.daemon.supply import Connections, reading_of, recompiler
from engine.deciding.matching import Outcome
from engine.errors import JournalUnavailable, UserError
from engine.journal import runs
from engine.journal.opening import prepare
from engine.journal.operations import load_statements
from engine.journal.sqlite import FileLock, SqliteJournal
from engine.library import Library, rate_of
from engine.model import Answer, Delivery, Run, Verdict
from engine.pipeline import IntakeSettings, Pipeline
from engine.queue import sqlite as sqlite_queue
from engine.queue.worker import Worker
from engine.reloading.reloader import Reloader
from engine.reloading.report import is_kept
from engine.reloading.standing import WHOLE, Standing
from engine.rules.model import RuleSet
from engine.rules.secrets import Secrets
from engine.running.alarm import Alarm
from engine.running.clocks import Clocks
from engine.running.handing import HandOver
from engine.running.pausing import Pausing
from engine.running.retention import Retention
from engine.running.runner import Runner
from engine.settings import Settings, credentials_folder

_POLL_SECONDS = 1.0
log = structlog.get_logger("rulewave.daemon")


@dataclass(slots=True)
class Engine:
    """The running parts of one daemon."""

    settings: Settings
    journal: SqliteJournal
    pipeline: Pipeline
    worker: Worker
    runner: Runner
    handing: HandOver
    clocks: Clocks
    retention: Retention
    alarm: Alarm
    desk: Desk
    metrics: Metrics
    reloader: Reloader
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _journal_away: bool = False

    async def accept(self, delivery: Delivery) -> Answer:
        """Take a delivery."""
        return await self.pipeline.accept(delivery)

    async def decide_forever(self) -> None:
        """Decide whatever is stored, as soon as the doorbell rings."""
        while not self.stopping.is_set():
            self.pipeline.stored.clear()
            if self.reloader.standing.decides and await self._decide():
                continue
            await _first_of(self.pipeline.stored, self.stopping, seconds=_POLL_SECONDS)

    async def _decide(self) -> bool:
        try:
            decided = await self.pipeline.decide()
        except JournalUnavailable as error:
            log.error("decider.journal_away", error=str(error))
            self._journal_away = True
            await _first_of(self.stopping, self.stopping, seconds=_POLL_SECONDS)
            return False
        self._journal_away = False
        if decided and not self.pipeline.backlog:
            self.handing.poke()
        return decided > 0

    def readiness(self) -> Readiness:
        """Whether the daemon can do its work."""
        problems = []
        standing = self.reloader.standing
        if not standing.decides:
            problems.append("there are no rules to decide by; events are kept undecided")
        if self._journal_away:
            problems.append("the journal can't be written")
        notes = [_broken_note(standing, rule) for rule in standing.broken]
        return Readiness(not problems, tuple(problems), tuple(notes))

    async def render_metrics(self) -> bytes:
        """The exposition for Prometheus."""
        return await self.metrics.render(self.numbers)

    async def numbers(self) -> Numbers:
        """What the journal counts."""
        states = await self.journal.list(runs.states())
        rules = _counted(self.reloader.standing)
        return Numbers(self.pipeline.backlog, states, self.runner.pausing.paused, rules)


@asynccontextmanager
async def open_engine(settings: Settings, clock: Clock, secrets: Secrets) -> AsyncIterator[Engine]:
    """Open the journal, read the rules, join the parts; nothing runs yet but the actions."""
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(settings.database))
        actions = find_actions()
        engine = _join(settings, journal, actions, secrets, clock)
        await engine.reloader.start()
        engine.worker.open_lanes(engine.desk.library.book.lanes())
        for action in actions.values():
            await action.start(stack)
        yield engine


def make_secrets(settings: Settings) -> Secrets:
    """Where this daemon's rules find their secrets."""
    secrets = Secrets(credentials_folder(os.environ), settings.secrets_dir, os.environ)
    for value in (*settings.webhook_secret, settings.console_password or ""):
        secrets.hide(value)
    return secrets


@asynccontextmanager
async def open_journal(database: str) -> AsyncIterator[SqliteJournal]:
    """The journal, held by this process alone until the end of the block."""
    path = sqlite_path(database)
    if not path.parent.is_dir():
        raise UserError(f"the folder {path.parent} of the database does not exist")
    with FileLock(path):
        await asyncio.to_thread(prepare, path)
        sqlite_queue.install(path)
        journal = SqliteJournal(path, _statements(), _die)
        try:
            yield journal
        finally:
            await asyncio.to_thread(journal.close)


def _statements() -> Mapping[str, str]:
    return {**load_statements("sqlite"), **sqlite_queue.STATEMENTS}


def _die(error: BaseException) -> None:
    """The journal's writer is gone: end at once and loudly, so that nothing more is promised."""
    log.critical("journal.writer_died", error=str(error), thread=threading.current_thread().name)
    sys.stderr.flush()
    os._exit(3)


def _join(
    settings: Settings,
    journal: SqliteJournal,
    actions: Registry,
    secrets: Secrets,
    clock: Clock,
) -> Engine:
    library = Library(journal, RuleSet(), recompiler(actions, secrets), clock)
    intake = IntakeSettings(settings.webhook_secret, settings.max_age, settings.max_backlog)
    pipeline = Pipeline(journal, library, clock, intake, sqlite_queue.enqueue)
    stopping = asyncio.Event()
    pausing = Pausing(journal, clock)
    runner = Runner(
        journal, library, actions, secrets, clock, sqlite_queue.enqueue, pausing,
        connect=Connections(library, secrets).connect,
        wait_until=_waiter(clock, stopping),
        rates=partial(rate_of, library),
        allow_private=settings.allow_private_targets,
    )  # fmt: skip
    queries = sqlite_queue.open_queries(journal)
    worker = Worker(queries, runner.handle, begin=queries.return_all)
    alarm = Alarm(clock)
    handing = HandOver(
        journal, alarm, clock, sqlite_queue.enqueue, sqlite_queue.has_job, sqlite_queue.lanes,
        ring=queries.ring, open_lanes=worker.open_lanes, in_hand=runner.in_hand,
        rule=library.version,
    )  # fmt: skip
    metrics = Metrics()
    pipeline.on_planned = runner.on_change = _reporter(handing.notice, metrics)
    pipeline.on_judged = _counter(metrics)
    runner.on_own = handing.on_own = pipeline.heard
    pausing.on_due = handing.poke
    wake = _waker(pipeline, handing)
    reloader = Reloader(
        reading_of(settings.rules, actions, secrets), journal, library, clock, pipeline.raise_own
    )
    desk = Desk(
        journal, library, clock, actions, on_replayed=wake, reloader=reloader,
    )  # fmt: skip
    clocks = Clocks(journal, library, alarm, clock, pipeline.raise_own)
    reloader.on_reloaded = lambda report: metrics.reloaded(well=report.standing.well)
    reloader.on_swapped = _swapper(worker, library, clocks, alarm, wake)
    return Engine(
        settings, journal, pipeline, worker, runner, handing, clocks,
        Retention(journal, clock, settings.retention, settings.max_age), alarm, desk, metrics,
        reloader, stopping=stopping,
    )  # fmt: skip


def _swapper(
    worker: Worker, library: Library, clocks: Clocks, alarm: Alarm, wake: Callable[[], None]
) -> Callable[[], None]:
    """Serves the lanes of new rules, counts their clocks, and looks at what may go on."""

    def swapped() -> None:
        worker.open_lanes(library.book.lanes())
        alarm.at("rules", 0, clocks.tick)
        wake()

    return swapped


def _counted(standing: Standing) -> dict[str, int]:
    """How many rules there are of each kind; the last good version of a broken one counts as well."""
    rules = standing.ruleset.rules
    modes = {mode: sum(rule.mode == mode for rule in rules) for mode in ("live", "shadow", "off")}
    return {**modes, "broken": sum(rule != WHOLE for rule in standing.broken)}


def _broken_note(standing: Standing, rule: str) -> str:
    if rule == WHOLE and standing.of_tests:
        return "a test has an error and can't be played; it holds no rule back"
    what = f"the rule {rule} has an error" if rule else "the rules have an error"
    before = "what was in force before stays" if rule else "what it spoils stays as it was"
    return f"{what}; {before if is_kept(standing, rule) else 'it is left out'}"


def _reporter(
    notice: Callable[[Sequence[Run]], None], metrics: Metrics
) -> Callable[[Sequence[Run]], None]:
    def report(changed: Sequence[Run]) -> None:
        notice(changed)
        for run in changed:
            if run.ended is not None:
                metrics.run_ended(run.state.value)

    return report


def _counter(metrics: Metrics) -> Callable[[Sequence[Outcome]], None]:
    def count(outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.verdict is not Verdict.NOT_MATCHED:
                metrics.judged(outcome.verdict.value, outcome.held.by if outcome.held else "")

    return count


def _waker(pipeline: Pipeline, handing: HandOver) -> Callable[[], None]:
    """Rings for dead letters that go on: as due runs, or as events to decide."""

    def wake() -> None:
        handing.poke()
        pipeline.stored.set()

    return wake


def _waiter(clock: Clock, stopping: asyncio.Event) -> Callable[[int], Awaitable[bool]]:
    async def wait_until(moment: int) -> bool:
        while not stopping.is_set() and (rest := moment - clock.now()) > 0:
            # In short pieces, so that a clock that is set does not keep anybody waiting.
            await _first_of(stopping, stopping, seconds=min(rest / SECOND, 30.0))
        return not stopping.is_set()

    return wait_until


async def _first_of(one: asyncio.Event, other: asyncio.Event, *, seconds: float) -> None:
    waits: list[asyncio.Task[Any]] = [asyncio.ensure_future(one.wait())]
    if other is not one:
        waits.append(asyncio.ensure_future(other.wait()))
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
