"""Rules for several kinds of event: which of them lack what a rule reads of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.rules.conditions import Condition
from engine.rules.expressions import Node, Path
from engine.sources import outlook
from engine.sources.contract import ANYTHING, Shape

TOLD_APART: Path = ("event",)
"""As a fact: it is asked which event came, so that nobody knows which of them are left."""
TOLD = frozenset({TOLD_APART})
NOT_TOLD: frozenset[Path] = frozenset()
NOTHING: tuple[Path, str] = (), ""
_TELLS = ("event", "scope")
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """Event types that carry the same, and the names that a rule may use on them alone."""

    types: tuple[str, ...]
    names: Shape


def kinds_of(types: Sequence[str]) -> tuple[Kind, ...]:
    """The event types by what they carry; of one kind only there is nothing to tell apart."""
    kinds = outlook.scopes(tuple(types))
    if len(kinds) <= 1:
        return ()
    scope_of = {type: {scope for scope, _ in outlook.scopes((type,))} for type in types}
    return tuple(
        Kind(
            tuple(type for type in types if scope in scope_of[type]),
            outlook.outlook(((scope, span),)),
        )
        for scope, span in kinds
    )


def lacking(path: Path, known: Iterable[Path], kinds: Sequence[Kind]) -> tuple[Path, str]:
    """What of the path some event types lack, and which, as one says them; () and "" if none or all.

    `known` are the paths that are there for certain: events without one of them do not come here.
    """
    facts = tuple(known)
    if TOLD_APART in facts:
        return NOTHING
    left = [kind for kind in kinds if not any(_lacks(kind.names, fact) for fact in facts)]
    without = [kind for kind in left if _lacks(kind.names, path)]
    if not without or len(without) == len(left):
        return NOTHING
    first = range(1, len(path) + 1)
    end = next(end for end in first if all(_lacks(kind.names, path[:end]) for kind in without))
    return path[:end], _said([type for kind in without for type in kind.types])


def _said(types: Sequence[str]) -> str:
    more = len(types) - _MOST_NAMED
    named = types[:_MOST_NAMED]
    if more > 0:
        return f"{', '.join(named)} and {more} more"
    return " and ".join(filter(None, [", ".join(named[:-1]), *named[-1:]]))


def _lacks(names: Shape, path: Path) -> bool:
    """Whether these events have nothing there; what is inside a list may not even be asked for."""
    shape = names
    for part in path:
        if shape is ANYTHING or shape.item is not None or not isinstance(part, str):
            return False
        below = shape.fields.get(part)
        if below is None or below.absent:
            return below is not None or not shape.open
        shape = below
    return False


def tells_apart(condition: Condition | None) -> frozenset[Path]:
    """The fact that a condition may ask which event came, where it may."""
    if condition is None:
        return NOT_TOLD
    if condition.expression is not None:
        expression = condition.expression
        return asks_which(expression.paths) | asks_for_nothing(expression.tree)
    if condition.kind == "not":
        return TOLD
    return NOT_TOLD.union(*map(tells_apart, condition.parts))


def asks_which(paths: Iterable[Path]) -> frozenset[Path]:
    """The fact that these paths tell which event came, where one of them does."""
    return TOLD if any(path[0] in _TELLS for path in paths) else NOT_TOLD


def asks_for_nothing(node: Node) -> frozenset[Path]:
    """The fact that an expression may ask for what is not there, and so for the other events."""
    null = node["type"] == "literal" and node["value"] is None
    if null or node["type"] == "not_expression":
        return TOLD
    return NOT_TOLD.union(*map(asks_for_nothing, node["children"]))
