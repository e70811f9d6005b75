"""`rulewave followups`: what is still to come, and calling it off."""

from __future__ import annotations

import typer

from engine.cli.asking import ask
from engine.cli.options import AsJson, Database, Id, Key, Most, Rule, Since, State
from engine.cli.printing import print_json, print_table
from engine.cli.runs import COLUMNS

app = typer.Typer(help="Follow-ups: what is still to come.", no_args_is_help=True)


@app.command("list")
def list_followups(
    rule: Rule = None,
    key: Key = None,
    state: State = None,
    since: Since = None,
    most: Most = 100,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """List follow-ups that are still to come, or those in a state."""
    wish = {"rule": rule, "key": key, "state": state, "since": since, "most": most}
    rows = ask("followups", "list", wish, database)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, "no follow-ups")


@app.command("cancel")
def cancel_followup(id: Id, as_json: AsJson = False, database: Database = None) -> None:
    """Cancel a follow-up before it begins."""
    run = ask("followups", "cancel", {"id": id}, database)
    if as_json:
        print_json(run)
    elif run["state"] == "running":
        typer.echo(f"{run['id']} is under way; it will not be tried again")
    else:
        typer.echo(f"{run['id']} of rule {run['rule']} ({run['key'] or 'all'}) is cancelled")
