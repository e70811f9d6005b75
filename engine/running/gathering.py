"""What a digest gathered, asked once more before it goes out: who paid meanwhile is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.deciding.context import base_context, rule_context
from engine.deciding.rulebook import tells_of_failure
from engine.model import Facts, Run, Verdict
from engine.rules.model import Rule


def of_digest(facts: Facts, gathered: Sequence[Facts]) -> Facts:
    """Bare names are those of the last event that a digest gathered."""
    if not gathered:
        return facts
    return replace(gathered[-1], arrived=facts.arrived, gathered=tuple(gathered))


def left_over(
    rule: Rule, run: Run, facts: Facts, *, now: int, vars: Mapping[str, Any]
) -> tuple[Facts, tuple[int, ...]]:
    """A delayed digest without the events that the rule's `when` does not fit any more.

    Also their arrival numbers. Where none is left, all stay: the run ends by its last one.
    """
    if rule.when is None or not (run.delayed and facts.gathered) or tells_of_failure(run.path):
        return facts, ()
    wanted: list[Facts] = []
    dropped: list[Facts] = []
    for one in facts.gathered:
        base = base_context(one.event, one.previous, one.latest, now=now, vars=vars)
        verdict = rule.when.judge(rule_context(base, rule, run.key, run.results)).verdict
        (dropped if verdict is Verdict.NOT_MATCHED else wanted).append(one)
    if not wanted or not dropped:
        return facts, ()
    return of_digest(facts, wanted), tuple(one.event.seq for one in dropped)
