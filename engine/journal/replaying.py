"""Journal operations of a backtest: the stored events of a span, and what was done about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.journal.events import event_of
from engine.journal.operations import Op, Row, ask, ask_one
from engine.model import Event


@dataclass(frozen=True, slots=True)
class Stored:
    """An event with the digest under which it is stored."""

    event: Event
    digest: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was tried: of which run, origin, rule and key, how often, from when, and whether well."""

    run: str
    origin: str
    rule: str
    version: str
    path: str
    tries: int
    started: int
    well: bool
    key: str


def first_since(since: int) -> Op[int | None]:
    """The arrival number of the first event that was stored then or later."""
    row = yield from ask_one("replay_first", since=since)
    return row["seq"] if row else None


def count_from(first: int) -> Op[int]:
    """How many events there are from that arrival number on."""
    row = yield from ask_one("replay_count", first=first)
    return row["number"] if row else 0


def states_before(first: int) -> Op[list[Stored]]:
    """The last known state of each subject before that arrival number."""
    return [_stored(row) for row in (yield from ask("replay_states", first=first))]


def events_from(first: int, most: int) -> Op[list[Stored]]:
    """The next events from that arrival number on, in the order of arrival."""
    return [_stored(row) for row in (yield from ask("replay_events", first=first, most=most))]


def steps_from(first: int) -> Op[list[Step]]:
    """The steps that were tried for events from that arrival number on."""
    rows = yield from ask("replay_steps", first=first)
    return [
        Step(
            row["id"],
            row["origin"],
            row["rule"],
            row["version"],
            row["path"],
            row["number"],
            row["started"],
            bool(row["well"]),
            row["key"],
        )
        for row in rows
    ]


def results_from(first: int) -> Op[dict[str, Mapping[str, Any]]]:
    """Run id → the results of its steps by their ids."""
    rows = yield from ask("replay_results", first=first)
    return {row["id"]: json.loads(row["results"]) for row in rows}


def keep(stored: Stored) -> Op[None]:
    """Take an event over as decided: it is only what is known of its subject."""
    event = stored.event
    yield from ask(
        "keep_event",
        id=event.id, source=event.source, type=event.type, subject=event.subject or "",
        digest=stored.digest, raised=event.raised, stored=event.stored,
        body=json.dumps(event.body, ensure_ascii=False, separators=(",", ":")),
        names=json.dumps(list(event.names or (event.type,))), decided=event.stored,
    )  # fmt: skip


def _stored(row: Row) -> Stored:
    return Stored(event_of(row), bytes(row["digest"]))
