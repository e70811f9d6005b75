"""Pure: what a try's end makes of its run: the next step, another try later, or a dead letter."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.clock import DAY, SECOND
from engine.errors import ActionFailed
from engine.model import Reason, Run, State
from engine.rules.model import ActionStep, Retry

MOST_STARTS = 10
"""So many starts without a recorded end, and the run is given up: it kills its worker."""
_JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Tried:
    """How one try ended: a result, or a failure."""

    result: Mapping[str, Any] = field(default_factory=dict)
    failure: ActionFailed | None = None
    handed_back: bool = False


@dataclass(frozen=True, slots=True)
class Next:
    """Where the run stands after a try; `go_on` means that its next step is to be found."""

    run: Run
    outcome: str
    go_on: bool = False


def after_try(run: Run, step: ActionStep, tried: Tried, *, now: int, repeat_unknown: bool) -> Next:
    """The run after its try numbered `run.attempt`."""
    failure = tried.failure
    if failure is None:
        return Next(_with_result(run, step, tried.result), "succeeded", go_on=True)
    if failure.unknown and not repeat_unknown:
        message = f"outcome unknown: {failure.message}"
        return Next(end(run, State.DEAD, Reason.OUTCOME_UNKNOWN, message, now), "unknown")
    outcome = "unknown" if failure.unknown else "failed"
    if tried.handed_back:
        return Next(_later(run, now, failure), "handed back")
    if failure.retry or failure.unknown:
        due = next_try(run, step.retry, now=now, key=f"{run.id}:{step.path}", asked=failure.after)
        if due is not None:
            return Next(_later(run, due, failure), outcome)
    if not step.stop_on_error:
        error = {"error": {"message": failure.message, "reason": failure.reason}}
        return Next(_with_result(run, step, error), outcome, go_on=True)
    return Next(end(run, State.DEAD, failure.reason, _last_words(run, failure), now), outcome)


def next_try(
    run: Run, retry: Retry, *, now: int, key: str, asked: float | None = None
) -> int | None:
    """When to try again after `run.attempt` tries, the forgiven aside; None where they are spent.

    Args:
        asked: seconds that the other side wants us to wait; a day at most.
    """
    tries = run.attempt - run.forgiven
    due = now + backoff(retry, tries, key)
    if asked is not None:
        due = max(due, now + min(int(asked * SECOND), DAY))
    if retry.span is not None:
        first = now if run.first_try is None else run.first_try
        return due if due <= first + retry.span else None
    return due if retry.tries is None or tries < retry.tries else None


def backoff(retry: Retry, attempt: int, key: str) -> int:
    """The wait after try number `attempt` (µs): doubling up to `max`, by chance up to a fifth more.

    Never less, so that the default lasts for six hours whatever chance says.

    The jitter comes from the key, so that the same run has the same times in a rehearsal.
    """
    wait = min(retry.backoff << min(max(attempt - 1, 0), 40), retry.max)
    seed = hashlib.sha256(f"{key}:{attempt}".encode()).digest()
    share = int.from_bytes(seed[:4], "big") / 2**32
    return int(wait * (1 + _JITTER * share))


def end(run: Run, state: State, reason: str, message: str | None, now: int) -> Run:
    """The run ended."""
    return replace(run, state=state, reason=str(reason), message=message, ended=now, watched=False)


def after_crash(run: Run, *, irrevocable: bool, now: int) -> Run:
    """A run whose process died in mid-try: repeat, or a dead letter."""
    if irrevocable:
        message = "outcome unknown: the process ended in the middle of the action"
        return end(run, State.DEAD, Reason.OUTCOME_UNKNOWN, message, now)
    if run.starts >= MOST_STARTS:
        message = f"started {run.starts} times and never ended: it seems to end the process"
        return end(run, State.DEAD, Reason.KILLS_ITS_WORKER, message, now)
    return replace(run, state=State.PENDING, due=now, delayed=True)


def _later(run: Run, due: int, failure: ActionFailed) -> Run:
    return replace(
        run, state=State.PENDING, due=due, starts=0, delayed=True,
        reason=failure.reason, message=failure.message,
    )  # fmt: skip


def _with_result(run: Run, step: ActionStep, result: Mapping[str, Any]) -> Run:
    results = {**run.results, step.id: result} if step.id else run.results
    return replace(
        run, results=results, cursor=run.cursor + 1, starts=0, attempt=0, first_try=None,
        delayed=False, watched=run.watched and not run.path, reason=None, message=None,
    )  # fmt: skip


def _last_words(run: Run, failure: ActionFailed) -> str:
    tries = run.attempt - run.forgiven
    return failure.message + (f" (try {tries}, the last)" if failure.retry and tries > 1 else "")
