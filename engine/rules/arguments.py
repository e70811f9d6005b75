"""What operators, filters and methods in a template may be given: nothing that makes a huge result."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2.exceptions import SecurityError

from engine.rules.limits import (
    HOLDERS,
    MAX_DEPTH,
    MAX_OUTPUT,
    check_bits,
    check_length,
    check_time,
    weight,
)

_WIDEST = 1000
_LONGEST_NUMBER = 320
_MOST_PARTS = 10_000
_SLOW = 64 * 1024
# In a placeholder alone: a year in the text around it is no width.
_WIDTH = re.compile(
    r"%(?:\([^)]*\))?[-+ #0]*(?:\d{4,}|\d*\.\d{4,})|%[^a-zA-Z%]*\*"
    r"|\{[^{}]*:[^{}]*\d{4,}|\{[^{}]+\{"
)
_DIGITS = re.compile(r"\d+")
_REFUSED = {"translate", "maketrans", "encode", "to_bytes", "from_bytes", "fromkeys"}
_SLOW_ONES = {"wordwrap", "striptags", "pprint"}


def check_operands(operator: str, left: Any, right: Any) -> None:
    """Raise where the result of `*`, `**`, `%` or `+` would be huge, before it is made."""
    counts = [side for side in (left, right) if isinstance(side, int)]
    lengths = [len(side) for side in (left, right) if isinstance(side, str | list | tuple)]
    if operator == "*" and lengths and counts:
        check_length(lengths[0] * counts[0])
    elif operator == "+" and lengths:
        check_length(sum(lengths))
    elif operator == "%" and isinstance(left, str):
        _check_pattern(left, right, "%")
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        check_bits(left.bit_length() * right)
    elif operator == "*" and isinstance(left, int) and isinstance(right, int):
        check_bits(left.bit_length() + right.bit_length())


def check_arguments(
    name: str, subject: Any, values: tuple[Any, ...], options: Mapping[str, Any]
) -> None:
    """Raise where a filter, or a method of a text, would make something huge of these."""
    check_time()
    if name in _REFUSED:
        raise SecurityError(f"{name} is refused in a text")
    given = [*values, *options.values()]
    weighed = [weight(value) for value in given if isinstance(value, (str, *HOLDERS))]
    check_length(sum(weighed))
    numbers = [abs(value) for value in given if isinstance(value, int)]
    if name in _SLOW_ONES and weight(subject) > _SLOW:
        raise SecurityError(f"{name}: the text is longer than 64 KiB")
    if name in _CHECKS:
        texts = [value for value in given if isinstance(value, str)]
        _CHECKS[name](subject, texts, max(numbers, default=0))
    elif name in {"format", "format_map"} and isinstance(subject, str):
        _check_pattern(subject, given, "{%")
    elif name == "sum" and not isinstance([*values[1:2], options.get("start", 0)][0], int | float):
        raise SecurityError("sum: start is a number")


def _lines(subject: Any, texts: list[str], number: int) -> None:
    lines = str(subject).count("\n") + 1
    check_length(lines * number)
    check_length(lines * max(map(len, texts), default=0))


def _tabs(subject: Any, _: list[str], number: int) -> None:
    check_length(str(subject).count("\t") * number)


def _wrapped(subject: Any, texts: list[str], number: int) -> None:
    check_length(number)
    check_length(len(str(subject)) * max(map(len, texts), default=0))


def _indented(subject: Any, _: list[str], number: int) -> None:
    """Lines, each as far in as it is deep."""
    if number:
        check_length(number * MAX_DEPTH)
        check_length(number * weight(subject))


def _replaced(subject: Any, texts: list[str], _: int) -> None:
    # By name they come in any order.
    text = str(subject)
    found = max((text.count(one) if one else len(text) + 1 for one in texts), default=0)
    check_length(len(text) + found * max(map(len, texts), default=0))


def _parts(_: Any, __: list[str], number: int) -> None:
    if number > _MOST_PARTS:
        raise SecurityError(f"{number} is too much")


def _digits(_: Any, __: list[str], number: int) -> None:
    if number > _LONGEST_NUMBER:
        raise SecurityError(f"round: {number} digits are too many")


def _formatted_date(_: Any, texts: list[str], __: int) -> None:
    if any(len(text) > _WIDEST or _WIDTH.search(text) for text in texts):
        raise SecurityError(f"a format wider than {_WIDEST} characters is refused")


_Check = Callable[[Any, list[str], int], None]
_CHECKS: Mapping[str, _Check] = {
    **dict.fromkeys(("indent", "center", "ljust", "rjust", "zfill"), _lines),
    "expandtabs": _tabs,
    "wordwrap": _wrapped,
    "tojson": _indented,
    "replace": _replaced,
    **dict.fromkeys(("batch", "slice"), _parts),
    "round": _digits,
    "date": _formatted_date,
    "strftime": _formatted_date,
}


def _check_pattern(pattern: str, given: Any, marks: str) -> None:
    """Raise where one value would be put in too often, or too wide."""
    if _WIDTH.search(pattern):
        raise SecurityError(f"a format wider than {_WIDEST} characters is refused")
    widest = max(map(int, _DIGITS.findall(pattern)), default=0)
    places = sum(pattern.count(mark) for mark in marks)
    values = given.values() if isinstance(given, Mapping) else given
    each = (
        [weight(one) for one in values]
        if isinstance(given, list | tuple | dict)
        else [weight(given)]
    )
    longest = max([*each, widest, _LONGEST_NUMBER])
    if places * longest > MAX_OUTPUT:
        raise SecurityError("the result would be longer than 1 MiB")
