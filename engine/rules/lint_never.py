"""Conditions that no event can make true: what their parts demand of one path excludes itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.rules import codes
from engine.rules.conditions import Condition
from engine.rules.expressions import Node, Path, is_true, path_of
from engine.rules.lint_scope import Scope
from engine.rules.wording import shown

_MOST_WAYS = 64
"""More ways than these of making a condition true are not gone through."""
_FLIPPED = {"lt": "gt", "gt": "lt", "lte": "gte", "gte": "lte", "eq": "eq", "ne": "ne"}
_CHANGING = frozenset({"latest", "steps", "now", "error", "events", "digest"})
"""What may be another thing by the time that a step's own condition is asked."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What has to hold of the value at a path: `operator` is a comparison, or `is` for truth."""

    path: Path
    operator: str
    value: Any = None


Way = tuple[Demand, ...]
"""Demands that make a condition true together."""
Ways = Sequence[Way] | None
"""All ways of making it true: none at all where nothing can; None where there are too many."""
_ANY: Ways = ((),)


def ways_of(condition: Condition | None, scope: Scope, *, truth: bool = True) -> Ways:
    """The ways in which a condition comes out so."""
    if condition is None:
        return _ANY
    if condition.expression is not None:
        return _ways(condition.expression.tree, scope, truth=truth)
    if condition.kind == "not":
        return ways_of(condition.parts[0], scope, truth=not truth)
    parts = [ways_of(part, scope, truth=truth) for part in condition.parts]
    return _every(parts) if (condition.kind == "all") is truth else _any(parts)


def together(first: Ways, second: Ways) -> Ways:
    """The ways of making both true at once."""
    return _every([first, second])


def lasting(ways: Ways) -> Ways:
    """Only the demands that still hold when a later condition is asked."""
    if ways is None:
        return None
    return [tuple(one for one in way if one.path[0] not in _CHANGING) for way in ways]


def lint_never(condition: Condition | None, scope: Scope, outer: Ways = _ANY) -> None:
    """Report a condition that is never true; `outer` is what was asked before it."""
    if condition is None:
        return
    ways = ways_of(condition, scope)
    if is_possible(ways) and not is_possible(together(outer, ways)):
        message = f"this is never true where the rule's own when holds: {condition}"
        scope.report.warn(codes.NEVER_TRUE, message, "one of the two asks for something else")
    elif not is_possible(ways):
        hint = "mode: off switches a rule off" if not ways else _why(ways)
        scope.report.warn(codes.NEVER_TRUE, f"this is never true: {condition}", hint)


def is_possible(ways: Ways) -> bool:
    """Whether any way makes demands that one event can meet."""
    return ways is None or any(_clash(way) is None for way in ways)


def _why(ways: Ways) -> str:
    path = _clash(ways[0]) if ways else None
    return f"no value of {'.'.join(map(str, path))} can be all of that at once" if path else ""


def _every(parts: Iterable[Ways]) -> Ways:
    found: list[Way] = [()]
    for ways in parts:
        # What is not understood may be true: without its demands the others still count.
        if ways is None:
            continue
        found = [(*one, *other) for one in found for other in ways]
        if len(found) > _MOST_WAYS:
            return None
    return found


def _any(parts: Iterable[Ways]) -> Ways:
    found: list[Way] = []
    for ways in parts:
        if ways is None:
            return None
        found += ways
    return found if len(found) <= _MOST_WAYS else None


def _ways(node: Node, scope: Scope, *, truth: bool) -> Ways:
    kind, children = node["type"], node["children"]
    if kind == "not_expression":
        return _ways(children[0], scope, truth=not truth)
    if kind in {"and_expression", "or_expression"}:
        parts = [_ways(child, scope, truth=truth) for child in children]
        return _every(parts) if (kind == "and_expression") is truth else _any(parts)
    if kind == "literal" and isinstance(node["value"], str):
        return _ANY  # reported where it was compiled
    if kind == "literal":
        return _ANY if is_true(node["value"]) is truth else ()
    if kind == "comparator":
        return _compared(node["value"], children, scope, truth=truth)
    path = path_of(node)
    return ((Demand(scope.same(path), "is", truth),),) if path else _ANY


def _compared(operator: str, sides: list[Node], scope: Scope, *, truth: bool) -> Ways:
    for side, other, known in (
        (sides[0], sides[1], operator),
        (sides[1], sides[0], _FLIPPED[operator]),
    ):
        path = path_of(side)
        if path and other["type"] == "literal" and _is_plain(other["value"]):
            if not truth and known not in {"eq", "ne"}:
                return _ANY  # a null makes it false as well
            right = known if truth else {"eq": "ne", "ne": "eq"}[known]
            return ((Demand(scope.same(path), right, other["value"]),),)
    return _ANY


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _clash(way: Way) -> Path | None:
    """The first path of which too much is demanded."""
    by_path: dict[Path, list[Demand]] = {}
    for one in way:
        by_path.setdefault(one.path, []).append(one)
    return next((path for path, asked in by_path.items() if _excludes(asked)), None)


def _excludes(asked: list[Demand]) -> bool:
    """Whether no value meets all of them."""
    exact = [one.value for one in asked if one.operator == "eq"]
    if exact:
        return not all(_meets(exact[0], one) for one in asked)
    numbers = [one for one in asked if _is_number(one.value)]
    lows = [one for one in numbers if one.operator in {"gt", "gte"}]
    highs = [one for one in numbers if one.operator in {"lt", "lte"}]
    if (lows or highs) and Demand(asked[0].path, "is", value=False) in asked:
        return True  # numbers are true, and only numbers can be ordered
    if {True, False} <= {one.value for one in asked if one.operator == "is"}:
        return True
    return any(_apart(low, high) for low in lows for high in highs)


def _apart(low: Demand, high: Demand) -> bool:
    touching = low.operator == "gte" and high.operator == "lte"
    return bool(low.value > high.value or (low.value == high.value and not touching))


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": lambda one, other: bool(one < other),
    "lte": lambda one, other: bool(one <= other),
    "gt": lambda one, other: bool(one > other),
    "gte": lambda one, other: bool(one >= other),
}


def _meets(value: Any, demand: Demand) -> bool:
    if demand.operator == "is":
        return is_true(value) is demand.value
    # One path stands for two views of a value: a number here may be a text there.
    if {_is_number(value), _is_number(demand.value)} == {True, False} and (
        isinstance(value, str) or isinstance(demand.value, str)
    ):
        return True
    if demand.operator in {"eq", "ne"}:
        same = isinstance(value, bool) is isinstance(demand.value, bool) and value == demand.value
        return same is (demand.operator == "eq")
    texts = isinstance(value, str) and isinstance(demand.value, str)
    if texts or (_is_number(value) and _is_number(demand.value)):
        return _TESTS[demand.operator](value, demand.value)
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def lint_value(text: str, known: frozenset[str], compared: Any, scope: Scope) -> None:
    """Report a comparison with a word that the field never holds; `text` is its path."""
    if not known or not isinstance(compared, str) or compared in known:
        return
    close = {one.lower(): one for one in known}.get(compared.strip().lower())
    listed = ", ".join(sorted(known))
    hint = f"did you mean '{close}'?" if close else f"there is {listed}"
    scope.report.warn(codes.NEVER_TRUE, f"{text} is never {shown(compared)}", hint)
