"""Statements for follow-ups that wait for an event: one that cancels them, or that they await."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnClause, bindparam, case, delete, literal_column, or_, select, update

# Its ON CONFLICT compiles for SQLite too; the other way round it does not.
from sqlalchemy.dialects.postgresql import insert

from engine.journal.tables import runs, watch_kinds, watches

p = bindparam
_ONE: ColumnClause[int] = literal_column("1")
_ZERO: ColumnClause[int] = literal_column("0")
_PENDING: ColumnClause[str] = literal_column("'pending'")

WAITING_FOR_EVENTS: dict[str, Any] = {
    "add_watch": insert(watches)
    .values({c: p(c) for c in ("pattern", "per", "key", "run", "position")})
    .on_conflict_do_nothing(),
    "add_watch_kind": insert(watch_kinds)
    .values(pattern=p("pattern"), per=p("per"))
    .on_conflict_do_nothing(),
    "drop_watches": delete(watches).where(watches.c.run == p("run")),
    "watch_kinds": select(watch_kinds.c.pattern, watch_kinds.c.per),
    "watchers": select(
        watches.c.run,
        watches.c.position,
        watches.c.pattern,
        runs.c.rule,
        runs.c.version,
        runs.c.path,
        runs.c.origin_seq,
        runs.c.origin_raised,
        runs.c.due,
    )
    .join(runs, runs.c.id == watches.c.run)
    .where(watches.c.pattern == p("pattern"), watches.c.per == p("per"), watches.c.key == p("key")),
    # A run that began, or waits for its target only, is past its due time: nothing meets it.
    "meet_run": update(runs)
    .where(
        runs.c.id == p("run"),
        runs.c.state.in_([_PENDING, literal_column("'on hold'")]),
        runs.c.met == _ZERO,
        runs.c.cursor == _ZERO,
        runs.c.attempt == _ZERO,
        or_(runs.c.reason.is_(None), runs.c.reason != literal_column("'target_paused'")),
    )
    .values(
        state=case((runs.c.state == _PENDING, literal_column("'queued'")), else_=runs.c.state),
        message=case((runs.c.state == _PENDING, p("message")), else_=runs.c.message),
        met=_ONE, arrived=p("by"), due=p("moment"), lane=p("lane"),
        watched=_ZERO, late=_ZERO,
    )
    .returning(runs.c.id),
}  # fmt: skip
