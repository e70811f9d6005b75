"""Which runs an event makes, where a run goes on, and the ids that make both repeatable."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.clock import SECOND, from_iso
from engine.deciding.context import Context
from engine.deciding.holding import Ruling
from engine.deciding.rulebook import about, tells_of_failure
from engine.deciding.walking import ON_FAILURE, Placed, decided, is_wanted, lane_of, steps_at
from engine.errors import CouldNotEvaluate
from engine.model import NEVER, Event, PlannedRun, Reason, Run, State, Watch
from engine.rules.model import (
    ActionStep,
    AfterStep,
    ChooseStep,
    ForEachStep,
    Per,
    Rule,
    Step,
    StopStep,
)
from engine.rules.wording import shortened
from engine.sources.redaction import mask_texts, private_values

_KIND = {AfterStep: "after.until", ChooseStep: "choose", ForEachStep: "for_each", StopStep: "stop"}


@dataclass(frozen=True, slots=True)
class Advance:
    """A run moved on to its next action or its end, and the follow-ups met on the way."""

    run: Run
    children: tuple[PlannedRun, ...] = ()


def identifier(prefix: str, *parts: object) -> str:
    """A short id made of what it stands for: the same thing has the same id, always."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return f"{prefix}_{base64.b32encode(digest)[:20].decode().lower()}"


def idempotency_key(run: Run, step: Step) -> str:
    """Constant over all tries of a step, whatever crashes between them."""
    parts = [run.origin, run.named or run.rule, step.path + about(run.path), str(run.generation)]
    if run.salt:  # a person wished a replay with new keys
        parts.append(run.salt)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def first_run(rule: Rule, event: Event) -> str:
    """The id of the run that a match of the rule makes."""
    return identifier("run", event.id, rule.id, "", 0)


def story_of(run: Run) -> str:
    """The id of the run that its story began with: its own, where it is no follow-up."""
    return identifier("run", run.origin, run.named or run.rule, "", run.generation)


def plan(rule: Rule, event: Event, context: Context, key: str, ruling: Ruling) -> Advance:
    """The run that a match makes, with the follow-ups that stand before any action.

    What is gathered, or waits for another run, has not reached its first step yet; what is held
    because it is quiet has, unless an action is the first.
    """
    run = Run(
        id=first_run(rule, event),
        origin=event.id,
        origin_seq=event.seq,
        origin_raised=event.raised,
        rule=rule.id,
        version=rule.version,
        path="",
        generation=0,
        key=key,
        state=State.PENDING,
        due=event.stored,
        created=event.stored,
        lane=lane_of(rule.do, 0),
        priority=rule.priority,
        watched=bool(rule.cancel_on),
        expires=_expires(rule, event.stored),
    )
    if ruling.reason in {Reason.DIGEST, Reason.CONCURRENCY}:
        waiting = _waiting(run, ruling, gathers=ruling.reason == Reason.DIGEST)
        if ruling.reason == Reason.DIGEST:
            waiting = replace(waiting, expires=_expires(rule, ruling.due))
        return Advance(waiting)
    made = advance(run, rule, context, now=event.stored)
    if ruling.reason is None or made.run.state is not State.PENDING:
        return made
    return replace(made, run=_waiting(made.run, ruling, gathers=False))


def _waiting(run: Run, ruling: Ruling, *, gathers: bool) -> Run:
    """A run held back. A digest waits for all events stored before it is due to be decided."""
    message = ruling.held.message if ruling.held else None
    if gathers:
        message = "gathers matches until it is due"
    return replace(
        run, due=ruling.due, delayed=True, reason=ruling.reason, message=message,
        watched=run.watched or gathers,
    )  # fmt: skip


def _expires(rule: Rule, due: int) -> int | None:
    """Until when a run due at a moment has to have begun."""
    return due + rule.ttl if rule.ttl is not None else None


def watches_of(run: Run, rule: Rule) -> tuple[Watch, ...]:
    """What cancels a rule's own run."""
    return _watches(rule, rule.per, run.key) if run.watched else ()


def advance(run: Run, rule: Rule, context: Context, *, now: int) -> Advance:
    """Walk from the cursor over follow-ups and control steps to the next action, or to the end."""
    children: list[PlannedRun] = []
    steps = steps_at(rule, run)
    while run.cursor < len(steps):
        placed = steps[run.cursor]
        step, seen = placed.step, {**context, **placed.bound}
        if isinstance(step, ActionStep):
            break
        try:
            if isinstance(step, AfterStep):
                planned = plan_followup(run, rule.per, step, seen, reached=now)
                children.append(_complete(planned, rule, placed))
            elif isinstance(step, StopStep) and is_wanted(step.when, seen):
                said = mask_texts(step.reason.render(seen), private_values(context))
                return Advance(_stopped(run, said, now), tuple(children))
            elif not isinstance(step, StopStep):
                run = decided(step, run, seen)
                steps = steps_at(rule, run)
        except CouldNotEvaluate as error:
            said = mask_texts(f"{_KIND[type(step)]}: {error}", private_values(context))
            return Advance(_dead(run, run.cursor, said, now), tuple(children))
        run = replace(run, cursor=run.cursor + 1)
    return Advance(_moved(run, steps, now), tuple(children))


def _complete(planned: PlannedRun, rule: Rule, placed: Placed) -> PlannedRun:
    """A follow-up with the items of the loops around it, and until when it has to begin."""
    run = planned.run
    child = replace(run, expires=_expires(rule, run.due), bound=dict(placed.bound))
    return replace(planned, run=child)


def _stopped(run: Run, reason: str, now: int) -> Run:
    """A run that a `stop` put an end to."""
    message = shortened(reason)
    return replace(
        run, state=State.SUCCEEDED, reason=Reason.STOPPED.value, message=message, ended=now,
        watched=False,
    )  # fmt: skip


def handed_over(run: Run, now: int) -> Run:
    """What is due already goes straight into the queue, unless an event may yet cancel it."""
    if run.state is not State.PENDING or run.due > now or run.watched:
        return run
    return replace(run, state=State.QUEUED, late=0 if run.met else now - run.due)


def plan_followup(
    run: Run, per: Per, step: AfterStep, context: Context, *, reached: int
) -> PlannedRun:
    """The follow-up that a run makes on reaching an `after`; a past time is due at once.

    One that waits for an event is due when its `else` is.
    """
    path = step.path + about(run.path)
    child = replace(
        _child(run, path, lane=_lane(step), now=reached),
        due=_due(step, context, reached),
        delayed=True,
        watched=bool(step.watched_for),
        failure=run.failure,
    )
    return PlannedRun(child, _watches(step, per, run.key))


def plan_anew(run: Run, rule: Rule, step: AfterStep, context: Context) -> PlannedRun:
    """A follow-up that has not begun, by a newer version of its step: due and settled by that.

    A time that can't be worked out any more leaves it due when it was. One whose await is met
    waits for nothing more.
    """
    if run.met:
        going = replace(run, version=rule.version, lane=lane_of(step.do, 0))
        return PlannedRun(replace(going, expires=_expires(rule, run.due)))
    try:
        due = _due(step, context, run.created)
    except CouldNotEvaluate:
        due = run.due
    moved = replace(
        run, version=rule.version, due=due, lane=_lane(step), watched=bool(step.watched_for),
        expires=_expires(rule, due),
    )  # fmt: skip
    return PlannedRun(moved, _watches(step, rule.per, run.key))


def _lane(step: AfterStep) -> str:
    """Where a follow-up waits that is due by the clock."""
    return lane_of(step.otherwise if step.awaits else step.do, 0)


def _watches(step: AfterStep | Rule, per: Per, key: str) -> tuple[Watch, ...]:
    return tuple(
        Watch(pattern=wanted.pattern, per=per.text, key=key, position=position)
        for position, wanted in enumerate(step.watched_for)
    )


def plan_on_failure(dead: Run, rule: Rule | None, now: int) -> tuple[PlannedRun, ...]:
    """The run that tells of a dead letter; none where the rule has no such steps, or it is one."""
    if rule is None or not rule.on_failure or tells_of_failure(dead.path):
        return ()
    path = f"{ON_FAILURE}:{dead.path}" if dead.path else ON_FAILURE
    child = _child(dead, path, lane=lane_of(rule.on_failure, 0), now=now)
    return (PlannedRun(replace(child, failure=_failure_of(dead, rule))),)


def _child(parent: Run, path: str, *, lane: str, now: int) -> Run:
    """A run of the same story, due now, that knows the results so far."""
    return Run(
        id=identifier("run", parent.origin, parent.named or parent.rule, path, parent.generation),
        origin=parent.origin,
        origin_seq=parent.origin_seq,
        origin_raised=parent.origin_raised,
        rule=parent.rule,
        version=parent.version,
        path=path,
        generation=parent.generation,
        key=parent.key,
        state=State.PENDING,
        due=now,
        created=now,
        lane=lane,
        priority=parent.priority,
        results=parent.results,
        parent=parent.id,
        named=parent.named,
        arrived=parent.arrived,
        bound=parent.bound,
    )


def _failure_of(dead: Run, rule: Rule) -> dict[str, str]:
    """What `error` is in `on_failure`: the step's id, or its place, and how it ended."""
    name = step_name(failed_step(dead, rule)) or dead.path
    return {"step": name, "message": dead.message or "", "reason": dead.reason or ""}


def failed_step(dead: Run, rule: Rule | None) -> Step | None:
    """The step at which a run died; None where it was none, or nobody knows the rule."""
    steps = steps_at(rule, dead) if rule else ()
    return steps[dead.cursor].step if dead.cursor < len(steps) else None


def step_name(step: Step | None) -> str:
    """What a step is called: its id, or its place."""
    named = step.id if isinstance(step, ActionStep) else None
    return named or (step.path if step else "")


def _due(step: AfterStep, context: Context, reached: int) -> int:
    if step.until is None:
        return reached + (step.delay or 0)
    value = step.until.search(context)
    moment = _moment(value)
    if moment is None or not 0 <= moment <= NEVER:
        raise CouldNotEvaluate(f"{step.until.text} is {value!r}, which is no time")
    return moment + step.offset


def _moment(value: object) -> int | None:
    """The moment that an ISO text or a number of seconds since 1970 names."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return from_iso(value)
    # Asked first: a float times a million may be infinite, and that is no integer.
    return int(value * SECOND) if 0 <= value <= NEVER // SECOND else None


def _moved(run: Run, steps: Sequence[Placed], now: int) -> Run:
    """At the step at its cursor, untried; or succeeded where there is none."""
    ahead = [placed.step for placed in steps[run.cursor :]]
    moved = replace(
        run, attempt=0, starts=0, forgiven=0, first_try=None, lane=lane_of(ahead, 0),
    )  # fmt: skip
    if not ahead:
        return replace(moved, state=State.SUCCEEDED, ended=now, watched=False)
    return replace(moved, state=State.PENDING, due=now)


def _dead(run: Run, cursor: int, message: str, now: int) -> Run:
    return replace(
        run,
        cursor=cursor,
        state=State.DEAD,
        reason=Reason.COULD_NOT_EVALUATE.value,
        message=message,
        ended=now,
        watched=False,
    )
