"""Statements for rules: their versions, and what becomes of follow-ups when the rules change."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnClause,
    Table,
    Update,
    bindparam,
    case,
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

from engine.journal.kinds import FOLLOWUP, HELD_BACK
from engine.journal.tables import clocks, gathered, in_force, rulesets, runs, versions
from engine.model import NEVER

p = bindparam
_ONE: ColumnClause[int] = literal_column("1")
_ZERO: ColumnClause[int] = literal_column("0")
_ON_HOLD: ColumnClause[str] = literal_column("'on hold'")
_PENDING: ColumnClause[str] = literal_column("'pending'")
# Worded as in the index `runs_later`, which holds these alone.
_later = text("state in ('pending', 'on hold')")
_of_rule = runs.c.rule == p("of")
_away = runs.c.reason.in_(
    [literal_column("'rule_gone'"), literal_column("'rule_off'"), literal_column("'rule_shadow'")]
)
_resting = (runs.c.state == _ON_HOLD) & _away


# What they are again when their rule is back: behind another run, or a digest yet to go out.
_behind = runs.c.due == literal_column(str(NEVER))
_is_digest = (runs.c.path == literal_column("''")) & exists().where(gathered.c.run == runs.c.id)

# However many wait of other rules, and whatever the history of this one.
_BY_RULE = (runs, "INDEXED BY runs_later", "sqlite")
# Few are on hold, and many may be pending.
_BY_STATE = (runs, "INDEXED BY runs_state", "sqlite")


def _bite(*which: Any, by: tuple[Table, str, str] = _BY_RULE, **values: Any) -> Update:
    """Change at most `most` later runs of a rule, from a place on: what is done is not met again."""
    chosen = (
        select(runs.c.seq)
        .with_hint(*by)
        .where(_later, _of_rule, runs.c.seq > p("after"), *which)
        .order_by(runs.c.seq)
    )
    return (
        update(runs)
        .where(runs.c.seq.in_(chosen.limit(p("most"))))
        .values(**values)
        .returning(runs.c.seq)
    )


# Where two rules became one, both may have a run of the same event: that one keeps its name.
_theirs = runs.alias("theirs")
_heir_has_it = exists().where(
    _theirs.c.origin == runs.c.origin,
    _theirs.c.rule == p("heir"),
    _theirs.c.path == runs.c.path,
    _theirs.c.generation == runs.c.generation,
)
_WAKES: dict[str, Any] = {"reason": null(), "message": null(), "released": _ONE, "delayed": _ONE}
_not_before_now = case((or_(runs.c.due < p("now"), _behind), p("now")), else_=runs.c.due)

_VERSIONS: dict[str, Any] = {
    "add_version": insert(versions)
    .values({c: p(c) for c in ("hash", "rule", "stored", "body")})
    .on_conflict_do_nothing(),
    "version": select(versions.c.body).where(versions.c.hash == p("hash")),
    # The same rules may come with other connections that are no longer written.
    "add_ruleset": insert(rulesets)
    .values({c: p(c) for c in ("hash", "stored", "body")})
    .on_conflict_do_update(index_elements=["hash"], set_={"body": p("body")}),
    "ruleset": select(rulesets.c.body).where(rulesets.c.hash == p("hash")),
    "in_force": select(in_force.c.ruleset, in_force.c.stored, in_force.c.broken).where(
        in_force.c.id == _ONE
    ),
    "set_in_force": insert(in_force)
    .values(id=_ONE, ruleset=p("ruleset"), stored=p("stored"), broken=p("broken"))
    .on_conflict_do_update(
        index_elements=["id"],
        set_={c: p(c) for c in ("ruleset", "stored", "broken")},
    ),
    "clocks": select(clocks.c.rule, clocks.c.last),
    "set_clock": insert(clocks)
    .values(rule=p("rule"), last=p("last"))
    .on_conflict_do_update(index_elements=["rule"], set_={"last": p("last")}),
    "rename_clock": update(clocks)
    .where(
        clocks.c.rule == p("of"),
        p("heir").not_in(select(clocks.c.rule).scalar_subquery()),
    )
    .values(rule=p("heir")),
    "drop_clock": delete(clocks).where(clocks.c.rule == p("of")),
}

_LATER: dict[str, Any] = {
    # One look-up a rule, however many follow-ups each has.
    "next_rule_with_later": select(func.min(runs.c.rule).label("rule"))
    .with_hint(*_BY_RULE)
    .where(_later, runs.c.rule > p("after")),
    "count_later": select(
        runs.c.version,
        runs.c.path,
        runs.c.state,
        runs.c.reason,
        func.count().label("number"),
        func.sum(case((runs.c.due <= p("now"), _ONE), else_=_ZERO)).label("overdue"),
    )
    .with_hint(*_BY_RULE)
    .where(_later, _of_rule, or_(FOLLOWUP, HELD_BACK, runs.c.state == _ON_HOLD))
    .group_by(runs.c.version, runs.c.path, runs.c.state, runs.c.reason),
    "rules_on_hold": select(runs.c.rule).where(runs.c.state == _ON_HOLD).distinct(),
    "hold_later": _bite(
        runs.c.state == _PENDING,
        runs.c.released == _ZERO,
        or_(FOLLOWUP, HELD_BACK),
        state=_ON_HOLD,
        reason=p("reason"),
        message=p("message"),
    ),
    "resume_later": _bite(
        _resting,
        runs.c.due > p("now"),
        by=_BY_STATE,
        state=_PENDING,
        reason=case(
            (_behind, literal_column("'concurrency'")),
            (_is_digest, literal_column("'digest'")),
            else_=null(),
        ),
        message=null(),
    ),
    "mark_overdue": _bite(
        _resting,
        runs.c.due <= p("now"),
        by=_BY_STATE,
        reason=literal_column("'overdue'"),
        message=p("message"),
    ),
    "later_of_version": select(runs)
    .with_hint(*_BY_RULE)
    .where(
        _later,
        _of_rule,
        FOLLOWUP,
        runs.c.version == p("version"),
        runs.c.seq > p("after"),
    )
    .order_by(runs.c.seq)
    .limit(p("most")),
    # Ids and idempotency keys stay what they were: the first id is kept.
    "rename_runs": update(runs)
    .where(
        runs.c.seq.in_(
            select(runs.c.seq).where(_of_rule, ~_heir_has_it).order_by(runs.c.seq).limit(p("most"))
        )
    )
    .values(
        rule=p("heir"),
        named=case((runs.c.named == literal_column("''"), runs.c.rule), else_=runs.c.named),
    )
    .returning(runs.c.id),
    # One that waits for its target only is past its due time: it stays as it is.
    "rebind_run": update(runs)
    .where(
        runs.c.id == p("run"),
        _later,
        runs.c.attempt == _ZERO,
        runs.c.cursor == _ZERO,
        or_(runs.c.reason.is_(None), runs.c.reason != literal_column("'target_paused'")),
    )
    .values(
        {
            c: p(c)
            for c in ("version", "due", "lane", "watched", "met", "arrived", "message", "expires")
        }
    )
    .returning(runs.c.id),
    "hold_run": update(runs)
    .where(runs.c.id == p("run"), runs.c.state == _PENDING, runs.c.released == _ZERO)
    .values(state=_ON_HOLD, reason=p("reason"), message=p("message"))
    .returning(runs.c.id),
    "release_run": update(runs)
    .where(runs.c.id == p("run"), runs.c.state == _ON_HOLD)
    .values(state=_PENDING, due=_not_before_now, **_WAKES)
    .returning(runs.c.id),
    "run_now": update(runs)
    .where(runs.c.id == p("run"), _later)
    .values(state=_PENDING, due=p("now"), **_WAKES)
    .returning(runs.c.id),
}

RULES: dict[str, Any] = {**_VERSIONS, **_LATER}
