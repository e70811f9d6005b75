"""Journal operations on follow-ups whose rules change: put on hold, let go on, tied anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.journal.operations import Op, Rows, ask, ask_one
from engine.journal.runs import add_watches, run_of
from engine.model import Run, State, Watch

BITE = 500


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many follow-ups of a rule wait at one step of one version, in one state."""

    version: str
    path: str
    state: State
    reason: str | None
    number: int
    overdue: int


def next_rule(after: str) -> Op[str | None]:
    """The first rule, by name, after that one which has anything pending or on hold."""
    row = yield from ask_one("next_rule_with_later", after=after)
    return row["rule"] if row else None


def rules_on_hold() -> Op[list[str]]:
    """The rules with follow-ups on hold."""
    return [row["rule"] for row in (yield from ask("rules_on_hold"))]


def count(rule: str, now: int) -> Op[list[Waiting]]:
    """The follow-ups of a rule that are still to come, step by step."""
    rows = yield from ask("count_later", of=rule, now=now)
    return [Waiting(**{**row, "state": State(row["state"])}) for row in rows]


@dataclass(frozen=True, slots=True)
class Bitten:
    """How many follow-ups a bite changed, and where to go on; None at the end."""

    number: int
    place: int | None


def hold(rule: str, after: int, *, reason: str, message: str) -> Op[Bitten]:
    """Put pending follow-ups of a rule on hold, bite by bite."""
    rows = yield from ask(
        "hold_later", of=rule, after=after, most=BITE, reason=reason, message=message
    )
    return _bitten(rows)


def resume(rule: str, after: int, now: int) -> Op[Bitten]:
    """Let those on hold that are not yet due go on."""
    return _bitten((yield from ask("resume_later", of=rule, after=after, most=BITE, now=now)))


def mark_overdue(rule: str, after: int, now: int, message: str) -> Op[Bitten]:
    """Note of those on hold that they were due meanwhile: a person has to release them."""
    rows = yield from ask("mark_overdue", of=rule, after=after, most=BITE, now=now, message=message)
    return _bitten(rows)


def of_version(rule: str, version: str, after: int) -> Op[tuple[list[Run], int | None]]:
    """Follow-ups of one version of a rule, bite by bite, and where to go on."""
    rows = yield from ask("later_of_version", of=rule, version=version, after=after, most=BITE)
    return [run_of(row) for row in rows], _place(rows)


def rebind(run: Run, watches: Iterable[Watch]) -> Op[bool]:
    """Tie a follow-up to another version, with its due time and what cancels it there."""
    rows = yield from ask(
        "rebind_run",
        run=run.id, version=run.version, due=run.due, lane=run.lane, watched=int(run.watched),
        met=int(run.met), arrived=run.arrived, message=run.message, expires=run.expires,
    )  # fmt: skip
    if rows:
        yield from ask("drop_watches", run=run.id)
        yield from add_watches(run.id, watches)
    return bool(rows)


def hold_one(run: str, *, reason: str, message: str) -> Op[bool]:
    """Put one pending follow-up on hold; what a person released goes on."""
    return bool((yield from ask("hold_run", run=run, reason=reason, message=message)))


def release(run: str, now: int) -> Op[bool]:
    """Let a follow-up on hold go on, whatever became of its rule; at once where it is overdue."""
    return bool((yield from ask("release_run", run=run, now=now)))


def run_now(run: str, now: int) -> Op[bool]:
    """Let a follow-up be due now."""
    return bool((yield from ask("run_now", run=run, now=now)))


def _bitten(rows: Rows) -> Bitten:
    return Bitten(len(rows), _place(rows))


def _place(rows: Rows) -> int | None:
    """The last row's number where there may be more, else None."""
    return max(row["seq"] for row in rows) if len(rows) == BITE else None
