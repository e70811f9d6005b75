"""Pure: what is to be in force after a reading, with the last good version of what is broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import Problem
from engine.rules.loading import Loaded, with_hash
from engine.rules.model import Rule, RuleSet

WHOLE = ""
"""In place of a rule's id: what is wrong with a file, a connection or a variable."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is to be in force.

    `broken` maps a rule's id (`WHOLE` where it is none's) to what is wrong; of those in `kept` the
    last good version stays. `decides`: there is something to decide events by. `of_tests`: whatever is
    no rule's is about a test, and so spoils nothing.
    """

    ruleset: RuleSet
    problems: tuple[Problem, ...]
    broken: Mapping[str, tuple[Problem, ...]]
    kept: frozenset[str]
    decides: bool
    of_tests: bool = False

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
    decides = bool(ruleset.rules) or not lost
    # Without a hash it is no rule set that could be in force: nothing is gone from it.
    in_force = ruleset if decides else replace(ruleset, hash="")
    of_tests = WHOLE in broken and loaded.of_tests.issuperset(broken[WHOLE])
    return Standing(in_force, loaded.problems, broken, ids, decides, of_tests)


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
    """The rule set with what is kept, its variables, and the connections of older rules."""
    vars: Mapping[str, Any] = {**last.vars, **new.vars} if kept else new.vars
    retired = {
        name: spec
        for name, spec in {**last.retired, **last.connections}.items()
        if name not in new.connections
    }
    return with_hash(replace(new, rules=(*new.rules, *kept), vars=vars, retired=retired))
