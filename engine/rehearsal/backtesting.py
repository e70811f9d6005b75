"""Plays the stored events of a span to other rules, and lays what they would do beside what was done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.action import Registry
from engine.clock import ManualClock
from engine.deciding.own import COULD_NOT_EVALUATE as NOT_EVALUATED
from engine.deciding.own import DEAD_LETTER, ON_HOLD
from engine.deciding.rulebook import CLOCK_SOURCE, Rulebook
from engine.deciding.walking import as_written
from engine.journal import listing, replaying, runs
from engine.journal import rules as kept
from engine.journal.reading import JournalReader
from engine.journal.replaying import Step, Stored
from engine.library import CompileRule
from engine.model import OPEN_STATES, State
from engine.rehearsal.acting import Try
from engine.rehearsal.casting import used_results
from engine.rehearsal.silence import silent
from engine.rehearsal.stage import Stage, library_of, open_memory
from engine.rules.model import ActionStep, Rule, RuleSet
from engine.rules.tree import walk_all
from engine.sources.own import EMITTED

_PAGE = 500
_ALL = 10_000_000
_MADE = {CLOCK_SOURCE, EMITTED}
_AGAIN = {DEAD_LETTER, NOT_EVALUATED, ON_HOLD}
"""Events of Rulewave's own that come of deciding and running: they come anew, or not."""


@dataclass(frozen=True, slots=True)
class Deed:
    """A step that was or would be tried, for the event of that id and the run's key."""

    origin: str
    rule: str
    what: str
    at: int
    key: str


@dataclass(frozen=True, slots=True)
class Told:
    """The event that something was done for, as people know it."""

    type: str
    subject: str
    stored: int


@dataclass(slots=True)
class Comparison:
    """What came of a backtest.

    Attributes:
        gone: what was done and would not be; `new`: what would be done and was not.
        same: rule → how often both.
        assumed: rule and step → how often its result is not known, and taken for an empty one.
        dead: rule and message → how many dead letters there would be.
        failed: how many of the steps that were done did not go well then.
        skipped: events of which nothing is kept but that they were.
        waiting: how many follow-ups would still be waiting.
    """

    since: int
    until: int
    events: int = 0
    skipped: int = 0
    gone: list[Deed] = field(default_factory=list)
    new: list[Deed] = field(default_factory=list)
    same: Counter[str] = field(default_factory=Counter)
    assumed: Counter[tuple[str, str]] = field(default_factory=Counter)
    dead: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: int = 0
    waiting: int = 0
    told: dict[str, Told] = field(default_factory=dict)
    rules: tuple[str, ...] = ()


@dataclass(slots=True)
class Backtest:
    """One backtest of a rule set on a journal that nobody changes.

    Attributes:
        compile_rule: for versions that steps were done by.
        on_progress: told how many events of how many have been played.
    """

    reader: JournalReader
    ruleset: RuleSet
    actions: Registry
    compile_rule: CompileRule
    on_progress: Callable[[int, int], None] = lambda _done, _all: None
    _deeds: list[Deed] = field(default_factory=list)
    _results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    _assumed: Counter[tuple[str, str]] = field(default_factory=Counter)
    _used: dict[str, frozenset[str]] = field(default_factory=dict)

    def run(self, since: int, until: int) -> Comparison:
        """Play what was stored from `since` on, and let time go by up to `until`. Blocks."""
        with silent():
            return asyncio.run(self._run(since, until))

    def rules(self, since: int) -> list[str]:
        """The ids of the rules to be played, and of those that have done anything since then."""
        first = self.reader.read(replaying.first_since(since))
        steps = self.reader.read(replaying.steps_from(first)) if first is not None else []
        book = Rulebook(self.ruleset)
        done = (_name(step, book) for step in steps)
        return [*dict.fromkeys((*(rule.id for rule in self.ruleset.rules), *done))]

    async def _run(self, since: int, until: int) -> Comparison:
        found = Comparison(since, until, rules=tuple(rule.id for rule in self.ruleset.rules))
        first = self.reader.read(replaying.first_since(since))
        if first is None:
            return found
        steps = self.reader.read(replaying.steps_from(first))
        self._results = self.reader.read(replaying.results_from(first))
        self._used = {rule.id: used_results(rule.source) for rule in self.ruleset.rules}
        journal = open_memory(large=True)
        try:
            clock = ManualClock(since)
            library = library_of(journal, self.ruleset, clock)
            stage = Stage(clock, journal, library, self.actions, self._play)
            for state in self.reader.read(replaying.states_before(first)):
                await journal.write(replaying.keep(state))
            await stage.start()
            await self._replay(stage, first, found)
            await stage.until(until)
            await self._gather(stage, found)
            await stage.end()
        finally:
            journal.close()
        self._compare(steps, found)
        return found

    async def _replay(self, stage: Stage, first: int, found: Comparison) -> None:
        total = self.reader.read(replaying.count_from(first))
        for number, stored in enumerate(self._stored(first)):
            event = stored.event
            self.on_progress(number + 1, total)
            found.told[event.id] = Told(event.type, event.subject or "", event.stored)
            if event.source in _MADE or event.type in _AGAIN:
                continue
            if not event.body:
                found.skipped += 1
                continue
            found.events += 1
            await stage.pass_to(event.stored)
            await stage.raise_own(event, stored.digest)
            await stage.settle()

    def _stored(self, first: int) -> Iterator[Stored]:
        while page := self.reader.read(replaying.events_from(first, _PAGE)):
            yield from page
            first = page[-1].event.seq + 1

    def _play(self, one: Try) -> dict[str, Any]:
        """Take note of a step; its result is what was recorded of the same step."""
        run, step = one.run, one.step
        self._deeds.append(Deed(run.origin, run.rule, _label(step), one.at, run.key))
        known = self._results.get(run.id, {})
        if step.id is None:
            return {}
        if step.id in known:
            return dict(known[step.id])
        if not one.internal and step.id in self._used.get(run.rule, ()):
            self._assumed[run.rule, step.id] += 1
        return {}

    async def _gather(self, stage: Stage, found: Comparison) -> None:
        states = await stage.journal.read(runs.states())
        found.waiting = sum(states.get(state.value, 0) for state in OPEN_STATES)
        dead = listing.runs(listing.Wish(state=State.DEAD.value, most=_ALL))
        for run in await stage.journal.read(dead):
            found.dead[run.rule, run.message or run.reason or ""] += 1
        found.assumed = self._assumed

    # ---------------------------------------------------------------- beside what was done

    def _compare(self, steps: list[Step], found: Comparison) -> None:
        """Match what was done with what would be: by event, rule, action and target."""
        book = Rulebook(self.ruleset)
        labels: dict[str, dict[str, str]] = {}
        done: dict[tuple[str, str, str], list[Deed]] = {}
        for step in steps:
            if step.started >= found.until:
                continue
            found.failed += not step.well
            if step.version not in labels:
                labels[step.version] = self._labels(step.version, book)
            deed = Deed(
                step.origin, _name(step, book),
                labels[step.version].get(as_written(step.path), step.path), step.started,
                step.key,
            )  # fmt: skip
            done.setdefault((deed.origin, deed.rule, deed.what), []).append(deed)
        for deed in self._deeds:
            same = done.get((deed.origin, deed.rule, deed.what))
            if same:
                same.pop(0)
                found.same[deed.rule] += 1
            else:
                found.new.append(deed)
        found.gone = sorted((one for rest in done.values() for one in rest), key=lambda x: x.at)

    def _labels(self, version: str, book: Rulebook) -> dict[str, str]:
        """Step path → what the step did, by the version that it was done by."""
        rule = book.by_version.get(version) or self._past(version)
        steps = walk_all(rule) if rule else ()
        return {step.path: _label(step) for step in steps if isinstance(step, ActionStep)}

    def _past(self, version: str) -> Rule | None:
        stored = self.reader.read(kept.version(version))
        return self.compile_rule(stored, self.ruleset) if stored else None


def _name(step: Step, book: Rulebook) -> str:
    """What its rule is called now."""
    current = book.current(step.rule)
    return current.id if current else step.rule


def _label(step: ActionStep) -> str:
    if step.target.split(" ")[0] == step.action:  # it has no other name: shell and its program
        return step.target
    return f"{step.action} to {step.target}"
