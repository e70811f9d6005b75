"""Opening a journal file: a fresh one is made at once, an older one is migrated by Alembic."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from engine.errors import UserError

HEAD = "0003"
"""The schema's newest revision; `sql/*_schema.sql` is its text."""
TOO_NEW = 10
"""The exit code of `engine.journal.migrating` for a revision that it does not know."""
_ORIGIN = (
    "create table if not exists alembic_version (version_num varchar(32) not null primary key)"
)


def prepare(path: Path) -> None:
    """Bring a journal file to the current schema; UserError where that can't be."""
    try:
        _prepare(path)
    except sqlite3.DatabaseError as error:
        raise UserError(f"the database {path} can't be used: {error}") from error


def _prepare(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The journal holds customers' data: nobody else may read it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise UserError(f"the database {path} can't be opened: {error.strerror}") from error
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        found = revision(database)
        if found is None:
            _create(database)
    if found not in {None, HEAD}:
        _migrate(path)


def revision(database: sqlite3.Connection) -> str | None:
    """The revision of a journal's schema; None where the file is no journal."""
    known = database.execute(
        "select 1 from sqlite_master where name = 'alembic_version'"
    ).fetchone()
    if not known:
        return None
    row = database.execute("select version_num from alembic_version").fetchone()
    return str(row[0]) if row else None


def _create(database: sqlite3.Connection) -> None:
    schema = (Path(__file__).parent / "sql" / "sqlite_schema.sql").read_text()
    database.execute("pragma journal_mode=wal")
    stamp = f"insert into alembic_version values ('{HEAD}')"  # noqa: S608 - our own constant
    database.executescript(f"begin immediate;{_ORIGIN};{stamp};{schema}commit;")


def _migrate(path: Path) -> None:
    # A process of its own: Alembic and SQLAlchemy would stay in the daemon's memory.
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "engine.journal.migrating", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == TOO_NEW:
        raise UserError(done.stderr.strip())
    if done.returncode:
        raise RuntimeError(f"migration of {path} failed:\n{done.stderr}")
