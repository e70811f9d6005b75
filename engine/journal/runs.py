"""Journal operations on runs, their attempts and what cancels them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from engine.journal.events import to_json
from engine.journal.operations import Op, Row, ask, ask_one
from engine.model import DueRun, PlannedRun, Run, State, Watch, Watcher

PERSON = "person"
"""In `Run.cancelled_by`, where it was no event that cancelled a run under way."""
_FLAGS = ("delayed", "watched", "met", "released")
_JSON = ("results", "taken", "bound")
_SAVED = (
    "state", "due", "lane", "cursor", "attempt", "starts", "first_try",
    "reason", "message", "ended", "forgiven",
)  # fmt: skip


def run_of(row: Row) -> Run:
    """The run of a row."""
    values: dict[str, Any] = {name: value for name, value in row.items() if name != "seq"}
    values["state"] = State(values["state"])
    for name in _JSON:
        values[name] = json.loads(values[name])
    values["failure"] = json.loads(values["failure"]) if values["failure"] else None
    for flag in _FLAGS:
        values[flag] = bool(values[flag])
    return Run(**values)


def _values(run: Run) -> dict[str, Any]:
    """Its fields as they are: a result may be nested deeper than a deep copy could follow."""
    return {one.name: getattr(run, one.name) for one in fields(run)}


def add(planned: Iterable[PlannedRun]) -> Op[list[Run]]:
    """Add runs with their watches; those that were new (a run is planned only once)."""
    fresh = []
    for plan in planned:
        values = _values(plan.run)
        values["state"] = plan.run.state.value
        values |= {name: to_json(values[name]) for name in _JSON}
        values["failure"] = to_json(plan.run.failure) if plan.run.failure else None
        for flag in _FLAGS:
            values[flag] = int(values[flag])
        if not (yield from ask("add_run", **values)):
            continue
        fresh.append(plan.run)
        yield from add_watches(plan.run.id, plan.watches)
    return fresh


def add_watches(run: str, watches: Iterable[Watch]) -> Op[None]:
    """Note what a run waits for."""
    for watch in watches:
        yield from ask(
            "add_watch",
            pattern=watch.pattern, per=watch.per, key=watch.key, run=run, position=watch.position,
        )  # fmt: skip
        yield from ask("add_watch_kind", pattern=watch.pattern, per=watch.per)


def by_id(id: str) -> Op[Run | None]:
    """The run of that id."""
    row = yield from ask_one("run_by_id", id=id)
    return run_of(row) if row else None


def next_due() -> Op[int | None]:
    """When the next pending run is due."""
    row = yield from ask_one("next_due")
    return row["due"] if row else None


def take_due(now: int, most: int) -> Op[list[DueRun]]:
    """Move pending runs that are due to `queued`; the caller queues them in the same commit."""
    rows = yield from ask("due_runs", now=now, most=most)
    taken: list[DueRun] = []
    for row in rows:
        if (yield from ask("queue_run", run=row["id"], now=now)):
            taken += [DueRun(**{name: row[name] for name in DueRun.__slots__})]
    return taken


def begin_try(run: Run, path: str, now: int) -> Op[bool]:
    """Begin the next try of a queued run; False where it is no longer ours to begin."""
    rows = yield from ask("begin_try", run=run.id, at=run.cursor, expected=run.attempt, now=now)
    if not rows:
        return False
    yield from ask("add_attempt", run=run.id, path=path, number=run.attempt + 1, started=now)
    return True


def mark_irrevocable(run: str, path: str, number: int) -> Op[None]:
    """Write down that this try is past the point from which it can't be taken back."""
    yield from ask("mark_irrevocable", of_run=run, at=path, tried=number)


def open_attempts(run: str) -> Op[list[tuple[str, int, bool]]]:
    """Tries without a recorded end: path, number, and whether past the point of no return."""
    rows = yield from ask("open_attempts", of_run=run)
    return [(row["path"], row["number"], bool(row["irrevocable"])) for row in rows]


def end_attempt(
    run: str, path: str, number: int, *, now: int, outcome: str, reason: str | None, message: str | None
) -> Op[None]:  # fmt: skip
    """Record how a try ended."""
    yield from ask(
        "end_attempt",
        of_run=run, at=path, ended=now, outcome=outcome, reason=reason, message=message,
        tried=number,
    )  # fmt: skip


def note_untried(
    run: str, path: str, *, now: int, outcome: str, reason: str | None, message: str | None
) -> Op[None]:
    """Record a step that ended without a try (skipped, or not fit to be tried), as attempt 0."""
    yield from ask(
        "add_skipped",
        run=run, path=path, number=0, started=now, ended=now, outcome=outcome,
        reason=reason, message=message,
    )  # fmt: skip


def save(before: Run, after: Run) -> Op[bool]:
    """Write a run's change, if it still stands where `before` says; False where it does not.

    A run that was cancelled while its try was under way goes on only to end as cancelled.
    """
    values = _values(after)
    wanted = {name: values[name] for name in _SAVED}
    rows = yield from ask(
        "save_run",
        **wanted | {"state": after.state.value},
        delayed=int(after.delayed),
        watched=int(after.watched),
        results=to_json(after.results),
        run=before.id,
        from_state=before.state.value,
        from_cursor=before.cursor,
        from_attempt=before.attempt,
    )
    if rows and after.taken != before.taken:
        yield from ask("set_taken", run=before.id, ways=to_json(after.taken))
    if rows and (after.ended is not None or not after.watched):
        yield from ask("drop_watches", run=before.id)
    return bool(rows)


def cancel(run: str, *, by: str | None, reason: str, message: str, now: int) -> Op[bool]:
    """Cancel a run that has not begun its next try; one under way is marked instead."""
    if (yield from ask("cancel_run", run=run, by=by, reason=reason, message=message, now=now)):
        yield from ask("drop_watches", run=run)
        return True
    yield from ask("mark_cancelled", run=run, by=by or PERSON, reason=reason)
    return False


def meet(run: str, *, by: int, moment: int, lane: str, message: str) -> Op[bool]:
    """Let a run go on that waits for what came, the event numbered `by`; False if it does not.

    One that is on hold stays so, and goes on with that event when it is let go.
    """
    met = yield from ask("meet_run", run=run, by=by, moment=moment, lane=lane, message=message)
    if met:
        yield from ask("drop_watches", run=run)
    return bool(met)


def watchers(pattern: str, per: str, key: str) -> Op[list[Watcher]]:
    """The follow-ups that wait for that pattern and key."""
    rows = yield from ask("watchers", pattern=pattern, per=per, key=key)
    return [Watcher(**{name: row[name] for name in Watcher.__slots__}) for row in rows]


def watch_kinds() -> Op[list[tuple[str, str]]]:
    """The pairs (pattern, per) that any follow-up ever waited for."""
    rows = yield from ask("watch_kinds")
    return [(row["pattern"], row["per"]) for row in rows]


def under_way() -> Op[list[tuple[str, State]]]:
    """Ids of all queued and running runs, with which of the two they are."""
    rows = yield from ask("under_way", after=0)
    return [(row["id"], State(row["state"])) for row in rows]


def states() -> Op[dict[str, int]]:
    """How many runs there are in each state."""
    rows = yield from ask("run_states")
    return {row["state"]: row["number"] for row in rows}


def take_slot(target: str, *, now: int, step: int) -> Op[int]:
    """When a target's next call may start, `step` after the one before."""
    row = yield from ask_one("take_slot", target=target, now=now, step=step)
    return int(row["start"]) if row else now
