"""Pure: what is to be in force after a reading, with the last good version of what is broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import Problem
from engine.library import connections_of
from engine.rules.loading import Loaded, with_hash
from engine.rules.model import Rule, RuleSet

WHOLE = ""
"""In place of a rule's id: what is wrong with a file, a connection or a variable."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is to be in force.

    `broken` maps a rule's id (`WHOLE` where it is none's) to what is wrong; of those in `kept` the
    last good version stays. `decides`: there is something to decide events by.
    """

    ruleset: RuleSet
    problems: tuple[Problem, ...]
    broken: Mapping[str, tuple[Problem, ...]]
    kept: frozenset[str]
    decides: bool

    @property
    def well(self) -> bool:
        """Whether all that is written can be used."""
        return not self.broken


def stand(loaded: Loaded, last: RuleSet | None) -> Standing:
    """What comes of a reading; `last` was in force before, None where nothing ever was."""
    broken = _by_rule(loaded)
    if not loaded.usable:
        kept = frozenset(rule.id for rule in last.rules) if last else frozenset[str]()
        return Standing(last or RuleSet(), loaded.problems, broken, kept, last is not None)
    keeping = _kept(loaded, last) if last else ()
    ruleset = _completed(loaded.ruleset, keeping, last or RuleSet())
    lost = bool(loaded.broken) or loaded.nameless
    ids = frozenset(rule.id for rule in keeping)
    return Standing(ruleset, loaded.problems, broken, ids, bool(ruleset.rules) or not lost)


def _by_rule(loaded: Loaded) -> dict[str, tuple[Problem, ...]]:
    found: dict[str, tuple[Problem, ...]] = {}
    for problem in loaded.errors:
        rule = problem.rule or WHOLE
        found[rule] = (*found.get(rule, ()), problem)
    return found


def _kept(loaded: Loaded, last: RuleSet) -> tuple[Rule, ...]:
    """The last good versions of what can't be used.

    Where a rule's very id can't be read, it may be any of those that seem gone: they all stay.
    """
    good = {rule.id for rule in loaded.ruleset.rules}
    taken = good | {name for rule in loaded.ruleset.rules for name in rule.was}
    wanted = loaded.broken | loaded.former
    return tuple(
        rule
        for rule in last.rules
        if rule.id not in taken and (rule.id in wanted or loaded.nameless)
    )


def _completed(new: RuleSet, kept: tuple[Rule, ...], last: RuleSet) -> RuleSet:
    """The rule set with what is kept, the connections that it needs, and those of old runs."""
    needed = {name for rule in kept for name in connections_of(rule)}
    older = {name: spec for name, spec in last.connections.items() if name in needed}
    connections = {**older, **new.connections}
    vars: Mapping[str, Any] = {**last.vars, **new.vars} if kept else new.vars
    retired = {
        name: spec
        for name, spec in {**last.retired, **last.connections}.items()
        if name not in connections
    }
    whole = replace(
        new, rules=(*new.rules, *kept), connections=connections, vars=vars, retired=retired
    )
    return with_hash(whole)
