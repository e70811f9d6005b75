"""Numbers as panels of any version write them: byte counters as text, sizes with a unit."""

from __future__ import annotations

import math
import re

_INTEGER = re.compile(r"-?\d{1,300}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,300}\.\d{1,300}", re.ASCII)
_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?([KMGTP]?)i?B", re.ASCII)
_UNITS = "KMGTP"
_BITS = 1000  # what a float can hold, with room to multiply


def number(value: object) -> int | float | None:
    """The number, also where it is written as text; None for whatever is none."""
    if isinstance(value, str):
        return _read(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if value.bit_length() <= _BITS else None
    return value if math.isfinite(value) else None


def ratio(part: object, whole: object, scale: int) -> int | float | None:
    """`part / whole * scale`; None where either is no number, or the whole is not above 0."""
    above, below = number(part), number(whole)
    if above is None or below is None or below <= 0:
        return None
    return tidy(above * scale / below)


def tidy(value: float) -> int | float | None:
    """Whole numbers without a point, as JSON of a panel has them."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value


def size(value: object) -> int | float | None:
    """Bytes of `3.82 GB`, by which older panels mean powers of 1024."""
    written = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if written is None:
        return number(value)
    power = _UNITS.index(written[2]) + 1 if written[2] else 0
    return round(float(written[1]) * 1024.0**power)


def _read(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else None
