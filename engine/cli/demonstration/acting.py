"""Plays a beat against the daemon: posts as the panel does, then watches until all has come of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.cli.demonstration.checking import Seen, missing
from engine.cli.demonstration.script import Beat, Posting
from engine.cli.demonstration.stage import Stage
from engine.cli.send import Sent, post
from engine.clock import MINUTE, SystemClock
from engine.sources.own import SOURCE

_PATIENCE = 10.0
_LOOK_EVERY = 0.03
_RUN_NOW = "rulewave followups run-now"
_WRONG_SECRET = "not-the-secret-of-this-panel"  # noqa: S105 - wrong on purpose


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far everything had come when the beat began."""

    runs: Mapping[str, str] = field(default_factory=dict)
    mails: int = 0
    calls: int = 0
    writings: int = 0


@dataclass(frozen=True, slots=True)
class _Done:
    """What was done in a beat: the answer to its delivery, or the command that was given."""

    status: int | None = None
    code: str = ""
    event: str | None = None
    typed: str = ""


@dataclass(slots=True)
class Actor:
    """Plays the panel, and looks over the daemon's shoulder.

    Attributes:
        patience: seconds that a beat may take until it counts as failed.
    """

    stage: Stage
    patience: float = _PATIENCE
    _moments: dict[Posting, int] = field(default_factory=dict)
    _begun: bool = False

    async def play(self, beat: Beat) -> tuple[Seen, list[str]]:
        """What came of the beat, and what did not although it should have."""
        # What the daemon did when it started belongs to the first beat.
        mark = await self._mark() if self._begun else _Mark()
        self._begun = True
        end = time.monotonic() + self.patience
        done = await self._post(beat) if beat.posting else await self._hurry(beat.hurried, end)
        while True:
            seen = await self._look(mark, done)
            lacking = missing(beat.expect, seen)
            if not lacking or time.monotonic() > end or self.stage.over.done():
                return seen, lacking
            await asyncio.sleep(_LOOK_EVERY)

    async def _hurry(self, rule: str, end: float) -> _Done:
        """Let the newest follow-up of a rule run now, as a person would who can't wait."""
        while rule and time.monotonic() < end:
            for waiting in await self._ask("followups", "list", rule=rule):
                await self._ask("followups", "run-now", id=waiting["id"])
                return _Done(typed=f"{_RUN_NOW} {waiting['id']}")
            await asyncio.sleep(_LOOK_EVERY)
        return _Done()

    async def _post(self, beat: Beat) -> _Done:
        assert beat.posting is not None  # noqa: S101 - the caller asked
        sent = await asyncio.to_thread(self._send, beat.posting, beat.again)
        answer = json.loads(sent.answer)
        code = answer.get("status") or answer["error"]["code"]
        # What is known already was told when it came first.
        return _Done(sent.status, code, None if beat.again else answer.get("event_id"))

    def _send(self, posting: Posting, again: bool) -> Sent:
        """The same moment makes the same bytes."""
        now = SystemClock().now() - posting.minutes_ago * MINUTE
        now = self._moments[posting] if again else now
        self._moments[posting] = now
        secret = _WRONG_SECRET if posting.forged else self.stage.secret
        url = f"http://{self.stage.intake}/webhook"
        return post(posting.type, posting.panel, dict(posting.overrides), url, secret, now)

    async def _mark(self) -> _Mark:
        far, runs = self.stage.far, await self._ask("runs", "list")
        stands = {run["id"]: _stand(run) for run in runs}
        return _Mark(stands, len(far.mails), len(far.calls), len(self.stage.tap.written))

    async def _look(self, mark: _Mark, done: _Done) -> Seen:
        far, runs = self.stage.far, await self._ask("runs", "list")
        moved = [run for run in reversed(runs) if _stand(run) != mark.runs.get(run["id"])]
        new = {run["event"] for run in moved if run["id"] not in mark.runs}
        return Seen(
            status=done.status,
            code=done.code,
            typed=done.typed,
            event=await self._ask("events", "show", id=done.event) if done.event else None,
            own=await self._own(new),
            runs=tuple([await self._ask("runs", "show", id=run["id"]) for run in moved]),
            mails=tuple(far.mails[mark.mails :]),
            calls=tuple(far.calls[mark.calls :]),
            writings=tuple(self.stage.tap.written[mark.writings :]),
        )

    async def _own(self, events: Iterable[str]) -> dict[str, Any]:
        """Those of the events that the daemon raised about itself."""
        shown = [await self._ask("events", "show", id=id) for id in events]
        return {event["id"]: event for event in shown if event["source"] == SOURCE}

    async def _ask(self, noun: str, verb: str, **params: str) -> Any:
        return await self.stage.engine.desk.ask(noun, verb, params)


def _stand(run: dict[str, Any]) -> str:
    return f"{run['state']} {run['tries']}"
