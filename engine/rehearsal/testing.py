"""Runs the tests of a rules file: each tells its story on a stage, and is compared with the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from engine.action import Registry
from engine.clock import DAY, ManualClock
from engine.deciding.own import STARTED
from engine.journal import listing
from engine.model import Run, State, Verdict
from engine.rehearsal.casting import Cast, Failed
from engine.rehearsal.expecting import (
    Done,
    Ended,
    misplaced,
    missing_endings,
    pair,
    surplus_endings,
)
from engine.rehearsal.silence import silent
from engine.rehearsal.stage import Stage, TooLong, library_of, open_memory
from engine.rehearsal.whynots import WhyNot, why_nots
from engine.rules.cases import Acts, Case, EndsSo, Happens, Reloads, Restarts
from engine.rules.loading import with_hash
from engine.rules.model import Rule, RuleSet
from engine.rules.ruling import as_if_live

MOST_SECONDS = 10.0
"""How long one test may take; a stage that has not come to its end by then never will."""
_LATEST = 400 * DAY
_ALL = 1_000_000
_STRICT = ("dead", "could_not_evaluate")
"""What may not happen unless it is expected."""
_KINDS = {
    State.CANCELLED: "cancelled",
    State.DEAD: "dead",
    State.EXPIRED: "expired",
    State.ON_HOLD: "on_hold",
}

Reload = Callable[[Stage, RuleSet], Awaitable[None]]
"""Puts other rules in force on a stage; called once at the start, with those that begin."""


@dataclass(frozen=True, slots=True)
class Line:
    """What was expected beside what happened; None is nothing. `kind` is a key of `expect`."""

    expected: Acts | EndsSo | None
    happened: Done | Ended | None
    note: str = ""
    kind: str = "action"

    @property
    def well(self) -> bool:
        """Whether they are the same."""
        return self.expected is not None and self.happened is not None and not self.note


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a test.

    Attributes:
        lines: action by action, and whatever else is asked: expected beside happened.
        errors: why it could not be told to its end, or not be judged.
        blamed: the rules that a failure holds back.
        excused: why a failure does not count: a rule under test is switched off.
        whynots: rule → why it did not do more: an event, and the reason.
        seconds: how long it took.
    """

    case: Case
    lines: tuple[Line, ...] = ()
    errors: tuple[str, ...] = ()
    blamed: tuple[str, ...] = ()
    excused: str = ""
    whynots: tuple[WhyNot, ...] = ()
    tries: tuple[Failed, ...] = ()
    seconds: float = 0.0

    @property
    def well(self) -> bool:
        """Whether all was as expected, or need not be."""
        return bool(self.excused) or self.fits

    @property
    def fits(self) -> bool:
        """Whether all was as expected."""
        return not self.errors and all(line.well for line in self.lines)


@dataclass(slots=True)
class Rehearsal:
    """Runs tests one after the other on one journal, wiped in between.

    Attributes:
        reload: how a stage's rules are replaced; without it, no test can do so.
        seconds: how long all of them together may take.
    """

    ruleset: RuleSet
    actions: Registry
    reload: Reload | None = None
    seconds: float = float("inf")

    def run(
        self, cases: Sequence[Case], on_result: Callable[[Result], None] | None = None
    ) -> list[Result]:
        """All results, in order. Blocks: a loop of its own."""
        return asyncio.run(self._run_all(cases, on_result or (lambda _: None)))

    async def _run_all(
        self, cases: Sequence[Case], on_result: Callable[[Result], None]
    ) -> list[Result]:
        journal = open_memory()
        end = time.monotonic() + self.seconds
        results = []
        usual = library_of(journal, self.ruleset, ManualClock(0))
        try:
            with silent():
                for case in cases:
                    clock = ManualClock(case.start)
                    ruleset = _played(self.ruleset, case)
                    reloads = any(isinstance(one, Reloads) for one in case.given)
                    alone = reloads or ruleset is not self.ruleset
                    library = library_of(journal, ruleset, clock) if alone else usual
                    cast = Cast(case, rules=dict(library.book.by_id))
                    stage = Stage(clock, journal, library, self.actions, cast.play)
                    result = await self._run(case, stage, cast, end)
                    results.append(result)
                    on_result(result)
                    journal.wipe()
        finally:
            journal.close()
        return results

    async def _run(self, case: Case, stage: Stage, cast: Cast, end: float) -> Result:
        began = time.monotonic()
        stage.deadline = min(began + MOST_SECONDS, end)
        stage.ticking = case.is_under_test
        errors: list[str] = []
        try:
            await self._tell(case, stage, cast)
        except TooLong as error:
            spent = time.monotonic() > end
            errors.append("all tests together take too long" if spent else str(error))
        finally:
            await stage.end()
        known = cast.rules
        errors += [f"there is no rule {rule} in force" for rule in case.rules if rule not in known]
        errors += [
            f"the step {step} of {rule} has no result here, and the rule uses it: mock: {{{step}: …}}"
            for step, rule in cast.unmocked.items()
        ]
        ended = await _ended(case, stage)
        lines = _compare(case, cast.done, ended)
        result = Result(
            case, tuple(lines), tuple(errors), tries=tuple(cast.failed),
            seconds=time.monotonic() - began,
        )  # fmt: skip
        return result if result.fits else await self._explained(result, stage, cast)

    async def _tell(self, case: Case, stage: Stage, cast: Cast) -> None:
        if any(isinstance(one, Reloads) for one in case.given):
            await self._reload(stage, stage.library.book.ruleset)
        for body in case.known:
            await stage.know(body)
        await stage.start()
        for one in case.given:
            await stage.until(one.at)
            if isinstance(one, Happens):
                await _happen(one, stage)
            elif isinstance(one, Restarts):
                await stage.restart(one.down_for)
                rules = stage.library.book.ruleset.rules
                await stage.tell(STARTED, _started(len(rules)))
            else:
                await self._replace(one, stage, cast)
        await stage.until(case.last if case.until is None else case.until)
        if case.until is None:
            await _to_the_end(stage, case.last + _LATEST)

    async def _reload(self, stage: Stage, ruleset: RuleSet) -> None:
        if self.reload is None:
            raise TooLong("rules can't be replaced here")
        await self.reload(stage, ruleset)

    async def _replace(self, one: Reloads, stage: Stage, cast: Cast) -> None:
        before = stage.library.book.ruleset
        fresh = {rule.id: rule for rule in one.rules}
        kept = [
            fresh.pop(rule.id, rule)
            for rule in before.rules
            if rule.id in fresh or rule.id not in one.remove
        ]
        ruleset = replace_rules(before, (*kept, *fresh.values()))
        await self._reload(stage, ruleset)
        cast.rules.update({rule.id: rule for rule in ruleset.rules})

    async def _explained(self, result: Result, stage: Stage, cast: Cast) -> Result:
        """With whom a failure holds back, and why what was expected did not happen."""
        asleep = {rule.id for rule in self.ruleset.rules if rule.mode == "off"}
        named = next((rule for rule in result.case.rules if rule in asleep), None)
        if named is not None:
            return replace(result, excused=f"{named} is in mode off")
        ended = {line.happened.rule for line in result.lines if isinstance(line.happened, Ended)}
        acted = sorted((cast.acted | ended) & set(cast.rules))
        blamed = tuple(rule for rule in result.case.rules or acted if rule not in asleep)
        found: tuple[WhyNot, ...] = ()
        if any(line.expected is not None and not line.well for line in result.lines):
            with suppress(TooLong):
                found = tuple(await why_nots(stage, result.case))
        return replace(result, blamed=blamed, whynots=found)


def _played(ruleset: RuleSet, case: Case) -> RuleSet:
    """The rules as a test plays them: those under test that are in shadow are live."""
    rules = [as_if_live(one) if case.is_under_test(one.id) else one for one in ruleset.rules]
    same = all(one is other for one, other in zip(rules, ruleset.rules, strict=True))
    return ruleset if same else replace_rules(ruleset, rules)


def replace_rules(ruleset: RuleSet, rules: Iterable[Rule]) -> RuleSet:
    """The rule set with these rules, and its hash."""
    return with_hash(replace(ruleset, rules=tuple(rules)))


async def _happen(one: Happens, stage: Stage) -> None:
    if one.own is not None:
        await stage.tell(one.type, dict(one.own))
        return
    answer = await stage.deliver(one.body)
    if answer.code != "accepted":
        raise TooLong(f"{one.type} was refused: {answer.message or answer.code}")


async def _to_the_end(stage: Stage, latest: int) -> None:
    """As long as something is still to come; clocks that go on for ever aside."""
    while (due := await stage.next_moment(ticks=False)) is not None and due <= latest:
        await stage.until(due)


def _started(rules: int) -> dict[str, object]:
    return {"version": "", "rules": rules, "broken": 0, "backlog": 0}


# ---------------------------------------------------------------- what came of it


async def _ended(case: Case, stage: Stage) -> list[Ended]:
    """All that ended otherwise than well, of the rules under test."""
    found: list[Ended] = []
    for run in (await stage.journal.read(listing.runs(listing.Wish(most=_ALL))))[::-1]:
        kind = _KINDS.get(run.state)
        if kind is not None and case.is_under_test(run.rule):
            at = stage.clock.now() if run.ended is None else run.ended
            found.append(Ended(kind, run.rule, at, run.message or "", await _words(run, stage)))
    for stored in (await stage.journal.read(listing.events(listing.Wish(most=_ALL))))[::-1]:
        whole = await stage.journal.read(listing.event(stored.event.id))
        record = whole.record if whole is not None and whole.record else {}
        for line in record.get("outcomes", ()):
            if case.is_under_test(line["rule"]):
                found += _of_outcome(line, stored.event.type, int(record["now"]))
    return found


def _of_outcome(line: dict[str, Any], event: str, now: int) -> list[Ended]:
    if line["verdict"] == Verdict.COULD_NOT_EVALUATE:
        return [Ended("could_not_evaluate", line["rule"], now, str(line.get("why", "")), (event,))]
    if line["verdict"] != Verdict.HELD_BACK:
        return []
    by = str(line.get("held", {}).get("by", ""))
    return [Ended("held", line["rule"], now, by, (event,))]


async def _words(run: Run, stage: Stage) -> tuple[str, ...]:
    by = await stage.journal.read(listing.event(run.cancelled_by)) if run.cancelled_by else None
    return (run.reason or "", *(by.names if by else ()))


def _compare(case: Case, done: Sequence[Done], ended: Sequence[Ended]) -> list[Line]:
    lines = []
    if case.expected.actions is not None:
        relevant = sorted(
            (one for one in done if case.is_under_test(one.rule)), key=lambda one: one.at
        )
        lines += _actions(case.expected.actions, relevant)
    for kind, wanted in case.expected.endings.items():
        lines += _endings(kind, wanted, [one for one in ended if one.kind == kind])
    for one in ended:
        if one.kind in _STRICT and one.kind not in case.expected.endings:
            lines.append(Line(None, one, kind=one.kind))
    return lines


def _actions(wanted: Sequence[Acts], done: Sequence[Done]) -> list[Line]:
    pairs = pair(wanted, done)
    late = misplaced(pairs, done)
    rest = [one for number, one in enumerate(done) if number not in pairs]
    lines = []
    for number, (want, at) in enumerate(zip(wanted, pairs, strict=True)):
        if at is not None:
            note = "it came before what is listed above it" if number == late else ""
            lines.append(Line(want, done[at], note))
            continue
        near = next((one for one in rest if _alike(want, one)), None)
        if near is not None:
            rest.remove(near)
        lines.append(Line(want, near, "differs" if near else ""))
    return [*lines, *(Line(None, one) for one in rest)]


def _alike(want: Acts, one: Done) -> bool:
    return want.action in {None, one.action} and want.rule in {None, one.rule}


def _endings(kind: str, wanted: Sequence[EndsSo], ended: Sequence[Ended]) -> list[Line]:
    lines = []
    surplus = surplus_endings(wanted, ended)
    for want, count in missing_endings(wanted, ended):
        near = next((one for one in surplus if one.rule == want.rule), None)
        if near is not None:
            surplus.remove(near)
        note = f"it was so {count} times" if count else "differs" if near else ""
        lines.append(Line(want, near, note, kind))
    return [*lines, *(Line(None, one, kind=kind) for one in surplus)]
