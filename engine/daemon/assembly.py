"""Joins the parts: what opens is put on one stack, and closes in the opposite order."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from engine.action import Connection, Registry
from engine.addresses import sqlite_path
from engine.clock import SECOND, Clock
from engine.console.app import Readiness
from engine.console.desk import Desk
from engine.console.metrics import Metrics, Numbers
from engine.daemon.registry import find_actions
from engine.errors import JournalUnavailable, Problem, UserError
from engine.journal import runs
from engine.journal.opening import prepare
from engine.journal.operations import load_statements
from engine.journal.sqlite import FileLock, SqliteJournal
from engine.library import CompileRule, Library
from engine.model import Answer, Delivery, Run
from engine.pipeline import IntakeSettings, Pipeline
from engine.queue import sqlite as sqlite_queue
from engine.queue.worker import Worker
from engine.rules.connections import resolve
from engine.rules.durations import parse_rate
from engine.rules.loading import Loaded, load
from engine.rules.model import Rule, RuleSet
from engine.rules.ruling import Shared, compile_rule
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
    problems: tuple[Problem, ...]
    decides: bool
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _journal_away: bool = False

    async def accept(self, delivery: Delivery) -> Answer:
        """Take a delivery."""
        return await self.pipeline.accept(delivery)

    async def decide_forever(self) -> None:
        """Decide whatever is stored, as soon as the doorbell rings."""
        while not self.stopping.is_set():
            self.pipeline.stored.clear()
            if self.decides and await self._decide():
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
        if not self.decides:
            problems.append("there are no rules to decide by; events are kept undecided")
        if self._journal_away:
            problems.append("the journal can't be written")
        return Readiness(not problems, tuple(problems))

    async def render_metrics(self) -> bytes:
        """The exposition for Prometheus."""
        return await self.metrics.render(self.numbers)

    async def numbers(self) -> Numbers:
        """What the journal counts."""
        states = await self.journal.list(runs.states())
        return Numbers(self.pipeline.backlog, states, self.runner.pausing.paused)


@asynccontextmanager
async def open_engine(settings: Settings, clock: Clock, secrets: Secrets) -> AsyncIterator[Engine]:
    """Open the journal, read the rules, join the parts; nothing runs yet but the actions."""
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(settings.database))
        actions = find_actions()
        loaded = load(settings.rules, actions=actions, secrets=secrets)
        engine = _join(settings, journal, loaded, actions, secrets, clock)
        await engine.runner.library.start()
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
    loaded: Loaded,
    actions: Registry,
    secrets: Secrets,
    clock: Clock,
) -> Engine:
    ruleset = loaded.ruleset
    library = Library(journal, ruleset, recompiler(ruleset, actions, secrets), clock)
    intake = IntakeSettings(settings.webhook_secret, settings.max_age, settings.max_backlog)
    pipeline = Pipeline(journal, library, clock, intake, sqlite_queue.enqueue)
    stopping = asyncio.Event()
    pausing = Pausing(journal, clock)
    runner = Runner(
        journal, library, actions, secrets, clock, sqlite_queue.enqueue, pausing,
        connect=_connector(ruleset, secrets),
        wait_until=_waiter(clock, stopping),
        rates=_rates(ruleset),
        allow_private=settings.allow_private_targets,
    )  # fmt: skip
    queries = sqlite_queue.open_queries(journal)
    worker = Worker(queries, runner.handle, begin=queries.return_all)
    worker.open_lanes(library.book.lanes())
    alarm = Alarm(clock)
    handing = HandOver(
        journal, alarm, clock, sqlite_queue.enqueue, sqlite_queue.has_job, sqlite_queue.lanes,
        ring=queries.ring, open_lanes=worker.open_lanes, in_hand=runner.in_hand,
        rule=library.version,
    )  # fmt: skip
    metrics = Metrics()
    pipeline.on_planned = runner.on_change = _reporter(handing.notice, metrics)
    runner.on_own = handing.on_own = pipeline.heard
    pausing.on_due = handing.poke
    desk = Desk(journal, library, clock, actions, on_replayed=_waker(pipeline, handing))
    return Engine(
        settings, journal, pipeline, worker, runner, handing,
        Clocks(journal, library, alarm, clock, pipeline.raise_own),
        Retention(journal, clock, settings.retention, settings.max_age), alarm, desk, metrics,
        loaded.problems, decides=loaded.usable and (bool(ruleset.rules) or not loaded.broken), stopping=stopping,
    )  # fmt: skip


def _reporter(
    notice: Callable[[Sequence[Run]], None], metrics: Metrics
) -> Callable[[Sequence[Run]], None]:
    def report(changed: Sequence[Run]) -> None:
        notice(changed)
        for run in changed:
            if run.ended is not None:
                metrics.run_ended(run.state.value)

    return report


def _waker(pipeline: Pipeline, handing: HandOver) -> Callable[[], None]:
    """Rings for dead letters that go on: as due runs, or as events to decide."""

    def wake() -> None:
        handing.poke()
        pipeline.stored.set()

    return wake


def _connector(ruleset: RuleSet, secrets: Secrets) -> Callable[[str], Connection]:
    """Resolves a connection on its first use; a missing secret is looked for again each time."""
    known: dict[str, Connection] = {}

    def connect(name: str) -> Connection:
        if name not in known:
            spec = ruleset.connections.get(name)
            if spec is None:
                raise UserError(f'there is no connection "{name}" any more')
            known[name] = resolve(spec, secrets, ruleset.vars)
        return known[name]

    return connect


def recompiler(ruleset: RuleSet, actions: Registry, secrets: Secrets) -> CompileRule:
    """Compiles a version that lies in the journal, with the connections in force now."""

    def compile_again(source: Any, timezone: str, *, steps: bool = True) -> Rule | None:
        shared = Shared(actions, secrets, ruleset.connections, ruleset.vars, timezone)
        return compile_rule(source, shared, steps=steps)[0]

    return compile_again


def _rates(ruleset: RuleSet) -> Callable[[str], int | None]:
    rates = {
        name: parse_rate(spec.raw["rate"])
        for name, spec in ruleset.connections.items()
        if spec.raw.get("rate") is not None
    }
    return rates.get


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
