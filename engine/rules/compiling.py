"""Expressions and conditions out of plain data, with every mistake in them reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.errors import CouldNotEvaluate
from engine.rules import codes, names
from engine.rules.conditions import Condition
from engine.rules.expressions import (
    ALL_FUNCTIONS,
    Expression,
    Node,
    NotJMESPathError,
    library_functions,
)
from engine.rules.functions import compiled_pattern
from engine.rules.report import Report
from engine.rules.traps import find_traps, spelling_hint
from engine.rules.wording import did_you_mean, shortened, shown

_JOINS = ("all", "any", "not")
_ELSEWHERE = {
    "error": "it is known in on_failure",
    **dict.fromkeys(names.AWAITED, "it is known in the do of an await"),
    **dict.fromkeys(names.DIGESTING, "it is known in the do of a rule with digest"),
}


def compile_expression(
    raw: Any, report: Report, known: frozenset[str] = names.CONTEXT
) -> Expression | None:
    """A JMESPath text compiled, or None and the reasons reported."""
    if not isinstance(raw, str):
        message = f"a JMESPath expression is expected, not {shown(raw)}"
        report.error(codes.WRONG_VALUE, message, "write it as a text")
        return None
    traps = find_traps(raw, known)
    for trap in traps:
        report.error(trap.code, f"{trap.message} (in {shortened(raw)})", trap.hint)
    try:
        expression = Expression(raw)
    except NotJMESPathError as error:
        if not traps:
            message = f"{shortened(raw)} is no JMESPath: {error.message} (column {error.column})"
            report.error(codes.BAD_EXPRESSION, message, spelling_hint(raw, error.column))
        return None
    _check_names(expression, report, known | {trap.name for trap in traps})
    _check_calls(expression, report)
    return None if traps else expression


def compile_condition(
    raw: Any, report: Report, known: frozenset[str] = names.CONTEXT
) -> Condition | None:
    """A condition compiled, or None and the reasons reported."""
    if isinstance(raw, str):
        return _compile_text(raw, report, known)
    if isinstance(raw, list):
        return _compile_join("all", raw, report, known)
    if not isinstance(raw, dict) or len(raw) != 1 or next(iter(raw)) not in _JOINS:
        message = f"a condition is a text, a list, or one of all, any, not; not {shown(raw)}"
        report.error(codes.WRONG_VALUE, message, "several conditions go into a list")
        return None
    ((join, below),) = raw.items()
    if join == "not":
        part = compile_condition(below, report.at("not"), known)
        return Condition("not", parts=(part,)) if part else None
    if not isinstance(below, list):
        report.at(join).error(codes.WRONG_VALUE, f"{join} needs a list of conditions")
        return None
    return _compile_join(join, below, report.at(join), known)


def _compile_text(raw: str, report: Report, known: frozenset[str]) -> Condition | None:
    expression = compile_expression(raw, report, known)
    if expression is None:
        return None
    for text in _texts_alone(expression.tree):
        message = f"'{shortened(text)}' by itself is always true"
        hint = f"name the field again: user.tag == '{shortened(text)}'"
        report.error(codes.ALWAYS_TRUE, message, hint)
    return Condition("text", expression)


def _texts_alone(node: Node) -> Iterator[str]:
    """The texts that stand where a condition should: `a == 'x' || 'y'`."""
    if node["type"] in {"and_expression", "or_expression", "not_expression"}:
        for child in node["children"]:
            yield from _texts_alone(child)
    elif node["type"] == "literal" and isinstance(node["value"], str):
        yield node["value"]


def _compile_join(
    join: Any, raw: list[Any], report: Report, known: frozenset[str]
) -> Condition | None:
    if not raw:
        report.error(codes.WRONG_VALUE, f"{join} has no condition in it")
        return None
    found = [compile_condition(part, report.at(at), known) for at, part in enumerate(raw)]
    parts = tuple(part for part in found if part is not None)
    return Condition(join, parts=parts) if len(parts) == len(raw) else None


def _check_names(expression: Expression, report: Report, known: frozenset[str]) -> None:
    for name in dict.fromkeys(path[0] for path in expression.paths):
        check_name(str(name), report, known)


def check_name(name: str, report: Report, known: frozenset[str]) -> None:
    """Report a name that stands for nothing; a misspelt one would be null for ever."""
    if name in known:
        return
    if name in _ELSEWHERE:
        report.error(codes.UNKNOWN_NAME, f'there is no "{name}" here', _ELSEWHERE[name])
        return
    close = did_you_mean(name, known) if len(name) > 1 else ""
    hint = close if close.startswith("did") else f"write user.{name}, node.{name} or data.{name}"
    report.error(codes.UNKNOWN_NAME, f'there is no "{shortened(name)}"', hint)


def _check_calls(expression: Expression, report: Report) -> None:
    for name, count, constant in expression.calls():
        ours = ALL_FUNCTIONS.get(name)
        if name == "secret":
            hint = "secrets are for connections, headers, query, auth and env"
            report.error(codes.SECRET_REFUSED, "conditions and expressions know no secrets", hint)
        elif ours is None and name not in library_functions():
            hint = did_you_mean(name, ALL_FUNCTIONS.keys() | library_functions())
            report.error(codes.BAD_FUNCTION, f"there is no function {name}()", hint)
        elif ours is not None and ours.arity != count:
            message = f"{name}() takes {ours.arity} value(s), not {count}"
            report.error(codes.BAD_FUNCTION, message)
        elif constant is not None:
            _check_constant(name, constant, report)


def _check_constant(name: str, constant: Any, report: Report) -> None:
    """What is written out can be tried at once."""
    try:
        if name == "matches" and isinstance(constant, str):
            compiled_pattern(constant)
        elif name in {"duration", "bytes", "time"}:
            ALL_FUNCTIONS[name].call({}, constant)
    except CouldNotEvaluate as error:
        report.error(codes.BAD_FUNCTION, str(error))
