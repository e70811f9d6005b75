"""Copies of the journal: made while it is in use, checked, and put back in its place."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from engine.errors import UserError
from engine.journal.opening import revision
from engine.journal.operations import load_statements
from engine.journal.sqlite import FileLock

_PAGES = 1024
_SIDES = ("-wal", "-shm")
_SOUND = [("ok",)]
_REVISIONS = Path(__file__).parent / "migrations" / "versions"


@dataclass(frozen=True, slots=True)
class Holds:
    """What a copy holds; `newest` is when its last event was stored."""

    events: int
    newest: int | None
    runs: int
    followups: int


def back_up(database: Path, file: Path, *, force: bool = False) -> Holds:
    """Copy the journal, in use or not, into `file`; UserError where no sound copy can be had."""
    check_owner(database)
    _free(file, database, force=force)
    with _copied(database, file, writable=True) as (copy, holds):
        _free(file, database, force=force)
        copy.replace(file)
    _sync(file.parent)
    return holds


def restore(file: Path, database: Path, moment: str) -> tuple[Holds, Path | None]:
    """Put a copy in the journal's place; what lay there is kept aside under a name with `moment`.

    UserError where a daemon runs, or the copy is no sound journal: then nothing has changed.
    """
    if not database.parent.is_dir():
        raise UserError(f"the folder {database.parent} of the database does not exist")
    present = database.exists()
    if present:
        check_owner(database)
    if file.exists() and present and file.samefile(database):
        raise UserError(f"{file} is the journal itself")
    with _stopped(database):
        place = database.resolve()
        with _copied(file, place, writable=False) as (copy, holds):
            _give(copy, like=place if present else place.parent)
            aside = _aside(place, moment) if present else None
            copy.replace(place)
        _sync(place.parent)
    return holds, aside


def check_owner(database: Path) -> None:
    """Only who owns the journal opens it: files that SQLite makes beside it would be another's."""
    try:
        owner = database.stat().st_uid
    except FileNotFoundError:
        message = (
            f"there is no journal at {database}; RULEWAVE_DATABASE or --database names another"
        )
        raise UserError(message) from None
    except OSError as error:
        raise UserError(f"{database} can't be opened: {error.strerror}; try as root") from error
    if os.geteuid() not in {0, owner}:
        raise UserError(f"{database} belongs to another user; run this as its owner or as root")


def _free(file: Path, database: Path, *, force: bool) -> None:
    """Whether a copy may be put there."""
    journal = {Path(f"{database.resolve()}{end}") for end in ("", *_SIDES, ".lock")}
    if file.resolve() in journal:
        raise UserError(f"{file} is the journal itself; name another file")
    if os.path.lexists(file):
        if not file.is_file():
            raise UserError(f"{file} is no file")
        if not force:
            raise UserError(f"{file} exists already; --force overwrites it")


@contextmanager
def _stopped(database: Path) -> Iterator[None]:
    """No daemon, from here to the end of the block."""
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(database))
        except UserError as error:
            raise UserError(f"{error}; stop it, then restore") from error
        _give(Path(f"{database}.lock"), like=database if database.exists() else database.parent)
        yield


@contextmanager
def _copied(source: Path, beside: Path, *, writable: bool) -> Iterator[tuple[Path, Holds]]:
    """A checked copy in a temporary file `beside` its place; gone at the end unless moved there."""
    try:
        source.open("rb").close()
        handle, name = tempfile.mkstemp(".partial", f".{beside.name}.", beside.parent)
    except OSError as error:
        raise UserError(f"{error.filename} can't be opened: {error.strerror}") from error
    os.close(handle)
    copy = Path(name)
    try:
        _copy(source, copy, writable=writable)
        yield copy, _checked(source, copy)
    except (sqlite3.Error, OSError) as error:
        raise UserError(f"{source} can't be copied to {beside.parent}: {error}") from error
    finally:
        for end in ("", "-journal"):
            Path(f"{copy}{end}").unlink(missing_ok=True)


def _copy(source: Path, copy: Path, *, writable: bool) -> None:
    mode = "rw" if writable else "ro"
    url = f"file:{quote(str(source.absolute()))}?mode={mode}"
    with (
        closing(sqlite3.connect(url, uri=True, isolation_level=None)) as origin,
        closing(sqlite3.connect(copy, isolation_level=None)) as target,
    ):
        # One moment is copied. Without this, each write of a daemon would begin the copy anew.
        origin.execute("begin")
        origin.execute("select 1 from sqlite_master").fetchone()
        origin.backup(target, pages=_PAGES)
        # One file alone; whoever opens it as the journal sets it to write-ahead again.
        target.execute("pragma journal_mode=delete")
    _sync(copy)


def _checked(source: Path, copy: Path) -> Holds:
    """What a copy of `source` holds; UserError where that is no sound journal of ours."""
    with closing(sqlite3.connect(copy)) as database:
        found = database.execute("pragma integrity_check(3)").fetchall()
        if found != _SOUND:
            raise UserError(f"{source} is damaged: {'; '.join(row[0] for row in found)}")
        number = revision(database)
        known = {file.name.partition("_")[0] for file in _REVISIONS.glob("[0-9]*.py")}
        if number is None:
            raise UserError(f"{source} is no journal of Rulewave")
        if number not in known:
            raise UserError(f"{source} was made by a newer Rulewave (revision {number})")
        return Holds(*database.execute(load_statements("sqlite")["copy_holds"]).fetchone())


def _aside(database: Path, moment: str) -> Path:
    """Keep the present journal under another name; its own name is free for the copy then."""
    aside = database.with_name(f"{database.name}.before-restore-{moment}")
    if _keeps_a_log(database):
        # Where it is too damaged for that, the log is kept beside it.
        with suppress(sqlite3.Error), closing(sqlite3.connect(database)) as present:
            present.execute("pragma journal_mode=delete")
    # A second name, so that at no moment there is no journal.
    aside.hardlink_to(database)
    for end in _SIDES:
        left = Path(f"{database}{end}")
        if left.exists():
            # Left there, SQLite would play it into the copy.
            left.replace(f"{aside}{end}")
    return aside


def _keeps_a_log(database: Path) -> bool:
    """By its header. SQLite would delete the log of writes beside any other file."""
    with database.open("rb") as opened:
        header = opened.read(20)
    return header.startswith(b"SQLite format 3\0") and header.endswith(b"\2\2")


def _give(path: Path, *, like: Path) -> None:
    """What root makes belongs to whom the daemon runs as."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
