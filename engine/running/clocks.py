"""Clock rules: their ticks are events of their own, raised once however many machines count."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from engine.calendar import last_cron, next_cron, next_every
from engine.clock import Clock, to_iso
from engine.deciding.planning import identifier
from engine.deciding.rulebook import CLOCK_SOURCE
from engine.journal import rules as kept
from engine.journal.sqlite import SqliteJournal
from engine.library import Library
from engine.model import Event
from engine.rules.model import ClockOn, Rule
from engine.running.alarm import Alarm
from engine.sources.own import CLOCK_EVENT

log = structlog.get_logger("rulewave.running")


@dataclass(slots=True)
class Clocks:
    """Raises the ticks of all clock rules; several missed ones make one."""

    journal: SqliteJournal
    library: Library
    alarm: Alarm
    clock: Clock
    raise_own: Callable[[Event, bytes], Awaitable[bool]]

    async def tick(self, wanted: Callable[[str], bool] = lambda _: True) -> None:
        """Raise what is due of the rules that are `wanted`, and set the alarm for the next."""
        now = self.clock.now()
        last = await self.journal.read(kept.clocks())
        upcoming = []
        for rule in self.library.book.ruleset.rules:
            if not rule.clocks or not wanted(rule.id):
                continue
            if rule.mode == "off":
                # What a rule that is off lets pass is not made up for.
                await self.journal.write(kept.set_clock(rule.id, now))
                continue
            if rule.id not in last:
                await self.journal.write(kept.set_clock(rule.id, now))
            else:
                await self._make_up(rule, last[rule.id], now)
            upcoming += [tick for on in rule.clocks if (tick := next_tick(on, now)) is not None]
        if upcoming:
            self.alarm.at("clock", min(upcoming), self.tick)

    async def _make_up(self, rule: Rule, last: int, now: int) -> None:
        """Raise the newest tick since the last one; what comes too late passes for raised."""
        newest, wanted = due_tick(rule, last, now), due_tick(rule, last, now, wanted=True)
        if newest is None:
            return
        # In this order: a crash in between raises it again, and the digest makes that one.
        if wanted is not None:
            await self._raise(rule, wanted)
        else:
            log.info("clock.too_late", rule=rule.id, scheduled=to_iso(newest))
        await self.journal.write(kept.set_clock(rule.id, newest))

    async def _raise(self, rule: Rule, scheduled: int) -> None:
        event = clock_event(rule.id, scheduled, self.clock.now())
        digest = hashlib.sha256(f"{rule.id}\0{scheduled}".encode()).digest()
        await self.raise_own(event, digest)


def clock_event(rule: str, scheduled: int, now: int) -> Event:
    """The event of one tick."""
    moment = to_iso(scheduled)
    body = {
        "event": CLOCK_EVENT,
        "timestamp": moment,
        "data": {"rule": rule, "scheduled": moment},
    }
    return Event(
        id=identifier("ev", CLOCK_SOURCE, rule, scheduled), seq=0, source=CLOCK_SOURCE,
        type=CLOCK_EVENT, subject=None, raised=scheduled, stored=now, body=body,
    )  # fmt: skip


def next_tick(on: ClockOn, after: int) -> int | None:
    """The clock's first tick later than `after`."""
    if on.cron is not None:
        return next_cron(on.cron, on.timezone, after)
    return next_every(on.every, after) if on.every else None


def due_tick(rule: Rule, last: int, now: int, *, wanted: bool = False) -> int | None:
    """The newest tick in (last, now] of any of the rule's clocks: missed ones make one run.

    With `wanted`, of those that are not too late.
    """
    ticks = [(on, _newest(on, last, now)) for on in rule.clocks]
    return max(
        (
            tick
            for on, tick in ticks
            if tick is not None and (not wanted or on.if_late.allows(now - tick))
        ),
        default=None,
    )


def _newest(on: ClockOn, last: int, now: int) -> int | None:
    if on.cron is not None:
        return last_cron(on.cron, on.timezone, after=last, until=now)
    if not on.every:
        return None
    tick = now // on.every * on.every
    return tick if tick > last else None
