"""Follow-ups planned after the fact: what is decided already may have cancelled or met them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from engine.clock import Clock
from engine.deciding.batch import Batch
from engine.journal import events
from engine.journal.sqlite import SqliteJournal
from engine.library import Library
from engine.model import Event, Facts, PlannedRun, Watch
from engine.rules.model import Rule
from engine.rules.patterns import matches

_ALL = 2**62


async def unless_settled(
    journal: SqliteJournal,
    library: Library,
    clock: Clock,
    rule: Rule,
    origin: Facts,
    planned: Sequence[PlannedRun],
) -> list[PlannedRun]:
    """The follow-ups as what is decided leaves them; what comes after that finds their watches.

    The caller holds the lock of the decider (`journal.deciding`).
    """
    event = origin.event
    undecided = await journal.read(events.first_undecided())
    of_subject = event.subject is not None and rule.per.text == ""
    later = events.later_of_subject if of_subject else events.later_of_all
    found = later(event, before=_ALL if undecided is None else undecided)
    watches = [watch for one in planned for watch in one.watches]
    known = await journal.read(events.around_each(found, partial(_may_settle, watches)))
    batch = Batch(library.book, clock.now())
    happenings = [batch.happening(facts) for facts in known]
    return [batch.unless_settled(one, rule, origin, happenings) for one in planned]


def _may_settle(watches: Sequence[Watch], event: Event) -> bool:
    """By its names alone: what is known around an event costs several questions."""
    names = event.names or (event.type,)
    return any(matches(watch.pattern, name) for watch in watches for name in names)
