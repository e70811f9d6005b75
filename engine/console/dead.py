"""What people ask of dead letters: list them, let them go on, lay them aside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.clock import Clock, to_iso
from engine.console.choosing import chosen
from engine.errors import UserError
from engine.journal import deadletters
from engine.journal.deadletters import DeadWish
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.model import Reason, Run, State

Params = Mapping[str, str]
Shown = dict[str, Any]
Answer = Callable[[Params], Awaitable[Any]]
_BITE = 200
_FILTERS = ("rule", "key", "reason", "since")


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Answers about dead letters.

    Attributes:
        find: the run that the parameters name.
        show_run: it with all its tries.
        lines: runs as a list shows them.
        since: the moment that a text stands for.
        on_replayed: told when some may go on.
    """

    journal: SqliteJournal
    clock: Clock
    find: Callable[[Params], Awaitable[Run]]
    show_run: Callable[[Params], Awaitable[Shown]]
    lines: Callable[[Sequence[Run]], Awaitable[list[Shown]]]
    since: Callable[[str | None], int]
    on_replayed: Callable[[], None]

    @property
    def answers(self) -> dict[tuple[str, str], Answer]:
        """Who answers what."""
        return {
            ("dead", "list"): self.list,
            ("dead", "show"): self.show,
            ("dead", "replay"): self.replay,
            ("dead", "drop"): self.drop,
        }

    async def list(self, params: Params) -> list[Shown]:
        """Those that nobody dropped, newest first."""
        most = params.get("most") or "100"
        wish = self._wish(params, most=min(int(most), 10_000) if most.isdecimal() else 100)
        return await self.lines(await self.journal.list(deadletters.listed(wish)))

    async def show(self, params: Params) -> Shown:
        """One, with all its tries."""
        run = await self.find(params)
        if run.state is not State.DEAD:
            raise UserError(f"{run.id} is no dead letter: it is {run.state}")
        dropped = to_iso(run.dropped) if run.dropped is not None else None
        return {**await self.show_run(params), "dropped": dropped}

    async def replay(self, params: Params) -> Sequence[str]:
        """Let them go on from the step that failed; their ids."""
        now = self.clock.now()
        salt = str(now) if params.get("new_key") else None
        done = await self._each(params, lambda ids: deadletters.replay(ids, salt, now))
        self.on_replayed()
        return done

    async def drop(self, params: Params) -> Sequence[str]:
        """Lay them aside; their ids."""
        now = self.clock.now()
        return await self._each(params, lambda ids: deadletters.drop(ids, now))

    async def _each(
        self, params: Params, do: Callable[[Sequence[str]], Op[Sequence[str]]]
    ) -> Sequence[str]:
        """Do it with those of these ids, or with all that are wished, bite by bite."""
        ids = chosen(params, _FILTERS)
        for id in ids:
            await self.show({"id": id})
        if ids:
            return await self.journal.write(do(ids))
        # What dies anew in the meantime is not met a second time.
        wish = self._wish(params, most=_BITE, until=self.clock.now())
        done: Sequence[str] = []
        while found := await self.journal.list(deadletters.listed(wish)):
            moved = await self.journal.write(do([run.id for run in found]))
            if not moved:
                break
            done = [*done, *moved]
        return done

    def _wish(self, params: Params, *, most: int, until: int = deadletters.END) -> DeadWish:
        reason = params.get("reason") or None
        known = sorted(item.value for item in Reason)
        if reason and reason not in known:
            raise UserError(f"{reason!r} is no reason; there are {', '.join(known)}")
        return DeadWish(
            rule=params.get("rule") or None,
            key=params.get("key") or None,
            reason=reason,
            since=self.since(params.get("since")),
            until=until,
            most=most,
        )
