"""Writes how a step ended together with what comes next: one commit, or nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.deciding.planning import handed_over
from engine.deciding.rulebook import tells_of_failure
from engine.journal import runs
from engine.journal.operations import Op
from engine.model import OPEN_STATES, DueRun, PlannedRun, Reason, Run, State
from engine.queue.jobs import Enqueue
from engine.rules.model import Rule
from engine.running.retries import end
from engine.telling import tell_dead


@dataclass(frozen=True, slots=True)
class Ended:
    """How a step ended: a try (number from 1), or without one (number 0: skipped, not ready)."""

    path: str
    number: int
    outcome: str
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A run's step forward: from `before` to `after`, with the follow-ups that it makes."""

    before: Run
    after: Run
    ended: Ended | None = None
    children: Sequence[PlannedRun] = ()


def record(change: Change, enqueue: Enqueue, now: int) -> Op[list[Run]]:
    """Write a change; the runs as they stand then, [] where `before` no longer held."""
    known = yield from runs.by_id(change.before.id)
    after = cancelled_meanwhile(change, known, now)
    after = handed_over(after, now)
    if change.ended is not None:
        yield from _end_step(change.before.id, change.ended, now)
    if not (yield from runs.save(change.before, after)):
        return []
    children = _wanted(change.children, after, known)
    fresh = yield from runs.add(
        replace(child, run=handed_over(_of_same_name(child.run, known), now)) for child in children
    )
    due = [run for run in (after, *fresh) if run.state is State.QUEUED]
    yield from enqueue(DueRun(r.id, r.lane, r.priority, r.cursor, r.attempt) for r in due)
    return [after, *fresh]


def record_and_tell(
    change: Change, rule: Rule | None, enqueue: Enqueue, now: int
) -> Op[tuple[list[Run], int]]:
    """Write a change, and the event of a dead letter; the runs, and how many events there were."""
    stand = yield from record(change, enqueue, now)
    return stand, (yield from tell_dead(stand, lambda _: rule, now))


def hand_over(enqueue: Enqueue, now: int, most: int) -> Op[int]:
    """Queue runs that are due, at most so many; how many there were."""
    due = yield from runs.take_due(now, most)
    yield from enqueue(due)
    return len(due)


def _wanted(children: Sequence[PlannedRun], after: Run, known: Run | None) -> Sequence[PlannedRun]:
    """What was called off in its last try makes no follow-ups, however that ended."""
    by = known.cancelled_by if known else None
    anew = known is not None and known.reason == Reason.STARTED_ANEW
    # A follow-up that an event cancels after it began goes on.
    called_off = by is not None and (by == runs.PERSON or anew or not after.path)
    if after.state is not State.CANCELLED and not called_off:
        return children
    return [child for child in children if tells_of_failure(child.run.path)]


def _of_same_name(child: Run, parent: Run | None) -> Run:
    """Its rule may have been renamed since the run was taken in hand."""
    return replace(child, rule=parent.rule, named=parent.named) if parent else child


def _end_step(run: str, ended: Ended, now: int) -> Op[None]:
    if ended.number == 0:
        yield from runs.note_untried(
            run, ended.path,
            now=now, outcome=ended.outcome, reason=ended.reason, message=ended.message,
        )  # fmt: skip
        return
    yield from runs.end_attempt(
        run, ended.path, ended.number,
        now=now, outcome=ended.outcome, reason=ended.reason, message=ended.message,
    )  # fmt: skip


def cancelled_meanwhile(change: Change, known: Run | None, now: int) -> Run:
    """A try under way can't be called back, but what would come after it can."""
    after = change.after
    by = known.cancelled_by if known else None
    # What ended by itself stays as it ended: a dead letter must not pass for a cancel.
    if by is None or after.state not in OPEN_STATES:
        return after
    if by == runs.PERSON:
        message = "cancelled by a person"
        return end(after, State.CANCELLED, Reason.CANCELLED_BY_PERSON, message, now)
    if known is not None and known.reason == Reason.STARTED_ANEW:
        message = f"started anew by event {by} (concurrency: restart)"
        return end(after, State.CANCELLED, Reason.STARTED_ANEW, message, now)
    # A follow-up that began goes on; what cancels a rule's own run does so between its steps too.
    if after.cursor == change.before.cursor or not after.path:
        message = f"cancelled by event {by}"
        return end(after, State.CANCELLED, Reason.CANCELLED_BY_EVENT, message, now)
    return after
