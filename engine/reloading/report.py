"""What a reload changes, or would: rules, connections, and the follow-ups that it touches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.deciding.rulebook import Rulebook
from engine.deciding.walking import followup_at
from engine.journal.later import Waiting
from engine.model import Reason, State
from engine.reloading.standing import WHOLE, Standing
from engine.rules.model import AfterStep, Rule, RuleSet

HELD = (Reason.RULE_GONE, Reason.RULE_OFF, Reason.RULE_SHADOW)
"""Why a follow-up was put on hold, if it may go on by itself when its rule comes back."""
_CANCELLED = "cancelled (on_rule_change: cancel)"
_REBOUND = "going on by the new version (on_rule_change: rebind)"
_NO_STEP = "put on hold: the new version has no such step"


@dataclass(frozen=True, slots=True)
class Changes:
    """Ids of rules, and names of connections; `renamed` maps the old id to the new one."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: Mapping[str, str]
    connections: tuple[str, ...]

    def __bool__(self) -> bool:
        return any((self.added, self.changed, self.removed, self.renamed, self.connections))


@dataclass(frozen=True, slots=True)
class Touched:
    """So many follow-ups of a rule, and what becomes of each."""

    rule: str
    count: int
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a reload; of a `planned` one, what would."""

    standing: Standing
    changes: Changes
    touched: tuple[Touched, ...]
    planned: bool

    def as_json(self) -> dict[str, Any]:
        """For `rulewave reload --json`."""
        standing = self.standing
        return {
            "ok": standing.well,
            "planned": self.planned,
            "rules": len(standing.ruleset.rules),
            "added": list(self.changes.added),
            "changed": list(self.changes.changed),
            "removed": list(self.changes.removed),
            "renamed": [{"was": old, "rule": new} for old, new in self.changes.renamed.items()],
            "connections": list(self.changes.connections),
            "broken": [
                {"rule": rule or None, "kept": is_kept(standing, rule)} for rule in standing.broken
            ],
            "followups": [asdict(one) for one in self.touched],
            "only_tests": standing.of_tests,
            "problems": [asdict(problem) for problem in standing.problems],
        }


def is_kept(standing: Standing, rule: str) -> bool:
    """Whether what was good before stays in force."""
    return rule in standing.kept or (rule == WHOLE and standing.decides)


def compare(old: RuleSet, new: RuleSet) -> Changes:
    """What differs between two rule sets."""
    before = {rule.id: rule for rule in old.rules}
    after = {rule.id: rule for rule in new.rules}
    renamed = {
        name: rule.id
        for rule in new.rules
        for name in rule.was
        if name in before and rule.id not in before
    }
    return Changes(
        added=tuple(id for id in after if id not in before and id not in renamed.values()),
        changed=tuple(
            id for id, rule in after.items() if id in before and rule.version != before[id].version
        ),
        removed=tuple(id for id in before if id not in after and id not in renamed),
        renamed=renamed,
        connections=tuple(_changed_connections(old, new)),
    )


def _changed_connections(old: RuleSet, new: RuleSet) -> Iterable[str]:
    for name in sorted({*old.connections, *new.connections}):
        before, after = old.connections.get(name), new.connections.get(name)
        if (before and before.raw) != (after and after.raw):
            yield name


def foresee(
    id: str, waiting: Sequence[Waiting], book: Rulebook, versions: Mapping[str, Rule | None]
) -> list[Touched]:
    """What becomes of a rule's follow-ups by the rules of `book`."""
    counted: dict[str, int] = {}
    rule, away = book.current(id), book.away(id)
    for one in waiting:
        for number, what in _becomes(one, rule, away, versions.get(one.version)):
            if number:
                counted[what] = counted.get(what, 0) + number
    return [Touched(id, number, what) for what, number in counted.items()]


def _becomes(
    one: Waiting, rule: Rule | None, away: Reason | None, began: Rule | None
) -> list[tuple[int, str]]:
    what = _pending(one, rule, began)
    if one.state is not State.ON_HOLD:
        return [(one.number, "put on hold" if away else what)]
    if away is None and what == _CANCELLED:
        return [(one.number, what)]
    if away or one.reason not in HELD:
        return [(one.number, "still on hold")]
    late = "still on hold: overdue, for a person to release"
    again = what if what in {_REBOUND, _NO_STEP} else "going on again"
    return [(one.number - one.overdue, again), (one.overdue, late)]


def _pending(one: Waiting, rule: Rule | None, began: Rule | None) -> str:
    if rule is None or one.version == rule.version:
        return "going on unchanged"
    how = change_of(began, one.path, rule)
    if how == "cancel":
        return _CANCELLED
    if how == "rebind":
        return _REBOUND if began and has_step(rule, one.path, began) else _NO_STEP
    return "finishing with the version that it began with"


def change_of(began: Rule | None, path: str, rule: Rule) -> str:
    """What the step of a follow-up says about a change of its rule; a new name alone is none."""
    if began is None or _said(began) == _said(rule):
        return "keep"
    step = _step(began, path)
    return step.on_rule_change if step else "keep"


def _said(rule: Rule) -> object:
    named = {"id", "was"}
    return rule.timezone, {key: value for key, value in rule.source.items() if key not in named}


def has_step(rule: Rule, path: str, began: Rule) -> bool:
    """Whether a rule has a follow-up of the same kind at that path."""
    now, before = _step(rule, path), _step(began, path)
    return bool(now and before and bool(now.awaits) == bool(before.awaits))


def _step(rule: Rule, path: str) -> AfterStep | None:
    try:
        return followup_at(rule, path)
    except LookupError:
        return None
