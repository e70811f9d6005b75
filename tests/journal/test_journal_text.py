"""The SQL that runs is the SQL that is compiled, on both databases, fresh or migrated."""

from __future__ import annotations

import re
import runpy
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from engine.journal import compiling, migrating
from engine.journal.opening import HEAD, prepare
from engine.journal.operations import load_statements
from engine.journal.statements import STATEMENTS
from engine.queue.sqlite import STATEMENTS as QUEUE_STATEMENTS
from engine.queue.sqlite import install


def _heads(dialect: str) -> dict[str, list[str]]:
    text = (compiling.FOLDER / f"{dialect}.sql").read_text()
    found = re.findall(r"^-- name: (\w+) \((.*)\)$", text, re.MULTILINE)
    return {name: names.split(", ") if names else [] for name, names in found}


def _schema(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as database:
        tables = [
            row[0]
            for row in database.execute("select name from sqlite_master where type = 'table'")
        ]
        found = {}
        for table in tables:
            text = database.execute(
                "select sql from sqlite_master where name = ?", (table,)
            ).fetchone()[0]
            options = ("autoincrement" in text.lower(), "without rowid" in text.lower())
            indexes = []
            for _, name, unique, origin, partial in database.execute(f"pragma index_list({table})"):
                columns = tuple(row[2] for row in database.execute(f"pragma index_info({name})"))
                where = database.execute(
                    "select substr(sql, instr(lower(sql), ' where ')) from sqlite_master"
                    " where name = ? and ?", (name, partial),
                ).fetchone()  # fmt: skip
                indexes.append((columns, unique, origin, partial, where))
            columns = [row[1:] for row in database.execute(f"pragma table_info({table})")]
            found[table] = [options, *columns, *sorted(indexes)]
    del found["alembic_version"]
    return found


@pytest.mark.parametrize("file", sorted(compiling.files()))
def test_the_sql_files_are_what_compiling_makes(file: str) -> None:
    assert (compiling.FOLDER / file).read_text() == compiling.files()[file]


def test_the_program_writes_all_files_anew(tmp_path: Path) -> None:
    copied = shutil.copytree(compiling.FOLDER.parent, tmp_path / "journal")
    for file in (copied / "sql").iterdir():
        file.write_text("outdated")
    runpy.run_path(str(copied / "compiling.py"), run_name="__main__")
    for file, text in compiling.files().items():
        assert (copied / "sql" / file).read_text() == text


def test_every_statement_is_there_for_both_databases() -> None:
    for dialect in compiling.DIALECTS:
        assert list(load_statements(dialect)) == list(STATEMENTS)


def test_sqlite_prepares_every_statement(tmp_path: Path) -> None:
    path = tmp_path / "rulewave.db"
    prepare(path)
    install(path)
    named = {**load_statements("sqlite"), **QUEUE_STATEMENTS}
    with closing(sqlite3.connect(path)) as database:
        for text in named.values():
            values = dict.fromkeys(re.findall(r":(\w+)", text), 0)
            assert database.execute(f"explain {text}", values).fetchall()


def test_the_names_in_a_statements_head_are_its_parameters() -> None:
    heads = _heads("sqlite")
    for name, text in load_statements("sqlite").items():
        assert set(heads[name]) == set(re.findall(r":(\w+)", text)), name


def test_postgresql_numbers_its_parameters_in_the_order_of_the_head() -> None:
    heads = _heads("postgresql")
    for name, text in load_statements("postgresql").items():
        numbers = {int(number) for number in re.findall(r"\$(\d+)", text)}
        assert numbers == set(range(1, len(heads[name]) + 1)), name
        assert set(heads[name]) == set(_heads("sqlite")[name]), name


def test_what_alembic_makes_is_the_fresh_schema(tmp_path: Path) -> None:
    fresh, migrated = tmp_path / "fresh.db", tmp_path / "migrated.db"
    prepare(fresh)
    script = ScriptDirectory.from_config(migrating.configuration(migrated))
    revisions = [step.revision for step in script.walk_revisions()][::-1]
    for revision in revisions:
        migrating.upgrade(migrated, revision)
    assert revisions[-1] == HEAD
    assert _schema(migrated) == _schema(fresh)
    assert len(_schema(fresh)) >= len({"events", "runs", "attempts", "watches"})


def test_a_migrated_file_is_opened_like_a_fresh_one(tmp_path: Path) -> None:
    path = tmp_path / "rulewave.db"
    migrating.upgrade(path)
    prepare(path)
    migrating.upgrade(path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("select version_num from alembic_version").fetchall() == [(HEAD,)]


def test_a_migration_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "migrations"
    shutil.copytree(migrating.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9999_breaks.py").write_text(
        "from alembic import op\n"
        "import sqlalchemy as sa\n"
        f"revision = '9999'\ndown_revision = '{HEAD}'\n"
        "def upgrade():\n"
        "    op.create_table('half', sa.Column('id', sa.Integer()))\n"
        "    op.drop_table('clocks')\n"
        "    raise RuntimeError('the power went')\n"
    )
    path = tmp_path / "rulewave.db"
    prepare(path)
    before = _schema(path)
    monkeypatch.setattr(migrating, "FOLDER", folder)
    with pytest.raises(RuntimeError, match="the power went"):
        migrating.upgrade(path)
    assert _schema(path) == before
