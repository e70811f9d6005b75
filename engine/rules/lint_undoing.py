"""Rules held against each other: one that undoes what another does, or starts itself for ever."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from engine.rules import codes
from engine.rules.lint_changes import Change, changes_of, place_of
from engine.rules.lint_never import is_possible, together
from engine.rules.model import AfterStep, CancelOn, Rule
from engine.rules.patterns import matches
from engine.rules.report import Report
from engine.rules.tree import walk_all


def lint_undoing(rules: Sequence[tuple[Rule, Report]]) -> None:
    """Report the rules that undo each other, and those that start each other without an end."""
    for rule, report in rules:
        _never_met(rule, report)
    live = [(rule, report, changes) for rule, report in rules if (changes := changes_of(rule))]
    for rule, report, changes in live:
        _itself(rule, report, changes)
        _called_off(rule, report, changes)
    for first, second in combinations(live, 2):
        _each_other(first, second)
    _rings([one for one in live if not one[0].holds_back])


Changing = tuple[Rule, Report, list[Change]]
_ENDING = ".deleted"
"""What is deleted cannot be deleted again."""
_BEGINNING = ".created"
_PAIR = 2


def _itself(rule: Rule, report: Report, changes: list[Change]) -> None:
    for one in changes:
        once = one.event.endswith(_ENDING)
        if one.free and not once and not rule.holds_back and _hears(rule, one.event):
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


def _never_met(rule: Rule, report: Report) -> None:
    """Report an await of what calls the same step off: that is asked first."""
    for step in walk_all(rule):
        if not isinstance(step, AfterStep):
            continue
        for one in dict.fromkeys(awaited.pattern for awaited in step.awaits):
            if _cancels(step.cancel_on, one):
                message = f"{one} calls this off before the await is met: its do never runs"
                hint = "leave it out of cancel_on, or give that a when"
                report.at(*place_of(step.path), "cancel_on").warn(codes.UNDOES, message, hint)


def _called_off(rule: Rule, report: Report, changes: list[Change]) -> None:
    """Report a follow-up that is called off by what the same run has done just before."""
    if rule.per.expression is not None:
        return
    for step in rule.do:
        if not isinstance(step, AfterStep):
            continue
        number = place_of(step.path)[1]
        for one in changes:
            if one.sure and int(one.at[1]) < int(number) and _cancels(step.cancel_on, one.event):
                message = f"the rule itself raises {one.event} before, which calls this off"
                hint = "leave it out of cancel_on, or give that a when"
                report.at(*place_of(step.path), "cancel_on").warn(codes.UNDOES, message, hint)


def _cancels(watched: Sequence[CancelOn], event: str) -> bool:
    """Whether the event, or whatever fits this glob, cancels in any case."""
    return any(
        one.when is None and (one.pattern == event or matches(one.pattern, event))
        for one in watched
    )


def _rings(live: Sequence[Changing]) -> None:
    """Report rules of which each starts the next, and the last one the first."""
    told: set[int] = set()
    for start in range(len(live)):
        ring = [] if start in told else _ring(live, start)
        if ring:
            told.update(number for number, _ in ring)
            number, change = ring[-1]
            ids = [live[one][0].id for one, _ in ring]
            message = f"these rules start each other without an end: {' → '.join([*ids, ids[0]])}"
            hint = "give one of them a when or a throttle, or let it wait for something else"
            live[number][1].at(*change.at).warn(codes.UNDOES, message, hint)


Ring = list[tuple[int, Change]]


def _ring(live: Sequence[Changing], start: int) -> Ring:
    """The shortest way from a rule back to itself over others behind it: each with what it changes."""
    ways: list[Ring] = [[(start, one)] for one in live[start][2] if one.free]
    seen = {start}
    for way in ways:  # grows while it is gone through
        change = way[-1][1]
        if len(way) > 1 and _hears(live[start][0], change.event) and _is_endless(way):
            return way
        for following in range(start + 1, len(live)):
            rule, _, changes = live[following]
            if following not in seen and _hears(rule, change.event):
                seen.add(following)
                ways += [[*way, (following, one)] for one in changes if one.free]
    return []


def _is_endless(ring: Ring) -> bool:
    """Not where it goes through two panels, deletes for good, or is told as undoing already."""
    changes = [one for _, one in ring]
    ends, begins = (
        any(one.event.endswith(word) for one in changes) for word in (_ENDING, _BEGINNING)
    )
    undone = len(ring) == _PAIR and changes[0].opposite == changes[1].event
    panels = {one.target for one in changes if one.target}
    return len(panels) <= 1 and not undone and (begins or not ends)
