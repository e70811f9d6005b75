"""Decides events one after the other, each seeing what the ones before it in the batch planned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.deciding.cancelling import (
    Happening,
    after_origin,
    cancelled_message,
    holds,
    in_time,
    met_message,
    settled,
)
from engine.deciding.context import Context, base_context, key_of, rule_context
from engine.deciding.matching import Outcome, judge
from engine.deciding.own import SOURCE, Own, could_not_evaluate
from engine.deciding.planning import Advance, identifier, plan, plan_on_failure
from engine.deciding.rulebook import Rulebook, cancellable, followup_at, lane_of
from engine.errors import CouldNotEvaluate
from engine.model import Decided, Event, Facts, PlannedRun, Reason, Run, State, Verdict, Watcher
from engine.rules.model import Per, Rule
from engine.rules.patterns import matches
from engine.sources.names import names as names_of

Wish = tuple[str, str, str]
"""Pattern, per and key of the follow-ups that an event may cancel or meet."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An event with all its names, the rules that listen, and the follow-ups to ask for."""

    facts: Facts
    names: tuple[str, ...]
    candidates: tuple[Rule, ...]
    base: Mapping[str, Any]
    wishes: tuple[Wish, ...]
    later: tuple[Facts, ...] = ()

    @property
    def wants_later(self) -> bool:
        """Whether events that arrived before this one may cancel or meet what it plans."""
        return self.wants_all_later or (
            bool(self.facts.later) and any(map(cancellable, self.candidates))
        )

    @property
    def wants_all_later(self) -> bool:
        """Whether later events of other subjects may cancel or meet what this one plans."""
        one_subject = self.facts.event.subject is not None
        return any(
            cancellable(rule) and not (one_subject and rule.per.text == "")
            for rule in self.candidates
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A follow-up that waits for one of an event's names, with the facts of its origin."""

    watcher: Watcher
    origin: Facts | None


@dataclass(frozen=True, slots=True)
class Cancel:
    """A waiting follow-up that an event cancels."""

    run: str
    by: str
    message: str


@dataclass(frozen=True, slots=True)
class Meet:
    """A waiting follow-up whose await an event meets: from then it waits in `lane`.

    `arrived` is the event's arrival number, `moment` when it was stored.
    """

    run: str
    arrived: int
    moment: int
    lane: str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of one event: its record, the runs it makes, what it cancels, meets and raises."""

    decided: Decided
    plans: tuple[PlannedRun, ...] = ()
    cancels: tuple[Cancel, ...] = ()
    meets: tuple[Meet, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    raised: tuple[Own, ...] = ()


@dataclass(slots=True)
class Batch:
    """What the events of a batch have in common: the rules, the time, and what is planned so far."""

    book: Rulebook
    now: int
    names: dict[int, tuple[str, ...]] = field(default_factory=dict)
    planned: dict[str, PlannedRun] = field(default_factory=dict)
    origins: dict[str, Facts] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)

    def context(self, facts: Facts) -> dict[str, Any]:
        """The names that all rules share for that event."""
        return base_context(
            facts.event,
            facts.previous,
            facts.latest,
            now=self.now,
            vars=self.book.ruleset.vars,
        )

    def prepare(self, facts: Facts, kinds: Iterable[tuple[str, Per]]) -> Prepared:
        """Find an event's names, candidate rules and the follow-ups that may wait for it."""
        event = facts.event
        names = names_of(event.body, facts.previous.body if facts.previous else None)
        self.names[event.seq] = names
        candidates = tuple(self.book.candidates(event, names))
        fitting = [(p, per) for p, per in kinds if any(matches(p, name) for name in names)]
        base = self.context(facts)
        return Prepared(facts, names, candidates, base, tuple(_wishes(fitting, base)))

    def decide(self, prepared: Prepared, waiting: Sequence[Waiting]) -> Decision:
        """Decide one event."""
        event = prepared.facts.event
        happening = Happening(event, prepared.names, lambda: prepared.base)
        came_to = self._settle(waiting, happening)
        self._settle_planned(happening)
        outcomes = [judge(rule, prepared.base) for rule in prepared.candidates]
        plans: list[PlannedRun] = []
        for outcome in outcomes:
            if outcome.verdict is Verdict.MATCHED:
                plans += self._plan(prepared, outcome)
        record = self._record(prepared.facts, outcomes)
        decided = Decided(event.seq, prepared.names, record)
        self.planned.update({planned.run.id: planned for planned in plans})
        self.origins.update({planned.run.id: prepared.facts for planned in plans})
        self.settled |= {one.run for one in came_to}
        return Decision(
            decided, tuple(plans),
            cancels=tuple(one for one in came_to if isinstance(one, Cancel)),
            meets=tuple(one for one in came_to if isinstance(one, Meet)),
            outcomes=tuple(outcomes),
            raised=tuple(self._tell(prepared.facts, outcomes)),
        )  # fmt: skip

    def _tell(self, facts: Facts, outcomes: Iterable[Outcome]) -> Iterator[Own]:
        """Rules that could not be evaluated, each once; about own events nothing is raised."""
        for outcome in outcomes:
            failed = outcome.verdict is Verdict.COULD_NOT_EVALUATE
            if failed and facts.event.source != SOURCE and outcome.rule.version not in self.told:
                self.told.add(outcome.rule.version)
                yield could_not_evaluate(outcome, facts, self.now)

    def _settle(self, waiting: Sequence[Waiting], happening: Happening) -> list[Cancel | Meet]:
        """What the event does to those that wait for it; to each only one thing, and once."""
        found: dict[str, Cancel | Meet] = {}
        for item in sorted(waiting, key=lambda item: item.watcher.position):
            run = item.watcher.run
            if run not in found and run not in self.settled:
                came_to = self._came_to(item, happening)
                found |= {run: came_to} if came_to else {}
        return list(found.values())

    def _came_to(self, waiting: Waiting, happening: Happening) -> Cancel | Meet | None:
        watcher = waiting.watcher
        event = happening.event
        if not after_origin(event, raised=watcher.origin_raised, seq=watcher.origin_seq):
            return None
        rule = self.book.by_version.get(watcher.version)
        step = followup_at(rule, watcher.path) if rule else None
        if step is None:  # a version that can't be compiled any more: it can't fire either
            return None
        origin = waiting.origin
        wanted = step.watched_for[watcher.position]
        if not in_time(step, watcher.position, event, watcher.due):
            return None
        if not holds(wanted, happening, lambda: self.context(origin) if origin else {}):
            return None
        if not step.meets(watcher.position):
            return Cancel(watcher.run, event.id, cancelled_message(event, wanted.pattern))
        message = met_message(event, wanted.pattern)
        return Meet(watcher.run, event.seq, event.stored, lane_of(step.do, 0), message)

    def _settle_planned(self, happening: Happening) -> None:
        for id, planned in self.planned.items():
            run = planned.run
            if not planned.watches or run.state is State.CANCELLED:
                continue
            rule = self.book.by_version[run.version]
            self.planned[id] = self.unless_settled(planned, rule, self.origins[id], [happening])

    def _plan(self, prepared: Prepared, outcome: Outcome) -> list[PlannedRun]:
        facts, rule = prepared.facts, outcome.rule
        context = rule_context(prepared.base, rule, outcome.key)
        made: Advance = plan(rule, facts.event, context, outcome.key)
        later = [self.happening(found) for found in prepared.later]
        children = [
            self.unless_settled(child, rule, facts, later) if child.watches else child
            for child in made.children
        ]
        told = plan_on_failure(made.run, rule, self.now) if made.run.state is State.DEAD else ()
        return [PlannedRun(made.run), *children, *told]

    def happening(self, facts: Facts) -> Happening:
        """An event known already, as one that follow-ups may wait for."""
        event = facts.event
        names = self.names.get(event.seq) or event.names or (event.type,)
        return Happening(event, names, lambda: self.context(facts))

    def unless_settled(
        self, planned: PlannedRun, rule: Rule, origin: Facts, later: Sequence[Happening]
    ) -> PlannedRun:
        """The follow-up, or what it comes to where a later event cancels or meets it already."""
        run = planned.run
        step = followup_at(rule, run.path)
        if step is None:
            return planned
        window = [
            item
            for item in later
            if after_origin(item.event, raised=run.origin_raised, seq=run.origin_seq)
        ]
        return settled(planned, step, rule.per, window, lambda: self.context(origin), self.now)

    def _record(self, facts: Facts, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        return {
            "rules": self.book.ruleset.hash,
            "now": self.now,
            "previous": facts.previous.id if facts.previous else None,
            "latest": facts.latest.id if facts.latest else None,
            "outcomes": [
                _outcome_record(outcome)
                for outcome in outcomes
                if outcome.verdict is not Verdict.NOT_MATCHED
            ],
        }


def undecidable(event: Event, message: str, now: int) -> Decision:
    """A dead letter in place of a decision: this event can't be decided."""
    run = Run(
        id=identifier("run", event.id, "", "", 0),
        origin=event.id, origin_seq=event.seq, origin_raised=event.raised,
        rule="", version="", path="", generation=0, key="",
        state=State.DEAD, due=event.stored, created=event.stored, lane="", ended=now,
        reason=Reason.COULD_NOT_DECIDE.value, message=message,
    )  # fmt: skip
    decided = Decided(event.seq, (event.type,), {"now": now, "error": message})
    return Decision(decided, (PlannedRun(run),))


def _wishes(fitting: Iterable[tuple[str, Per]], base: Context) -> Iterable[Wish]:
    for pattern, per in fitting:
        try:
            yield pattern, per.text, key_of(per, base)
        except CouldNotEvaluate:
            continue


def _outcome_record(outcome: Outcome) -> dict[str, Any]:
    record = {"rule": outcome.rule.id, "version": outcome.rule.version, "verdict": outcome.verdict}
    if outcome.verdict is Verdict.COULD_NOT_EVALUATE:
        record["why"] = outcome.why
    return record
