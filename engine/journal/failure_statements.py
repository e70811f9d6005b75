"""Statements for what failed: dead letters, and runs that wait for a paused target."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    ColumnClause,
    ColumnElement,
    bindparam,
    delete,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)

from engine.journal.tables import events, runs

p = bindparam
_ONE: ColumnClause[int] = literal_column("1")
_ZERO: ColumnClause[int] = literal_column("0")
_dead = runs.c.state == literal_column("'dead'")
# Named as in the index `runs_parked`, which holds these alone.
_parked = (runs.c.state == literal_column("'pending'")) & (
    runs.c.reason == literal_column("'target_paused'")
)
_of_lane = runs.alias("of_lane")


def wanted(column: Column[str], name: str) -> ColumnElement[bool]:
    """True where no wish was said (NULL), else where it is met."""
    return or_(p(name).is_(None), column == p(name))


AFTER_FAILURES: dict[str, Any] = {
    "list_dead": select(runs)
    .where(
        _dead,
        runs.c.dropped.is_(None),
        wanted(runs.c.rule, "rule"),
        wanted(runs.c.key, "key"),
        wanted(runs.c.reason, "reason"),
        runs.c.ended >= p("since"),
        runs.c.ended <= p("until"),
    )
    .order_by(runs.c.seq.desc())
    .limit(p("most")),
    "drop_dead": update(runs)
    .where(runs.c.id == p("run"), _dead, runs.c.dropped.is_(None))
    .values(dropped=p("now"))
    .returning(runs.c.id),
    # What was done stays done; the tries so far are kept, and count no more.
    "replay_dead": update(runs)
    .where(runs.c.id == p("run"), _dead)
    .values(
        state=literal_column("'pending'"),
        due=p("now"),
        delayed=_ONE,
        starts=_ZERO,
        forgiven=runs.c.attempt,
        salt=func.coalesce(p("salt"), runs.c.salt),
        first_try=null(),
        reason=null(),
        message=null(),
        ended=null(),
        cancelled_by=null(),
        dropped=null(),
        expires=null(),  # a person wants it, however late
    )
    .returning(runs.c.id),
    "undecide": update(events)
    .where(events.c.seq == p("event"))
    .values(names=null(), decided=null(), decision=null()),
    "drop_undecidable": delete(runs).where(runs.c.id == p("run"), _dead).returning(runs.c.id),
    "pick_parked": update(runs)
    .where(
        _parked,
        runs.c.id
        == select(_of_lane.c.id)
        .where(
            _of_lane.c.state == literal_column("'pending'"),
            _of_lane.c.reason == literal_column("'target_paused'"),
            _of_lane.c.lane == p("of"),
        )
        .order_by(_of_lane.c.attempt, _of_lane.c.seq)
        .limit(_ONE)
        .scalar_subquery(),
    )
    .values(due=p("moment"))
    .returning(runs.c.id),
    "release_parked": update(runs)
    .where(_parked, runs.c.lane == p("of"))
    .values(due=p("now"))
    .returning(runs.c.id),
    "release_all_parked": update(runs).where(_parked).values(due=p("now")),
}
