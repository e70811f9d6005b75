"""Rules held against each other: one that undoes what another does, or starts itself for ever."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from engine.rules import codes
from engine.rules.conditions import Condition
from engine.rules.lint_never import Ways, is_possible, together, ways_of
from engine.rules.lint_scope import Scope
from engine.rules.model import ActionStep, AfterStep, ChooseStep, ForEachStep, Rule, Step
from engine.rules.parameters import CompiledParameters
from engine.rules.patterns import matches
from engine.rules.report import Path, Report
from engine.rules.values import Url
from engine.sources.contract import ANYTHING

_INSERTED = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_CALLS: Mapping[tuple[str, str], str] = {
    ("post", "actions/enable"): "enabled",
    ("post", "actions/disable"): "disabled",
    ("patch", ""): "modified",
}
"""What a call to the panel's own API makes of a user or node: method and end of the path."""
_ADDRESS = re.compile(r"/api/(user|node)s(?:/[*\w-]+)?/?(actions/\w+)?/?(?:\?.*)?")
_OPPOSITE = {"enabled": "disabled", "disabled": "enabled"}
_UNKNOWN_NAMES = Scope(names=ANYTHING)


@dataclass(frozen=True, slots=True)
class Change:
    """A call that changes a user or node in the panel, which then raises `event`.

    `at` is where it stands in its rule, `target` the panel; `asked` are the ways of getting there,
    `free` tells that nothing is asked at all.
    """

    event: str
    target: str
    at: Path
    asked: Ways
    free: bool

    @property
    def opposite(self) -> str:
        """The event of the call that undoes this one."""
        subject, _, what = self.event.partition(".")
        theirs = subject in {"user", "node"} and what in _OPPOSITE
        return f"{subject}.{_OPPOSITE[what]}" if theirs else ""


def lint_undoing(rules: Sequence[tuple[Rule, Report]]) -> None:
    """Report the rules that undo each other, and those that start each other without an end."""
    live = [(rule, report, changes) for rule, report in rules if (changes := _changes(rule))]
    for rule, report, changes in live:
        _itself(rule, report, changes)
    for first, second in combinations(live, 2):
        _each_other(first, second)


Changing = tuple[Rule, Report, list[Change]]


def _itself(rule: Rule, report: Report, changes: list[Change]) -> None:
    for one in changes:
        if one.free and not rule.holds_back and _hears(rule, one.event):
            message = f"this raises {one.event}, which the rule waits for: without an end"
            hint = "ask with when whether there is still something to change"
            report.at(*one.at).warn(codes.UNDOES, message, hint)
    for one, other in combinations(changes, 2):
        if one.target == other.target and one.opposite == other.event and _at_once(one, other):
            hint = "a choose with two ways does one of them"
            message = f"this undoes what the same rule does before: {one.event}"
            report.at(*other.at).warn(codes.UNDOES, message, hint)


def _each_other(first: Changing, second: Changing) -> None:
    """Both for the same event, or each for what the other makes."""
    for one in first[2]:
        for other in second[2]:
            if one.target != other.target or one.opposite != other.event:
                continue
            if _same_event(first[0], second[0]) and _at_once(one, other):
                message = f'for the same event, the rule "{first[0].id}" does the opposite'
                hint = "let their conditions exclude each other"
                second[1].at(*other.at).warn(codes.UNDOES, message, hint)
            elif _ping_pong(first[0], one, second[0], other):
                message = f'this and the rule "{first[0].id}" undo each other without an end'
                hint = "ask with when for something that only one of them fits"
                second[1].at(*other.at).warn(codes.UNDOES, message, hint)


def _ping_pong(first: Rule, one: Change, second: Rule, other: Change) -> bool:
    held = first.holds_back or second.holds_back
    around = _hears(second, one.event) and _hears(first, other.event)
    return around and one.free and other.free and not held


def _at_once(one: Change, other: Change) -> bool:
    return is_possible(together(one.asked, other.asked))


def _hears(rule: Rule, event: str) -> bool:
    return any(matches(pattern, event) for pattern in rule.on)


def _same_event(first: Rule, second: Rule) -> bool:
    """Whether some event fits both, going by names that are written out."""
    return any(
        matches(one, other) or matches(other, one) for one in first.on for other in second.on
    )


def _changes(rule: Rule) -> list[Change]:
    if rule.mode != "live":
        return []
    return list(_of_steps(rule.do, (rule.when,)))


def _of_steps(steps: Iterable[Step], asked: tuple[Condition | None, ...]) -> Iterator[Change]:
    """The calls that are made at once; what comes later may be called off."""
    for step in steps:
        when = (*asked, step.when)
        if isinstance(step, ActionStep):
            yield from _of_action(step, when)
        elif isinstance(step, ChooseStep):
            for branch in step.branches:
                # Of a way it is not known what the others asked for: it is no free one.
                yield from _unfree(_of_steps(branch.do, (*when, branch.when)))
        elif isinstance(step, ForEachStep):
            yield from _unfree(_of_steps(step.do, when))
        elif not isinstance(step, AfterStep):
            return  # a stop: what stands below it may never be reached


def _unfree(changes: Iterable[Change]) -> Iterator[Change]:
    for one in changes:
        yield Change(one.event, one.target, one.at, None, free=False)


def _of_action(step: ActionStep, asked: tuple[Condition | None, ...]) -> Iterator[Change]:
    template = step.template
    if not isinstance(template, CompiledParameters):
        return
    ways: Ways = ((),)
    for one in asked:
        ways = together(ways, ways_of(one, _UNKNOWN_NAMES))
    free = all(one is None for one in asked)
    at = (*_place(step.path), step.action)
    for event in template.emits:
        yield Change(event, step.target, at, ways, free)
    for method, value in template.values.items():
        event = _event(method, value.template.text) if isinstance(value, Url) else ""
        if event:
            yield Change(event, step.target, (*at, method), ways, free)


def _place(path: str) -> Path:
    return tuple(int(part) if part.isdigit() else part for part in path.split("."))


def _event(method: str, url: str) -> str:
    """The event that the panel raises for this call; "" where it is none that is known."""
    path = re.sub(r"^[a-z]+://[^/]*", "", _INSERTED.sub("*", url))
    found = _ADDRESS.fullmatch(path)
    what = _CALLS.get((method, found[2] or "")) if found else None
    return f"{found[1]}.{what}" if found and what else ""
