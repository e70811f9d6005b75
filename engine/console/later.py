"""What people do with what is still to come: cancel it, release it, let it run now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.clock import Clock
from engine.console.choosing import chosen
from engine.deciding.rulebook import waits
from engine.errors import UserError
from engine.journal import later, listing, runs
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.model import Run, State

Params = Mapping[str, str]
Shown = dict[str, Any]
Answer = Callable[[Params], Awaitable[Any]]
_BITE = 200
_FILTERS = ("rule", "key", "since")


@dataclass(frozen=True, slots=True)
class Later:
    """Answers about runs that are not at their end.

    Attributes:
        find: the run that the parameters name.
        lines: runs as a list shows them.
        since: the moment that a text stands for.
        on_woken: told when some may go on.
    """

    journal: SqliteJournal
    clock: Clock
    find: Callable[[Params], Awaitable[Run]]
    lines: Callable[[Sequence[Run]], Awaitable[list[Shown]]]
    since: Callable[[str | None], int]
    on_woken: Callable[[], None]

    @property
    def answers(self) -> dict[tuple[str, str], Answer]:
        """Who answers what."""
        return {
            ("followups", "cancel"): self.cancel_followup,
            ("followups", "release"): self.release,
            ("followups", "run-now"): self.run_now,
            ("runs", "cancel"): self.cancel,
        }

    async def cancel_followup(self, params: Params) -> Shown:
        """Cancel a follow-up before it begins."""
        return await self._cancel(await self._followup(params))

    async def cancel(self, params: Params) -> Shown:
        """Cancel a run of whatever kind, before its next try."""
        return await self._cancel(await self.find(params))

    async def run_now(self, params: Params) -> Shown:
        """Let a follow-up be due now; its conditions are asked all the same."""
        run = await self._followup(params)
        if not await self.journal.write(later.run_now(run.id, self.clock.now())):
            state = (await self.find(params)).state
            raise UserError(f"{run.id} can't run now: it is {state}")
        self.on_woken()
        return await self._line(params)

    async def release(self, params: Params) -> list[str]:
        """Let follow-ups on hold go on: those named, or all that are wished; their ids."""
        ids = chosen(params, _FILTERS)
        done = await self._release_these(ids) if ids else await self._release_all(params)
        self.on_woken()
        return done

    async def _release_these(self, ids: Sequence[str]) -> list[str]:
        for id in ids:
            state = (await self.find({"id": id})).state
            if state is not State.ON_HOLD:
                raise UserError(f"{id} is not on hold: it is {state}")
        return await self.journal.write(_release(ids, self.clock.now()))

    async def _release_all(self, params: Params) -> list[str]:
        wish = listing.Wish(
            rule=params.get("rule") or None,
            key=params.get("key") or None,
            state=State.ON_HOLD.value,
            since=self.since(params.get("since")),
            most=_BITE,
        )
        done: list[str] = []
        while found := await self.journal.list(listing.followups(wish)):
            ids = [run.id for run in found]
            done += await self.journal.write(_release(ids, self.clock.now()))
        return done

    async def _cancel(self, run: Run) -> Shown:
        cancel = runs.cancel(
            run.id, by=None, reason="cancelled_by_person", message="cancelled by a person",
            now=self.clock.now(),
        )  # fmt: skip
        done = await self.journal.write(cancel)
        after = await self.find({"id": run.id})
        if not done and after.state is not State.RUNNING:
            raise UserError(f"{run.id} can't be cancelled any more: it is {after.state}")
        return (await self.lines([after]))[0]

    async def _followup(self, params: Params) -> Run:
        run = await self.find(params)
        if not waits(run):
            raise UserError(f"{run.id} is no follow-up; see: rulewave runs show {run.id}")
        return run

    async def _line(self, params: Params) -> Shown:
        return (await self.lines([await self.find(params)]))[0]


def _release(ids: Sequence[str], now: int) -> Op[list[str]]:
    done: list[str] = []
    for id in ids:
        done += [id] if (yield from later.release(id, now)) else []
    return done
