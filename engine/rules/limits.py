"""What a template may use: so much time, and so much text in all and at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.utils import Namespace

MAX_OUTPUT = 1024 * 1024
"""Characters of a text, and of a list as it is written out."""
MAX_MADE = 16 * MAX_OUTPUT
"""Of all that one template makes and prints on its way; an item of a list counts as 8."""
MAX_BITS = 4096
"""Of a whole number."""
MAX_DEPTH = 100
"""Of lists in lists."""
HOLDERS: tuple[type, ...] = (
    *(list, tuple, dict, MappingProxyType),
    *(type({}.keys()), type({}.values()), type({}.items())),
)
"""What holds other values, and may hold one of them many times."""
_PER_ITEM = 8
_LOOKS = 1024


@dataclass(slots=True)
class _Left:
    """What a template has left: until when, and how much it may make."""

    end: float
    made: int


_left: ContextVar[_Left | None] = ContextVar("left", default=None)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Templates rendered within end after so long, and make only so much."""
    token = _left.set(_Left(time.monotonic() + seconds, MAX_MADE))
    try:
        yield
    finally:
        _left.reset(token)


def check_time() -> None:
    """Raise where the time of the template is over; asked in each round of a loop and each call."""
    left = _left.get()
    if left is not None and time.monotonic() > left.end:
        raise SecurityError("the text took too long")


def charge(size: int) -> None:
    """Count what a template made or printed; raise where it is too much in all."""
    left = _left.get()
    if left is not None:
        left.made -= size
        if left.made < 0:
            raise SecurityError("all that the text is made of would be longer than 16 MiB")


def paced(values: Any) -> Any:
    """What a loop goes through, with a look at the clock for each round."""
    if isinstance(values, Mapping):
        values = list(values)
    for value in values:
        check_time()
        yield value


def sized(value: Any) -> Any:
    """A value that a template made, counted, where it is not too big."""
    if isinstance(value, str):
        check_length(len(value))
        charge(len(value))
    elif isinstance(value, HOLDERS):
        weight(value)
        charge(_PER_ITEM * len(value))  # type: ignore[arg-type]  # all of them have a length
    elif isinstance(value, int):
        check_bits(value.bit_length())
    elif isinstance(value, bytes | bytearray):
        raise SecurityError("a text has no bytes")
    return value


def weight(value: Any) -> int:
    """How many characters a value has written out, about; what it holds twice counts twice.

    Raises where that is over 1 MiB, or where it nests too deeply.
    """
    total = _own(value)
    check_length(total)
    level: list[Any] = [value] if isinstance(value, HOLDERS) else []
    depth = seen = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise SecurityError(f"lists in lists, more than {MAX_DEPTH} deep, are refused")
        below: list[Any] = []
        for item in chain.from_iterable(map(_items, level)):
            total += _own(item) + 2
            check_length(total)
            if isinstance(item, HOLDERS):
                below.append(item)
            seen += 1
            if not seen % _LOOKS:
                check_time()
        level = below
    return total


def drawn(values: Any, separator: int) -> list[Any]:
    """All items of an iterator; stopped where they, with what separates them, become too long."""
    found: list[Any] = []
    total = 0
    for value in values:
        check_time()
        total += weight(value) + separator
        check_length(total)
        found.append(value)
    return found


def check_length(length: int) -> None:
    """Raise where a text of that length is too long."""
    if length > MAX_OUTPUT:
        raise SecurityError("the result would be longer than 1 MiB")


def check_bits(bits: int) -> None:
    """Raise where a number of so many bits is too big."""
    if bits > MAX_BITS:
        raise SecurityError("the number would be too big")


def check_plain(value: Any) -> None:
    """Raise for a namespace: what it holds may change after it was weighed."""
    if isinstance(value, Namespace):
        raise SecurityError("a namespace is no value; name what it holds")


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict | MappingProxyType):
        return chain(value.keys(), value.values())
    return value  # type: ignore[no-any-return]  # whatever else holds values can be gone through


def _own(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, int):
        return 1 + value.bit_length() // 3
    check_plain(value)
    return 1
