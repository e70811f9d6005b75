"""`rulewave backtest`: what other rules would have done about the stored events. Does nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import AsJson, Database, Most
from engine.errors import ProblemsFound


def backtest(
    rules: Annotated[Path, typer.Option(help="The rules to try: a file or folder.")],
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

    loaded, actions, secrets = rules_at_hand(rules)
    if loaded.errors:
        raise ProblemsFound(loaded.errors)
    now = SystemClock().now()
    start = read_since(since, now)
    install()
    path = sqlite_path(read_places({"database": database}).database)
    with open_reader(path) as reader, _progress() as progress:
        tried = Backtest(reader, loaded.ruleset, actions, recompiler(actions, secrets), progress)
        found = tried.run(start, now)
    if as_json:
        print_json(plain(found, rule, most))
    else:
        print_comparison(found, rule, most)


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
