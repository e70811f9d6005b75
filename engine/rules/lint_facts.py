"""What must be there, neither null nor absent, where a condition is true, or where it is false."""

from __future__ import annotations

from engine.rules.conditions import Condition
from engine.rules.expressions import Node, Path, path_of

Paths = frozenset[Path]

NONE: Paths = frozenset()
_ORDERS = {"lt", "gt", "lte", "gte"}
# Any other function fails on a null.
_TAKE_NULL = {"default", "not_null", "type", "to_string", "to_array", "to_number", "changed"}


def facts_of(condition: Condition | None, *, truth: bool = True) -> Paths:
    """The paths that are there where the condition comes out so."""
    if condition is None:
        return NONE
    if condition.expression is not None:
        return facts(condition.expression.tree, truth=truth)
    if condition.kind == "not":
        return facts_of(condition.parts[0], truth=not truth)
    found = [facts_of(part, truth=truth) for part in condition.parts]
    return _joined(found, every=(condition.kind == "all") is truth)


def facts(node: Node, *, truth: bool) -> Paths:
    """The paths that are there where the expression comes out true, or false."""
    kind, children = node["type"], node["children"]
    if kind == "not_expression":
        return facts(children[0], truth=not truth)
    if kind in {"and_expression", "or_expression"}:
        found = [facts(child, truth=truth) for child in children]
        return _joined(found, every=(kind == "and_expression") is truth)
    if kind == "comparator":
        return _compared(node["value"], children, truth=truth)
    if kind == "function_expression":
        return _called(node, truth=truth)
    path = path_of(node)
    return frozenset({path}) if truth and path else NONE


def _joined(found: list[Paths], *, every: bool) -> Paths:
    if every:
        return NONE.union(*found)
    first, *others = found
    return first.intersection(*others)


def _compared(operator: str, sides: list[Node], *, truth: bool) -> Paths:
    paths = frozenset(path for path in map(path_of, sides) if path)
    if operator in _ORDERS:
        return paths | _within(sides) if truth else _within(sides)
    null = any(side["type"] == "literal" and side["value"] is None for side in sides)
    literal = any(side["type"] == "literal" for side in sides)
    equal = (operator == "eq") is truth
    return paths if literal and equal is not null else NONE


def _within(sides: list[Node]) -> Paths:
    """What must be there for the functions on either side to give anything."""
    return NONE.union(*(_called(one, truth=False) for one in sides if _is_call(one)))


def _is_call(node: Node) -> bool:
    return bool(node["type"] == "function_expression")


def _called(node: Node, *, truth: bool) -> Paths:
    name, arguments = node["value"], node["children"]
    if name == "changed":
        return frozenset({("previous",)}) if truth else NONE
    if name in _TAKE_NULL:
        return NONE
    direct = frozenset(path for path in map(path_of, arguments) if path)
    return direct | _within(arguments)
