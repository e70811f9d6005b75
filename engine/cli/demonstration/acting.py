"""Plays a beat against the daemon: posts as the panel does, then watches until all has come of it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from engine.cli.demonstration.checking import Seen, missing
from engine.cli.demonstration.script import Beat, Posting
from engine.cli.demonstration.stage import Stage
from engine.cli.send import Sent, post
from engine.clock import SystemClock

_PATIENCE = 10.0
_LOOK_EVERY = 0.03
_WRONG_SECRET = "not-the-secret-of-this-panel"  # noqa: S105 - wrong on purpose


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far everything had come when the beat began."""

    runs: dict[str, str]
    mails: int
    calls: int
    writings: int


@dataclass(slots=True)
class Actor:
    """Plays the panel, and looks over the daemon's shoulder.

    Attributes:
        patience: seconds that a beat may take until it counts as failed.
    """

    stage: Stage
    patience: float = _PATIENCE
    _moments: dict[Posting, int] = field(default_factory=dict)

    async def play(self, beat: Beat) -> tuple[Seen, list[str]]:
        """What came of the beat, and what did not although it should have."""
        mark = await self._mark()
        status, code, id = await self._post(beat) if beat.posting else (None, "", None)
        end = time.monotonic() + self.patience
        while True:
            seen = await self._look(mark, status, code, id)
            lacking = missing(beat.expect, seen)
            if not lacking or time.monotonic() > end or self.stage.over.done():
                return seen, lacking
            await asyncio.sleep(_LOOK_EVERY)

    async def _post(self, beat: Beat) -> tuple[int, str, str | None]:
        assert beat.posting is not None  # noqa: S101 - the caller asked
        sent = await asyncio.to_thread(self._send, beat.posting, beat.again)
        answer = json.loads(sent.answer)
        code = answer.get("status") or answer["error"]["code"]
        # What is known already was told when it came first.
        return sent.status, code, None if beat.again else answer.get("event_id")

    def _send(self, posting: Posting, again: bool) -> Sent:
        """The same moment makes the same bytes."""
        now = self._moments[posting] if again else SystemClock().now()
        self._moments[posting] = now
        secret = _WRONG_SECRET if posting.forged else self.stage.secret
        url = f"http://{self.stage.intake}/webhook"
        return post(posting.type, posting.panel, dict(posting.overrides), url, secret, now)

    async def _mark(self) -> _Mark:
        far, runs = self.stage.far, await self._ask("runs", "list")
        stands = {run["id"]: _stand(run) for run in runs}
        return _Mark(stands, len(far.mails), len(far.calls), len(self.stage.tap.written))

    async def _look(self, mark: _Mark, status: int | None, code: str, id: str | None) -> Seen:
        far, runs = self.stage.far, await self._ask("runs", "list")
        moved = [run["id"] for run in reversed(runs) if _stand(run) != mark.runs.get(run["id"])]
        return Seen(
            status=status,
            code=code,
            event=await self._ask("events", "show", id=id) if id else None,
            runs=tuple([await self._ask("runs", "show", id=run) for run in moved]),
            mails=tuple(far.mails[mark.mails :]),
            calls=tuple(far.calls[mark.calls :]),
            writings=tuple(self.stage.tap.written[mark.writings :]),
        )

    async def _ask(self, noun: str, verb: str, **params: str) -> Any:
        return await self.stage.engine.desk.ask(noun, verb, params)


def _stand(run: dict[str, Any]) -> str:
    return f"{run['state']} {run['tries']}"
