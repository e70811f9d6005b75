"""Decides events one after the other, each seeing what the ones before it in the batch planned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.deciding.cancelling import (
    Happening,
    after_origin,
    anew_message,
    cancelled_message,
    given_way,
    holds,
    in_time,
    met_message,
    settled,
)
from engine.deciding.context import Context, base_context, key_of, rule_context
from engine.deciding.decisions import Cancel, Decision, Left, Meet, Prepared, Waiting, Wish
from engine.deciding.holding import Ruling, as_of, recorded, rule_on
from engine.deciding.matching import Outcome, judge, ruled
from engine.deciding.own import SOURCE, Own, could_not_evaluate
from engine.deciding.planning import (
    Advance,
    first_run,
    identifier,
    plan,
    plan_on_failure,
    watches_of,
)
from engine.deciding.rulebook import Rulebook, tells_of_failure
from engine.deciding.walking import lane_of, part_at
from engine.errors import CouldNotEvaluate
from engine.model import (
    OPEN_STATES,
    Decided,
    Event,
    Facts,
    Holding,
    PlannedRun,
    Reason,
    Run,
    State,
    UnderWay,
    Verdict,
)
from engine.rules.model import Per, Rule
from engine.rules.patterns import matches
from engine.sources.names import names as names_of


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
    ended: set[str] = field(default_factory=set)
    holding: dict[tuple[str, str], Holding] = field(default_factory=dict)

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
        outcomes = tuple(judge(rule, base) for rule in candidates)
        return Prepared(facts, names, candidates, outcomes, base, tuple(_wishes(fitting, base)))

    def unknown(self, prepared: Prepared) -> list[tuple[Rule, str]]:
        """The rules and keys of which has to be known what earlier matches left (`holding`)."""
        return [
            (one.rule, one.key)
            for one in prepared.matched
            if one.rule.holds_back and (one.rule.id, one.key) not in self.holding
        ]

    def decide(self, prepared: Prepared, waiting: Sequence[Waiting]) -> Decision:
        """Decide one event."""
        event = prepared.facts.event
        happening = Happening(event, prepared.names, lambda: prepared.base)
        came_to = self._settle(waiting, happening)
        self._settle_planned(happening)
        self.ended |= {one.run for one in came_to if isinstance(one, Cancel)}
        self.settled |= {one.run for one in came_to}
        ruled = [self._ruled(prepared, outcome) for outcome in prepared.outcomes]
        plans = [plan for _, _, made in ruled for plan in made]
        outcomes = [outcome for outcome, _, _ in ruled]
        left = [left for _, left, _ in ruled if left]
        self.planned.update({planned.run.id: planned for planned in plans})
        self.origins.update({planned.run.id: prepared.facts for planned in plans})
        cancels = [one for one in came_to if isinstance(one, Cancel)]
        cancels += self._put_an_end(event, left)
        record = self._record(prepared.facts, outcomes, left)
        return Decision(
            Decided(event.seq, prepared.names, record), tuple(plans),
            cancels=tuple(cancels),
            meets=tuple(one for one in came_to if isinstance(one, Meet)),
            outcomes=tuple(outcomes),
            raised=tuple(self._tell(prepared.facts, outcomes)),
            left=tuple(left),
        )  # fmt: skip

    def _ruled(
        self, prepared: Prepared, outcome: Outcome
    ) -> tuple[Outcome, Left | None, list[PlannedRun]]:
        """What becomes of one rule's outcome: held back or not, and the runs that it makes."""
        if outcome.verdict is not Verdict.MATCHED:
            return outcome, None, []
        rule, event = outcome.rule, prepared.facts.event
        about = (rule.id, outcome.key)
        before = Holding()
        if rule.holds_back:
            known = self.holding.get(about, before).without(self.ended)
            before = as_of(rule, event.stored, known)
        ruling = rule_on(rule, first_run(rule, event), event.stored, before)
        plans = self._plan(prepared, outcome, ruling) if ruling.makes else []
        if rule.holds_back:
            self.holding[about] = _with_runs(rule, ruling, before, plans)
        left = Left(rule, outcome.key, event.seq, event.stored, before, ruling)
        self._grow(ruling, event)
        return ruled(outcome, ruling), left, plans

    def _grow(self, ruling: Ruling, event: Event) -> None:
        """A digest planned in this batch is full."""
        planned = self.planned.get(ruling.joins or "")
        if ruling.full and planned is not None:
            run = replace(planned.run, due=event.stored)
            self.planned[run.id] = replace(planned, run=run)

    def _put_an_end(self, event: Event, left: Iterable[Left]) -> Iterator[Cancel]:
        """The runs that give way to a new one (`concurrency: restart`)."""
        for one in left:
            for id in one.ruling.cancels:
                self.ended.add(id)
                planned = self.planned.get(id)
                if planned is None:
                    reason = Reason.STARTED_ANEW
                    yield Cancel(id, event.id, anew_message(event), reason)
                elif planned.run.state in OPEN_STATES:
                    run = given_way(planned.run, event, self.now)
                    self.planned[id] = PlannedRun(run)

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
        step = part_at(rule, watcher.path) if rule else None
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
            after = self.unless_settled(planned, rule, self.origins[id], [happening])
            self.planned[id] = after
            if after.run.state is State.CANCELLED:
                self.ended.add(id)

    def _plan(self, prepared: Prepared, outcome: Outcome, ruling: Ruling) -> list[PlannedRun]:
        facts, rule = prepared.facts, outcome.rule
        context = rule_context(prepared.base, rule, outcome.key)
        made: Advance = plan(rule, facts.event, context, outcome.key, ruling)
        later = [self.happening(found) for found in prepared.later]
        planned = [
            self.unless_settled(one, rule, facts, later) if one.watches else one
            for one in (PlannedRun(made.run, watches_of(made.run, rule)), *made.children)
        ]
        self.ended |= {one.run.id for one in planned if one.run.state is State.CANCELLED}
        told = plan_on_failure(made.run, rule, self.now) if made.run.state is State.DEAD else ()
        return [*planned, *told]

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
        step = part_at(rule, run.path)
        if step is None:
            return planned
        window = [
            item
            for item in later
            if after_origin(item.event, raised=run.origin_raised, seq=run.origin_seq)
        ]
        return settled(planned, step, rule.per, window, lambda: self.context(origin), self.now)

    def _record(
        self, facts: Facts, outcomes: Sequence[Outcome], left: Sequence[Left]
    ) -> dict[str, Any]:
        states = {one.rule.id: recorded(one.before) for one in left if one.rule.holds_back}
        return {
            "rules": self.book.ruleset.hash,
            "now": self.now,
            "previous": facts.previous.id if facts.previous else None,
            "latest": facts.latest.id if facts.latest else None,
            "outcomes": [
                _outcome_record(outcome, states.get(outcome.rule.id))
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


def _outcome_record(outcome: Outcome, state: Mapping[str, Any] | None) -> dict[str, Any]:
    record: dict[str, Any] = {
        "rule": outcome.rule.id,
        "version": outcome.rule.version,
        "verdict": outcome.verdict,
    }
    if outcome.verdict is Verdict.COULD_NOT_EVALUATE:
        record["why"] = outcome.why
    if outcome.held is not None:
        held = outcome.held
        record["held"] = {"by": held.by, "until": held.until, "run": held.run}
    if state is not None:
        record["holding"] = state
    return record


def _with_runs(rule: Rule, ruling: Ruling, before: Holding, plans: Iterable[PlannedRun]) -> Holding:
    """What a match leaves, with all the runs that it made: its follow-ups are under way as well."""
    made = [one.run for one in plans if one.run.state in OPEN_STATES]
    places = ruling.after.places
    if ruling.takes is not None and ruling.makes:
        open = tuple(run.id for run in made)
        places = (*places[:-1], replace(ruling.takes, open=open))
    if rule.concurrency == "parallel":
        return replace(ruling.after, places=places, under_way=())
    known = tuple(one for one in ruling.after.under_way if one in before.under_way)
    fresh = tuple(
        UnderWay(run.id, steps=not run.path)
        for run in made
        if not tells_of_failure(run.path) and run.reason != Reason.DIGEST
    )
    return replace(ruling.after, places=places, under_way=(*known, *fresh))
