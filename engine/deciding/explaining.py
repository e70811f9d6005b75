"""What every rule says to one event, matched or not, with all that its condition looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from engine.deciding.batch import Batch
from engine.deciding.context import Context
from engine.deciding.holding import as_of, rule_on
from engine.deciding.matching import Outcome, judge, not_listening, ruled
from engine.deciding.planning import first_run
from engine.deciding.rulebook import Rulebook
from engine.model import Event, Facts, Holding, Verdict


def context_of(book: Rulebook, facts: Facts, now: int) -> Context:
    """The names that all rules share for that event, at that moment."""
    return Batch(book, now).context(facts)


def outcomes(
    book: Rulebook,
    facts: Facts,
    names: Sequence[str],
    now: int,
    holding: Mapping[str, Holding] = MappingProxyType({}),
) -> list[Outcome]:
    """The outcome of each rule of the book, those that listen first.

    `holding` maps rule ids to what earlier matches of the same key left.
    """
    base = context_of(book, facts, now)
    listening = book.candidates(facts.event, names)
    ids = {rule.id for rule in listening}
    others = [not_listening(rule, names) for rule in book.ruleset.rules if rule.id not in ids]
    others.sort(key=lambda outcome: not outcome.listens)
    asked = (judge(rule, base, whole=True) for rule in listening)
    return [*(_ruled(one, facts.event, holding) for one in asked), *others]


def _ruled(outcome: Outcome, event: Event, holding: Mapping[str, Holding]) -> Outcome:
    if outcome.verdict is not Verdict.MATCHED:
        return outcome
    rule = outcome.rule
    left = as_of(rule, event.stored, holding.get(rule.id, Holding()))
    return ruled(outcome, rule_on(rule, first_run(rule, event), event.stored, left))
