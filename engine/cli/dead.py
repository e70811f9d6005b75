"""`rulewave dead`: what was given up on, letting it go on, and laying it aside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from engine.cli.asking import ask
from engine.cli.options import AsJson, Database, Id, Key, Most, Rule, Since
from engine.cli.printing import print_json, print_table
from engine.cli.runs import print_run

app = typer.Typer(help="Dead letters: what was given up on.", no_args_is_help=True)
COLUMNS = ("ended", "id", "rule", "step", "key", "tries", "reason", "message")
Ids = Annotated[list[str] | None, typer.Argument(help="As the list shows them.", metavar="ID...")]
Reason = Annotated[str | None, typer.Option(help="Only with this reason.")]


@app.command("list")
def list_dead(
    rule: Rule = None,
    key: Key = None,
    reason: Reason = None,
    since: Since = None,
    most: Most = 100,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """List dead letters that wait for a person, newest first."""
    wish = {"rule": rule, "key": key, "reason": reason, "since": since, "most": most}
    rows = ask("dead", "list", wish, database)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, "no dead letters")


@app.command("show")
def show_dead(id: Id, as_json: AsJson = False, database: Database = None) -> None:
    """Show a dead letter with all its tries."""
    run = ask("dead", "show", {"id": id}, database)
    if as_json:
        print_json(run)
    else:
        print_run(run)


@app.command("replay")
def replay_dead(
    ids: Ids = None,
    rule: Rule = None,
    key: Key = None,
    reason: Reason = None,
    since: Since = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="With new idempotency keys: no longer a repeat.")
    ] = False,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Let dead letters go on from the step that failed, its tries counted anew."""
    wish = {"rule": rule, "key": key, "reason": reason, "since": since}
    done = ask("dead", "replay", _which(ids, wish) | {"new_key": new_key or None}, database)
    _tell(done, "replayed", as_json=as_json)


@app.command("drop")
def drop_dead(
    ids: Ids = None,
    rule: Rule = None,
    key: Key = None,
    reason: Reason = None,
    since: Since = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Lay dead letters aside: they stay in `runs`, and are listed here no more."""
    wish = {"rule": rule, "key": key, "reason": reason, "since": since}
    _tell(ask("dead", "drop", _which(ids, wish), database), "dropped", as_json=as_json)


def _which(ids: list[str] | None, wish: dict[str, str | None]) -> dict[str, Any]:
    return wish | {"ids": " ".join(ids or ()) or None}


def _tell(done: Sequence[str], what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    for id in done:
        typer.echo(f"{what} {id}")
    typer.echo(f"{len(done)} {what}")
