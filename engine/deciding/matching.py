"""What one rule says to one event: four outcomes, never merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.deciding.context import Context, key_of, rule_context
from engine.deciding.holding import Held, Ruling
from engine.errors import CouldNotEvaluate
from engine.model import Verdict
from engine.rules.conditions import Judgement
from engine.rules.model import Rule
from engine.rules.needs import needed
from engine.rules.patterns import matches


@dataclass(frozen=True, slots=True)
class Outcome:
    """A rule's verdict on an event.

    `judgement` is what its condition said; where it was not asked, `said` is the reason.
    `listens` tells whether the event concerns the rule at all. `ruling` is what
    becomes of a match, once that is known.
    """

    rule: Rule
    verdict: Verdict
    said: str = ""
    key: str = ""
    judgement: Judgement | None = None
    listens: bool = True
    ruling: Ruling | None = None

    @property
    def held(self) -> Held | None:
        """Why a match is held back."""
        return self.ruling.held if self.ruling else None

    @property
    def why(self) -> str:
        """The reason in one line."""
        if self.held is not None:
            return self.held.message
        return self.judgement.why if self.judgement else self.said

    @property
    def seen(self) -> Mapping[str, Any]:
        """The values that were looked at."""
        return self.judgement.seen if self.judgement else {}

    @property
    def needed(self) -> str:
        """The first thing that would have to change for a match; empty where it is one."""
        if self.verdict in {Verdict.MATCHED, Verdict.HELD_BACK}:
            return ""
        return needed(self.judgement) if self.judgement else self.said


def judge(rule: Rule, base: Context, *, whole: bool = False) -> Outcome:
    """Judge a rule that listens to the event; `whole` traces all branches of its condition."""
    try:
        key = key_of(rule.per, base)
    except CouldNotEvaluate as error:
        return Outcome(rule, Verdict.COULD_NOT_EVALUATE, str(error))
    if rule.when is None:
        return Outcome(rule, Verdict.MATCHED, "no condition", key)
    context = rule_context(base, rule, key)
    judgement = rule.when.trace(context) if whole else rule.when.judge(context)
    return Outcome(rule, judgement.verdict, key=key, judgement=judgement)


def ruled(outcome: Outcome, ruling: Ruling) -> Outcome:
    """The outcome of a match, once it is known what becomes of it."""
    verdict = Verdict.HELD_BACK if ruling.held else Verdict.MATCHED
    return replace(outcome, verdict=verdict, ruling=ruling)


def not_listening(rule: Rule, names: Sequence[str]) -> Outcome:
    """The outcome of a rule that is no candidate for an event of these names."""
    said = "the rule is switched off (mode: off)"
    if rule.mode != "off":
        wanted = ", ".join(rule.on) or "its clock"
        also = f" (also {', '.join(names[1:])})" if names[1:] else ""
        said = f"it waits for {wanted}; this is {names[0]}{also}"
    return Outcome(rule, Verdict.NOT_MATCHED, said, listens=_named(rule, names))


def _named(rule: Rule, names: Sequence[str]) -> bool:
    return any(matches(pattern, name) for pattern in rule.on for name in names)
