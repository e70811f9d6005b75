"""threshold, throttle and quiet hours against models that are as naive as can be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calendar import quiet_until
from engine.clock import MINUTE
from engine.deciding.holding import as_of, recorded, remembered, rule_on
from engine.model import Holding
from engine.rules.model import Per, Rule, Threshold, Throttle

START = 1_767_603_600_000_000
PLAIN = Rule(
    id="r", version="v", source={}, on=("x",), clocks=(), when=None, per=Per(), do=(), mode="live",
    description="", tags=(), empty_ok=False, timezone="UTC", place=("f", 1),
)  # fmt: skip
gaps = st.lists(st.integers(0, 12), max_size=40)


def moments(gaps: list[int]) -> Iterator[int]:
    now = START
    for gap in gaps:
        now += gap * MINUTE
        yield now


def passed(rule: Rule, gaps: list[int]) -> list[bool]:
    """Whether each match goes on; each run acts at once, and the state takes the way of a record."""
    state, found = Holding(), []
    for number, now in enumerate(moments(gaps)):
        before = remembered(recorded(state))
        ruling = rule_on(rule, f"run{number}", now, as_of(rule, now, before))
        taken = tuple(replace(place, attempted=True) for place in ruling.after.places)
        state = replace(ruling.after, places=taken, under_way=())
        found.append(ruling.held is None)
    return found


@given(gaps=gaps, at_least=st.integers(1, 5), within=st.integers(1, 30))
def test_a_threshold_is_what_counting_the_window_gives(
    gaps: list[int], at_least: int, within: int
) -> None:
    rule = replace(PLAIN, threshold=Threshold(at_least, within * MINUTE))
    naive, since_last = [], []
    for now in moments(gaps):
        since_last.append(now)
        full = len([at for at in since_last if now - at <= within * MINUTE]) >= at_least
        naive.append(full)
        since_last = [] if full else since_last
    assert passed(rule, gaps) == naive


@given(gaps=gaps, count=st.integers(1, 4), window=st.integers(1, 30))
def test_a_throttle_is_what_looking_back_gives(gaps: list[int], count: int, window: int) -> None:
    rule = replace(PLAIN, throttle=Throttle(count, window * MINUTE))
    naive: list[bool] = []
    let_go: list[int] = []
    for now in moments(gaps):
        free = len([at for at in let_go if now - at < window * MINUTE]) < count
        naive.append(free)
        let_go += [now] if free else []
    assert passed(rule, gaps) == naive
    # The promise itself: never more than so many in any window.
    for first in let_go:
        assert len([at for at in let_go if first <= at < first + window * MINUTE]) <= count


@given(gaps=gaps, count=st.integers(1, 4), window=st.integers(1, 30))
def test_what_is_throttled_is_told_when_it_would_not_be(
    gaps: list[int], count: int, window: int
) -> None:
    rule = replace(PLAIN, throttle=Throttle(count, window * MINUTE))
    state = Holding()
    for number, now in enumerate(moments(gaps)):
        ruling = rule_on(rule, f"run{number}", now, as_of(rule, now, state))
        taken = tuple(replace(place, attempted=True) for place in ruling.after.places)
        if ruling.held is not None:
            assert ruling.held.until is not None
            end = ruling.held.until
            assert rule_on(rule, "later", end - 1, as_of(rule, end - 1, state)).held is not None
            assert rule_on(rule, "later", end, as_of(rule, end, state)).held is None
        state = replace(ruling.after, places=taken, under_way=())


ZONES = [
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago",
]  # fmt: skip
HOURS = [
    ((23 * 60, 7 * 60), range(7)),
    ((0, 24 * 60), {5, 6}),
    ((60, 150), range(7)),
    ((22 * 60, 9 * 60), {4, 5}),
    ((150, 60), range(7)),
]
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
MINUTES = 366 * 24 * 60


@cache
def walls(zone: str) -> list[tuple[int, int]]:
    """Minute of the day and week day on the wall, minute by minute of a year."""
    there = ZoneInfo(zone)
    shown = ((YEAR + timedelta(minutes=n)).astimezone(there) for n in range(MINUTES))
    return [(wall.hour * 60 + wall.minute, wall.weekday()) for wall in shown]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("hours", "days"), HOURS)
def test_quiet_hours_are_those_that_a_clock_on_the_wall_shows(
    zone: str, hours: tuple[int, int], days: set[int]
) -> None:
    start, end = hours
    first = int(YEAR.timestamp()) * 1_000_000
    ends: int | None = None
    wanted: list[int | None] = []
    for minute, day in reversed(walls(zone)):
        if start < end:
            quiet = start <= minute < end and day in days
        else:
            quiet = (minute >= start and day in days) or (minute < end and (day - 1) % 7 in days)
        number = MINUTES - 1 - len(wanted)
        ends = ends if quiet else number
        wanted.append(ends if quiet else None)
    wanted.reverse()
    for number in range(0, MINUTES - 3000, 1):
        changes = wanted[number] != wanted[number - 1]
        if changes or number % 61 == 0:  # each change, and some in between
            end_at = wanted[number]
            expected = None if end_at is None else first + end_at * MINUTE
            assert quiet_until(first + number * MINUTE, hours, days, zone) == expected, number
