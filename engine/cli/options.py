"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Rule = Annotated[str | None, typer.Option(help="Only of this rule.")]
Key = Annotated[str | None, typer.Option(help="Only of this subject: a username, a node's uuid.")]
State = Annotated[str | None, typer.Option(help="Only in this state.")]
Since = Annotated[str | None, typer.Option(help="Only since then: 2h, 3d, or a time.")]
Most = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Database = Annotated[str | None, typer.Option(help="The journal, where no daemon runs.")]
Id = Annotated[str, typer.Argument(help="As the list shows it.")]
