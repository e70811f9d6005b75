"""`rulewave backtest`: what other rules would have done about the stored events. Does nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import AsJson, Database, Most
from engine.errors import ProblemsFound, UserError


def backtest(
    path: Annotated[Path | None, typer.Argument(help="The rules to try: a file or folder.")] = None,
    rules: Annotated[Path | None, typer.Option(help="The same, as an option.")] = None,
    since: Annotated[str, typer.Option(help="From when on: 2h, 7d, or a time.")] = "7d",
    rule: Annotated[str | None, typer.Option(help="Only what this rule does.")] = None,
    most: Most = 20,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Play the stored events to other rules, and show what they would have done otherwise."""
    from engine.addresses import sqlite_path
    from engine.cli.check import rules_at_hand
    from engine.cli.comparing import as_json as plain
    from engine.cli.comparing import print_comparison
    from engine.cli.printing import print_json
    from engine.clock import SystemClock
    from engine.daemon.supply import recompiler
    from engine.journal.reading import open_reader
    from engine.rehearsal.backtesting import Backtest
    from engine.rehearsal.silence import install
    from engine.rules.durations import read_since
    from engine.settings import read_places

    if (path is None) == (rules is None):
        raise typer.BadParameter("name the rules to try, once", param_hint="PATH")
    loaded, actions, secrets = rules_at_hand(path or rules)
    if wrong := [one for one in loaded.errors if one not in loaded.of_tests]:
        raise ProblemsFound(wrong)
    now = SystemClock().now()
    start = read_since(since, now)
    install()
    journal = sqlite_path(read_places({"database": database}).database)
    with open_reader(journal) as reader, _progress() as progress:
        tried = Backtest(reader, loaded.ruleset, actions, recompiler(actions, secrets), progress)
        _check_rule(rule, tried.rules(start) if rule else ())
        found = tried.run(start, now)
    if as_json:
        print_json(plain(found, rule, most))
    else:
        print_comparison(found, rule, most)


def _check_rule(rule: str | None, known: Collection[str]) -> None:
    from engine.rules.wording import did_you_mean

    if rule is not None and rule not in known:
        hint = did_you_mean(rule, known)
        message = f"there is no rule {rule}, and none of that name has done anything since then"
        raise UserError(f"{message}; {hint}" if hint else message)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("playing events", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
