"""Copies of the journal: what they hold, what is refused, and how one is put back."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from ledgers import NOW, event, ledger, run, watched

from engine.errors import UserError
from engine.journal.backup import Holds, back_up, restore
from engine.journal.migrating import upgrade
from engine.journal.opening import HEAD, prepare
from engine.journal.sqlite import FileLock
from engine.model import State

_MOMENT = "20260105T090000Z"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A journal of two events, two runs and a follow-up, which nobody uses."""
    with ledger(tmp_path) as opened:
        opened.store(event("ev_1"), event("ev_2", stored=NOW + 1))
        opened.add(run("run_1", state=State.SUCCEEDED), run("run_2"), watched("run_3"))
    return tmp_path / "rulewave.db"


@pytest.fixture
def copy(database: Path) -> Path:
    """A copy of it, in a folder of its own."""
    folder = database.parent / "copies"
    folder.mkdir()
    back_up(database, folder / "rulewave.backup")
    return folder / "rulewave.backup"


def _rows(file: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as opened:
        return opened.execute(sql).fetchall()


def _change(file: Path, sql: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as opened:
        opened.execute(sql)


def _spoil(file: Path) -> None:
    """Write nonsense over all but the first page."""
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xaa" * (file.stat().st_size - 4096))


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_copy_is_one_file_for_its_owner_and_holds_what_is_told(copy: Path) -> None:
    assert _names(copy.parent) == {copy.name}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert _rows(copy, "select id from events order by seq") == [("ev_1",), ("ev_2",)]
    assert _rows(copy, "pragma journal_mode") == [("delete",)]


def test_what_is_committed_is_in_the_copy_also_where_it_lies_in_the_log_of_writes(
    tmp_path: Path,
) -> None:
    with ledger(tmp_path) as opened:
        opened.store(event("ev_1"))
        opened.add(watched("run_1"), run("run_2", path="on_failure", state=State.DEAD))
        holds = back_up(opened.path, tmp_path / "copy")
        opened.store(event("ev_2"))
    assert holds == Holds(events=1, newest=NOW, runs=2, followups=1)
    assert _rows(tmp_path / "copy", "select id from events") == [("ev_1",)]


def test_an_empty_journal_can_be_copied(tmp_path: Path) -> None:
    prepare(tmp_path / "rulewave.db")
    assert back_up(tmp_path / "rulewave.db", tmp_path / "copy") == Holds(0, None, 0, 0)


def test_a_file_that_is_there_is_overwritten_only_where_that_is_wished(
    database: Path, tmp_path: Path
) -> None:
    file = tmp_path / "copy"
    file.write_text("precious")
    with pytest.raises(UserError, match=r"copy exists already; --force overwrites it"):
        back_up(database, file)
    assert file.read_text() == "precious"
    assert back_up(database, file, force=True).events == 2
    assert len(_rows(file, "select * from events")) == 2


@pytest.mark.parametrize("end", ["", "-wal", "-shm", ".lock"])
def test_the_journal_itself_is_never_overwritten(database: Path, end: str) -> None:
    with pytest.raises(UserError, match=r"is the journal itself; name another file"):
        back_up(database, database.parent / "copies" / ".." / f"rulewave.db{end}", force=True)


def test_what_is_no_file_is_not_overwritten(database: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "folder", Path("/dev/null")):
        with pytest.raises(UserError, match=rf"{place} is no file"):
            back_up(database, place, force=True)


def test_a_copy_into_a_folder_that_is_not_there_is_refused(database: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone.* can't be opened: No such file or directory"):
        back_up(database, tmp_path / "gone" / "copy")


def test_a_damaged_journal_makes_no_copy(database: Path, tmp_path: Path) -> None:
    _spoil(database)
    before = _names(tmp_path)
    with pytest.raises(UserError, match=r"rulewave\.db (is damaged|can't be copied)"):
        back_up(database, tmp_path / "copy")
    assert _names(tmp_path) == before


def test_no_journal_no_copy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no journal at .*rulewave\.db; RULEWAVE_DATA"):
        back_up(tmp_path / "rulewave.db", tmp_path / "copy")


def test_a_journal_below_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"can't be opened: Not a directory; try as root"):
        back_up(tmp_path / "file" / "rulewave.db", tmp_path / "copy")


def test_somebody_elses_journal_is_refused(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: database.stat().st_uid + 7)
    with pytest.raises(UserError, match="belongs to another user; run this as its owner or as ro"):
        back_up(database, tmp_path / "copy")


# ------------------------------------------------------------------------------ restore


def test_a_copy_takes_the_journals_place_and_the_present_one_is_kept_aside(
    database: Path, copy: Path
) -> None:
    _change(database, "delete from events where id = 'ev_1'")
    holds, aside = restore(copy, database, _MOMENT)
    assert holds.events == 2
    assert aside == database.with_name(f"rulewave.db.before-restore-{_MOMENT}")
    assert _rows(aside, "select id from events") == [("ev_2",)]
    assert len(_rows(database, "select id from events")) == 2
    assert _names(database.parent) == {database.name, aside.name, "rulewave.db.lock", "copies"}


def test_what_lay_in_the_log_of_writes_is_kept_aside_and_not_played_into_the_copy(
    database: Path, copy: Path
) -> None:
    # As after kill -9: the log of writes lies beside the file.
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("pragma journal_mode=wal")
        other.execute("delete from events")
        for end in ("", "-wal"):
            Path(f"{database}{end}.kept").write_bytes(Path(f"{database}{end}").read_bytes())
    for end in ("", "-wal"):
        Path(f"{database}{end}.kept").replace(f"{database}{end}")
    _, aside = restore(copy, database, _MOMENT)
    assert aside is not None
    assert not Path(f"{database}-wal").exists()
    assert len(_rows(database, "select id from events")) == 2
    assert _rows(aside, "select id from events") == []


def test_a_damaged_journal_is_kept_aside_as_it_is_with_its_log_of_writes(
    database: Path, copy: Path
) -> None:
    database.write_bytes(b"not a database at all " * 1000)
    Path(f"{database}-wal").write_bytes(b"nor is this")
    _, aside = restore(copy, database, _MOMENT)
    assert aside is not None
    assert aside.read_bytes() == b"not a database at all " * 1000
    assert Path(f"{aside}-wal").read_bytes() == b"nor is this"
    assert not Path(f"{database}-wal").exists()
    assert len(_rows(database, "select id from events")) == 2


def test_a_copy_can_be_restored_where_there_is_no_journal(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    holds, aside = restore(copy, tmp_path / "new" / "rulewave.db", _MOMENT)
    assert (holds.followups, aside) == (1, None)
    with ledger(tmp_path / "new") as opened:
        assert opened.run("run_3").state is State.PENDING


def test_the_restored_file_belongs_to_the_owner_of_the_one_before(
    database: Path, copy: Path
) -> None:
    if os.geteuid() != 0:  # only root makes files for others
        assert database.stat().st_uid == os.geteuid()
        return
    os.chown(database, 12345, 54321)
    restore(copy, database, _MOMENT)
    for file in (database, Path(f"{database}.lock")):
        assert (file.stat().st_uid, file.stat().st_gid) == (12345, 54321)
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_a_copy_of_an_older_revision_is_restored_and_migrated_when_it_is_opened(
    tmp_path: Path,
) -> None:
    old, database = tmp_path / "old", tmp_path / "rulewave.db"
    upgrade(old, "0001")
    restore(old, database, _MOMENT)
    assert _rows(database, "select version_num from alembic_version") == [("0001",)]
    prepare(database)
    assert _rows(database, "select version_num from alembic_version") == [(HEAD,)]


def _text(file: Path) -> None:
    file.write_bytes(b"not a database at all " * 100)


def _foreign(file: Path) -> None:
    _change(file, "drop table alembic_version")


def _without_revision(file: Path) -> None:
    _change(file, "delete from alembic_version")


def _newer(file: Path) -> None:
    _change(file, "update alembic_version set version_num = '9999'")


def _without_runs(file: Path) -> None:
    _change(file, "drop table runs")


def _empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_text, "can't be copied to .*: file is not a database"),
        (_foreign, "is no journal of Rulewave"),
        (_without_revision, "is no journal of Rulewave"),
        (_newer, r"was made by a newer Rulewave \(revision 9999\)"),
        (_without_runs, "can't be copied to .*: no such table: runs"),
        (_empty, "is no journal of Rulewave"),
        (_spoil, "(is damaged|can't be copied)"),
        (Path.unlink, "can't be opened: No such file or directory"),
    ],
)
def test_what_is_no_sound_journal_is_not_restored_and_nothing_changes(
    database: Path, copy: Path, harm: object, message: str
) -> None:
    before = database.read_bytes()
    harm(copy)  # type: ignore[operator]
    with pytest.raises(UserError, match=rf"rulewave\.backup {message}"):
        restore(copy, database, _MOMENT)
    assert database.read_bytes() == before
    assert _names(database.parent) == {"rulewave.db", "rulewave.db.lock", "copies"}


def test_nothing_is_restored_while_the_journal_is_in_use(database: Path, copy: Path) -> None:
    with (
        FileLock(database),
        pytest.raises(UserError, match="another rulewave is using this database; stop it, then r"),
    ):
        restore(copy, database, _MOMENT)


def test_the_journal_is_not_restored_from_itself(database: Path) -> None:
    with pytest.raises(UserError, match="is the journal itself"):
        restore(database, database, _MOMENT)


def test_a_restore_into_a_folder_that_is_not_there_is_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the folder .*gone of the database does not exist"):
        restore(copy, tmp_path / "gone" / "rulewave.db", _MOMENT)
