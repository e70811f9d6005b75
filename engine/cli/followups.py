"""`rulewave followups`: what is still to come, and calling it off."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.asking import ask
from engine.cli.options import AsJson, Database, Id, Key, Rule, Since
from engine.cli.printing import print_json
from engine.cli.runs import add_list, print_cancelled, show_run

app = typer.Typer(help="Follow-ups: what is still to come.", no_args_is_help=True)

add_list(
    app,
    "followups",
    "no follow-ups",
    "List follow-ups that are still to come, or those in a state.",
)
app.command("show", help="Show a follow-up with all its tries.")(show_run)


@app.command("cancel")
def cancel_followup(id: Id, as_json: AsJson = False, database: Database = None) -> None:
    """Cancel a follow-up before it begins."""
    print_cancelled(ask("followups", "cancel", {"id": id}, database), as_json=as_json)


@app.command("run-now")
def run_now(id: Id, as_json: AsJson = False, database: Database = None) -> None:
    """Let a follow-up be due now. Its conditions are asked all the same."""
    run = ask("followups", "run-now", {"id": id}, database)
    if as_json:
        print_json(run)
    else:
        typer.echo(f"{run['id']} of rule {run['rule']} ({run['key'] or 'all'}) is due now")


@app.command("release")
def release(
    ids: Annotated[list[str] | None, typer.Argument(help="As the list shows them.")] = None,
    rule: Rule = None,
    key: Key = None,
    since: Since = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Let follow-ups on hold go on: those named, or all of a rule or subject."""
    wish = {"ids": " ".join(ids or ()) or None, "rule": rule, "key": key, "since": since}
    done = ask("followups", "release", wish, database)
    if as_json:
        print_json(done)
    else:
        for id in done:
            typer.echo(f"{id} goes on")
        if not done:
            typer.echo("nothing is on hold there")
