"""A run whose turn it is, with all that its next step may look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.clock import to_iso
from engine.deciding.holding import quiet_end, quiet_words
from engine.deciding.rulebook import tells_of_failure
from engine.deciding.walking import Placed, followup_at
from engine.model import Facts, Reason, Run, State, Verdict
from engine.rules.durations import spoken
from engine.rules.model import IfLate, Rule, Step
from engine.running.retries import end


@dataclass(frozen=True, slots=True)
class Scene:
    """A run whose turn it is, with all that its next step may look at."""

    run: Run
    facts: Facts
    rule: Rule
    steps: Sequence[Placed]
    context: Mapping[str, Any]

    @property
    def step(self) -> Step | None:
        """The step that is next."""
        at = self.run.cursor
        return self.steps[at].step if at < len(self.steps) else None


def put_off(scene: Scene, now: int, *, waited: bool) -> Run | None:
    """The run as it waits, or ends, where it has not begun in time or it is quiet; None elsewhere.

    What a person let go on is not held. A run that has begun is not dropped.
    """
    run, rule = scene.run, scene.rule
    begun = bool(run.cursor or run.attempt)
    if tells_of_failure(run.path) or run.released or not scene.steps:
        return None
    expired = run.expires is not None and now > run.expires
    if rule.ttl is not None and expired and not begun:
        message = f"not begun within {spoken(rule.ttl)} (ttl)"
        return end(run, State.EXPIRED, Reason.NOT_BEGUN_IN_TIME, message, now)
    if not (run.delayed or waited):
        return None
    followup = followup_at(rule, run.path)
    found = quiet_end(rule, followup.quiet if followup else None, now)
    if found is None:
        return None
    quiet, until = found
    message = quiet_words(quiet, until)
    if quiet.hold:
        held = replace(run, state=State.PENDING, due=until, delayed=True)
        return replace(held, reason=Reason.QUIET.value, message=message)
    return None if begun else end(run, State.CANCELLED, Reason.QUIET, message, now)


def unwanted(scene: Scene, now: int, *, waited: bool) -> Run | None:
    """A delayed run may be too late, and is asked its conditions again: its end where they say no.

    `waited` tells that its target's rate, or others before it, held it up. Of a digest, only what
    still fits is left by now.
    """
    run = scene.run
    # An await that was not met, without an `else`, has nothing to ask for.
    if not (run.delayed or waited) or not scene.steps:
        return None
    followup = followup_at(scene.rule, run.path)
    if followup is not None and _is_too_late(run, followup.if_late):
        return end(run, State.EXPIRED, Reason.TOO_LATE, _how_late(run, followup.if_late), now)
    # What tells of a failure is wanted whatever the rule would say by now.
    rules = None if tells_of_failure(run.path) else scene.rule.when
    own = (rules, followup.when if followup else None)
    for condition in own:
        if condition is None:
            continue
        judgement = condition.judge(scene.context)
        if judgement.verdict is Verdict.NOT_MATCHED:
            return end(run, State.CANCELLED, Reason.NO_LONGER_MATCHES, judgement.why, now)
        if judgement.verdict is Verdict.COULD_NOT_EVALUATE:
            return end(run, State.DEAD, Reason.COULD_NOT_EVALUATE, judgement.why, now)
    return None


def _is_too_late(run: Run, if_late: IfLate) -> bool:
    """Asked of a follow-up of which nothing was begun; what came just in time is never late."""
    begun = run.cursor or run.attempt or run.reason == Reason.TARGET_PAUSED
    return not (begun or run.met or if_late.allows(run.late))


def _how_late(run: Run, if_late: IfLate) -> str:
    allowed = spoken(if_late.within or 0)
    return f"due at {to_iso(run.due)}, {spoken(run.late)} late; if_late allows {allowed}"
