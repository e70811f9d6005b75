"""Pure: when a target that keeps failing is paused, who may probe it, and when it opens again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from engine.clock import MINUTE, SECOND
from engine.errors import ActionFailed
from engine.model import Reason

FAILURES = 5
"""So many failures in a row, of whatever run, and the target is paused."""
SHORTEST = 10 * SECOND
LONGEST = 5 * MINUTE
_ANSWERS = frozenset({Reason.HTTP_STATUS, Reason.REFUSED, Reason.EXIT_CODE})


class Sign(Enum):
    """What a try's end says of its target."""

    WELL = "well"
    FAILING = "failing"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Target:
    """How a target does.

    `failures` counts those in a row. While it is paused, `next_probe` is when one run may try it,
    `pauses` counts the probes that failed, `prober` is the run that tries it now, and `candidate`
    the one that is due at `next_probe`.
    """

    failures: int = 0
    last: str = ""
    next_probe: int | None = None
    pauses: int = 0
    prober: str | None = None
    candidate: str | None = None

    @property
    def paused(self) -> bool:
        """Whether runs have to wait for it."""
        return self.next_probe is not None

    @property
    def wants_candidate(self) -> bool:
        """Whether nobody is known yet who will try it next."""
        return self.paused and self.prober is None and self.candidate is None


def sign_of(failure: ActionFailed | None) -> Sign:
    """What a failure (None: success) says of the target.

    A refusal of this one request is an answer: the target is there. What went wrong before
    anybody was asked says nothing.
    """
    if failure is None:
        return Sign.WELL
    if failure.reason == Reason.HANDED_BACK:
        return Sign.NOTHING
    if failure.retry or failure.unknown:
        return Sign.FAILING
    return Sign.WELL if failure.reason in _ANSWERS else Sign.NOTHING


def may_try(target: Target, run: str, now: int) -> bool:
    """Whether this run may try the target now; a paused one takes one probe at a time."""
    if target.next_probe is None:
        return True
    return target.prober in {None, run} and now >= target.next_probe


def begun(target: Target, run: str) -> Target:
    """A run that may try begins: of a paused target it is the probe."""
    return replace(target, prober=run, candidate=None) if target.paused else target


def ended(target: Target, run: str, sign: Sign, message: str, now: int) -> Target:
    """The target after a try."""
    if sign is Sign.WELL:
        return Target()
    if sign is Sign.NOTHING:
        return left(target, run)
    failing = replace(target, failures=target.failures + 1, last=message)
    if not target.paused:
        if failing.failures < FAILURES:
            return failing
        return replace(failing, next_probe=now + pause(0))
    if target.prober != run:  # it began before the pause did
        return failing
    pauses = target.pauses + 1
    return replace(failing, pauses=pauses, next_probe=now + pause(pauses), prober=None)


def left(target: Target, run: str) -> Target:
    """A run went away without an end that would say anything: the next one may probe."""
    prober = None if target.prober == run else target.prober
    candidate = None if target.candidate == run else target.candidate
    return replace(target, prober=prober, candidate=candidate)


def pause(failed_probes: int) -> int:
    """How long to wait before the next probe (µs): doubling, up to five minutes."""
    return min(SHORTEST << min(failed_probes, 20), LONGEST)
