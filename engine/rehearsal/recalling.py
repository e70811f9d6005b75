"""Recalls what an event was decided by, or would be: the rules, the states around it, the time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine import holding
from engine.deciding.explaining import context_of
from engine.deciding.holding import remembered
from engine.deciding.matching import judge
from engine.deciding.rulebook import Rulebook
from engine.errors import UserError
from engine.journal import events, listing
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.library import Library
from engine.model import Event, Facts, Holding, Run, Verdict
from engine.sources.body import Malformed, parse
from engine.sources.names import names as names_of
from engine.sources.redaction import redact
from engine.sources.subject import raised, subject

_NOT_STORED = 2**62
_BLANK: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Recalled:
    """An event and all that it is judged by.

    Attributes:
        decided: whether it is judged as it was decided, not as it would be.
        error: why it could not be decided, where that is on record.
        notes: what has to be told beside, such as a state that is no longer kept.
        runs: what it caused.
        arrived: the events that awaits of these runs were met by, by arrival number.
        holding: rule id → what earlier matches of the same key left.
    """

    book: Rulebook
    facts: Facts
    names: Sequence[str]
    now: int
    decided: bool = False
    error: str = ""
    notes: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    arrived: Mapping[int, Event] = field(default_factory=dict)
    holding: Mapping[str, Holding] = field(default_factory=dict)


async def recall_stored(
    journal: SqliteJournal, library: Library, stored: listing.StoredEvent, now: int
) -> Recalled:
    """A stored event by its decision record, or by the rules in force where it has none."""
    event, record = stored.event, stored.record
    if event.body == _BLANK:
        raise UserError(f"what event {event.id} said is no longer kept")
    if record is None:
        facts = await journal.list(events.around(event))
        notes = ["it is not decided yet: this is what the rules in force say"]
        found_now = Recalled(library.book, facts, _names(facts), now, notes=tuple(notes))
        return await _with_holding(journal, found_now)
    made = tuple(await journal.list(listing.runs_of_event(event.seq)))
    arrived = await journal.list(_arrived_for(made))
    facts, notes = await journal.list(_recorded_facts(stored))
    found = await library.past(str(record.get("rules", "")))
    book, lost = found or (library.book, 0)
    error = str(record.get("error", ""))
    if found is None and not error:
        notes.append("the rules of that time are no longer kept: this is what those in force say")
    if lost:
        notes.append(f"{lost} rule(s) of that time can't be read any more and are left out")
    return Recalled(
        book, facts, stored.names, int(record.get("now", event.stored)),
        decided=found is not None or bool(error), error=error, notes=tuple(notes), runs=made,
        arrived=arrived, holding=_recorded_holding(record),
    )  # fmt: skip


async def recall_body(journal: SqliteJournal, library: Library, body: bytes, now: int) -> Recalled:
    """A body that was not delivered, with what the journal knows of its subject."""
    event = event_of(body, now, library.book)
    digest = hashlib.sha256(body.rstrip(b"\r\n")).digest()
    known = await journal.list(events.known_as(event.source, digest))
    notes: tuple[str, ...] = ()
    if known is not None:
        event = replace(event, id=known.id, seq=known.seq, stored=known.stored)
        notes = (f"this body was accepted before: rulewave explain {known.id}",)
    facts = _as_of_now(await journal.list(events.around(event)))
    found = Recalled(library.book, facts, _names(facts), now, notes=notes)
    return await _with_holding(journal, found)


def recall_alone(book: Rulebook, body: bytes, now: int, note: str) -> Recalled:
    """A body where there is no journal: nothing is known of its subject."""
    facts = Facts(event_of(body, now, book), None, None)
    return Recalled(book, facts, _names(facts), now, notes=(note,))


def event_of(body: bytes, now: int, book: Rulebook) -> Event:
    """The event that a delivery with this body would be; UserError where it would be none."""
    try:
        parsed = parse(body)
    except Malformed as malformed:
        raise UserError(f"this is no event: {malformed}") from malformed
    moment = raised(parsed)
    return Event(
        id="", seq=_NOT_STORED, source="remnawave", type=str(parsed["event"]),
        subject=subject(parsed), raised=now if moment is None else moment, stored=now,
        body=redact(parsed, book.ruleset.keep_fields),
    )  # fmt: skip


def _names(facts: Facts) -> tuple[str, ...]:
    event, previous = facts.event, facts.previous
    return names_of(event.body, previous.body if previous else None) or (event.type,)


def _as_of_now(facts: Facts) -> Facts:
    """What is not stored may itself be the newest state."""
    event, latest = facts.event, facts.latest
    if latest is None or (latest.raised, latest.seq) < (event.raised, event.seq):
        return replace(facts, latest=event)
    return facts


async def _with_holding(journal: SqliteJournal, found: Recalled) -> Recalled:
    """With what earlier matches left, as the journal has it now."""
    base = context_of(found.book, found.facts, found.now)
    left: dict[str, Holding] = {}
    for rule in found.book.candidates(found.facts.event, found.names):
        outcome = judge(rule, base)
        if rule.holds_back and outcome.verdict is Verdict.MATCHED:
            moment = found.facts.event.stored
            left[rule.id] = await journal.list(holding.read(rule, outcome.key, moment))
    return replace(found, holding=left)


def _recorded_holding(record: Mapping[str, Any]) -> dict[str, Holding]:
    return {
        one["rule"]: remembered(one["holding"])
        for one in record.get("outcomes", ())
        if "holding" in one
    }


def _arrived_for(made: Sequence[Run]) -> Op[dict[int, Event]]:
    found: dict[int, Event] = {}
    for seq in {run.arrived for run in made if run.arrived is not None}:
        event = yield from events.by_seq(seq)
        found |= {seq: event} if event and event.body != _BLANK else {}
    return found


def _recorded_facts(stored: listing.StoredEvent) -> Op[tuple[Facts, list[str]]]:
    """The event with the very states that it was decided with, and which of them are gone."""
    record = stored.record or {}
    notes: list[str] = []
    found: dict[str, Event | None] = {}
    for name in ("previous", "latest"):
        id = record.get(name)
        state = (yield from listing.event(id)) if id else None
        found[name] = state.event if state else None
        if id and (state is None or state.event.body == _BLANK):
            notes.append(f"{name} is no longer kept: what was read from it may look otherwise")
    return Facts(stored.event, found["previous"], found["latest"]), notes
