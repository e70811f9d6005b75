"""Journal operations on events: storing, what the decider needs to know, decision records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from engine.journal.operations import Op, Row, ask, ask_one
from engine.model import Decided, Event, Facts

KEPT_REJECTED = 1000


def to_json(value: Any) -> str:
    """Compact JSON, non-ASCII as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def event_of(row: Row) -> Event:
    """The event of a row."""
    return Event(
        id=row["id"],
        seq=row["seq"],
        source=row["source"],
        type=row["type"],
        subject=row["subject"] or None,
        raised=row["raised"],
        stored=row["stored"],
        body=json.loads(row["body"]),
        names=tuple(json.loads(row["names"])) if row["names"] else (),
    )


def store(event: Event, digest: bytes) -> Op[tuple[str, bool]]:
    """Store an event; its id, and whether it is new (else the id is that of the first one)."""
    rows = yield from ask(
        "add_event",
        id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject or "",
        digest=digest,
        raised=event.raised,
        stored=event.stored,
        body=to_json(event.body),
    )
    if rows:
        return event.id, True
    known = yield from ask_one("event_by_digest", source=event.source, digest=digest)
    return (known["id"] if known else event.id), False


def is_known(source: str, digest: bytes) -> Op[bool]:
    """Whether that body was stored before."""
    return bool((yield from ask("event_by_digest", source=source, digest=digest)))


def known_as(source: str, digest: bytes) -> Op[Event | None]:
    """The event that was stored with that body."""
    row = yield from ask_one("event_by_digest", source=source, digest=digest)
    found = (yield from ask_one("event_by_id", id=row["id"])) if row else None
    return event_of(found) if found else None


def reject(source: str, code: str, body: str, now: int) -> Op[None]:
    """Keep a genuine delivery that is no event: the last thousand of them."""
    yield from ask("add_rejected", source=source, stored=now, code=code, body=body)
    yield from ask("prune_rejected", keep=KEPT_REJECTED)


def backlog() -> Op[int]:
    """How many events are not decided yet."""
    row = yield from ask_one("backlog")
    return row["number"] if row else 0


def undecided(most: int) -> Op[list[Facts]]:
    """The next undecided events in the order of arrival, with what is known around them."""
    rows = yield from ask("undecided", most=most)
    facts: list[Facts] = []
    for row in rows:
        facts += [(yield from around(event_of(row)))]
    return facts


def around_each(
    wanted: Op[tuple[Event, ...]], fits: Callable[[Event], bool] = lambda _: True
) -> Op[list[Facts]]:
    """What is known around each of the events that an operation finds, where it fits."""
    facts: list[Facts] = []
    for event in filter(fits, (yield from wanted)):
        facts += [(yield from around(event))]
    return facts


def around(event: Event) -> Op[Facts]:
    """What is known around an event."""
    if event.subject is None:
        return Facts(event, None, None)
    previous = yield from ask_one(
        "previous", subject=event.subject, raised=event.raised, seq=event.seq
    )
    newest = yield from latest(event.subject)
    later: tuple[Event, ...] = ()
    if newest is not None and newest.raised > event.raised:
        later = yield from later_of_subject(event, before=event.seq)
    return Facts(event, event_of(previous) if previous else None, newest, later)


def around_seq(seq: int) -> Op[Facts | None]:
    """What is known around the event of an arrival number."""
    event = yield from by_seq(seq)
    return (yield from around(event)) if event else None


def latest(subject: str | None) -> Op[Event | None]:
    """The newest known state of a subject: the greatest own timestamp, then arrival."""
    if subject is None:
        return None
    row = yield from ask_one("latest", subject=subject)
    return event_of(row) if row else None


def later_of_subject(origin: Event, *, before: int) -> Op[tuple[Event, ...]]:
    """Events of the same subject raised after `origin` that arrived before seq `before`."""
    subject = origin.subject or ""
    rows = yield from ask(
        "same_time_of_subject",
        subject=subject, raised=origin.raised, after=origin.seq, before=before,
    )  # fmt: skip
    more = yield from ask("later_of_subject", subject=subject, raised=origin.raised, before=before)
    return tuple(event_of(row) for row in (*rows, *more))


def later_of_all(origin: Event, *, before: int) -> Op[tuple[Event, ...]]:
    """Events of whatever subject raised after `origin` that arrived before seq `before`."""
    rows = yield from ask("same_time_of_all", raised=origin.raised, after=origin.seq, before=before)
    more = yield from ask("later_of_all", raised=origin.raised, before=before)
    return tuple(event_of(row) for row in (*rows, *more))


def by_seq(seq: int) -> Op[Event | None]:
    """The event of that arrival number."""
    row = yield from ask_one("event_by_seq", seq=seq)
    return event_of(row) if row else None


def first_undecided() -> Op[int | None]:
    """The arrival number of the oldest undecided event."""
    row = yield from ask_one("first_undecided")
    return row["seq"] if row else None


def mark_decided(decisions: Iterable[Decided], now: int) -> Op[None]:
    """Write decision records; an event that is decided already stays as it was."""
    for decision in decisions:
        yield from ask(
            "mark_decided",
            event=decision.seq,
            names=to_json(list(decision.names)),
            now=now,
            decision=to_json(decision.record),
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is being decided: from arrival number `first` on, at most `size`, begun `tries` times."""

    first: int
    size: int
    tries: int


def read_bounds() -> Op[Bounds | None]:
    """The bounds left by the last deciding; `tries` above 0 means that it did not end."""
    row = yield from ask_one("decider")
    return Bounds(row["first"], row["size"], row["tries"]) if row else None


def write_bounds(bounds: Bounds) -> Op[None]:
    """Write down what is about to be decided, or (`tries` 0) that it is done."""
    yield from ask("set_decider", first=bounds.first, size=bounds.size, tries=bounds.tries)
