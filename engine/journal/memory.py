"""A journal in memory, for rehearsals: the same statements, played at once, and wiped in no time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from engine.journal.operations import Ask, Op, Rows, play
from engine.journal.sqlite import SqliteJournal, as_dict

T = TypeVar("T")
_SCHEMA = Path(__file__).parent / "sql" / "sqlite_schema.sql"


class MemoryJournal(SqliteJournal):
    """A journal that nobody else sees and that ends with its owner. For one thread.

    Args:
        statements: name → text.
        schema: tables beside the journal's own.
        large: whether it may outgrow the memory: then it goes over into a nameless file.
    """

    def __init__(
        self, statements: Mapping[str, str], schema: str = "", *, large: bool = False
    ) -> None:
        self.path = Path(":memory:")
        self.deciding = asyncio.Lock()
        self._statements = statements
        self._database = sqlite3.connect(
            "" if large else ":memory:",
            isolation_level=None, check_same_thread=False, cached_statements=512,
        )  # fmt: skip
        self._database.row_factory = as_dict
        self._database.execute("pragma cache_size=-65536")
        self._database.executescript(_SCHEMA.read_text() + schema)
        self._database.execute("begin")

    def wipe(self) -> None:
        """Forget everything: all since the last wipe is one transaction."""
        self._database.execute("rollback")
        self._database.execute("begin")

    async def write(self, op: Op[T]) -> T:
        """Play `op`, or nothing of it where it raises."""
        self._database.execute("savepoint one_call")
        try:
            return play(op, self._execute)
        except BaseException:
            self._database.execute("rollback to one_call")
            raise
        finally:
            self._database.execute("release one_call")

    async def read(self, op: Op[T]) -> T:
        """Play an `op` that only reads."""
        return play(op, self._execute)

    async def list(self, op: Op[T]) -> T:
        """The same as `read`: nobody else is in the way."""
        return play(op, self._execute)

    def close(self) -> None:
        """Forget everything, for good."""
        self._database.close()

    def _execute(self, wish: Ask) -> Rows:
        return self._database.execute(self._statements[wish.name], wish.params).fetchall()
