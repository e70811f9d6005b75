"""Next times of cron lines and periods, and quiet hours: pure, from APScheduler's triggers."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger

from engine.clock import DAY, MINUTE, from_datetime, to_datetime

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = 5
# Quiet times that touch: no more than a week of whole days, and two changes of the clocks.
_MOST_STRETCHES = 12
_A_LEAP_YEAR = from_datetime(datetime(2024, 1, 1, tzinfo=UTC))


def check_timezone(name: str) -> str | None:
    """None where the time zone exists, else what is wrong."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"there is no time zone {name!r}"
    return None


def check_cron(line: str) -> str | None:
    """None where a cron line can be read, else what is wrong with it."""
    try:
        following = _next_wall(line, _A_LEAP_YEAR)
    except ValueError as error:
        return str(error)
    return "it never comes" if following is None else None


def next_cron(line: str, timezone: str, after: int) -> int | None:
    """The first moment later than `after` at which a cron line is due, if there is one.

    What the clocks skip comes as much later; an hour that they repeat comes once for a line that
    names its hours, like any day's.
    """
    zone = ZoneInfo(timezone)
    offset = _offset(zone, after + 1)
    wall = _next_wall(line, after + 1 + offset)
    if wall is None:
        return None
    moment = wall - offset
    if _offset(zone, moment) != offset:
        change = _clock_change(zone, after + 1, moment)
        if wall >= change + max(offset, _offset(zone, change)):
            return next_cron(line, timezone, change - 1)
    if to_datetime(moment).astimezone(zone).fold and not _fields(line)[1].startswith("*"):
        return next_cron(line, timezone, moment)
    return moment


def _next_wall(line: str, after: int) -> int | None:
    """The same for a clock that is never changed, which is all that APScheduler gets right."""
    start = to_datetime(after)
    found = [trigger.get_next_fire_time(None, start) for trigger in _triggers(line)]
    return min((from_datetime(wall) for wall in found if wall is not None), default=None)


def _offset(zone: ZoneInfo, moment: int) -> int:
    offset = to_datetime(moment).astimezone(zone).utcoffset() or timedelta(0)
    return offset // timedelta(microseconds=1)


def _clock_change(zone: ZoneInfo, low: int, high: int) -> int:
    """The moment in (low, high] at which the clocks are changed; they differ at the two ends."""
    before = _offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return high


def next_every(period: int, after: int) -> int:
    """The first multiple of `period` later than `after`: the same on every machine."""
    return (after // period + 1) * period


def last_cron(line: str, timezone: str, *, after: int, until: int) -> int | None:
    """The newest moment in (after, until] at which a cron line was due.

    Halves the span instead of walking it: a minute's cron after a month away is 43,200 ticks.
    """
    first = next_cron(line, timezone, after)
    if first is None or first > until:
        return None
    low, high = first, until
    while high - low > DAY:
        middle = (low + high) // 2
        tick = next_cron(line, timezone, middle)
        if tick is not None and tick <= until:
            low = tick
        else:
            high = middle
    while (tick := next_cron(line, timezone, low)) is not None and tick <= until:
        low = tick
    return low


def quiet_until(
    moment: int, hours: tuple[int, int], days: Container[int], timezone: str
) -> int | None:
    """When the quiet time ends that a moment lies in; None where it lies in none.

    It is quiet whenever a clock on the wall there shows a time in `hours` (minutes of the day; the
    second one is not quiet any more, and may be 1440, or lie before the first: over midnight), on
    week days (Monday = 0) in `days`, which name the day on which it starts. So an hour that the
    clocks skip is not there, and one that they repeat is quiet twice.
    """
    zone = ZoneInfo(timezone)
    end = None
    at = moment
    for _ in range(_MOST_STRETCHES):
        following = _stretch_end(at, hours, days, zone)
        if following is None:
            return end
        at = end = following
    return end


def _stretch_end(
    moment: int, hours: tuple[int, int], days: Container[int], zone: ZoneInfo
) -> int | None:
    """Where this quiet time ends, or the clocks are changed in it; None where it is not quiet."""
    start, end = hours
    offset = _offset(zone, moment)
    day, time = divmod(moment + offset, DAY)
    minute = time // MINUTE
    if start < end:
        begun, ends = (day, day) if start <= minute < end else (None, day)
    elif minute >= start:
        begun, ends = day, day + 1
    else:
        begun, ends = (day - 1, day) if minute < end else (None, day)
    # 1970 began on a Thursday.
    if begun is None or (begun + 3) % 7 not in days:
        return None
    finish = ends * DAY + end * MINUTE - offset
    if _offset(zone, finish) == offset:
        return finish
    return _clock_change(zone, moment, finish)


@lru_cache(maxsize=1024)
def _triggers(line: str) -> tuple[Any, ...]:
    minute, hour, day, month, weekday = _fields(line)
    weekdays = _weekdays(weekday)
    common = {"minute": minute, "hour": hour, "month": month, "timezone": UTC}
    # cron's own rule: with both a day and a week day given (without a star), either will do.
    if not day.startswith("*") and not weekday.startswith(("*", "?")):
        return (CronTrigger(day=day, **common), CronTrigger(day_of_week=weekdays, **common))
    return (CronTrigger(day=day, day_of_week=weekdays, **common),)


def _fields(line: str) -> list[str]:
    fields = _MACROS.get(line.strip(), line).lower().split()
    if len(fields) != _FIELDS:
        raise ValueError(f"a cron line has {_FIELDS} fields, this one has {len(fields)}")
    return fields


def _weekdays(field: str) -> str:
    """Cron counts from Sunday = 0 (or 7), APScheduler from Monday: name the days."""
    if field in {"*", "?"}:
        return "*"
    numbers: set[int] = set()
    for part in field.split(","):
        numbers.update(_range(part))
    return ",".join(_DAYS[number] for number in sorted(numbers))


def _range(part: str) -> list[int]:
    span, _, step = part.partition("/")
    first, dash, last = span.partition("-")
    if span == "*":
        days = list(range(7))
    elif dash:
        start, end = _day(first), _day(last)
        days = [day % 7 for day in range(start, (end if end >= start else end + 7) + 1)]
    else:
        days = [_day(first) % 7]
    if "/" not in part:
        return days
    if not step.isdecimal() or int(step) == 0:
        raise ValueError(f"{part!r} is no list of week days")
    return days[:: int(step)]


def _day(text: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    if text.isdecimal() and int(text) <= len(_DAYS):
        return int(text)
    raise ValueError(f"{text!r} is no week day; write 0-7 or sun, mon, tue …")
