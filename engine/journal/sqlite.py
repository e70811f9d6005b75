"""The embedded driver: one thread owns the writing, calls that wait share one commit (fsync)."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Generic, Self, TypeVar

from engine.errors import JournalUnavailable, UserError
from engine.journal.operations import Ask, Op, Rows, play

T = TypeVar("T")
_BATCH = 256
# A failed fsync leaves the file's state unknown to everyone: nothing may go on from there.
_FSYNC_ERRORS = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})
_PRAGMAS = """
pragma journal_mode=wal; pragma synchronous=full; pragma busy_timeout=10000;
pragma temp_store=memory; pragma cache_size=-4000; pragma journal_size_limit=67108864;
"""


@dataclass(slots=True)
class _Call(Generic[T]):
    op: Op[T]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None

    def answer(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]


class _Worker(ABC):
    """A thread with a connection of its own, fed by a queue."""

    def __init__(self, path: Path, statements: Mapping[str, str], name: str) -> None:
        self._path = path
        self._statements = statements
        self._calls: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._broken: BaseException | None = None
        self._thread.start()

    async def call(self, op: Op[T]) -> T:
        """Have the thread play `op`; its result, or what it raised."""
        if self._broken is not None:
            raise JournalUnavailable(str(self._broken))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._calls.put(_Call(op, loop, future))
        return await future

    def close(self) -> None:
        """Finish what waits, then end the thread; whoever calls later is refused."""
        self._calls.put(None)
        self._thread.join()
        self._refuse(RuntimeError("the journal is closed"))

    def _work(self) -> None:
        batch: list[_Call[Any]] | None = []
        try:
            with closing(_connect(self._path)) as database:
                while (batch := self._next_batch()) is not None:
                    self._serve(database, batch)
                    _answer(batch)
        except BaseException as error:  # noqa: BLE001 - whatever it was, callers must not wait for ever
            _answer_with(batch or (), error)
            self._give_up(error)

    def _next_batch(self) -> list[_Call[Any]] | None:
        first = self._calls.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < _BATCH:
            try:
                call = self._calls.get_nowait()
            except Empty:
                break
            if call is None:
                self._calls.put(None)
                break
            batch.append(call)
        return batch

    @abstractmethod
    def _serve(self, database: sqlite3.Connection, batch: list[_Call[Any]]) -> None:
        """Play each call of a batch, and note its result or its error."""

    def _play(self, database: sqlite3.Connection, call: _Call[Any]) -> None:
        def execute(wish: Ask) -> Rows:
            return database.execute(self._statements[wish.name], wish.params).fetchall()

        call.result = play(call.op, execute)

    def _give_up(self, error: BaseException) -> None:
        self._refuse(error)

    def _refuse(self, error: BaseException) -> None:
        self._broken = self._broken or error
        while True:
            try:
                call = self._calls.get_nowait()
            except Empty:
                return
            if call is not None:
                _answer_with([call], error)


class _Reader(_Worker):
    """Reads what is committed; never waits for the writer."""

    def _serve(self, database: sqlite3.Connection, batch: list[_Call[Any]]) -> None:
        for call in batch:
            try:
                database.execute("begin")
                self._play(database, call)
            except Exception as error:  # noqa: BLE001 - handed to whoever asked
                call.error = _translated(error)
            finally:
                if database.in_transaction:
                    database.execute("rollback")


class _Writer(_Worker):
    """Writes: a savepoint for each call, one commit for all that waited together."""

    def __init__(
        self,
        path: Path,
        statements: Mapping[str, str],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._on_fatal = on_fatal
        super().__init__(path, statements, "journal-writer")

    def _serve(self, database: sqlite3.Connection, batch: list[_Call[Any]]) -> None:
        try:
            database.execute("begin immediate")
            for call in batch:
                self._guarded(database, call)
            database.execute("commit")
        except sqlite3.Error as error:
            _rollback(database)
            for call in batch:
                call.error = JournalUnavailable(str(error))
            if error.sqlite_errorcode in _FSYNC_ERRORS:
                raise

    def _guarded(self, database: sqlite3.Connection, call: _Call[Any]) -> None:
        database.execute("savepoint one_call")
        try:
            self._play(database, call)
        except Exception as error:
            call.error = _translated(error)
            if not database.in_transaction:  # SQLite itself rolled all of it back: disk full
                raise
            database.execute("rollback to one_call")
        database.execute("release one_call")

    def _give_up(self, error: BaseException) -> None:
        super()._give_up(error)
        self._on_fatal(error)


def _translated(error: Exception) -> Exception:
    # DatabaseError itself, none of its children, is what a damaged file raises.
    if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
        return JournalUnavailable(str(error))
    return error


def _rollback(database: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # it may have rolled back by itself
        database.execute("rollback")


def _answer_with(batch: Sequence[_Call[Any]], error: BaseException) -> None:
    for call in batch:
        call.error = JournalUnavailable(str(error))
    _answer(batch)


def _answer(batch: Sequence[_Call[Any]]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[_Call[Any]]] = {}
    for call in batch:
        loops.setdefault(call.loop, []).append(call)
    for loop, calls in loops.items():
        try:
            loop.call_soon_threadsafe(_answer_all, calls)
        except RuntimeError:  # the caller's loop is gone, and with it whoever waited
            continue


def _answer_all(calls: list[_Call[Any]]) -> None:
    for call in calls:
        call.answer()


def as_dict(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> dict[str, Any]:
    """A row as rows are handed to operations: column → value."""
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    database.row_factory = as_dict
    database.executescript(_PRAGMAS)
    return database


class SqliteJournal:
    """A journal file, held by this process alone.

    Args:
        path: the file; it must hold the current schema (`engine.journal.opening.prepare`).
        statements: name → text.
        on_fatal: called from the writer's thread when it can't go on.
    """

    def __init__(
        self,
        path: Path,
        statements: Mapping[str, str],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self.path = path
        self._writer = _Writer(path, statements, on_fatal)
        self._reader = _Reader(path, statements, "journal-reader")
        self._lister = _Reader(path, statements, "journal-lister")
        self.deciding = asyncio.Lock()
        """Held by whoever reads and then writes what decisions rest on: one at a time."""

    async def write(self, op: Op[T]) -> T:
        """Play `op` and commit it to disk; raises JournalUnavailable where that failed."""
        return await self._writer.call(op)

    async def read(self, op: Op[T]) -> T:
        """Play an `op` that only reads, on what is committed."""
        return await self._reader.call(op)

    async def list(self, op: Op[T]) -> T:
        """Like `read`, for long lists that people ask for: never in the engine's way."""
        return await self._lister.call(op)

    def close(self) -> None:
        """Finish what waits and close the file."""
        for worker in (self._reader, self._lister, self._writer):
            worker.close()


class FileLock:
    """Keeps a second process off the journal, until this one ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Take the lock, or raise UserError."""
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(f"{self._path} can't be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            self._file = None
            message = f"{self._path} is locked: another rulewave is using this database"
            raise UserError(message) from None
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        if self._file is not None:
            os.close(self._file)
