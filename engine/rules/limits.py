"""What a template may use: so much time, and so much text or number at every step of the way."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2.exceptions import SecurityError

MAX_OUTPUT = 1024 * 1024
"""Characters of a text, items of a list."""
MAX_BITS = 4096
"""Of a whole number."""
_WIDEST = 1000
_WIDTH = re.compile(r"\d{4,}|%[^a-zA-Z%]*\*|\{[^{}]+\{")
_LINES = {
    "indent",
    "wordwrap",
    "center",
    "ljust",
    "rjust",
    "zfill",
    "expandtabs",
    "tojson",
    "pprint",
}
_end: ContextVar[float] = ContextVar("end")


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Templates rendered within end after so long."""
    token = _end.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _end.reset(token)


def check_time() -> None:
    """Raise where the time of the template is over; asked in each round of a loop and each call."""
    if time.monotonic() > _end.get(float("inf")):
        raise SecurityError("the text took too long")


def paced(values: Any) -> Any:
    """What a loop goes through, with a look at the clock for each round."""
    if isinstance(values, Mapping):
        values = list(values)
    for value in values:
        check_time()
        yield value


def sized(value: Any) -> Any:
    """The value, where it is not too big."""
    if isinstance(value, str | list | tuple | dict) and len(value) > MAX_OUTPUT:
        raise SecurityError("the result would be longer than 1 MiB")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise SecurityError("the number is too big")
    return value


def check_operands(operator: str, left: Any, right: Any) -> None:
    """Raise where the result of `*`, `**`, `%` or `+` would be huge, before it is made."""
    counts = [side for side in (left, right) if isinstance(side, int)]
    lengths = [len(side) for side in (left, right) if isinstance(side, str | list | tuple)]
    if operator == "*" and lengths and counts:
        _check_length(lengths[0] * counts[0])
    elif operator == "+" and lengths:
        _check_length(sum(lengths))
    elif operator == "%" and isinstance(left, str):
        _check_widths(left)
    elif operator in {"*", "**"} and isinstance(left, int) and isinstance(right, int):
        bits = (
            left.bit_length() * right
            if operator == "**"
            else left.bit_length() + right.bit_length()
        )
        if bits > MAX_BITS:
            raise SecurityError("the number would be too big")


def check_arguments(
    name: str, subject: Any, values: tuple[Any, ...], options: Mapping[str, Any]
) -> None:
    """Raise where a filter, or a method of a text, would make something huge of these."""
    check_time()
    given = [*values, *options.values()]
    texts = [value for value in given if isinstance(value, str)]
    numbers = [abs(value) for value in given if isinstance(value, int)]
    if name in _LINES and isinstance(subject, str):
        _check_length((subject.count("\n") + 1) * max([*numbers, 0]))
        _check_length((subject.count("\n") + 1) * max([len(text) for text in texts] or [0]))
    elif name == "replace" and isinstance(subject, str) and len(texts) > 1:
        found = subject.count(texts[0]) if texts[0] else len(subject) + 1
        _check_length(len(subject) + found * len(texts[1]))
    elif name == "join":
        separator = subject if isinstance(subject, str) and not texts else "".join(texts)
        items = next((v for v in (subject, *given) if isinstance(v, list | tuple)), ())
        _check_length(
            len(items) * len(separator) + sum(len(v) for v in items if isinstance(v, str))
        )
    elif name in {"format", "format_map"} and isinstance(subject, str):
        _check_widths(subject)
    if numbers and max(numbers) > MAX_OUTPUT and name in {*_LINES, "batch", "slice", "truncate"}:
        raise SecurityError(f"{name}: {max(numbers)} is too much")


def _check_length(length: int) -> None:
    if length > MAX_OUTPUT:
        raise SecurityError("the result would be longer than 1 MiB")


def _check_widths(pattern: str) -> None:
    if _WIDTH.search(pattern):
        raise SecurityError(f"a format wider than {_WIDEST} characters is refused")
