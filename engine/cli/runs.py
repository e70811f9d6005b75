"""`rulewave runs`: what was done, and how each try ended."""

from __future__ import annotations

from typing import Any

import typer

from engine.cli.asking import ask
from engine.cli.options import AsJson, Database, Id, Key, Most, Rule, Since, State
from engine.cli.printing import print_facts, print_json, print_table

app = typer.Typer(help="Runs: what was done, and how it ended.", no_args_is_help=True)
_COLUMNS = ("due", "id", "rule", "step", "key", "state", "tries", "message")
_HIDDEN = ("attempts", "results")


def add_list(app: typer.Typer, noun: str, nothing: str, help: str) -> None:
    """Give `app` the command that lists runs, or such runs as `noun` stands for."""

    @app.command("list", help=help)
    def list_them(
        rule: Rule = None,
        key: Key = None,
        state: State = None,
        since: Since = None,
        most: Most = 100,
        as_json: AsJson = False,
        database: Database = None,
    ) -> None:
        wish = {"rule": rule, "key": key, "state": state, "since": since, "most": most}
        rows = ask(noun, "list", wish, database)
        if as_json:
            print_json(rows)
        else:
            print_table(rows, _COLUMNS, nothing)


add_list(app, "runs", "no runs", "List runs, newest first.")


@app.command("show")
def show_run(id: Id, as_json: AsJson = False, database: Database = None) -> None:
    """Show a run with all its tries."""
    run = ask("runs", "show", {"id": id}, database)
    if as_json:
        print_json(run)
    else:
        print_run(run)


def print_run(run: dict[str, Any]) -> None:
    """A run for people."""
    print_facts({name: value for name, value in run.items() if name not in _HIDDEN})
    typer.echo("\ntries")
    columns = ("started", "step", "try", "outcome", "seconds", "reason", "message")
    print_table(run["attempts"], columns, "  none yet")
    if run["results"]:
        typer.echo("\nresults")
        print_json(run["results"])


@app.command("cancel")
def cancel_run(id: Id, as_json: AsJson = False, database: Database = None) -> None:
    """Cancel a run before its next try."""
    print_cancelled(ask("runs", "cancel", {"id": id}, database), as_json=as_json)


def print_cancelled(run: dict[str, Any], *, as_json: bool) -> None:
    """What became of a cancel."""
    if as_json:
        print_json(run)
    elif run["state"] == "running":
        typer.echo(f"{run['id']} is under way; it will not be tried again")
    else:
        typer.echo(f"{run['id']} of rule {run['rule']} ({run['key'] or 'all'}) is cancelled")
