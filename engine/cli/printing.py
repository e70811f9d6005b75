"""What commands print: tables on a terminal, plain columns elsewhere, JSON where it is wished."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

# What moves the cursor, and what turns the direction of writing round.
_HOSTILE = (*range(127, 160), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_CONTROL = {number: f"\\x{number:02x}" for number in (*range(9), *range(11, 32))}
_CONTROL |= {number: f"\\u{number:04x}" for number in _HOSTILE}
_HEADS = {"type", "rule", "state", "verdict", "outcome"}
_STYLED = {"state", "verdict", "outcome"}
_IN_JSON = {number: f"\\u{number:04x}" for number in _HOSTILE}


def print_json(value: Any) -> None:
    """Stable JSON, one document; what a terminal would obey is escaped."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2).translate(_IN_JSON))


def counted(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], nothing: str) -> None:
    """Rows as a table; `nothing` where there are none."""
    if not rows:
        typer.echo(nothing)
    elif sys.stdout.isatty():
        _print_rich(rows, columns)
    else:
        _print_plain(rows, columns)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Name and value, one a line; what is not there is left out."""
    known = {name: value for name, value in facts.items() if value not in {None, ""}}
    width = max(map(len, known), default=0)
    for name, value in known.items():
        typer.echo(f"{name:<{width}}  {clean(value)}")


def clean(value: Any) -> str:
    """A value as text that can't move the cursor or hide a line: strangers write parts of it."""
    text = "" if value is None else str(value)
    return text.replace("\n", "\\n").translate(_CONTROL)


def _print_plain(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    cells = [[clean(row.get(column)) for column in columns] for row in rows]
    widths = [
        max(len(column), *(len(line[place]) for line in cells))
        for place, column in enumerate(columns)
    ]
    for line in ([*columns], *cells):
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def _print_rich(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=None, header_style="bold")
    wide = len(columns)
    for column in columns:
        table.add_column(column)
        wide += 1 + max(cell_len(text) for text in (column, *(clean(r.get(column)) for r in rows)))
    if wide > console.width:
        _print_stacked(console, rows, columns)
        return
    for row in rows:
        table.add_row(
            *(Text(clean(row.get(column)), style=_style(row, column)) for column in columns)
        )
    console.print(table)


def _print_stacked(
    console: Console, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> None:
    """Several lines a row, where a table would fold the ids that people want to copy."""
    from rich.text import Text

    heads = ["id" if "id" in columns else columns[0], *(c for c in columns if c in _HEADS)]
    for row in rows:
        console.print(
            Text("  ").join(Text(clean(row.get(head)), style=_style(row, head)) for head in heads)
        )
        rest = Text("  ").join(
            Text.assemble((f"{column} ", "dim"), clean(row[column]))
            for column in columns
            if column not in heads and row.get(column) not in {None, ""}
        )
        for line in rest.wrap(console, console.width - 2):
            line.rstrip()
            console.print(Text("  ") + line)


def _style(row: Mapping[str, Any], column: str) -> str:
    if column not in _STYLED:
        return ""
    good, bad = {"succeeded", "matched"}, {"dead", "could not evaluate", "failed", "unknown"}
    value = row.get(column)
    return "green" if value in good else "red" if value in bad else ""
