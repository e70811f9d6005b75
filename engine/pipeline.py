"""The road of an event: accept() verifies and stores it, decide() matches, plans and records."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from engine import holding
from engine.clock import Clock
from engine.deciding.batch import Batch, undecidable
from engine.deciding.decisions import Cancel, Decision, Meet, Prepared, Waiting, Wish
from engine.deciding.matching import Outcome
from engine.deciding.planning import handed_over, identifier
from engine.errors import JournalUnavailable
from engine.journal import events, runs
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.library import Library
from engine.model import Answer, Delivery, DueRun, Event, Facts, PlannedRun, Run, State
from engine.queue.jobs import Enqueue
from engine.sources.body import Malformed, parse
from engine.sources.own import refuse_own
from engine.sources.redaction import (
    fit_traceback,
    mask_texts,
    private_values,
    redact,
    redact_text,
)
from engine.sources.signature import Refused, verify
from engine.sources.subject import raised, subject
from engine.telling import tell, tell_dead

BATCH = 256
POISON_TRIES = 3
_SLICE = 0.002
log = structlog.get_logger("rulewave.pipeline")


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """What the intake goes by: signing secrets, and limits (µs, events)."""

    secrets: Sequence[str]
    max_age: int | None
    max_backlog: int


@dataclass(slots=True)
class Pipeline:
    """Both stations, on one journal.

    Attributes:
        stored: the doorbell: set when an event was stored.
        on_planned: told which runs a decision made or cancelled, after that is committed.
        on_judged: told what the rules said to an event, likewise.
    """

    journal: SqliteJournal
    library: Library
    clock: Clock
    intake: IntakeSettings
    enqueue: Enqueue
    on_planned: Callable[[Sequence[Run]], None] = lambda _: None
    on_judged: Callable[[Sequence[Outcome]], None] = lambda _: None
    stored: asyncio.Event = field(default_factory=asyncio.Event)
    backlog: int = 0
    _limit: int = BATCH
    _suspect: events.Bounds | None = None

    async def start(self) -> None:
        """Learn what an earlier life left: the backlog, and whether it died deciding."""
        self.backlog = await self.journal.read(events.backlog())
        left = await self.journal.read(events.read_bounds())
        if left is not None and left.tries > 0:
            self._suspect = left
            self._limit = max(1, left.size // 2)
        self.stored.set()

    # ------------------------------------------------------------ accept: verify, store, answer

    async def accept(self, delivery: Delivery) -> Answer:
        """Answer a delivery; a 2xx means that its event is committed to disk."""
        try:
            verify(delivery.headers, delivery.body, self.intake.secrets)
            body = parse(delivery.body)
            refuse_own(body)
        except Refused as refused:
            return Answer(refused.status, refused.code, str(refused))
        except Malformed as malformed:
            return await self._reject(delivery, malformed)
        event = self._event(delivery, redact(body, self.library.book.ruleset.keep_fields))
        try:
            return await self._take(event, hashlib.sha256(delivery.body).digest())
        except JournalUnavailable as error:
            log.error("intake.not_stored", error=str(error))
            return Answer(503, "not_stored", "the event could not be stored")

    async def _take(self, event: Event, digest: bytes) -> Answer:
        """Store the event, unless it is too old or one too many; a known one is neither."""
        refusal = self._refusal(event)
        if refusal and not await self.journal.read(events.is_known(event.source, digest)):
            return refusal
        id, new = await self.journal.write(events.store(event, digest))
        if not new:
            return Answer(200, "duplicate", event_id=id)
        self.backlog += 1
        self.stored.set()
        return Answer(202, "accepted", event_id=id)

    async def raise_own(self, event: Event, digest: bytes) -> bool:
        """Store an event of the daemon's own (a clock's tick); False where it was known."""
        _, new = await self.journal.write(events.store(event, digest))
        self.heard(int(new))
        return new

    def heard(self, stored: int) -> None:
        """So many events of the daemon's own were stored, within commits of other things."""
        self.backlog += stored
        if stored:
            self.stored.set()

    async def _reject(self, delivery: Delivery, malformed: Malformed) -> Answer:
        text = redact_text(delivery.body.decode("utf-8", "replace"))
        keep = events.reject(delivery.source, malformed.code, text, self.clock.now())
        try:
            await self.journal.write(keep)
        except JournalUnavailable as error:
            log.error("intake.not_stored", error=str(error))
            return Answer(503, "not_stored", "the delivery could not be stored")
        return Answer(400, malformed.code, str(malformed))

    def _event(self, delivery: Delivery, body: dict[str, object]) -> Event:
        now = self.clock.now()
        moment = raised(body)
        return Event(
            id=identifier("ev", delivery.source, hashlib.sha256(delivery.body).hexdigest()),
            seq=0,
            source=delivery.source,
            type=str(body["event"]),
            subject=subject(body),
            raised=now if moment is None else moment,
            stored=now,
            body=body,
        )

    def _refusal(self, event: Event) -> Answer | None:
        limit = self.intake.max_age
        if limit is not None and event.raised < event.stored - limit:
            return Answer(400, "too_old", "the event was raised too long ago")
        if self.backlog >= self.intake.max_backlog:
            return Answer(503, "backlog_full", "too many events wait to be decided")
        return None

    # ------------------------------------------------- decide: match, hold back, plan, record

    async def decide(self) -> int:
        """Decide the next events in the order of arrival; how many there were."""
        async with self.journal.deciding:
            facts = await self.journal.read(events.undecided(self._limit))
            if not facts:
                return 0
            bounds = self._bounds(facts)
            await self.journal.write(events.write_bounds(bounds))
            batch = Batch(self.library.book, self.clock.now())
            if bounds.tries > POISON_TRIES:
                message = f"deciding it ended the process {POISON_TRIES} times"
                decisions = [undecidable(facts[0].event, message, batch.now)]
            else:
                decisions = await self._decide(batch, facts)
            made, told = await self.journal.write(self._commit(batch, decisions, bounds))
        self._settle(len(facts), made, told)
        for decision in decisions:
            self.on_judged(decision.outcomes)
        return len(facts)

    async def _decide(self, batch: Batch, facts: Sequence[Facts]) -> list[Decision]:
        kinds = await self.library.watch_kinds()
        pace = _Pace()
        decided: dict[int, Decision] = {}
        prepared: list[Prepared] = []
        for item in facts:
            try:
                prepared.append(await self._with_later(batch.prepare(item, kinds)))
            except JournalUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - ours; one event must not stop the others
                decided[item.event.seq] = _undecidable(batch, item, error)
            await pace.rest()
        waiting = await self._find_waiting(batch, prepared)
        for ready in prepared:
            await self._recall(batch, ready)
            seq = ready.facts.event.seq
            decided[seq] = _guarded(batch, ready, waiting.get(seq, ()))
            await pace.rest()
        return [decided[item.event.seq] for item in facts]

    async def _with_later(self, prepared: Prepared) -> Prepared:
        """Events that overtook this one may cancel what it plans."""
        if not prepared.wants_later:
            return prepared
        event = prepared.facts.event
        later = events.later_of_all if prepared.wants_all_later else events.later_of_subject
        found = await self.journal.read(events.around_each(later(event, before=event.seq)))
        return replace(prepared, later=tuple(found))

    async def _recall(self, batch: Batch, prepared: Prepared) -> None:
        """What earlier matches left behind; those of this batch leave theirs in the batch."""
        for rule, key in batch.unknown(prepared):
            moment = prepared.facts.event.stored
            left = await self.journal.read(holding.read(rule, key, moment))
            batch.holding[rule.id, key] = left

    async def _find_waiting(
        self, batch: Batch, prepared: Sequence[Prepared]
    ) -> dict[int, list[Waiting]]:
        wishes = {item.facts.event.seq: item.wishes for item in prepared if item.wishes}
        if not wishes:
            return {}
        found = await self.journal.read(_watchers_of(wishes))
        for waiting in found.values():
            for item in waiting:
                await self.library.version(item.watcher.version, batch.book)
        return found

    def _bounds(self, facts: Sequence[Facts]) -> events.Bounds:
        first, size = facts[0].event.seq, len(facts)
        suspect = self._suspect
        again = suspect is not None and (suspect.first, suspect.size, size) == (first, 1, 1)
        return events.Bounds(first, size, suspect.tries + 1 if again and suspect else 1)

    def _commit(
        self, batch: Batch, decisions: Sequence[Decision], bounds: events.Bounds
    ) -> Op[tuple[list[Run], int]]:
        """The runs that were made or cancelled, and how many own events were stored."""
        made: list[Run] = []
        told = 0
        for decision in decisions:
            made += yield from runs.add(_planned(batch, decision))
            for left in decision.left:
                made += yield from holding.write(left)
            for cancel in decision.cancels:
                made += yield from _cancel(cancel, batch.now)
            told += yield from tell(decision.raised)
            for meet in decision.meets:
                made += yield from _meet(meet)
        told += yield from tell_dead(
            made, lambda run: batch.book.by_version.get(run.version), batch.now
        )
        yield from self.enqueue(
            DueRun(run.id, run.lane, run.priority, run.cursor, run.attempt)
            for run in made
            if run.state is State.QUEUED
        )
        yield from events.mark_decided((d.decided for d in decisions), batch.now)
        yield from events.write_bounds(replace(bounds, tries=0))
        return made, told

    def _settle(self, decided: int, made: Sequence[Run], told: int) -> None:
        self.backlog = max(0, self.backlog - decided)
        self.heard(told)
        self._suspect = None
        self._limit = min(BATCH, self._limit * 2)
        self.on_planned(made)


def _cancel(cancel: Cancel, now: int) -> Op[list[Run]]:
    """The run as it ended; [] where it could not be cancelled any more."""
    done = yield from runs.cancel(
        cancel.run, by=cancel.by, reason=cancel.reason.value, message=cancel.message, now=now
    )
    ended = (yield from runs.by_id(cancel.run)) if done else None
    return [ended] if ended else []


def _meet(meet: Meet) -> Op[list[Run]]:
    """The run as it goes on; [] where it could not be met any more."""
    done = yield from runs.meet(
        meet.run, by=meet.arrived, moment=meet.moment, lane=meet.lane, message=meet.message
    )
    going = (yield from runs.by_id(meet.run)) if done else None
    return [going] if going else []


class _Pace:
    """Lets the intake have the loop in between: both share it."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def rest(self) -> None:
        if time.perf_counter() - self._began > _SLICE:
            await asyncio.sleep(0)
            self._began = time.perf_counter()


def _guarded(batch: Batch, prepared: Prepared, waiting: Sequence[Waiting]) -> Decision:
    try:
        return batch.decide(prepared, waiting)
    except Exception as error:  # noqa: BLE001 - ours; one event must not stop the others
        return _undecidable(batch, prepared.facts, error)


def _undecidable(batch: Batch, facts: Facts, error: Exception) -> Decision:
    event, bodies = facts.event, facts.bodies
    log.error("event.could_not_decide", event_id=event.id, exception=fit_traceback(error, bodies))
    message = mask_texts(f"{type(error).__name__}: {error}", private_values(bodies))
    return undecidable(event, message, batch.now)


def _planned(batch: Batch, decision: Decision) -> list[PlannedRun]:
    """What the event makes, as the events after it in the batch left it."""
    planned = [batch.planned.get(plan.run.id, plan) for plan in decision.plans]
    return [replace(one, run=handed_over(one.run, batch.now)) for one in planned]


def _watchers_of(wishes: Mapping[int, Sequence[Wish]]) -> Op[dict[int, list[Waiting]]]:
    found: dict[int, list[Waiting]] = {}
    for seq, wanted in wishes.items():
        for pattern, per, key in wanted:
            for watcher in (yield from runs.watchers(pattern, per, key)):
                event = yield from events.by_seq(watcher.origin_seq)
                origin = (yield from events.around(event)) if event else None
                found.setdefault(seq, []).append(Waiting(watcher, origin))
    return found
