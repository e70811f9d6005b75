"""Conditions: JMESPath texts joined by all, any and not, judged with the values that decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from engine.errors import CouldNotEvaluate
from engine.model import Verdict
from engine.rules.expressions import ABSENT, Expression, is_true
from engine.rules.operands import operands
from engine.rules.wording import shortened

__all__ = ["ABSENT", "Condition", "Expression", "Judgement", "Side", "is_true"]

Kind = Literal["text", "all", "any", "not"]
_FLIPPED = {Verdict.MATCHED: Verdict.NOT_MATCHED, Verdict.NOT_MATCHED: Verdict.MATCHED}
_DECIDING = {"any": Verdict.MATCHED, "all": Verdict.NOT_MATCHED}
"""The verdict of one branch that settles all of it."""
_JOINING = {"&&", "||", "!"}


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: as written, and its value (`(absent)` where there is none).

    `error` tells why it has none.
    """

    text: str
    value: Any
    is_literal: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a condition says: matched, not matched or could not evaluate, and from what.

    Attributes:
        text: the expression, where the kind is `text`; `value` is what it came to.
        error: why it could not be evaluated.
        read: the paths that it read with their values (`(absent)` where there is none).
        parts: what is joined. A verdict alone ends at the branch that settles it; a trace has all.
        operator: the outermost operator of a text, in a trace; `&&`, `||` and `!` have parts,
            comparisons have sides.
    """

    verdict: Verdict
    kind: Kind
    text: str = ""
    value: Any = None
    error: str = ""
    read: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Judgement, ...] = ()
    operator: str = ""
    sides: tuple[Side, ...] = ()

    @property
    def why(self) -> str:
        """One line naming the expressions that decided."""
        if self.kind == "text":
            shown = _values(self.read, self.text)
            if self.verdict is Verdict.COULD_NOT_EVALUATE:
                return f"{self.text} could not be evaluated: {self.error}{shown}"
            return f"{self.text} is {_json(self.value)}{shown}"
        if self.kind == "not":
            return f"not ({self.parts[0].why})"
        return "; ".join(part.why for part in self.decisive)

    @property
    def seen(self) -> Mapping[str, Any]:
        """The paths that the deciding expressions read, with their values."""
        if self.kind == "text":
            return self.read
        return {path: value for part in self.decisive for path, value in part.seen.items()}

    @property
    def decisive(self) -> tuple[Judgement, ...]:
        """The parts that made the verdict: the one that settled it, or all."""
        first = next((part for part in self.parts if part.verdict is self.verdict), None)
        settled = _DECIDING.get(self.kind) is self.verdict
        if first is not None and (settled or self.verdict is Verdict.COULD_NOT_EVALUATE):
            return (first,)
        return self.parts


@dataclass(frozen=True, slots=True)
class Condition:
    """One expression (`text`), or other conditions under `all`, `any` or `not`."""

    kind: Kind
    expression: Expression | None = None
    parts: tuple[Condition, ...] = ()

    def judge(self, context: Mapping[str, Any]) -> Judgement:
        """The verdict in this context, asking no more than is needed for it; never raises."""
        return _judge(self, context, whole=False)

    def trace(self, context: Mapping[str, Any]) -> Judgement:
        """The same verdict with all branches and what their expressions are made of."""
        return _judge(self, context, whole=True)

    def expressions(self) -> tuple[Expression, ...]:
        """Every expression in it, in the order written."""
        if self.expression is not None:
            return (self.expression,)
        return tuple(found for part in self.parts for found in part.expressions())

    def __str__(self) -> str:
        """On one line, for people."""
        if self.expression is not None:
            return " ".join(self.expression.text.split())
        if self.kind == "not":
            return f"not ({self.parts[0]})"
        return f" {'or' if self.kind == 'any' else 'and'} ".join(f"({part})" for part in self.parts)


def _judge(condition: Condition, context: Mapping[str, Any], *, whole: bool) -> Judgement:
    if condition.expression is not None:
        judged = _judge_expression(condition.expression, context)
        return _broken_down(judged, condition.expression, context) if whole else judged
    parts: list[Judgement] = []
    for part in condition.parts:
        parts.append(_judge(part, context, whole=whole))
        if not whole and parts[-1].verdict is _DECIDING.get(condition.kind):
            break
    verdict = _joined(condition.kind, [part.verdict for part in parts])
    return Judgement(verdict, condition.kind, parts=tuple(parts))


def _joined(kind: Kind, verdicts: list[Verdict]) -> Verdict:
    """One branch with the deciding verdict settles it; else an error does; else all agree."""
    if kind == "not":
        return _FLIPPED.get(verdicts[0], verdicts[0])
    for settling in (_DECIDING[kind], Verdict.COULD_NOT_EVALUATE):
        if settling in verdicts:
            return settling
    return verdicts[0]


def _judge_expression(expression: Expression, context: Mapping[str, Any]) -> Judgement:
    seen = expression.seen(context)
    text = " ".join(expression.text.split())
    try:
        value = expression.search(context)
    except CouldNotEvaluate as error:
        verdict = Verdict.COULD_NOT_EVALUATE
        return Judgement(verdict, "text", text, error=str(error), read=seen)
    verdict = Verdict.MATCHED if is_true(value) else Verdict.NOT_MATCHED
    return Judgement(verdict, "text", text, value, read=seen)


def _broken_down(
    judged: Judgement, expression: Expression, context: Mapping[str, Any]
) -> Judgement:
    """The same with what its outermost operator joins, each asked by itself."""
    made_of = operands(expression)
    if made_of.operator in _JOINING:
        parts = tuple(
            _broken_down(_judge_expression(part, context), part, context) for part in made_of.parts
        )
        return replace(judged, operator=made_of.operator, parts=parts)
    sides = tuple(_sides(made_of.parts, context))
    return replace(judged, operator=made_of.operator, sides=sides)


def _sides(parts: Iterable[Expression], context: Mapping[str, Any]) -> Iterable[Side]:
    for part in parts:
        text = " ".join(part.text.split())
        absent = part.is_path and ABSENT in part.seen(context).values()
        try:
            yield Side(text, ABSENT if absent else part.search(context), part.is_literal)
        except CouldNotEvaluate as error:
            yield Side(text, None, part.is_literal, str(error))


def _values(seen: Mapping[str, Any], text: str) -> str:
    """The values read, unless the text is itself the one path read."""
    if not seen or (list(seen) == [text] and seen[text] is not ABSENT):
        return ""
    return " (" + ", ".join(f"{path}: {_value(value)}" for path, value in seen.items()) + ")"


def _value(value: Any) -> str:
    return "absent" if value is ABSENT else _json(value)


def _json(value: Any) -> str:
    return shortened(json.dumps(value, ensure_ascii=False, default=str))
