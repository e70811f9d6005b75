"""One try of an action under its time limit, with the point of no return written down."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from engine.action import Action, Call, Params
from engine.errors import ActionFailed, JournalUnavailable
from engine.model import Reason
from engine.running.retries import Tried

GRACE = 5.0
"""Seconds that a cancelled action has to clean up."""
log = structlog.get_logger("rulewave.running")


@dataclass(slots=True)
class Trier:
    """Runs tries; all that are under way can be called back at a stop."""

    _under_way: set[asyncio.Task[dict[str, Any]]] = field(default_factory=set)
    _called_back: set[asyncio.Task[dict[str, Any]]] = field(default_factory=set)

    async def attempt(
        self,
        action: Action[Any],
        params: Params,
        call: Call,
        mark: Callable[[], Awaitable[None]] | None,
    ) -> Tried:
        """One try; never raises.

        Args:
            call: what its `irrevocable` waits for comes before the point of no return is noted.
            mark: writes the point of no return into the journal, where a repeat would do harm.
        """
        gate = _Gate(call.irrevocable, mark)
        work = action.run(params, replace(call, irrevocable=gate.passed))
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        try:
            done, _ = await asyncio.wait({task}, timeout=call.timeout)
            if not done:
                await _cancel(task)
                return _timed_out(task, call, gate)
            if task in self._called_back:
                return _handed_back(task, gate)
            return _outcome(task, call, gate)
        finally:
            self._under_way.discard(task)
            self._called_back.discard(task)

    def call_back(self) -> None:
        """Cancel whatever is under way: it is handed back and goes on in the next life."""
        for task in self._under_way:
            self._called_back.add(task)
            task.cancel()


@dataclass(slots=True)
class _Gate:
    """Knows whether the try went past the point from which it can't be taken back."""

    before: Callable[[], Awaitable[None]]
    mark: Callable[[], Awaitable[None]] | None
    open: bool = True

    async def passed(self) -> None:
        await self.before()
        if self.mark is not None:
            await self.mark()
        self.open = False


async def _cancel(task: asyncio.Task[dict[str, Any]]) -> None:
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=GRACE)
    if not done:
        log.error("action.does_not_end", task=task.get_name())


def _finished(task: asyncio.Task[dict[str, Any]]) -> bool:
    """Whether it came to its own end although it was cancelled."""
    return task.done() and not task.cancelled() and task.exception() is None


def _timed_out(task: asyncio.Task[dict[str, Any]], call: Call, gate: _Gate) -> Tried:
    if _finished(task):
        return Tried(result=task.result())
    message = f"no end within {call.timeout:g} s"
    return Tried(
        failure=ActionFailed(message, retry=True, unknown=not gate.open, reason=Reason.TIMEOUT)
    )


def _handed_back(task: asyncio.Task[dict[str, Any]], gate: _Gate) -> Tried:
    if _finished(task):
        return Tried(result=task.result())
    failure = ActionFailed(
        "handed back: the daemon stopped", retry=True, unknown=not gate.open,
        reason=Reason.HANDED_BACK,
    )  # fmt: skip
    return Tried(failure=failure, handed_back=True)


def _outcome(task: asyncio.Task[dict[str, Any]], call: Call, gate: _Gate) -> Tried:
    error = None if task.cancelled() else task.exception()
    if error is None and not task.cancelled():
        return Tried(result=task.result())
    if isinstance(error, ActionFailed):
        return Tried(failure=error)
    if isinstance(error, JournalUnavailable):
        return Tried(failure=ActionFailed(f"the journal is away: {error}", retry=True))
    trace = "".join(traceback.format_exception(error)) if error else ""
    log.error("action.bug", exception=call.mask(trace))
    name = type(error).__name__ if error else "CancelledError"
    message = f"a bug in the action: {name}"
    return Tried(failure=ActionFailed(message, unknown=not gate.open, reason=Reason.BUG))
