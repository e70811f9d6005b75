"""`rulewave followups`: what is still to come, and calling it off."""

from __future__ import annotations

import typer

from engine.cli.asking import ask
from engine.cli.options import AsJson, Database, Id
from engine.cli.printing import print_json
from engine.cli.runs import add_list

app = typer.Typer(help="Follow-ups: what is still to come.", no_args_is_help=True)

add_list(
    app,
    "followups",
    "no follow-ups",
    "List follow-ups that are still to come, or those in a state.",
)


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
