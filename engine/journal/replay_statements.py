"""What a backtest asks of the journal, and writes into its own; part of `statements.py`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnClause, and_, bindparam, case, func, literal_column, select

from engine.journal.kinds import IS_STATE
from engine.journal.tables import attempts, events, runs

p = bindparam
_NOTHING: ColumnClause[str] = literal_column("''")
_ONE: ColumnClause[int] = literal_column("1")
_ZERO: ColumnClause[int] = literal_column("0")
_WHOLE = (
    events.c.seq, events.c.id, events.c.source, events.c.type, events.c.subject, events.c.digest,
    events.c.raised, events.c.stored, events.c.body, events.c.names,
)  # fmt: skip
_STEP = (
    runs.c.seq, runs.c.id, runs.c.origin, runs.c.rule, runs.c.version, runs.c.key, attempts.c.path,
)  # fmt: skip
_newest = (
    select(events.c.subject, func.max(events.c.raised).label("raised"))
    .where(events.c.seq < p("first"), events.c.subject != _NOTHING, IS_STATE)
    .group_by(events.c.subject)
    .subquery("newest")
)

REPLAYS: dict[str, Any] = {
    "replay_first": select(func.min(events.c.seq).label("seq")).where(
        events.c.stored >= p("since")
    ),
    "replay_count": select(func.count(events.c.seq).label("number")).where(
        events.c.seq >= p("first")
    ),
    # Of each subject the last state that was known before.
    "replay_states": select(*_WHOLE)
    .join(
        _newest,
        and_(events.c.subject == _newest.c.subject, events.c.raised == _newest.c.raised),
    )
    .where(events.c.seq < p("first"), IS_STATE)
    .order_by(events.c.seq),
    "replay_events": select(*_WHOLE)
    .where(events.c.seq >= p("first"))
    .order_by(events.c.seq)
    .limit(p("most")),
    "replay_steps": select(
        *_STEP,
        func.max(attempts.c.number).label("number"),
        func.min(attempts.c.started).label("started"),
        func.max(
            case((attempts.c.outcome == literal_column("'succeeded'"), _ONE), else_=_ZERO)
        ).label("well"),
    )
    .join(attempts, attempts.c.run == runs.c.id)
    .where(runs.c.origin_seq >= p("first"), attempts.c.number > literal_column("0"))
    .group_by(
        *_STEP,
    )
    .order_by(runs.c.seq, attempts.c.path),
    "replay_results": select(runs.c.id, runs.c.results).where(
        runs.c.origin_seq >= p("first"), runs.c.results != literal_column("'{}'")
    ),
    "keep_event": events.insert().values(
        {
            c: p(c)
            for c in (
                "id",
                "source",
                "type",
                "subject",
                "digest",
                "raised",
                "stored",
                "body",
                "names",
                "decided",
            )
        }
    ),
}
"""Statement name → statement."""
