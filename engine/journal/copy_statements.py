"""What a copy of the journal is asked; part of `statements.py`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, literal_column, select

from engine.journal.kinds import FOLLOWUP
from engine.journal.tables import events, runs
from engine.model import OPEN_STATES


def _one(counted: Any, name: str, *conditions: Any) -> Any:
    return select(counted).where(*conditions).scalar_subquery().label(name)


OF_COPIES: dict[str, Select[Any]] = {
    # Copies may be of any revision: only columns that were there from the first.
    "copy_holds": select(
        _one(func.count(events.c.seq), "events"),
        _one(func.max(events.c.stored), "newest"),
        _one(func.count(runs.c.seq), "runs"),
        _one(
            func.count(runs.c.seq),
            "followups",
            FOLLOWUP,
            runs.c.state.in_([literal_column(f"'{state}'") for state in OPEN_STATES]),
        ),
    ),
}
"""Statement name → statement."""
