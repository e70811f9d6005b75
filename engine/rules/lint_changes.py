"""What a rule changes by itself: its calls to the panel's API and its emits, and the events of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from engine.rules.conditions import Condition
from engine.rules.lint_never import Ways, together, ways_of
from engine.rules.lint_scope import Scope
from engine.rules.model import ActionStep, AfterStep, ChooseStep, ForEachStep, Rule, Step
from engine.rules.parameters import CompiledParameters
from engine.rules.patterns import is_known
from engine.rules.report import Path
from engine.rules.values import Url
from engine.sources.contract import ANYTHING

_INSERTED = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_CALLS: Mapping[tuple[str, str], str] = {
    ("post", ""): "created",
    ("patch", ""): "modified",
    ("delete", ""): "deleted",
    ("post", "actions/enable"): "enabled",
    ("post", "actions/disable"): "disabled",
    ("post", "actions/reset-traffic"): "traffic_reset",
    ("post", "actions/revoke"): "revoked",
}
"""What a call to the panel's own API makes of a user or node: method and end of the path."""
_ADDRESS = re.compile(r"/api/(user|node)s(/[*\w-]+)?/?(actions/[\w-]+)?/?(?:\?.*)?")
_OPPOSITE = {"enabled": "disabled", "disabled": "enabled"}
_UNKNOWN_NAMES = Scope(names=ANYTHING)


@dataclass(frozen=True, slots=True)
class Change:
    """A call that changes a user or node in the panel, which then raises `event`; or an emit.

    `at` is where it stands in its rule, `target` the panel ("" of an emit); `asked` are the ways of
    getting there, `free` tells that nothing is asked at all. `sure`: where the run goes on, it has
    succeeded, with the user or node of the rule's own event.
    """

    event: str
    target: str
    at: Path
    asked: Ways
    free: bool
    sure: bool = False

    @property
    def opposite(self) -> str:
        """The event of the call that undoes this one."""
        subject, _, what = self.event.partition(".")
        theirs = subject in {"user", "node"} and what in _OPPOSITE
        return f"{subject}.{_OPPOSITE[what]}" if theirs else ""


def changes_of(rule: Rule) -> list[Change]:
    """What a live rule changes at once: what comes later may be called off."""
    if rule.mode != "live":
        return []
    return list(_of_steps(rule.do, (rule.when,)))


def _of_steps(steps: Iterable[Step], asked: tuple[Condition | None, ...]) -> Iterator[Change]:
    """What these steps change, where all of `asked` has to hold."""
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
    at = (*place_of(step.path), step.action)
    for event in template.emits:
        yield Change(event, "", at, ways, free)
    for method, value in template.values.items():
        url = value.template.text if isinstance(value, Url) else ""
        event = _event(method, url)
        if event:
            sure = free and step.stop_on_error and bool(_INSERTED.search(url))
            yield Change(event, step.target, (*at, method), ways, free, sure)


def place_of(path: str) -> Path:
    """Where a step of this path stands in its rule."""
    return tuple(int(part) if part.isdigit() else part for part in path.split("."))


def _event(method: str, url: str) -> str:
    """The event that the panel raises for this call; "" where it is none that is known."""
    path = re.sub(r"^[a-z]+://[^/]*", "", _INSERTED.sub("*", url))
    found = _ADDRESS.fullmatch(path)
    what = _CALLS.get((method, found[3] or "")) if found else None
    if not found or not what or (what == "created" and found[2]):
        return ""
    event = f"{found[1]}.{what}"
    return event if is_known(event) else ""
