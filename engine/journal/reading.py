"""Reads a journal that others may be writing to, and changes nothing in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from engine.errors import UserError
from engine.journal.backup import check_owner
from engine.journal.opening import HEAD, revision
from engine.journal.operations import Ask, Op, Rows, load_statements, play
from engine.journal.sqlite import as_dict

T = TypeVar("T")


class JournalReader:
    """Plays operations that only read, each on what is committed by then."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._statements = load_statements("sqlite")

    def read(self, op: Op[T]) -> T:
        """Play an operation."""
        return play(op, self._execute)

    def _execute(self, wish: Ask) -> Rows:
        return self._database.execute(self._statements[wish.name], wish.params).fetchall()


@contextmanager
def open_reader(path: Path) -> Iterator[JournalReader]:
    """The journal at that path, for reading; UserError where it can't be read."""
    check_owner(path)
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
        ) as database:
            found = revision(database)
            if found != HEAD:
                message = f"{path} is no journal of this version"
                raise UserError(f"{message}; rulewave serve brings an older one up to date")
            database.row_factory = as_dict
            yield JournalReader(database)
    except sqlite3.DatabaseError as error:
        raise UserError(f"{path} can't be read: {error}") from error
