"""Every statement of the journal, by name, written once for both databases.

`python -m engine.journal.compiling` turns them into the text in `sql/`, which is what runs.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnClause,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)

# Its ON CONFLICT compiles for SQLite too; the other way round it does not.
from sqlalchemy.dialects.postgresql import insert

from engine.journal.copy_statements import OF_COPIES
from engine.journal.failure_statements import AFTER_FAILURES, wanted
from engine.journal.holding_statements import HOLDING, oldest_undecided
from engine.journal.kinds import FOLLOWUP, HELD_BACK, IS_STATE, RAISED_BY_RULES
from engine.journal.recorded_statements import RECORDED
from engine.journal.replay_statements import REPLAYS
from engine.journal.rule_statements import RULES
from engine.journal.tables import (
    attempts,
    buckets,
    decider,
    events,
    gathered,
    rejected,
    runs,
)
from engine.journal.watch_statements import WAITING_FOR_EVENTS
from engine.model import OPEN_STATES

p = bindparam
_ONE: ColumnClause[int] = literal_column("1")

_EVENT = (
    events.c.id,
    events.c.seq,
    events.c.source,
    events.c.type,
    events.c.subject,
    events.c.raised,
    events.c.stored,
    events.c.body,
    events.c.names,
    events.c.decided,
)
_open = runs.c.state.in_([literal_column(f"'{state}'") for state in OPEN_STATES])
_waiting = runs.c.state.in_([literal_column(f"'{s}'") for s in ("pending", "queued", "on hold")])


def _event() -> Select[tuple[object, ...]]:
    return select(*_EVENT)


def _newest(query: Select[tuple[object, ...]]) -> Select[tuple[object, ...]]:
    return query.order_by(events.c.raised.desc(), events.c.seq.desc()).limit(_ONE)


_INTAKE: dict[str, Any] = {
    # Nothing comes back where the same body was stored before.
    "add_event": insert(events)
    .values(
        {c: p(c) for c in
         ("id", "source", "type", "subject", "digest", "raised", "stored", "body")}
    )
    .on_conflict_do_nothing(index_elements=["source", "digest"])
    .returning(events.c.seq),
    "event_by_digest": select(events.c.id).where(
        events.c.source == p("source"), events.c.digest == p("digest")
    ),
    "add_rejected": rejected.insert().values(
        {c: p(c) for c in ("source", "stored", "code", "body")}
    ),
    "prune_rejected": delete(rejected).where(
        rejected.c.seq <= select(func.max(rejected.c.seq) - p("keep")).scalar_subquery()
    ),
    "backlog": select(func.count().label("number")).where(events.c.decided.is_(None)),
}  # fmt: skip

_DECIDING: dict[str, Any] = {
    "undecided": _event().where(events.c.decided.is_(None)).order_by(events.c.seq).limit(p("most")),
    "previous": _newest(
        _event().where(
            events.c.subject == p("subject"),
            events.c.raised < p("raised"),
            events.c.seq < p("seq"),
            IS_STATE,
        )
    ),
    "latest": _newest(_event().where(events.c.subject == p("subject"), IS_STATE)),
    "later_of_subject": _event()
    .where(
        events.c.subject == p("subject"), events.c.raised > p("raised"), events.c.seq < p("before")
    )
    .order_by(events.c.raised, events.c.seq),
    "later_of_all": _event()
    .where(events.c.raised > p("raised"), events.c.seq < p("before"))
    .order_by(events.c.raised, events.c.seq),
    "same_time_of_subject": _event()
    .where(
        events.c.subject == p("subject"),
        events.c.raised == p("raised"),
        events.c.seq > p("after"),
        events.c.seq < p("before"),
    )
    .order_by(events.c.seq),
    "same_time_of_all": _event()
    .where(events.c.raised == p("raised"), events.c.seq > p("after"), events.c.seq < p("before"))
    .order_by(events.c.seq),
    "first_undecided": select(func.min(events.c.seq).label("seq")).where(
        events.c.decided.is_(None)
    ),
    "event_by_seq": _event().where(events.c.seq == p("seq")),
    "event_by_id": select(*_EVENT, events.c.decision).where(events.c.id == p("id")),
    "mark_decided": update(events)
    .where(events.c.seq == p("event"), events.c.decided.is_(None))
    .values(names=p("names"), decided=p("now"), decision=p("decision")),
    "decider": select(decider.c.first, decider.c.size, decider.c.tries).where(decider.c.id == _ONE),
    "set_decider": insert(decider)
    .values(id=_ONE, first=p("first"), size=p("size"), tries=p("tries"))
    .on_conflict_do_update(
        index_elements=["id"],
        set_={"first": p("first"), "size": p("size"), "tries": p("tries")},
    ),
}

_RUN_COLUMNS = tuple(c.name for c in runs.c if c.name != "seq")

_RUNS: dict[str, Any] = {
    "add_run": insert(runs)
    .values({c: p(c) for c in _RUN_COLUMNS})
    .on_conflict_do_nothing()
    .returning(runs.c.seq),
    "run_by_id": select(runs).where(runs.c.id == p("id")),
    "next_due": select(func.min(runs.c.due).label("due"))
    .with_hint(runs, "INDEXED BY runs_due", "sqlite")
    .where(runs.c.state == literal_column("'pending'")),
    # A watched run starts only when every event stored before its due time is decided.
    "due_runs": select(runs.c.id, runs.c.lane, runs.c.priority, runs.c.attempt, runs.c.cursor)
    .with_hint(runs, "INDEXED BY runs_due", "sqlite")
    .where(
        runs.c.state == literal_column("'pending'"),
        runs.c.due <= p("now"),
        or_(
            runs.c.watched == literal_column("0"),
            runs.c.due < func.coalesce(oldest_undecided, p("now") + _ONE),
        ),
    )
    .order_by(runs.c.due)
    .limit(p("most")),
    "queue_run": update(runs)
    .where(runs.c.id == p("run"), runs.c.state == literal_column("'pending'"))
    .values(state=literal_column("'queued'"), late=p("now") - runs.c.due)
    .returning(runs.c.id),
    # Only the try whose number is expected may begin.
    "begin_try": update(runs)
    .where(
        runs.c.id == p("run"),
        runs.c.state == literal_column("'queued'"),
        runs.c.cursor == p("at"),
        runs.c.attempt == p("expected"),
    )
    .values(
        state=literal_column("'running'"),
        attempt=runs.c.attempt + _ONE,
        starts=runs.c.starts + _ONE,
        first_try=func.coalesce(runs.c.first_try, p("now")),
    )
    .returning(runs.c.id),
    "save_run": update(runs)
    .where(
        runs.c.id == p("run"),
        runs.c.state == p("from_state"),
        runs.c.cursor == p("from_cursor"),
        runs.c.attempt == p("from_attempt"),
    )
    .values(
        {c: p(c) for c in
         ("state", "due", "lane", "cursor", "attempt", "starts", "first_try", "delayed",
          "watched", "results", "reason", "message", "ended", "forgiven")}
    )
    .returning(runs.c.cancelled_by),
    # Seldom, and it may be long: the items of a loop.
    "set_taken": update(runs).where(runs.c.id == p("run")).values(taken=p("ways")),
    "cancel_run": update(runs)
    .where(runs.c.id == p("run"), _waiting)
    .values(
        state=literal_column("'cancelled'"), ended=p("now"), reason=p("reason"),
        message=p("message"), cancelled_by=p("by"),
    )
    .returning(runs.c.id),
    # A try under way cannot be called back; the run ends before its next one.
    "mark_cancelled": update(runs)
    .where(runs.c.id == p("run"), runs.c.state == literal_column("'running'"))
    .values(cancelled_by=p("by"), reason=p("reason"))
    .returning(runs.c.id),
    "add_attempt": insert(attempts)
    .values({c: p(c) for c in ("run", "path", "number", "started")})
    .on_conflict_do_nothing(),
    "add_skipped": insert(attempts)
    .values({c: p(c) for c in
             ("run", "path", "number", "started", "ended", "outcome", "reason", "message")})
    .on_conflict_do_update(
        index_elements=["run", "path", "number"],
        set_={c: p(c) for c in ("started", "ended", "outcome", "reason", "message")},
    ),
    "mark_irrevocable": update(attempts)
    .where(
        attempts.c.run == p("of_run"), attempts.c.path == p("at"), attempts.c.number == p("tried")
    )
    .values(irrevocable=_ONE),
    "end_attempt": update(attempts)
    .where(
        attempts.c.run == p("of_run"), attempts.c.path == p("at"), attempts.c.number == p("tried")
    )
    .values({c: p(c) for c in ("ended", "outcome", "reason", "message")}),
    "open_attempts": select(attempts.c.path, attempts.c.number, attempts.c.irrevocable).where(
        attempts.c.run == p("of_run"), attempts.c.ended.is_(None)
    ),
    "attempts_of": select(attempts)
    .where(attempts.c.run == p("of_run"))
    .order_by(attempts.c.started, attempts.c.number),
    "count_tries": select(func.count().label("number")).where(
        attempts.c.run == p("of_run"), attempts.c.number > literal_column("0")
    ),
    "under_way": select(runs.c.id, runs.c.state)
    .where(
        runs.c.state.in_([literal_column("'queued'"), literal_column("'running'")]),
        runs.c.seq > p("after"),
    )
    .order_by(runs.c.seq),
    "run_states": select(runs.c.state, func.count().label("number"))
    .where(runs.c.dropped.is_(None))
    .group_by(runs.c.state),
    # One slot after the other, `step` apart: the start that this call may take.
    "take_slot": insert(buckets)
    .values(target=p("target"), free_at=p("now") + p("step"))
    .on_conflict_do_update(
        index_elements=["target"],
        set_={
            "free_at": case(
                (buckets.c.free_at > p("now"), buckets.c.free_at), else_=p("now")
            ) + p("step")
        },
    )
    .returning((buckets.c.free_at - p("step")).label("start")),
}  # fmt: skip

_newer = events.alias("newer")
_superseded = exists().where(
    _newer.c.subject == events.c.subject,
    _newer.c.source != RAISED_BY_RULES,
    or_(
        _newer.c.raised > events.c.raised,
        and_(_newer.c.raised == events.c.raised, _newer.c.seq > events.c.seq),
    ),
)

_BLANK: ColumnClause[str] = literal_column("'{}'")

_RETENTION: dict[str, Any] = {
    "old_runs": select(runs.c.id).where(runs.c.ended < p("before")).limit(p("most")),
    "drop_attempts": delete(attempts).where(attempts.c.run == p("run")),
    "drop_run": delete(runs).where(runs.c.id == p("run")),
    "next_seq": select(events.c.seq)
    .where(events.c.seq > p("after"), events.c.stored < p("before"), events.c.body != _BLANK)
    .order_by(events.c.seq)
    .limit(p("most")),
    # A subject's last state stays, until it was deleted; so does what a run still stands on.
    "may_go": select(events.c.raised, events.c.stored, events.c.source).where(
        events.c.seq == p("seq"),
        events.c.decided.is_not(None),
        ~exists().where(runs.c.origin_seq == events.c.seq),
        ~exists().where(runs.c.arrived == events.c.seq),
        ~exists().where(gathered.c.event == events.c.seq),
        or_(
            events.c.subject == literal_column("''"),
            events.c.source == RAISED_BY_RULES,
            events.c.type.like(literal_column("'%.deleted'")),
            _superseded,
        ),
    ),
    "drop_event": delete(events).where(events.c.seq == p("seq")),
    # The digest stays, so that a redelivery is known for ever.
    "blank_event": update(events)
    .where(events.c.seq == p("blank"))
    .values(
        body=_BLANK,
        subject=literal_column("''"),
        decision=literal_column("NULL"),
    ),
}

_LISTS: dict[str, Any] = {
    "list_events": select(*_EVENT)
    .where(
        wanted(events.c.type, "type"),
        wanted(events.c.subject, "subject"),
        events.c.seq < p("before"),
        events.c.stored >= p("since"),
    )
    .order_by(events.c.seq.desc())
    .limit(p("most")),
    "list_rejected": select(rejected).order_by(rejected.c.seq.desc()).limit(p("most")),
    "list_runs": select(runs)
    .where(
        wanted(runs.c.rule, "rule"),
        wanted(runs.c.key, "key"),
        wanted(runs.c.state, "state"),
        runs.c.created >= p("since"),
        runs.c.seq < p("before"),
    )
    .order_by(runs.c.seq.desc())
    .limit(p("most")),
    "list_followups": select(runs)
    .where(
        or_(FOLLOWUP, HELD_BACK, runs.c.state == literal_column("'on hold'")),
        wanted(runs.c.rule, "rule"),
        wanted(runs.c.key, "key"),
        or_(and_(p("state").is_(None), _open), runs.c.state == p("state")),
        runs.c.created >= p("since"),
        runs.c.seq < p("before"),
    )
    .order_by(runs.c.seq.desc())
    .limit(p("most")),
    "runs_of_event": select(runs).where(runs.c.origin_seq == p("seq")).order_by(runs.c.seq),
}

STATEMENTS: dict[str, Any] = {
    **_INTAKE, **_DECIDING, **_RUNS, **WAITING_FOR_EVENTS, **RULES, **_RETENTION, **_LISTS,
    **AFTER_FAILURES, **OF_COPIES, **HOLDING, **REPLAYS, **RECORDED,
}  # fmt: skip
