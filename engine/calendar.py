"""Next times of cron lines and periods: pure, from APScheduler's triggers."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger

from engine.clock import DAY, from_datetime, to_datetime

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
        triggers = _triggers(line, "UTC")
    except ValueError as error:
        return str(error)
    start = datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC"))
    if all(trigger.get_next_fire_time(None, start) is None for trigger in triggers):
        return "it never comes"
    return None


def next_cron(line: str, timezone: str, after: int) -> int | None:
    """The first moment later than `after` at which a cron line is due, if there is one."""
    start = to_datetime(after + 1).astimezone(ZoneInfo(timezone))
    found = [trigger.get_next_fire_time(None, start) for trigger in _triggers(line, timezone)]
    moments = [from_datetime(moment) for moment in found if moment is not None]
    return min(moments, default=None)


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


@lru_cache(maxsize=1024)
def _triggers(line: str, timezone: str) -> tuple[Any, ...]:
    fields = _MACROS.get(line.strip(), line).split()
    if len(fields) != _FIELDS:
        raise ValueError(f"a cron line has {_FIELDS} fields, this one has {len(fields)}")
    minute, hour, day, month, weekday = (field.lower() for field in fields)
    weekdays = _weekdays(weekday)
    common = {"minute": minute, "hour": hour, "month": month, "timezone": timezone}
    # cron's own rule: with both a day and a week day given, either will do.
    if day != "*" and weekdays != "*":
        return (CronTrigger(day=day, **common), CronTrigger(day_of_week=weekdays, **common))
    return (CronTrigger(day=day, day_of_week=weekdays, **common),)


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
    try:
        return days[:: int(step)] if step else days
    except ValueError:
        raise ValueError(f"{part!r} is no list of week days") from None


def _day(text: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    if text.isdecimal() and int(text) <= len(_DAYS):
        return int(text)
    raise ValueError(f"{text!r} is no week day; write 0-7 or sun, mon, tue …")
