"""Which event cancels a waiting follow-up or meets its await: by name, key, own timestamps, condition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.deciding.context import Context, key_of
from engine.deciding.walking import lane_of
from engine.errors import CouldNotEvaluate
from engine.model import Event, PlannedRun, Reason, Run, State, Verdict
from engine.rules.model import AfterStep, CancelOn, Per, Rule
from engine.rules.patterns import matches


@dataclass(frozen=True, slots=True)
class Happening:
    """An event that follow-ups may wait for: all its names, and its context (built when asked)."""

    event: Event
    names: Sequence[str]
    context: Callable[[], Context]


def after_origin(event: Event, *, raised: int, seq: int) -> bool:
    """The window opens with the origin: by own timestamps, arrival breaks ties."""
    return (event.raised, event.seq) > (raised, seq)


def holds(wanted: CancelOn, happening: Happening, origin: Callable[[], Context]) -> bool:
    """Whether a name that fits also meets the condition; an error there is no cancel."""
    if wanted.when is None:
        return True
    context = {**happening.context(), "origin": origin()}
    return wanted.when.judge(context).verdict is Verdict.MATCHED


def in_time(step: AfterStep | Rule, position: int, event: Event, due: int) -> bool:
    """An awaited event counts where it was stored within the span; a cancelling one always."""
    return not step.meets(position) or event.stored <= due


def settled(
    planned: PlannedRun,
    step: AfterStep | Rule,
    per: Per,
    later: Sequence[Happening],
    origin: Callable[[], Context],
    now: int,
) -> PlannedRun:
    """The follow-up as the first of `later` leaves it that cancels or meets it; or as it was."""
    for happening in later:
        for watch in planned.watches:
            if (
                any(matches(watch.pattern, name) for name in happening.names)
                and in_time(step, watch.position, happening.event, planned.run.due)
                and _same_key(per, happening, watch.key)
                and holds(step.watched_for[watch.position], happening, origin)
            ):
                event, pattern = happening.event, watch.pattern
                if step.meets(watch.position):
                    return PlannedRun(_met(planned.run, step, event, pattern))
                return PlannedRun(_cancelled(planned.run, event, pattern, now))
    return planned


def cancelled_message(event: Event, pattern: str) -> str:
    """Why a follow-up was cancelled, in one line."""
    return f"cancelled by {_named(event, pattern)}"


def anew_message(event: Event) -> str:
    """Why a run gave way to a new one, in one line."""
    return f"started anew by {_named(event, event.type)} (concurrency: restart)"


def given_way(run: Run, event: Event, now: int) -> Run:
    """A run that gave way to a new one before it began."""
    ended = _cancelled(run, event, event.type, now)
    return replace(ended, reason=Reason.STARTED_ANEW.value, message=anew_message(event))


def met_message(event: Event, pattern: str) -> str:
    """What came that a follow-up waited for, in one line."""
    return f"met by {_named(event, pattern)}"


def _named(event: Event, pattern: str) -> str:
    name = event.type if event.type == pattern else f"{event.type} ({pattern})"
    return f"{name}, event {event.id}"


def _cancelled(run: Run, by: Event, pattern: str, now: int) -> Run:
    """A run that an event cancelled before it began."""
    return replace(
        run,
        state=State.CANCELLED,
        ended=now,
        watched=False,
        reason=Reason.CANCELLED_BY_EVENT.value,
        message=cancelled_message(by, pattern),
        cancelled_by=by.id,
    )


def _met(run: Run, step: AfterStep | Rule, by: Event, pattern: str) -> Run:
    """A run whose await is met: it goes on with its `do`, at once."""
    return replace(
        run,
        met=True,
        arrived=by.seq,
        due=max(by.stored, run.created),
        lane=lane_of(step.do, 0),
        watched=False,
        message=met_message(by, pattern),
    )


def _same_key(per: Per, happening: Happening, key: str) -> bool:
    try:
        return key_of(per, happening.context()) == key
    except CouldNotEvaluate:
        return False
