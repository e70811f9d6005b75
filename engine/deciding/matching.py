"""What one rule says to one event: four outcomes, never merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.deciding.context import Context, key_of, rule_context
from engine.errors import CouldNotEvaluate
from engine.model import Verdict
from engine.rules.model import Rule
from engine.rules.patterns import matches


@dataclass(frozen=True, slots=True)
class Outcome:
    """A rule's verdict, its reason in one line, and the values that were looked at."""

    rule: Rule
    verdict: Verdict
    why: str
    key: str = ""
    seen: Mapping[str, Any] = field(default_factory=dict)


def judge(rule: Rule, base: Context) -> Outcome:
    """Judge a rule that listens to the event."""
    try:
        key = key_of(rule.per, base)
    except CouldNotEvaluate as error:
        return Outcome(rule, Verdict.COULD_NOT_EVALUATE, str(error))
    if rule.when is None:
        return Outcome(rule, Verdict.MATCHED, "no condition", key)
    judgement = rule.when.judge(rule_context(base, rule, key))
    return Outcome(rule, judgement.verdict, judgement.why, key, judgement.seen)


def not_listening(rule: Rule, names: Sequence[str]) -> Outcome | None:
    """The outcome of a rule that does not listen to any of these names; None where it does."""
    if rule.mode == "off":
        return Outcome(rule, Verdict.NOT_MATCHED, "the rule is switched off (mode: off)")
    if any(matches(pattern, name) for pattern in rule.on for name in names):
        return None
    wanted = ", ".join(rule.on) or "its clock"
    also = f" (also {', '.join(names[1:])})" if names[1:] else ""
    return Outcome(rule, Verdict.NOT_MATCHED, f"it waits for {wanted}; this is {names[0]}{also}")
