"""Journal operations for people: lists, newest first, and one thing whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.journal.events import event_of
from engine.journal.operations import Op, Row, ask, ask_one
from engine.journal.runs import run_of
from engine.model import Event, Run

_END = 2**62


@dataclass(frozen=True, slots=True)
class Wish:
    """What a list should hold; None = whatever. `since` is a moment, `before` a row number."""

    rule: str | None = None
    key: str | None = None
    state: str | None = None
    type: str | None = None
    since: int = 0
    before: int = _END
    most: int = 100


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with its decision record (None while undecided)."""

    event: Event
    names: Sequence[str]
    decided: int | None
    record: dict[str, Any] | None


def events(wish: Wish) -> Op[list[StoredEvent]]:
    """Events; `key` is a subject's key."""
    found: list[StoredEvent] = []
    for subject in _subjects(wish.key):
        rows = yield from ask(
            "list_events",
            type=wish.type, subject=subject, before=wish.before, since=wish.since, most=wish.most,
        )  # fmt: skip
        found += [_stored(row, None) for row in rows]
    found.sort(key=lambda stored: -stored.event.seq)
    return found[: wish.most]


def event(id: str) -> Op[StoredEvent | None]:
    """One event, whole."""
    row = yield from ask_one("event_by_id", id=id)
    if row is None:
        return None
    return _stored(row, json.loads(row["decision"]) if row["decision"] else None)


def runs(wish: Wish) -> Op[list[Run]]:
    """Runs of all kinds."""
    rows = yield from ask(
        "list_runs",
        rule=wish.rule, key=wish.key, state=wish.state, since=wish.since,
        before=wish.before, most=wish.most,
    )  # fmt: skip
    return [run_of(row) for row in rows]


def followups(wish: Wish) -> Op[list[Run]]:
    """Follow-ups; without a wished state, those that are still to come."""
    rows = yield from ask(
        "list_followups",
        rule=wish.rule, key=wish.key, state=wish.state, since=wish.since,
        before=wish.before, most=wish.most,
    )  # fmt: skip
    return [run_of(row) for row in rows]


def runs_of_event(seq: int) -> Op[list[Run]]:
    """All runs that an event caused."""
    rows = yield from ask("runs_of_event", seq=seq)
    return [run_of(row) for row in rows]


def attempts_of(run: str) -> Op[list[Row]]:
    """All tries of a run's steps, oldest first."""
    rows = yield from ask("attempts_of", of_run=run)
    return [dict(row) for row in rows]


def count_tries(runs: Iterable[str]) -> Op[dict[str, int]]:
    """How many tries there were in each run, of all its steps together."""
    counted: dict[str, int] = {}
    for run in runs:
        row = yield from ask_one("count_tries", of_run=run)
        counted[run] = row["number"] if row else 0
    return counted


def rejected(most: int) -> Op[list[Row]]:
    """Genuine deliveries that were no events."""
    rows = yield from ask("list_rejected", most=most)
    return [dict(row) for row in rows]


def _subjects(key: str | None) -> tuple[str | None, ...]:
    return (None,) if key is None else (f"user:{key}", f"node:{key}")


def _stored(row: Row, record: dict[str, Any] | None) -> StoredEvent:
    names = json.loads(row["names"]) if row["names"] else [row["type"]]
    return StoredEvent(event_of(row), names, row["decided"], record)
