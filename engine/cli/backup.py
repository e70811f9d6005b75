"""`rulewave backup` and `rulewave restore`: a copy of the journal, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.options import AsJson
from engine.cli.printing import print_facts, print_json
from engine.clock import SystemClock, to_datetime, to_iso

if TYPE_CHECKING:
    from engine.journal.backup import Holds

Journal = Annotated[str | None, typer.Option(help="The journal.")]
_NEXT = """
Next: `rulewave followups list` shows what is still to come. What was due in the meantime runs as
soon as the daemon starts, also where it was done after this copy was made: cancel what should not.
Then start the daemon."""


def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    as_json: AsJson = False,
    database: Journal = None,
) -> None:
    """Copy the journal into a file, while the daemon runs or not, and check the copy."""
    from engine.journal.backup import back_up

    holds = back_up(_journal(database), file, force=force)
    _tell({"backup": str(file), **_facts(holds)}, as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="A copy that `rulewave backup` made.")],
    as_json: AsJson = False,
    database: Journal = None,
) -> None:
    """Put a copy in the journal's place, and keep the present journal aside."""
    from engine.journal.backup import restore as put_back

    path = _journal(database)
    moment = to_datetime(SystemClock().now()).strftime("%Y%m%dT%H%M%SZ")
    holds, aside = put_back(file, path, moment)
    _tell(
        {"restored": str(path), **_facts(holds), "kept_aside": str(aside) if aside else None},
        as_json=as_json,
    )
    if not as_json:
        typer.echo(_NEXT)


def _journal(database: str | None) -> Path:
    from engine.addresses import sqlite_path
    from engine.settings import read_places

    return sqlite_path(read_places({"database": database}).database)


def _facts(holds: Holds) -> dict[str, Any]:
    return {
        "events": holds.events,
        "newest_event": to_iso(holds.newest) if holds.newest is not None else None,
        "runs": holds.runs,
        "followups_to_come": holds.followups,
    }


def _tell(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        print_facts({name.replace("_", " "): value for name, value in facts.items()})
