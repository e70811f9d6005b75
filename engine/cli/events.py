"""`rulewave events`: what came in, and what the rules said to it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from engine.cli.asking import ask
from engine.cli.options import AsJson, Database, Id, Key, Most, Since
from engine.cli.printing import clean, print_facts, print_json, print_table
from engine.cli.telling import MARKS, held_why

app = typer.Typer(help="Events: what came in, and what the rules said.", no_args_is_help=True)
_BEGINNING = 100
_COLUMNS = ("stored", "id", "type", "subject", "decided")
_FACTS = ("id", "type", "aliases", "subject", "raised", "stored", "decided")


@app.command("list")
def list_events(
    type: Annotated[str | None, typer.Option(help="Only of this event type.")] = None,
    key: Key = None,
    since: Since = None,
    most: Most = 100,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """List events, newest first."""
    wish = {"type": type, "key": key, "since": since, "most": most}
    rows = ask("events", "list", wish, database)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, _COLUMNS, "no events")


@app.command("show")
def show_event(id: Id, as_json: AsJson = False, database: Database = None) -> None:
    """Show an event: its body, what each rule said and why, and its runs."""
    event = ask("events", "show", {"id": id}, database)
    if as_json:
        print_json(event)
        return
    print_facts({name: _flat(event[name]) for name in _FACTS})
    typer.echo("\nrules")
    if event["rules_changed"]:
        typer.echo("  (the rules have changed since; these are those of that time)")
    for note in event["notes"]:
        typer.echo(f"  ({clean(note)})")
    for outcome in event["rules"]:
        mark = MARKS.get(outcome["verdict"], "!")
        why = held_why(outcome) if outcome["held"] else outcome["why"]
        typer.echo(f"  {mark} {outcome['rule']}: {outcome['verdict']}: {clean(why)}")
    if event["decision"] is None:
        typer.echo("  not decided yet")
    typer.echo("\nruns")
    print_table(event["runs"], ("id", "rule", "step", "state", "due", "message"), "  none")
    typer.echo("\nbody")
    print_json(event["body"])


@app.command("rejected")
def list_rejected(most: Most = 100, as_json: AsJson = False, database: Database = None) -> None:
    """List genuine deliveries that were no events (the last thousand)."""
    rows = ask("events", "rejected", {"most": most}, database)
    if as_json:
        print_json(rows)
    else:
        # The beginning tells what it was; --json has it all.
        shown = [{**row, "body": row["body"][:_BEGINNING]} for row in rows]
        print_table(shown, ("stored", "code", "body"), "no rejected deliveries")


def _flat(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
