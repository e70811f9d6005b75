"""The nouns of deciding: an event made ready, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.deciding.holding import Ruling
from engine.deciding.matching import Outcome
from engine.deciding.own import Own
from engine.deciding.rulebook import cancellable
from engine.model import Decided, Facts, Holding, PlannedRun, Reason, Verdict, Watcher
from engine.rules.model import Rule

Wish = tuple[str, str, str]
"""Pattern, per and key of the follow-ups that an event may cancel or meet."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An event with all its names, the rules that listen, and the follow-ups to ask for."""

    facts: Facts
    names: tuple[str, ...]
    candidates: tuple[Rule, ...]
    outcomes: tuple[Outcome, ...]
    base: Mapping[str, Any]
    wishes: tuple[Wish, ...]
    later: tuple[Facts, ...] = ()

    @property
    def matched(self) -> Iterator[Outcome]:
        """The rules that match, and the subject keys for which they do."""
        return (one for one in self.outcomes if one.verdict is Verdict.MATCHED)

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
    """A run that an event cancels."""

    run: str
    by: str
    message: str
    reason: Reason = Reason.CANCELLED_BY_EVENT


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
class Left:
    """How a match was ruled on: of which rule and key, by which event, when, and from what."""

    rule: Rule
    key: str
    event: int
    moment: int
    before: Holding
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of one event: its record, the runs it makes, what it cancels, meets and raises.

    `left` is what its matches leave to those that come after them.
    """

    decided: Decided
    plans: tuple[PlannedRun, ...] = ()
    cancels: tuple[Cancel, ...] = ()
    meets: tuple[Meet, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    raised: tuple[Own, ...] = ()
    left: tuple[Left, ...] = ()
