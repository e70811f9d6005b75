"""Real journals on real files, and small events and runs to put into them."""

from __future__ import annotations

import asyncio
import sqlite3
import struct
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from engine.journal import events, runs
from engine.journal.opening import prepare
from engine.journal.operations import Ask, Op, Rows, ask, load_statements
from engine.journal.sqlite import SqliteJournal
from engine.model import DueRun, Event, PlannedRun, Run, State, Watch
from engine.queue import sqlite as sqlite_queue

T = TypeVar("T")
PATIENCE = 20.0
NOW = 1_767_603_600_000_000  # 2026-01-05 09:00 UTC


class Ledger:
    """A journal that tests write to and read from without a loop of their own."""

    def __init__(self, path: Path, extra: dict[str, str] | None = None) -> None:
        prepare(path)
        sqlite_queue.install(path)
        self.path = path
        self.fatal: list[BaseException] = []
        statements = {**load_statements("sqlite"), **sqlite_queue.STATEMENTS, **(extra or {})}
        self.journal = SqliteJournal(path, statements, self.fatal.append)

    def write(self, op: Op[T]) -> T:
        """Commit an operation."""
        return asyncio.run(self.journal.write(op))

    def read(self, op: Op[T]) -> T:
        """Read what is committed."""
        return asyncio.run(self.journal.read(op))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What any other process sees in the file."""
        with closing(sqlite3.connect(self.path)) as database:
            return database.execute(sql).fetchall()

    def add(self, *planned: Run | PlannedRun) -> list[Run]:
        """Add runs."""
        plans = [run if isinstance(run, PlannedRun) else PlannedRun(run) for run in planned]
        return self.write(runs.add(plans))

    def run(self, id: str) -> Run:
        """A run as it stands."""
        found = self.read(runs.by_id(id))
        assert found is not None
        return found

    def store(self, *happened: Event) -> None:
        """Store events in this order, each with a digest of its own."""
        for event in happened:
            self.write(events.store(event, event.id.encode()))

    def commits(self) -> int:
        """How many commits the write-ahead log holds: frames that say how large the file is."""
        raw = self.path.with_name(self.path.name + "-wal").read_bytes()
        (size,) = struct.unpack_from(">I", raw, 8)
        frames = range(32, len(raw) - size, size + 24)
        return sum(struct.unpack_from(">I", raw, at + 4)[0] > 0 for at in frames)


@contextmanager
def ledger(folder: Path, extra: dict[str, str] | None = None) -> Iterator[Ledger]:
    """A journal in a folder; nothing fatal may happen to it unnoticed."""
    opened = Ledger(folder / "rulewave.db", extra)
    try:
        yield opened
    finally:
        opened.journal.close()
    assert opened.fatal == []


class Gate:
    """Holds a journal's thread inside an operation until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def hold(self, op: Op[T]) -> Op[T]:
        """The operation, held before its first statement."""
        return self._held(op, after=False)

    def hold_after(self, op: Op[T]) -> Op[T]:
        """The operation, held when all of it is done but the commit."""
        return self._held(op, after=True)

    def _held(self, op: Op[T], *, after: bool) -> Generator[Ask, Rows, T]:
        if after:
            result = yield from op
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        if not after:
            result = yield from op
        return result


def on_thread(event: threading.Event) -> Callable[[], bool]:
    """A wait for `asyncio.to_thread` that does not wait for ever."""
    return lambda: event.wait(PATIENCE)


def event(id: str, **changes: Any) -> Event:
    """A small event about a user."""
    made = Event(
        id=id, seq=0, source="remnawave", type="user.modified", subject="user:anna",
        raised=NOW, stored=NOW, body={"event": "user.modified", "data": {"username": "anna"}},
    )  # fmt: skip
    return replace(made, **changes)


def run(id: str, **changes: Any) -> Run:
    """A small run that is due."""
    made = Run(
        id=id, origin=f"ev-{id}", origin_seq=1, origin_raised=NOW, rule="greet", version="v1",
        path="", generation=0, key="anna", state=State.PENDING, due=NOW, created=NOW, lane="mail",
    )  # fmt: skip
    return replace(made, **changes)


def watched(id: str, **changes: Any) -> PlannedRun:
    """A follow-up that `user.renewed` cancels."""
    made = run(id, path="do.0", watched=True, delayed=True, **changes)
    return PlannedRun(made, (Watch("user.renewed", "", "anna", 0),))


def due(id: str, lane: str = "mail", priority: int = 0) -> DueRun:
    """What the queue needs to know of a run."""
    return DueRun(id, lane, priority, 0, 0)


def all_of(name: str, **params: Any) -> Op[Rows]:
    """One statement."""
    return ask(name, **params)
