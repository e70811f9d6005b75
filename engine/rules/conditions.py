"""Conditions: JMESPath texts joined by all, any and not, judged with the values that decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.errors import CouldNotEvaluate
from engine.model import Verdict
from engine.rules.expressions import ABSENT, Expression, is_true
from engine.rules.wording import shortened

__all__ = ["ABSENT", "Condition", "Expression", "Judgement", "is_true"]

_FLIPPED = {Verdict.MATCHED: Verdict.NOT_MATCHED, Verdict.NOT_MATCHED: Verdict.MATCHED}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a condition says: matched, not matched or could not evaluate.

    `why` is one line naming the expression that decided; `seen` maps the paths that it read to
    their values (`(absent)` where there is none).
    """

    verdict: Verdict
    why: str
    seen: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """One expression (`text`), or other conditions under `all`, `any` or `not`."""

    kind: Literal["text", "all", "any", "not"]
    expression: Expression | None = None
    parts: tuple[Condition, ...] = ()

    def judge(self, context: Mapping[str, Any]) -> Judgement:
        """The verdict in this context; never raises."""
        if self.expression is not None:
            return _judge_expression(self.expression, context)
        if self.kind == "not":
            return _flip(self.parts[0].judge(context))
        if self.kind == "any":
            return _judge_parts(self.parts, context, decided_by=Verdict.MATCHED)
        return _judge_parts(self.parts, context, decided_by=Verdict.NOT_MATCHED)

    def expressions(self) -> tuple[Expression, ...]:
        """Every expression in it, in the order written."""
        if self.expression is not None:
            return (self.expression,)
        return tuple(found for part in self.parts for found in part.expressions())


def _judge_parts(
    parts: tuple[Condition, ...], context: Mapping[str, Any], *, decided_by: Verdict
) -> Judgement:
    """One branch with the deciding verdict settles it; else an error does; else all agree."""
    judgements = []
    for part in parts:
        judgement = part.judge(context)
        if judgement.verdict is decided_by:
            return judgement
        judgements.append(judgement)
    for judgement in judgements:
        if judgement.verdict is Verdict.COULD_NOT_EVALUATE:
            return judgement
    return _together(judgements)


def _together(judgements: list[Judgement]) -> Judgement:
    first, *others = judgements
    if not others:
        return first
    seen: dict[str, Any] = {}
    for judgement in judgements:
        seen.update(judgement.seen)
    return replace(first, why="; ".join(judgement.why for judgement in judgements), seen=seen)


def _flip(judgement: Judgement) -> Judgement:
    verdict = _FLIPPED.get(judgement.verdict, judgement.verdict)
    return replace(judgement, verdict=verdict, why=f"not ({judgement.why})")


def _judge_expression(expression: Expression, context: Mapping[str, Any]) -> Judgement:
    seen = expression.seen(context)
    text = " ".join(expression.text.split())
    try:
        value = expression.search(context)
    except CouldNotEvaluate as error:
        why = f"{text} could not be evaluated: {error}{_values(seen, text)}"
        return Judgement(Verdict.COULD_NOT_EVALUATE, why, seen)
    verdict = Verdict.MATCHED if is_true(value) else Verdict.NOT_MATCHED
    return Judgement(verdict, f"{text} is {_json(value)}{_values(seen, text)}", seen)


def _values(seen: Mapping[str, Any], text: str) -> str:
    """The values read, unless the text is itself the one path read."""
    if not seen or (list(seen) == [text] and seen[text] is not ABSENT):
        return ""
    return " (" + ", ".join(f"{path}: {_value(value)}" for path, value in seen.items()) + ")"


def _value(value: Any) -> str:
    return "absent" if value is ABSENT else _json(value)


def _json(value: Any) -> str:
    return shortened(json.dumps(value, ensure_ascii=False, default=str))
