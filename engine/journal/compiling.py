"""Writes the journal's statements and schema as text, once for each database (`make sql`).

What runs is that text: a start neither imports SQLAlchemy nor compiles anything. A test compares
the files with what this module makes, so they cannot fall behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteDialect
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from engine.journal.statements import STATEMENTS
from engine.journal.tables import metadata

FOLDER = Path(__file__).parent / "sql"


class _Compiler(SQLiteCompiler):
    """Writes down which index a statement is to use: without statistics SQLite guesses badly."""

    def get_from_hint_text(self, _: Any, text: str | None) -> str | None:
        return text


class _SqliteDialect(SQLiteDialect):
    statement_compiler = _Compiler


DIALECTS: dict[str, Dialect] = {
    "sqlite": _SqliteDialect(paramstyle="named"),
    "postgresql": PGDialect(paramstyle="numeric_dollar"),  # type: ignore[no-untyped-call]
}


def statements(dialect: str) -> str:
    """All statements as `-- name: …` blocks, parameters in the order of their positions."""
    return "\n".join(_block(name, dialect) for name in STATEMENTS)


def schema(dialect: str) -> str:
    """The tables and indexes of a fresh journal."""
    return "".join(f"{ddl};\n" for ddl in _ddl(DIALECTS[dialect]))


def files() -> dict[str, str]:
    """File name → text, for everything in `sql/`."""
    made = {f"{dialect}.sql": statements(dialect) for dialect in DIALECTS}
    return made | {f"{dialect}_schema.sql": schema(dialect) for dialect in DIALECTS}


def _block(name: str, dialect: str) -> str:
    compiled = STATEMENTS[name].compile(dialect=DIALECTS[dialect])
    order = compiled.positiontup if compiled.positional else list(compiled.params)
    text = str(compiled)
    # SQLite's LIMIT brings an OFFSET of 0 as a parameter.
    for offset in [name for name in order or () if name.startswith("param_")]:
        text = text.replace(f" OFFSET :{offset}", "")
    wanted = [name for name in order or () if not name.startswith("param_")]
    return f"-- name: {name} ({', '.join(wanted)})\n{text}\n"


def _ddl(dialect: Dialect) -> Iterator[str]:
    for table in metadata.sorted_tables:
        yield str(CreateTable(table).compile(dialect=dialect)).strip()
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield str(CreateIndex(index).compile(dialect=dialect)).strip()


if __name__ == "__main__":
    for file, content in files().items():
        (FOLDER / file).write_text(content)
