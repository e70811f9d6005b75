"""What came of tests, for people: a line for each, and of one that fails both sides beside each other."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest

import typer

from engine.cli.printing import clean, counted, print_json
from engine.errors import Problem
from engine.rehearsal.telling import NOTHING, as_json, happened, span, wanted
from engine.rehearsal.testing import Line, Result

_NARROWEST = 60
_WIDEST = 160
_INDENT = "       "


def print_problems(problems: Sequence[Problem]) -> None:
    """The mistakes that keep rules and tests from being used."""
    for problem in problems:
        typer.echo(clean(problem))


def print_result(result: Result) -> None:
    """One test."""
    if result.excused:
        why = f"{clean(result.case.name)}  ({result.excused})"
        typer.echo(f"{_styled('skip', 'yellow')}   {why}")
        return
    if result.well:
        typer.echo(f"{_styled('ok', 'green')}     {clean(result.case.name)}")
        return
    file, line, _ = result.case.place
    typer.echo(f"{_styled('FAILED', 'red')} {clean(result.case.name)}  ({file}:{line})")
    for text in _story(result):
        typer.echo((_INDENT + clean(text)).rstrip())


def print_summary(problems: Sequence[Problem], results: Sequence[Result]) -> None:
    """How many, and how long they took."""
    failed = sum(not result.well for result in results)
    seconds = sum(result.seconds for result in results)
    if not results and not problems:
        typer.echo("there are no tests here; they are written under tests:")
        return
    skipped = sum(bool(result.excused) for result in results)
    parts = [f"{len(results) - failed - skipped} passed"]
    parts += [f"{skipped} skipped"] if skipped else []
    parts += [f"{failed} failed"] if failed else []
    if problems:
        parts.append(counted(len(problems), "mistake") + " in the rules")
    text = f"{counted(len(results), 'test')}: {', '.join(parts)} in {seconds:.2f} s"
    typer.echo(_styled(text, "red" if failed or problems else "green"))


def print_as_json(problems: Sequence[Problem], results: Sequence[Result]) -> None:
    """All of it, as one document."""
    failed = sum(not result.well for result in results)
    skipped = sum(bool(result.excused) for result in results)
    print_json(
        {
            "ok": not failed and not problems,
            "passed": len(results) - failed - skipped,
            "failed": failed,
            "skipped": skipped,
            "problems": [asdict(problem) for problem in problems],
            "tests": [as_json(result) for result in results],
        }
    )


def difference(result: Result, width: int) -> Iterator[str]:
    """Expected and happened beside each other, and what else there is to say."""
    yield from (f"! {error}" for error in result.errors)
    lines = [line for line in result.lines if not line.well]
    if lines:
        yield from _beside("expected", "happened", width)
    for line in lines:
        right = happened(line, result.case.start)
        note = f" ({line.note})" if line.note not in {"", "differs"} else ""
        yield from _beside(_left(line, result.case.start), right + note, width)
    well = sum(line.well for line in result.lines)
    if well and lines:
        yield f"({well} more as expected)"


def _story(result: Result) -> Iterator[str]:
    columns = shutil.get_terminal_size((100, 24)).columns
    yield from difference(result, min(max(columns, _NARROWEST), _WIDEST) - len(_INDENT))
    for one in result.tries:
        at = span(one.at - result.case.start)
        yield f"a try failed at {at}: {one.rule}, {one.step}: {one.message}"
    for rule, about, why in result.whynots:
        yield f"why not: {': '.join(part for part in (rule, about, why) if part)}"
    if result.blamed:
        yield f"holds back: {', '.join(result.blamed)}"


def _left(line: Line, start: int) -> str:
    """What is not expected is not expected to be at all."""
    text = wanted(line, start)
    return NOTHING if text == NOTHING and line.expected is None else text


def _beside(left: str, right: str, width: int) -> Iterator[str]:
    half = (width - 3) // 2
    wrapped = (textwrap.wrap(clean(text), half) for text in (left, right))
    for one, other in zip_longest(*wrapped, fillvalue=""):
        yield f"{one:<{half}} | {other}".rstrip()


def _styled(text: str, colour: str) -> str:
    return typer.style(text, fg=colour) if sys.stdout.isatty() else text
