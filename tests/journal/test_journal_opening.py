"""Opening a journal: what cannot be opened is refused in one clear sentence."""

from __future__ import annotations

import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from engine.addresses import sqlite_path
from engine.errors import UserError
from engine.journal import migrating
from engine.journal.opening import HEAD, TOO_NEW, prepare
from engine.journal.sqlite import FileLock


def _revise(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("update alembic_version set version_num = ?", (revision,))


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:////var/lib/x.db", "/var/lib/x.db"), ("sqlite:///x.db", "x.db")],
)
def test_a_database_is_named_by_an_absolute_or_a_relative_url(url: str, path: str) -> None:
    assert sqlite_path(url) == Path(path)


@pytest.mark.parametrize("url", ["", "sqlite:///", "x.db", "postgresql://host/x"])
def test_another_database_is_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(UserError, match=r"write sqlite:////path/to/rulewave\.db"):
        sqlite_path(url)


def test_a_fresh_file_is_for_its_owner_only_and_in_the_newest_schema(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rulewave.db"
    prepare(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("pragma journal_mode").fetchone() == ("wal",)
        assert database.execute("select * from alembic_version").fetchall() == [(HEAD,)]


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rulewave.db"
    prepare(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("insert into clocks values ('daily', 7)")
    prepare(path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("select * from clocks").fetchall() == [("daily", 7)]


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database at all " * 100)
    with pytest.raises(UserError, match=rf"{path} can't be used: file is not a database"):
        prepare(path)
    assert path.read_bytes() == b"not a database at all " * 100


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be opened: Is a directory"):
        prepare(tmp_path)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="can't be opened: "):
        prepare(tmp_path / "file" / "rulewave.db")


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table events (id)")
    with pytest.raises(UserError, match="table events already exists"):
        prepare(path)


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rulewave.db"
    prepare(path)
    _revise(path, "9999")
    with pytest.raises(UserError) as refused:
        prepare(path)
    assert re.fullmatch(
        rf"the database {path} was made by a newer Rulewave: .*9999.*", str(refused.value)
    )
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("select * from alembic_version").fetchall() == [("9999",)]


def test_the_migrating_program_says_how_it_went_by_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rulewave.db"
    monkeypatch.setattr(sys, "argv", ["migrating", str(path)])
    assert migrating.main() == 0
    _revise(path, "9999")
    assert migrating.main() == TOO_NEW
    assert "was made by a newer Rulewave" in capsys.readouterr().err


def test_a_file_without_the_name_of_its_revision_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rulewave.db"
    prepare(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("delete from alembic_version")
    with pytest.raises(UserError, match=r"can't be used: table .* already exists"):
        prepare(path)


def test_a_migration_that_breaks_is_our_fault_and_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rulewave.db"
    prepare(path)
    _revise(path, "0000")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'Traceback: no such module' >&2\nexit 1\n")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(RuntimeError, match=r"(?s)migration of .* failed:.*no such module"):
        prepare(path)


def test_a_second_process_is_kept_off(tmp_path: Path) -> None:
    path = tmp_path / "rulewave.db"
    program = (
        "import sys; from pathlib import Path; from engine.journal.sqlite import FileLock\n"
        "from engine.errors import UserError\n"
        "try:\n    FileLock(Path(sys.argv[1])).__enter__()\n"
        "except UserError as error:\n    print(error)\n"
    )
    ask = [sys.executable, "-c", program, str(path)]
    with FileLock(path):
        said = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"{path}.lock is locked: another rulewave is using this database"
    assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout == ""


def test_a_lock_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "rulewave.db.lock").mkdir()
    with pytest.raises(UserError, match=r"rulewave\.db\.lock can't be opened: Is a directory"):
        FileLock(tmp_path / "rulewave.db").__enter__()


def test_a_lock_that_was_refused_lets_go_of_nothing(tmp_path: Path) -> None:
    FileLock(tmp_path / "rulewave.db").__exit__()
