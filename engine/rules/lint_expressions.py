"""Conditions held against what the panels send: paths, comparisons, and nulls under a `not`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from engine.rules import codes
from engine.rules.conditions import Condition
from engine.rules.expressions import Expression, Node, Path, path_of
from engine.rules.lint_facts import facts, facts_of
from engine.rules.lint_never import lint_value
from engine.rules.lint_scope import How, Reading, Scope
from engine.rules.lint_several import TOLD, asks_for_nothing, asks_which, tells_apart
from engine.rules.patterns import is_known, unknown_event
from engine.rules.wording import shown
from engine.sources import outlook
from engine.sources.contract import ANYTHING, NUMBERS, TEXTS, Kind, Shape

_ORDERS = {"lt", "gt", "lte", "gte"}
_FALLS_BACK = {"default", "not_null"}
_GIVES: Mapping[Kind, frozenset[str]] = {
    "number": frozenset({
        "length", "abs", "avg", "ceil", "floor", "sum", "to_number", "time", "hours_until",
        "days_since", "duration", "bytes",
    }),
    "text": frozenset({"lower", "upper", "trim", "to_string", "join", "type"}),
    "boolean": frozenset({"contains", "starts_with", "ends_with", "matches", "changed"}),
}  # fmt: skip
_KINDS: Mapping[str, Kind] = {name: kind for kind, names in _GIVES.items() for name in names}
_REFUSE_NULL = frozenset({
    "abs", "bytes", "ceil", "contains", "days_since", "duration", "ends_with", "floor",
    "hours_until", "length", "lower", "matches", "split", "starts_with", "time", "trim", "upper",
})  # fmt: skip
_BOOLEAN = Shape(frozenset({"boolean"}))


def lint_condition(condition: Condition, raw: Any, scope: Scope, how: How) -> None:
    """Report what is wrong or doubtful in a condition; `raw` is how it is written."""
    if condition.expression is not None:
        lint_expression(condition.expression, scope, how)
    elif condition.kind == "not":
        below = scope.at(scope.report.at("not"))
        inner = replace(how, negated=not how.negated)
        lint_condition(condition.parts[0], raw["not"], below, inner)
    else:
        _lint_join(condition, raw, scope, how)


def _lint_join(condition: Condition, raw: Any, scope: Scope, how: How) -> None:
    """Of `all` each part is asked where the others hold, of `any` where they do not."""
    listed = isinstance(raw, list)
    report = scope.report if listed else scope.report.at(condition.kind)
    written = raw if listed else raw[condition.kind]
    truth = condition.kind == "all"
    known = [
        scope.given(facts_of(part, truth=truth)) | (tells_apart(part) if truth else TOLD)
        for part in condition.parts
    ]
    for number, part in enumerate(condition.parts):
        others = how.facts.union(*known[:number], *known[number + 1 :])
        inner = replace(how, facts=others)
        lint_condition(part, written[number], scope.at(report.at(number)), inner)


def lint_expression(expression: Expression, scope: Scope, how: How) -> None:
    """Report what is wrong or doubtful in an expression."""
    told = replace(how, facts=how.facts | asks_which(expression.paths))
    _Reader(scope).read(expression.tree, scope.root, told)


def lint_compared_event(name: str, scope: Scope) -> None:
    """Report the comparison of `event` with a name that is not the only one of its event."""
    others = outlook.other_names(name)
    if others:
        message = (
            f"event keeps the name that was sent, and that may be {' or '.join(others)}"
            f" in place of {name}"
        )
        hint = f"listen to it instead: on: {name} finds it on every panel"
        scope.report.warn(codes.NAME_AS_SENT, message, hint)
    elif scope.exact and not is_known(name):
        scope.report.warn(codes.UNKNOWN_EVENT, *unknown_event(name))
    elif scope.exact and scope.heard and name not in scope.heard:
        hint = f"the rule waits for {', '.join(scope.heard[:5])}; take it into on, too, or leave it out"
        scope.report.warn(codes.NEVER_TRUE, f'event is never "{name}" here', hint)


# By name: bound methods would tie each reader into a knot that only the collector undoes.
_METHODS: Mapping[str, str] = {
    "field": "_step",
    "index": "_step",
    "literal": "_literal",
    "current": "_same",
    "identity": "_same",
    "slice": "_same",
    "subexpression": "_chain",
    "index_expression": "_chain",
    "pipe": "_chain",
    "projection": "_projection",
    "filter_projection": "_projection",
    "flatten": "_flatten",
    "comparator": "_comparator",
    "and_expression": "_both",
    "or_expression": "_either",
    "not_expression": "_not",
    "function_expression": "_function",
    "expref": "_unknown",
    "value_projection": "_values",
}


class _Reader:
    """Goes through a parsed expression as a search would, with shapes in place of values."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def read(self, node: Node, at: Reading, how: How) -> Reading:
        """What the node gives, read from `at`."""
        method = getattr(self, _METHODS.get(node["type"], "_parts"))
        return cast("Reading", method(node, at, how))

    def _step(self, node: Node, at: Reading, how: How) -> Reading:
        return self.scope.step(at, node["value"], how)

    def _literal(self, node: Node, at: Reading, how: How) -> Reading:
        del at, how
        value = node["value"]
        if isinstance(value, str):
            return Reading(Shape(frozenset({"text"})), value=value)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return Reading(Shape(frozenset({"number"})) if number else ANYTHING, value=value)

    def _same(self, node: Node, at: Reading, how: How) -> Reading:
        del node, how
        return at

    def _chain(self, node: Node, at: Reading, how: How) -> Reading:
        first, *others = node["children"]
        plain = how if node["type"] != "pipe" else replace(how, negated=False)
        found = self.read(first, at, plain)
        for child in others:
            found = self.read(child, found, how)
        return found

    def _projection(self, node: Node, at: Reading, how: How) -> Reading:
        base, each, *condition = node["children"]
        item = self.scope.item(self.read(base, at, how))
        plain = How(how.facts)
        for one in condition:
            self.read(one, item, plain)
        found = self.read(each, item, plain)
        return Reading(Shape(frozenset({"list"}), item=found.shape), item.path)

    def _values(self, node: Node, at: Reading, how: How) -> Reading:
        base, each = node["children"]
        self.read(base, at, how)
        self.read(each, Reading(ANYTHING), How(how.facts))
        return Reading(ANYTHING)

    def _flatten(self, node: Node, at: Reading, how: How) -> Reading:
        return self.read(node["children"][0], at, how)

    def _unknown(self, node: Node, at: Reading, how: How) -> Reading:
        del at
        return self._parts(node, Reading(ANYTHING), how)

    def _parts(self, node: Node, at: Reading, how: How) -> Reading:
        """Whatever has parts of its own: lists, mappings and the like."""
        parts = [self.read(child, at, How(how.facts)) for child in node["children"]]
        return Reading(ANYTHING, value=[part.value for part in parts])

    def _both(self, node: Node, at: Reading, how: How) -> Reading:
        left, right = node["children"]
        for one, other in ((left, right), (right, left)):
            self.read(one, at, self._knowing(how, other, truth=True))
        return Reading(ANYTHING)

    def _either(self, node: Node, at: Reading, how: How) -> Reading:
        left, right = node["children"]
        for one, other in ((left, right), (right, left)):
            inner = self._knowing(how, other, truth=False)
            # Often one side is for the one event, and one for the other.
            facts = inner.facts | TOLD
            self.read(one, at, replace(inner, facts=facts, lenient=True))
        return Reading(ANYTHING)

    def _knowing(self, how: How, other: Node, *, truth: bool) -> How:
        known = self.scope.given(facts(other, truth=truth)) | asks_for_nothing(other)
        return replace(how, facts=how.facts | known)

    def _not(self, node: Node, at: Reading, how: How) -> Reading:
        self.read(node["children"][0], at, replace(how, negated=not how.negated))
        return Reading(_BOOLEAN)

    def _function(self, node: Node, at: Reading, how: How) -> Reading:
        name, arguments = node["value"], node["children"]
        plain = How(how.facts, lenient=name in _FALLS_BACK)
        read = [self.read(one, at, plain) for one in arguments]
        if name in _REFUSE_NULL and read and _is_null_today(read[0]):
            self.scope.null_in_call(read[0], name)
        elif name in _REFUSE_NULL and read:
            self.scope.not_on_all(read[0], how.facts, f"{name}()", "ask for it as well: {} && …")
        if name == "changed" and read and isinstance(read[0].value, str):
            self.scope.follow(tuple(read[0].value.split(".")), plain)
        if name == "contains" and _is_event(arguments[1:]) and isinstance(read[0].value, list):
            for one in read[0].value:
                lint_compared_event(str(one), self.scope)
        if name == "contains" and len(read) > 1 and isinstance(read[0].value, list):
            for one in read[0].value:
                lint_value(read[1].text, read[1].shape.enum, one, self.scope)
        kind = _KINDS.get(name)
        return Reading(Shape(frozenset({kind})) if kind else ANYTHING)

    def _comparator(self, node: Node, at: Reading, how: How) -> Reading:
        plain = replace(how, negated=False)
        left, right = (self.read(one, at, plain) for one in node["children"])
        for one, other, side in ((left, right, 0), (right, left, 1)):
            if _is_event(node["children"][side : side + 1]) and isinstance(other.value, str):
                lint_compared_event(other.value, self.scope)
            if node["value"] in {"eq", "ne"}:
                lint_value(one.text, one.shape.enum, other.value, self.scope)
            if self._mixed_up(one, other):
                return Reading(_BOOLEAN)
        if node["value"] in _ORDERS:
            self._ordered(left, right, how)
        return Reading(_BOOLEAN)

    def _mixed_up(self, one: Reading, other: Reading) -> bool:
        """A number on one side, and what is or may be a text on the other."""
        kinds = one.shape.kinds
        if other.shape.kinds != NUMBERS or not kinds & TEXTS:
            return False
        better = self.scope.better(one.path) if one.path else ""
        right = _right_number(one, other, better)
        what = one.text or ("this" if one.value is None else shown(one.value))
        if kinds <= TEXTS:
            message = f"{what} is a text, and is compared with a number"
            self.scope.report.error(codes.TEXT_AND_NUMBER, message, right)
        elif kinds <= TEXTS | NUMBERS:
            message = f"{what} is a text on some panel versions, and is compared with a number"
            self.scope.report.warn(codes.SOME_VERSIONS, message, right)
        return True

    def _ordered(self, left: Reading, right: Reading, how: How) -> None:
        sides = (left, right)
        texts = [side for side in sides if side.shape.kinds and side.shape.kinds <= TEXTS]
        if texts:
            self._by_alphabet(texts)
        elif how.negated:
            for side in sides:
                if side.nulls and side.path:
                    message = f"{side.text} may be null, which makes this true under not"
                    hint = f"ask for it as well: {side.text} != `null` && …"
                    self.scope.report.error(codes.NULL_ORDERED, message, hint)

    def _by_alphabet(self, texts: list[Reading]) -> None:
        what = texts[0].text or "this text"
        rights = [self._right_order(side) for side in texts if side.path]
        hint = f"write {' and '.join(rights)}" if rights else ""
        message = f"< and > compare {what} by alphabet, not as a time or number"
        self.scope.report.error(codes.ORDERS_TEXT, message, hint)

    def _right_order(self, side: Reading) -> str:
        if "time" in side.shape.kinds:
            return f"time({side.text})"
        return self.scope.better(side.path) or f"to_number({side.text})"


def _is_null_today(found: Reading) -> bool:
    """Whether also the newest panels may send a null."""
    return found.nulls and bool(found.path) and not found.shape.filled


def _is_event(nodes: list[Node]) -> bool:
    path: Path = path_of(nodes[0]) if nodes else ()
    return path == ("event",)


def _right_number(one: Reading, other: Reading, better: str) -> str:
    """How to compare these two."""
    if one.value is not None:
        return f"write `{one.value}` for the number"
    if better:
        return f"{better} is a number on every panel"
    if "time" in one.shape.kinds:
        return f"write time({one.text})" if one.path else ""
    if other.value is not None:
        return f"write '{other.value}' for the text"
    return f"write to_number({one.text})" if one.path else ""
