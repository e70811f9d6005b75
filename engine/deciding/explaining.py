"""What every rule says to one event, matched or not, with all that its condition looked at."""

from __future__ import annotations

from collections.abc import Sequence

from engine.deciding.batch import Batch
from engine.deciding.context import Context
from engine.deciding.matching import Outcome, judge, not_listening
from engine.deciding.rulebook import Rulebook
from engine.model import Facts


def context_of(book: Rulebook, facts: Facts, now: int) -> Context:
    """The names that all rules share for that event, at that moment."""
    return Batch(book, now).context(facts)


def outcomes(book: Rulebook, facts: Facts, names: Sequence[str], now: int) -> list[Outcome]:
    """The outcome of each rule of the book, those that listen first."""
    base = context_of(book, facts, now)
    listening = book.candidates(facts.event, names)
    asked = {rule.id for rule in listening}
    others = [not_listening(rule, names) for rule in book.ruleset.rules if rule.id not in asked]
    others.sort(key=lambda outcome: not outcome.listens)
    return [*(judge(rule, base, whole=True) for rule in listening), *others]
