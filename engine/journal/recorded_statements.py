"""Statements that look back on what came: each by its index, however much is kept."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnClause, bindparam, func, literal_column, select

from engine.journal.tables import events, runs, versions

p = bindparam
_ONE: ColumnClause[int] = literal_column("1")

RECORDED: dict[str, Any] = {
    "next_type": select(func.min(events.c.type).label("type")).where(events.c.type > p("after")),
    "newest_of_type": select(events.c.body)
    .where(events.c.type == p("type"))
    .order_by(events.c.seq.desc())
    .limit(p("most")),
    "first_stored": select(events.c.stored).order_by(events.c.seq).limit(_ONE),
    "last_run_of_rule": select(runs.c.created)
    .where(runs.c.rule == p("rule"))
    .order_by(runs.c.seq.desc())
    .limit(_ONE),
    "first_version_of_rule": select(func.min(versions.c.stored).label("stored")).where(
        versions.c.rule == p("rule")
    ),
}
