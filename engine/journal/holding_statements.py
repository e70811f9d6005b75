"""Statements for what holds matches back: counts, places, digests, and runs behind others."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnClause,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    text,
    update,
)

# Its ON CONFLICT compiles for SQLite too; the other way round it does not.
from sqlalchemy.dialects.postgresql import insert

from engine.journal.kinds import TELLS_OF_FAILURE
from engine.journal.tables import counts, events, gathered, places, runs, windows

p = bindparam
_ONE: ColumnClause[int] = literal_column("1")
_PENDING: ColumnClause[str] = literal_column("'pending'")
_BEHIND: ColumnClause[str] = literal_column("'concurrency'")
_NOTHING: ColumnClause[str] = literal_column("''")
# Worded as in the index `runs_open`.
_open = text("runs.state in ('pending', 'queued', 'running', 'on hold')")

# Asked once for a whole statement: to look per run would be a backlog's length for each.
oldest_undecided = (
    select(func.min(events.c.stored)).where(events.c.decided.is_(None)).scalar_subquery()
)
_same = gathered.alias("same")
_story = runs.alias("story")
_other = runs.alias("other")
# The one that a run behind others waits for: any that began, or that came before it.
_first = exists().where(
    _other.c.rule == runs.c.rule,
    _other.c.key == runs.c.key,
    text("other.state in ('pending', 'queued', 'running', 'on hold')"),
    _other.c.path == _NOTHING,
    _other.c.state != literal_column("'on hold'"),  # nobody waits for what waits for a person
    _other.c.id != runs.c.id,
    or_(
        _other.c.reason.is_(None),
        _other.c.reason.not_in([_BEHIND, literal_column("'digest'")]),
        and_(_other.c.reason == _BEHIND, _other.c.seq < runs.c.seq),
    ),
)


def _renamed(table: Table, *, one_each: bool) -> Any:
    """Give a rule's rows its new id; where that has rows of its own for a key, those hold."""
    theirs = table.alias("theirs")
    taken = exists().where(theirs.c.rule == p("heir"), theirs.c.key == table.c.key)
    which = [table.c.rule == p("of"), *([~taken] if one_each else [])]
    return update(table).where(*which).values(rule=p("heir"))


HOLDING: dict[str, Any] = {
    "counted": select(counts.c.times).where(counts.c.rule == p("rule"), counts.c.key == p("key")),
    "set_counted": insert(counts)
    .values({c: p(c) for c in ("rule", "key", "times", "until")})
    .on_conflict_do_update(
        index_elements=["rule", "key"], set_={c: p(c) for c in ("times", "until")}
    ),
    "drop_counted": delete(counts).where(counts.c.rule == p("of"), counts.c.key == p("about")),
    "places": select(places.c.run, places.c.at, places.c.attempted)
    .where(places.c.rule == p("rule"), places.c.key == p("key"), places.c.at > p("after"))
    .order_by(places.c.at, places.c.event),
    "take_place": insert(places)
    .values({c: p(c) for c in ("run", "event", "rule", "key", "at", "until", "attempted")})
    .on_conflict_do_nothing(),
    # A dead letter may be replayed, and then its place counts again.
    "drop_given_back": delete(places).where(
        places.c.rule == p("of"),
        places.c.key == p("about"),
        places.c.attempted == literal_column("0"),
        ~exists().where(
            _story.c.id == places.c.run,
            runs.c.origin_seq == _story.c.origin_seq,
            runs.c.rule == _story.c.rule,
            runs.c.generation == _story.c.generation,
            or_(_open, runs.c.state == literal_column("'dead'")),
            ~TELLS_OF_FAILURE,
        ),
    ),
    "attempted": update(places).where(places.c.run == p("story")).values(attempted=_ONE),
    # However many runs the rule has made.
    "open_of_story": select(runs.c.id)
    .with_hint(runs, "INDEXED BY runs_origin", "sqlite")
    .join(
        _story,
        and_(
            _story.c.origin_seq == runs.c.origin_seq,
            _story.c.rule == runs.c.rule,
            _story.c.generation == runs.c.generation,
        ),
    )
    .where(_story.c.id == p("story"), _open, ~TELLS_OF_FAILURE)
    .order_by(runs.c.seq),
    "open_of_key": select(runs.c.id, runs.c.path, runs.c.state, runs.c.reason)
    .with_hint(runs, "INDEXED BY runs_open", "sqlite")
    .where(_open, runs.c.rule == p("of"), runs.c.key == p("about"), ~TELLS_OF_FAILURE)
    .order_by(runs.c.seq),
    "window": select(
        windows.c.run,
        windows.c.due,
        windows.c.count,
        runs.c.state,
        runs.c.reason,
        runs.c.due.label("went"),
    )
    .select_from(windows.outerjoin(runs, runs.c.id == windows.c.run))
    .where(windows.c.rule == p("rule"), windows.c.key == p("key")),
    "set_window": insert(windows)
    .values({c: p(c) for c in ("rule", "key", "run", "due", "count", "until")})
    .on_conflict_do_update(
        index_elements=["rule", "key"],
        set_={c: p(c) for c in ("run", "due", "count", "until")},
    ),
    "gather": insert(gathered).values(run=p("run"), event=p("event")).on_conflict_do_nothing(),
    "gathered": select(gathered.c.event)
    .where(gathered.c.run == p("of_run"), gathered.c.left_out == literal_column("0"))
    .order_by(gathered.c.event),
    "leave_out": update(gathered)
    .where(gathered.c.run == p("of_run"), gathered.c.event == p("seq"))
    .values(left_out=_ONE),
    # A digest that is full goes at once: nothing more can cancel it.
    "close_window": update(runs)
    .where(runs.c.id == p("of_run"), runs.c.state == _PENDING)
    .values(due=p("moment"), expires=p("expires"))
    .returning(runs.c.id),
    # What was stored before one is due belongs into it: it gathers until that is decided.
    "due_windows": select(runs)
    .with_hint(runs, "INDEXED BY runs_due", "sqlite")
    .where(
        text("runs.state = 'pending'"),
        runs.c.due <= p("now"),
        runs.c.due < func.coalesce(oldest_undecided, p("now") + _ONE),
        runs.c.reason == literal_column("'digest'"),
    )
    .order_by(runs.c.due),
    "put_behind": update(runs)
    .where(runs.c.id == p("of_run"), runs.c.state == _PENDING)
    .values(due=p("moment"), reason=_BEHIND, message=p("message"))
    .returning(runs.c.id),
    "forward": update(runs)
    .where(runs.c.id == p("of_run"), runs.c.state == _PENDING)
    .values(reason=null(), message=null())
    .returning(runs.c.id),
    "next_behind": select(runs.c.id)
    .with_hint(runs, "INDEXED BY runs_behind", "sqlite")
    .where(text("runs.reason = 'concurrency'"), runs.c.state == _PENDING, ~_first)
    .order_by(runs.c.seq)
    .limit(p("most")),
    "any_behind": select(runs.c.id)
    .with_hint(runs, "INDEXED BY runs_behind", "sqlite")
    .where(text("runs.reason = 'concurrency'"), runs.c.state == _PENDING)
    .limit(_ONE),
    "let_go": update(runs)
    .where(runs.c.id == p("of_run"), runs.c.state == _PENDING)
    .values(due=p("moment"), reason=null(), message=null())
    .returning(runs.c.id),
    "rename_counts": _renamed(counts, one_each=True),
    "rename_places": _renamed(places, one_each=False),
    "rename_windows": _renamed(windows, one_each=True),
    # A digest is kept as long as any run of its story, whose origin is its first event.
    "forget_gathered": delete(gathered).where(
        ~exists().where(
            runs.c.origin_seq
            == select(func.min(_same.c.event))
            .where(_same.c.run == gathered.c.run)
            .correlate(gathered)
            .scalar_subquery()
        )
    ),
    "forget_counts": delete(counts).where(counts.c.until < p("before")),
    "forget_places": delete(places).where(places.c.until < p("before")),
    "forget_windows": delete(windows).where(windows.c.until < p("before")),
}
