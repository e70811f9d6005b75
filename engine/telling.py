"""Journal operations that store the daemon's own events, within the commit that they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.deciding.own import SOURCE, Own, dead_letter
from engine.journal import events
from engine.journal.operations import Op
from engine.model import Run, State
from engine.rules.model import Rule


def tell(raised: Iterable[Own]) -> Op[int]:
    """Store events; how many were new."""
    stored = 0
    for event, digest in raised:
        _, new = yield from events.store(event, digest)
        stored += new
    return stored


def tell_dead(runs: Iterable[Run], rule_of: Callable[[Run], Rule | None], now: int) -> Op[int]:
    """Raise the event of each of these runs that is a dead letter; how many were stored.

    None about what the daemon raised itself: a rule that fails to tell would tell that for ever.
    """
    stored = 0
    for run in runs:
        if run.state is not State.DEAD:
            continue
        origin = yield from events.by_seq(run.origin_seq)
        if origin is not None and origin.source == SOURCE:
            continue
        facts = (yield from events.around(origin)) if origin else None
        stored += yield from tell([dead_letter(run, rule_of(run), facts, now)])
    return stored
