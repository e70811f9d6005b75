"""The journal as plain SQLite shows it: nothing of the product reads for the checker."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
_OPEN = "('pending', 'queued', 'running', 'on hold')"
# What the daemon raised itself nobody posted.
_SENT = "select * from events where source = 'remnawave' order by seq"
_WORK = (
    "select (select count(*) from events where decided is null)"
    f" + (select count(*) from runs where state in {_OPEN})"
)


@dataclass(frozen=True, slots=True)
class Ledger:
    """All rows of three tables, JSON columns read."""

    events: tuple[Row, ...] = ()
    runs: tuple[Row, ...] = ()
    attempts: tuple[Row, ...] = ()


def read_ledger(database: Path) -> Ledger:
    """All that is in the journal of a daemon that does not run, however it ended."""
    with closing(_connect(database, mode="rw")) as journal:
        events = [_event(dict(row)) for row in journal.execute(_SENT)]
        runs = [dict(row) for row in journal.execute("select * from runs order by seq")]
        attempts = [dict(row) for row in journal.execute("select * from attempts order by run")]
    return Ledger(tuple(events), tuple(runs), tuple(attempts))


def work_left(database: Path) -> int:
    """How many events are undecided and how many runs have not ended."""
    with closing(_connect(database)) as journal:
        return int(journal.execute(_WORK).fetchone()[0])


def _connect(database: Path, mode: str = "ro") -> sqlite3.Connection:
    journal = sqlite3.connect(f"file:{database}?mode={mode}", uri=True, timeout=20)
    journal.row_factory = sqlite3.Row
    return journal


def _event(row: dict[str, Any]) -> Row:
    row["body"] = json.loads(row["body"])
    row["decision"] = json.loads(row["decision"]) if row["decision"] else None
    return row
