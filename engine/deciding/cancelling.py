"""Which event cancels which follow-up: by name, key, own timestamps, and a condition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.deciding.context import Context, key_of
from engine.errors import CouldNotEvaluate
from engine.model import Event, Verdict, Watch
from engine.rules.model import CancelOn, Per
from engine.rules.patterns import matches


@dataclass(frozen=True, slots=True)
class Happening:
    """An event as a canceller: all its names, and its context (built only when asked)."""

    event: Event
    names: Sequence[str]
    context: Callable[[], Context]


def after_origin(event: Event, *, raised: int, seq: int) -> bool:
    """The window opens with the origin: by own timestamps, arrival breaks ties."""
    return (event.raised, event.seq) > (raised, seq)


def holds(cancel: CancelOn, happening: Happening, origin: Callable[[], Context]) -> bool:
    """Whether a name that fits also meets the condition; an error there is no cancel."""
    if cancel.when is None:
        return True
    context = {**happening.context(), "origin": origin()}
    return cancel.when.judge(context).verdict is Verdict.MATCHED


def canceller(
    watches: Sequence[Watch],
    cancels: Sequence[CancelOn],
    per: Per,
    later: Sequence[Happening],
    origin: Callable[[], Context],
) -> tuple[Event, str] | None:
    """The first of `later` that cancels already, and the pattern that it fits."""
    for happening in later:
        for watch in watches:
            if (
                any(matches(watch.pattern, name) for name in happening.names)
                and _same_key(per, happening, watch.key)
                and holds(cancels[watch.position], happening, origin)
            ):
                return happening.event, watch.pattern
    return None


def _same_key(per: Per, happening: Happening, key: str) -> bool:
    try:
        return key_of(per, happening.context()) == key
    except CouldNotEvaluate:
        return False
