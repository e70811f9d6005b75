"""Spans, sizes and rates as people write them: `90s`, `1h30m`, `10 GiB`, `20/min`."""

from __future__ import annotations

import re
from decimal import Decimal

from pytimeparse.timeparse import timeparse

from engine.clock import DAY, HOUR, MINUTE, SECOND, from_iso
from engine.errors import UserError
from engine.rules.wording import SHORT, shown

LONGEST = 100 * 365 * DAY
_UNITS = {"s": SECOND, "sec": SECOND, "min": MINUTE, "m": MINUTE, "h": HOUR, "d": DAY}
# Each with the unit that it is rounded to: 71 hours and 59 minutes are three days.
_SPOKEN = (
    (DAY, "day", HOUR),
    (HOUR, "hour", MINUTE),
    (MINUTE, "minute", SECOND),
    (SECOND, "second", 1),
)
RATE = re.compile(r"\s*(\d{1,9})\s*/\s*(s|sec|min|m|h|d)\s*", re.ASCII)
_SIZE = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([kmgtpe]i?)?b?\s*", re.ASCII | re.IGNORECASE)
DURATION = re.compile(r"\s*[+-]?[\d.,\s]*\d\s*[A-Za-z][A-Za-z0-9.,\s]*", re.ASCII)


def parse_duration(text: object) -> int:
    """Microseconds of `90s`, `5m`, `3d`, `1w`, `1h30m` (a minus in front turns it round).

    `ValueError` says what is wrong. A number without a unit is refused.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        unit = f"{text} has no unit; write {text}s, {text}m, {text}h or {text}d"
        raise ValueError(unit)  # noqa: TRY004  # one kind of error for all that is written wrong
    # Clock forms ("1:30") are left out: nobody knows whether they mean hours or minutes.
    seconds = None
    if isinstance(text, str) and len(text) <= SHORT and DURATION.fullmatch(text):
        seconds = timeparse(text)
    if seconds is None:
        raise ValueError(f"{shown(text)} is no duration; write one like 90s, 5m, 3d or 1h30m")
    span = int(Decimal(str(seconds)) * SECOND)
    if abs(span) > LONGEST:
        raise ValueError(f"{shown(text)} is longer than a hundred years")
    return span


def read_since(text: str, now: int) -> int:
    """The moment of `2h` or `3d` ago, or of an ISO time; UserError where it is neither."""
    moment = from_iso(text)
    if moment is not None:
        return moment
    try:
        return now - parse_duration(text)
    except ValueError as error:
        raise UserError(f"--since {text}: write a duration such as 2h, or a time") from error


def spoken(span: int) -> str:
    """A span in its greatest unit, whole: `3 days`.

    A notice of "3 days before" is read a moment later, and speaks of three days all the same.
    """
    for size, name, finer in _SPOKEN:
        count = (abs(span) + finer // 2) // finer * finer // size
        if count:
            return f"{count} {name}" + ("s" if count > 1 else "")
    return "0 seconds"


def parse_rate(text: object) -> int:
    """Microseconds from one call to the next of `10/s`, `20/min`, `5/h`, `1/d`."""
    match = RATE.fullmatch(text) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{shown(text)} is no rate; write one like 10/s, 20/min, 100/h or 500/d")
    return -(-_UNITS[match[2]] // int(match[1]))  # rounded up: never one call too many


def parse_bytes(text: object) -> int:
    """The number of bytes in `10 GiB`, `500 MB`, `1.5 TiB` or `2048`."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{shown(text)} is no size; write one like '10 GiB' or '500 MB'")
    unit = (match[2] or "").lower()
    base = 1024 if unit.endswith("i") else 1000
    power = " kmgtpe".index(unit[0]) if unit else 0
    return int(Decimal(match[1]) * base**power)
