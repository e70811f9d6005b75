"""Runs that `concurrency` has something to say to when they are due: digests, and those behind others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from engine.clock import Clock
from engine.deciding.holding import admit
from engine.journal import holding, runs
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.model import Reason, Run, State
from engine.rules.model import Rule


@dataclass(frozen=True, slots=True)
class Admitting:
    """Looks at what is due before it is handed over.

    Attributes:
        rule: the rule of a version; None where nobody knows it.
        on_change: told how runs stand that it changed.
    """

    journal: SqliteJournal
    clock: Clock
    rule: Callable[[str], Awaitable[Rule | None]]
    on_change: Callable[[Sequence[Run]], None] = lambda _: None

    async def admit(self) -> bool:
        """Let go on what was behind others, and see whether the digests that are due may go.

        Whether any run is left behind another one.
        """
        now = self.clock.now()
        # Asked first: most of the time nobody waits, and a write would wait for the disk.
        if await self.journal.read(holding.any_behind()):
            await self.journal.write(holding.let_go(now))
        for run in await self.journal.read(holding.due_windows(now)):
            rule = await self.rule(run.version)
            if rule is not None and rule.concurrency != "parallel":
                # Nothing may be planned meanwhile that would be under way as well.
                async with self.journal.deciding:
                    self.on_change(await self.journal.write(_admit(run, rule, now)))
        return await self.journal.read(holding.any_behind())


def _admit(run: Run, rule: Rule, now: int) -> Op[list[Run]]:
    """The runs that changed."""
    others = yield from holding.under_way(run.rule, run.key)  # it may have been renamed
    ruling = admit(rule, others)
    if ruling.held is None:
        changed = []
        for id in ruling.cancels:
            changed += yield from _give_way(id, run, now)
        forwarded = yield from holding.forward(run.id)
        return [*changed, *([forwarded] if forwarded else [])]
    if ruling.makes:
        behind = yield from holding.put_behind(run.id, ruling.due, ruling.held.message)
        return [behind] if behind else []
    reason, message = Reason.CONCURRENCY.value, ruling.held.message
    yield from runs.cancel(run.id, by=None, reason=reason, message=message, now=now)
    dropped = yield from runs.by_id(run.id)
    return [dropped] if dropped else []


def _give_way(id: str, to: Run, now: int) -> Op[list[Run]]:
    message = f"started anew by {to.id} (concurrency: restart)"
    reason = Reason.STARTED_ANEW.value
    done = yield from runs.cancel(id, by=to.origin, reason=reason, message=message, now=now)
    ended = (yield from runs.by_id(id)) if done else None
    return [ended] if ended is not None and ended.state is State.CANCELLED else []
