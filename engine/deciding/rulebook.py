"""The rules in force, indexed, together with older versions that runs still finish with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from engine.deciding.walking import CONTROL_LANE, ON_FAILURE
from engine.model import Event, Reason, Run, State
from engine.rules.model import ActionStep, AfterStep, Rule, RuleSet, Step
from engine.rules.patterns import Patterns
from engine.rules.tree import walk, walk_all

CLOCK_SOURCE = "clock"


_AWAY = {"off": Reason.RULE_OFF, "shadow": Reason.RULE_SHADOW}


class Rulebook:
    """One rule set, ready to be asked."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.ruleset = ruleset
        self.by_id: Mapping[str, Rule] = {rule.id: rule for rule in ruleset.rules}
        self.by_version: dict[str, Rule] = {rule.version: rule for rule in ruleset.rules}
        self._index: Patterns[Rule] = Patterns(
            (pattern, rule) for rule in ruleset.rules if rule.mode != "off" for pattern in rule.on
        )
        self._order = {rule.id: place for place, rule in enumerate(ruleset.rules)}
        self._heirs = {name: rule for rule in ruleset.rules for name in rule.was}

    def candidates(self, event: Event, names: Sequence[str]) -> list[Rule]:
        """The rules that listen to any of these names, each once, in the order of the file."""
        if event.source == CLOCK_SOURCE:
            # It may have been renamed since.
            rule = self.current(str(event.body.get("data", {}).get("rule")))
            return [rule] if rule and rule.clocks and rule.mode != "off" else []
        found = {rule.id: rule for rule in self._index.find(names)}
        return sorted(found.values(), key=lambda rule: self._order[rule.id])

    def current(self, id: str) -> Rule | None:
        """The rule of that id, or the one that had it before."""
        return self.by_id.get(id) or self._heirs.get(id)

    def away(self, id: str) -> Reason | None:
        """Why follow-ups of that rule are not to go on; None where it is in force."""
        if not self.ruleset.hash:  # there never were any rules: nothing can be gone
            return None
        rule = self.current(id)
        if rule is None:
            return Reason.RULE_GONE
        return _AWAY.get(rule.mode)

    def lanes(self) -> set[str]:
        """The targets of all steps in force."""
        found: set[str] = {CONTROL_LANE}
        for rule in self.ruleset.rules:
            found |= _targets((*rule.do, *rule.on_failure))
        return found


def is_followup(path: str) -> bool:
    """Whether a run with this path is a follow-up, not a rule's own steps or its `on_failure`."""
    return path.partition(":")[0] not in {"", ON_FAILURE}


def waits(run: Run) -> bool:
    """Whether it is due later: a follow-up, or a rule's own run that was held back."""
    if run.path:
        return is_followup(run.path)
    held = {Reason.DIGEST, Reason.QUIET, Reason.CONCURRENCY}
    return run.reason in held or run.state is State.ON_HOLD


def tells_of_failure(path: str) -> bool:
    """Whether a run with this path belongs to its rule's `on_failure`."""
    return path.startswith(ON_FAILURE)


def about(path: str) -> str:
    """The end of a path that says which run's failure it is about; "" for the rule's first."""
    _, colon, of = path.partition(":")
    return colon + of


def cancellable(rule: Rule) -> bool:
    """Whether any run of the rule can be cancelled, or its await be met, by an event."""
    if rule.cancel_on:
        return True
    return any(isinstance(step, AfterStep) and step.watched_for for step in walk_all(rule))


def _targets(steps: Iterable[Step]) -> set[str]:
    return {step.target for step in walk(steps) if isinstance(step, ActionStep)}
