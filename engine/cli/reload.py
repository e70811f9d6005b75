"""`rulewave reload`: the running daemon reads its rules anew, or tells what that would change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.asking import ask
from engine.cli.options import AsJson, Database
from engine.cli.printing import clean, print_json

_KINDS = (("added", "added"), ("changed", "changed"), ("removed", "removed"))


def reload(
    draft: Annotated[
        Path | None, typer.Argument(help="With --plan: other rules in place of the daemon's own.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Tell what would change; do nothing.")
    ] = False,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Have the daemon read its rules anew. Exit 1 where something in them is wrong."""
    if draft is not None and not plan:
        raise typer.BadParameter("a draft is only planned with: write --plan", param_hint="DRAFT")
    wish = {"plan": "yes" if plan else None, "draft": draft and draft.absolute()}
    report = ask("rules", "reload", wish, database, alone="its next start reads the rules")
    if as_json:
        print_json(report)
    else:
        for line in told(report):
            typer.echo(clean(line))
    if not report["ok"]:
        raise typer.Exit(1)


def told(report: dict[str, Any]) -> Iterator[str]:
    """The report for people, line by line."""
    for problem in report["problems"]:
        hint = f"; {problem['hint']}" if problem["hint"] else ""
        place = f"{problem['file']}:{problem['line']}:{problem['column']}"
        yield f"{place}: {problem['code']} {problem['message']}{hint}"
    yield from [*_changes(report)] or ["nothing is new"]
    yield from _followups(report)
    before = report.get("before")
    if before:
        yield f"the last change was read at {before['at']}:"
        for line in (*_differences(before), *_followups(before)):
            yield f"  {line}"
    rules = report["rules"]
    force = f"{rules} {'rule' if rules == 1 else 'rules'}"
    yield f"{force} would be in force" if report["planned"] else f"{force} in force"


def _changes(report: dict[str, Any]) -> Iterator[str]:
    for one in report["broken"]:
        if not one["rule"] and report["only_tests"]:
            yield "a test has an error: it can't be played, and holds no rule back"
            continue
        what = f"rule {one['rule']} is broken" if one["rule"] else "the rules have an error"
        before = (
            "what was in force before stays" if one["rule"] else "what it spoils stays as it was"
        )
        yield f"{what}: {before if one['kept'] else 'it is left out'}"
    yield from _differences(report)


def _followups(report: dict[str, Any]) -> Iterator[str]:
    for one in report["followups"]:
        noun = "follow-up" if one["count"] == 1 else "follow-ups"
        yield f"  {one['count']} {noun} of {one['rule']}: {one['what']}"


def _differences(report: dict[str, Any]) -> Iterator[str]:
    for key, word in _KINDS:
        if report[key]:
            yield f"{word}: {', '.join(report[key])}"
    for one in report["renamed"]:
        yield f"renamed: {one['was']} is now {one['rule']}"
    if report["connections"]:
        yield f"connections changed: {', '.join(report['connections'])}"
