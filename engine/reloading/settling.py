"""After the rules changed: renamed runs, follow-ups on hold or let go on, clocks that begin anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from engine.clock import Clock
from engine.deciding.context import rule_context
from engine.deciding.explaining import context_of
from engine.deciding.planning import plan_anew
from engine.deciding.rulebook import Rulebook, followup_at
from engine.journal import events, later, runs
from engine.journal import rules as kept
from engine.journal.later import Waiting
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.library import Library
from engine.model import PlannedRun, Reason, Run, State
from engine.reloading.report import HELD, Touched, change_of, foresee, has_step
from engine.rules.model import Rule
from engine.running.hindsight import unless_settled
from engine.running.holding import WHY

_RENAMES = 500
_OVERDUE = "it was due while its rule was away; release it, or cancel it"
_CHANGED = "its rule changed (on_rule_change: cancel)"
_NO_STEP = "its rule changed, and has no such step any more (on_rule_change: rebind)"
log = structlog.get_logger("rulewave.reload")


@dataclass(frozen=True, slots=True)
class Away:
    """Why a rule is away, and how many follow-ups it has."""

    reason: Reason
    count: int


@dataclass(slots=True)
class Settling:
    """Brings the journal in line with the rules in force; may be done again at any time."""

    journal: SqliteJournal
    library: Library
    clock: Clock

    async def foresee(self, ids: Iterable[str], book: Rulebook) -> tuple[Touched, ...]:
        """What becomes of the follow-ups of these rules by the rules of `book`."""
        found: list[Touched] = []
        for id in ids:
            waiting = await self.journal.list(later.count(id, self.clock.now()))
            found += foresee(id, waiting, book, await self._versions(waiting))
        return tuple(found)

    async def _versions(self, waiting: Iterable[Waiting]) -> dict[str, Rule | None]:
        return {one.version: await self.library.version(one.version) for one in waiting}

    async def rename(self) -> None:
        """Give the runs of renamed rules their new id."""
        for rule in self.library.book.ruleset.rules:
            for old in rule.was:
                while await self.journal.write(kept.rename(old, rule.id, _RENAMES)) == _RENAMES:
                    continue

    async def settle_clocks(self, before: Mapping[str, str]) -> None:
        """Clocks that are new or changed begin now: what they would have rung before is no tick.

        `before` maps the ids of the rules that were in force to their versions.
        """
        book, now = self.library.book, self.clock.now()
        for id in await self.journal.read(kept.clocks()):
            rule = book.current(id)
            if rule is None:
                await self.journal.write(kept.drop_clock(id))
            elif rule.clocks and rule.version != before.get(id, rule.version):
                old = await self.library.version(before[id])
                if old is None or old.clocks != rule.clocks:
                    await self.journal.write(kept.set_clock(id, now))

    async def away(self) -> dict[str, Away]:
        """The rules that are gone or switched off, and have follow-ups that are still to come."""
        book = self.library.book
        found: dict[str, Away] = {}
        id: str | None = ""
        while (id := await self.journal.list(later.next_rule(id or ""))) is not None:
            if (reason := book.away(id)) is not None:
                waiting = await self.journal.list(later.count(id, self.clock.now()))
                if waiting:
                    found[id] = Away(reason, sum(one.number for one in waiting))
        return found

    async def hold_and_resume(self, away: Mapping[str, Away]) -> None:
        """Put follow-ups of rules that are away on hold, and let those of the others go on."""
        for rule, one in away.items():
            await self._hold(rule, one.reason)
        for rule in await self.journal.list(later.rules_on_hold()):
            if self.library.book.away(rule) is None:
                await self._resume(rule)

    async def held(self) -> frozenset[str]:
        """The rules that have follow-ups on hold because they were away."""
        found = []
        for rule in await self.journal.list(later.rules_on_hold()):
            waiting = await self.journal.list(later.count(rule, self.clock.now()))
            if any(one.state is State.ON_HOLD and one.reason in HELD for one in waiting):
                found.append(rule)
        return frozenset(found)

    async def _hold(self, rule: str, away: Reason) -> None:
        await self._bites(
            lambda after: later.hold(rule, after, reason=away.value, message=WHY[away])
        )

    async def _resume(self, rule: str) -> None:
        now = self.clock.now()
        await self._bites(lambda after: later.resume(rule, after, now))
        await self._bites(lambda after: later.mark_overdue(rule, after, now, _OVERDUE))

    async def _bites(self, bite: Callable[[int], Op[int | None]]) -> None:
        """So small that the intake never waits for long."""
        after: int | None = 0
        while after is not None:
            after = await self.journal.write(bite(after))

    async def follow_changes(self, ids: Iterable[str]) -> None:
        """Do with follow-ups of changed rules what their steps say: keep, rebind or cancel."""
        for id in ids:
            rule = self.library.book.current(id)
            waiting = await self.journal.list(later.count(id, self.clock.now()))
            for version in {one.version for one in waiting}:
                began = await self.library.version(version)
                if rule is None or began is None or version == rule.version:
                    continue
                if any(change_of(began, one.path) != "keep" for one in waiting):
                    await self._follow(rule, began)

    async def _follow(self, rule: Rule, began: Rule) -> None:
        after: int | None = 0
        while after is not None:
            wanted = later.of_version(rule.id, began.version, after)
            found, after = await self.journal.list(wanted)
            for run in found:
                match change_of(began, run.path):
                    case "cancel":
                        await self._cancel(run)
                    case "rebind":
                        await self._rebind(run, rule, began)

    async def _cancel(self, run: Run) -> None:
        cancel = runs.cancel(
            run.id, by=None, reason=Reason.RULE_CHANGED.value, message=_CHANGED,
            now=self.clock.now(),
        )  # fmt: skip
        await self.journal.write(cancel)

    async def _rebind(self, run: Run, rule: Rule, began: Rule) -> None:
        """Tie a follow-up that has not begun to the newest version; the decider keeps still."""
        step = followup_at(rule, run.path) if has_step(rule, run.path, began) else None
        if step is None:
            reason = Reason.RULE_CHANGED.value
            await self.journal.write(later.hold_one(run.id, reason=reason, message=_NO_STEP))
            return
        async with self.journal.deciding:
            facts = await self.journal.read(events.around_seq(run.origin_seq))
            if facts is None:
                return
            base = context_of(self.library.book, facts, self.clock.now())
            context = rule_context(base, rule, run.key, run.results, run.failure)
            anew = plan_anew(run, rule, step, context)
            (planned,) = await unless_settled(
                self.journal, self.library, self.clock, rule, facts, [anew]
            )
            await self.journal.write(_rebound(planned, self.clock.now()))


def _rebound(planned: PlannedRun, now: int) -> Op[bool]:
    """Tie a follow-up to its new version, or end it where that is cancelled already."""
    run = planned.run
    if run.state is not State.CANCELLED:
        return (yield from later.rebind(run, planned.watches))
    reason, message = run.reason or "", run.message or ""
    return (
        yield from runs.cancel(run.id, by=run.cancelled_by, reason=reason, message=message, now=now)
    )
