"""After the rules changed: renamed runs, follow-ups on hold or let go on, clocks that begin anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from engine.clock import Clock
from engine.deciding.context import rule_context
from engine.deciding.explaining import context_of
from engine.deciding.planning import plan_anew
from engine.deciding.rulebook import Rulebook
from engine.deciding.walking import followup_at
from engine.journal import events, holding, later, runs
from engine.journal import rules as kept
from engine.journal.later import Bitten, Waiting
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.library import Library
from engine.model import PlannedRun, Reason, Run, State
from engine.reloading.report import Touched, change_of, foresee, has_step
from engine.rules.model import Rule
from engine.running.hindsight import unless_settled
from engine.running.holding import WHY

_RENAMES = 500
_OVERDUE = "it was due while its rule was away; release it, or cancel it"
_CHANGED = "its rule changed (on_rule_change: cancel)"
_NO_STEP = "its rule changed, and has no such step any more (on_rule_change: rebind)"
log = structlog.get_logger("rulewave.reload")


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
                await self.journal.write(holding.rename(old, rule.id))

    async def clocks(self, book: Rulebook, before: Mapping[str, str]) -> Op[None]:
        """What to write, together with the rules of `book`, so that clocks go by them.

        Clocks that are new or changed begin now: what they would have rung before is no tick.
        `before` maps the ids of the rules that were in force to their versions.
        """
        known = await self.journal.read(kept.clocks())
        gone = [id for id in known if book.away(id) is Reason.RULE_GONE]
        rules = {id: rule for id in known if (rule := book.current(id)) is not None}
        anew = [rule.id for id, rule in rules.items() if await self._begins(rule, before.get(id))]
        return _set_clocks(book, gone, anew, self.clock.now())

    async def _begins(self, rule: Rule, before: str | None) -> bool:
        if before in {None, rule.version} or not rule.clocks:
            return False
        old = await self.library.version(before or "")
        return old is None or old.clocks != rule.clocks

    async def hold_and_resume(self) -> tuple[dict[str, Reason], set[str]]:
        """Put follow-ups of rules that are away on hold, and let those of the others go on.

        The rules that are away and have follow-ups on hold, with the reason; and those of them
        some of whose follow-ups were not on hold before.
        """
        book = self.library.book
        fresh: set[str] = set()
        id: str | None = ""
        while (id := await self.journal.list(later.next_rule(id or ""))) is not None:
            if (away := book.away(id)) is not None and await self._hold(id, away):
                fresh.add(id)
        held: dict[str, Reason] = {}
        for rule in await self.journal.list(later.rules_on_hold()):
            if (away := book.away(rule)) is not None:
                held[rule] = away
            else:
                await self._resume(rule)
        return held, fresh

    async def _hold(self, rule: str, away: Reason) -> int:
        return await self._bites(
            lambda after: later.hold(rule, after, reason=away.value, message=WHY[away])
        )

    async def _resume(self, rule: str) -> None:
        now = self.clock.now()
        await self._bites(lambda after: later.resume(rule, after, now))
        await self._bites(lambda after: later.mark_overdue(rule, after, now, _OVERDUE))

    async def _bites(self, bite: Callable[[int], Op[Bitten]]) -> int:
        """So small that the intake never waits for long; how many follow-ups there were."""
        total, after = 0, 0
        while True:
            bitten = await self.journal.write(bite(after))
            total += bitten.number
            if bitten.place is None:
                return total
            after = bitten.place

    async def on_hold(self, rule: str) -> int:
        """How many follow-ups of a rule are on hold."""
        waiting = await self.journal.list(later.count(rule, self.clock.now()))
        return sum(one.number for one in waiting if one.state is State.ON_HOLD)

    async def follow_changes(self, ids: Iterable[str]) -> None:
        """Do with follow-ups of changed rules what their steps say: keep, rebind or cancel.

        Those of a rule that is switched off are on hold, and change when it is back.
        """
        for id in ids:
            rule = self.library.book.by_id.get(id)
            if rule is None or self.library.book.away(id) is not None:
                continue
            waiting = await self.journal.list(later.count(id, self.clock.now()))
            for version in {one.version for one in waiting}:
                began = await self.library.version(version)
                if began is None or version == rule.version:
                    continue
                if any(change_of(began, one.path, rule) != "keep" for one in waiting):
                    await self._follow(rule, began)

    async def _follow(self, rule: Rule, began: Rule) -> None:
        after: int | None = 0
        while after is not None:
            wanted = later.of_version(rule.id, began.version, after)
            found, after = await self.journal.list(wanted)
            how = [(run, change_of(began, run.path, rule)) for run in found]
            cancelled = [run.id for run, change in how if change == "cancel"]
            await self.journal.write(_cancel(cancelled, self.clock.now()))
            for run in [run for run, change in how if change == "rebind"]:
                await self._rebind(run, rule, began)

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
            context = {**rule_context(base, rule, run.key, run.results, run.failure), **run.bound}
            anew = plan_anew(run, rule, step, context)
            (planned,) = await unless_settled(
                self.journal, self.library, self.clock, rule, facts, [anew]
            )
            await self.journal.write(_rebound(planned, self.clock.now()))


def _set_clocks(book: Rulebook, gone: Sequence[str], anew: Sequence[str], now: int) -> Op[None]:
    for id in gone:
        yield from kept.drop_clock(id)
    for rule in book.ruleset.rules:
        for old in rule.was:
            yield from kept.rename_clock(old, rule.id)
    for id in anew:
        yield from kept.set_clock(id, now)


def _cancel(ids: Sequence[str], now: int) -> Op[None]:
    reason = Reason.RULE_CHANGED.value
    for id in ids:
        yield from runs.cancel(id, by=None, reason=reason, message=_CHANGED, now=now)


def _rebound(planned: PlannedRun, now: int) -> Op[bool]:
    """Tie a follow-up to its new version, or end it where that is cancelled already."""
    run = planned.run
    if run.state is not State.CANCELLED:
        return (yield from later.rebind(run, planned.watches))
    reason, message = run.reason or "", run.message or ""
    return (
        yield from runs.cancel(run.id, by=run.cancelled_by, reason=reason, message=message, now=now)
    )
