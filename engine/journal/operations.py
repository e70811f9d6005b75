"""How journal operations are written: generators of statements, played by whichever driver.

An operation yields `Ask`s and is sent the rows; it does no I/O of its own, so one text serves the
writer thread of SQLite and a connection to PostgreSQL alike. All that one operation asks for is
one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

Row: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = Sequence[Row]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """One statement by name, with its parameters."""

    name: str
    params: Mapping[str, Any]


Op: TypeAlias = Generator[Ask, Rows, T]
"""An operation on the journal that ends with a T."""


def ask(name: str, **params: Any) -> Op[Rows]:
    """Ask one statement; all its rows."""
    rows = yield Ask(name, params)
    return rows


def ask_one(name: str, **params: Any) -> Op[Row | None]:
    """Ask one statement; its first row, or None."""
    rows = yield Ask(name, params)
    return rows[0] if rows else None


@cache
def load_statements(dialect: str) -> Mapping[str, str]:
    """Statement name → text, of one database's file in `sql/`."""
    text = (Path(__file__).parent / "sql" / f"{dialect}.sql").read_text()
    blocks = (block.split("\n", 1) for block in text.split("-- name: ")[1:])
    return {head.split(" ", 1)[0]: body.strip() for head, body in blocks}


def play(op: Op[T], execute: Callable[[Ask], Rows]) -> T:
    """Run an operation to its end with a driver's `execute`."""
    try:
        wish = next(op)
        while True:
            wish = op.send(execute(wish))
    except StopIteration as end:
        result: T = end.value
        return result
