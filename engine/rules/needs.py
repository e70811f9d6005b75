"""What would first have to change for a condition to come out otherwise, in plain words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from engine.model import Verdict
from engine.rules.conditions import ABSENT, Judgement, Side
from engine.rules.wording import shortened

_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_IN_WORDS = {"<": "less than ", "<=": "at most ", ">": "more than ", ">=": "at least "}
_MOST = 3


def needed(traced: Judgement, *, wanted: bool = True) -> str:
    """The first thing that would have to be otherwise; empty where it is as wanted."""
    if traced.verdict is (Verdict.MATCHED if wanted else Verdict.NOT_MATCHED):
        return ""
    joined = _join_of(traced)
    if joined == "not":
        return needed(traced.parts[0], wanted=not wanted)
    if joined in {"all", "any"}:
        missing = [text for part in traced.parts if (text := needed(part, wanted=wanted))]
        if missing:
            return missing[0] if (joined == "all") is wanted else _either(missing)
    if traced.verdict is Verdict.COULD_NOT_EVALUATE and not _is_unordered(traced):
        return f"{traced.text} would have to be something that can be evaluated: {traced.error}"
    if traced.sides:
        return _compared(traced, wanted=wanted)
    return _stated(traced, wanted=wanted)


def in_words(value: Any) -> str:
    """A value as one writes it in a condition: texts in single quotes."""
    if value is ABSENT:
        return "absent"
    if isinstance(value, str):
        return shortened(f"'{value}'")
    return shortened(json.dumps(value, ensure_ascii=False, default=str))


def _is_unordered(traced: Judgement) -> bool:
    """Whether it failed only because its two values have no order."""
    return traced.operator in _MIRRORED and not any(side.error for side in traced.sides)


def _join_of(traced: Judgement) -> str:
    if traced.kind != "text":
        return traced.kind
    return {"&&": "all", "||": "any", "!": "not"}.get(traced.operator, "")


def _either(missing: list[str]) -> str:
    more = len(missing) - _MOST
    others = [f"one of {more} others would have to change"] if more > 0 else []
    return ", or ".join([*missing[:_MOST], *others])


def _compared(traced: Judgement, *, wanted: bool) -> str:
    left, right = traced.sides
    operator = traced.operator if wanted else _OPPOSITE[traced.operator]
    if left.is_literal and not right.is_literal:
        left, right, operator = right, left, _MIRRORED.get(operator, operator)
    other = in_words(right.value)
    if not right.is_literal:
        other = f"{right.text} ({other})"
    if operator == "==":
        return f"{left.text} would have to be {other} (it is {in_words(left.value)})"
    if operator == "!=":
        return f"{left.text} would have to be other than {other} (it is {in_words(left.value)})"
    word = _IN_WORDS[operator]
    return f"{left.text} would have to be {word}{other} (it is {_measured(left, right)})"


def _measured(left: Side, right: Side) -> str:
    """An order is asked of numbers alone; with anything else it is never met."""
    if any(isinstance(side.value, bool) or not isinstance(side.value, int | float) for side in (left, right)):  # fmt: skip
        return f"{in_words(left.value)}; only numbers can be compared so"
    return in_words(left.value)


def _stated(traced: Judgement, *, wanted: bool) -> str:
    path = list(traced.read) == [traced.text]
    value = traced.read[traced.text] if path else traced.value
    seen = "" if path else _read(traced.read.items())
    if not wanted:
        state = "unset" if path and value is not True else "false"
        return f"{traced.text} would have to be {state} (it is {in_words(value)}{seen})"
    if not path:
        return f"{traced.text} would have to hold (it is {in_words(value)}{seen})"
    state = "true" if value is False else "set"
    return f"{traced.text} would have to be {state} (it is {in_words(value)})"


def _read(values: Iterable[tuple[str, Any]]) -> str:
    return "".join(f"; {path} is {in_words(value)}" for path, value in values)
