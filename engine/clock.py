"""Time comes in here: `now()` at the rim, whole microseconds (UTC, since 1970) everywhere inside."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Stricter than fromisoformat, which takes week dates and times without a zone.
_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})", re.ASCII
)


class Clock(Protocol):
    """Whoever tells the time."""

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        return time.time_ns() // 1000


class ManualClock:
    """A clock that stands until it is moved: virtual time for tests and rehearsals."""

    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        return self._now

    def move(self, by: int) -> None:
        """Move on by so many microseconds (back, if negative)."""
        self._now += by


def to_datetime(moment: int) -> datetime:
    """The moment as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=moment)


def from_datetime(moment: datetime) -> int:
    """An aware datetime as microseconds."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_iso(moment: int) -> str:
    """`2026-01-05T09:00:00.000Z`, the form that panels use."""
    return to_datetime(moment).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment // 1000 % 1000:03d}Z"


def from_iso(text: object) -> int | None:
    """Microseconds of an ISO 8601 text with a zone, or None where it is not one."""
    if not isinstance(text, str) or not _ISO.fullmatch(text):
        return None
    try:
        moment = from_datetime(datetime.fromisoformat(_six_digits(text)))
        to_datetime(moment)  # a zone may lead out of the calendar
    except (ValueError, OverflowError):
        return None
    return moment


def _six_digits(text: str) -> str:
    """`fromisoformat` takes six decimals at most."""
    return re.sub(r"(\.\d{6})\d+", r"\1", text)
