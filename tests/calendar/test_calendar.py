"""Cron lines against a calendar walked minute by minute, in zones whose clocks jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.calendar import check_cron, check_timezone, last_cron, next_cron, next_every
from engine.clock import DAY, HOUR, MINUTE, from_datetime, from_iso, to_datetime, to_iso

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
LINES = (
    "0 9 * * *", "0 0 * * *", "*/15 * * * *", "30 2 * * *", "0 0 1 * *", "15 8-17/3 * * 1-5", "0 12 * * 0",
    "0 12 * * 7", "5 4 13 * 5", "0 6 1-7 * */7", "0 9 */10 * mon", "59 23 28-31 2,3 *",
    "0,30 1 * 3,10 sat,sun", "10 * 25 10 *", "0 18 * * fri-mon",
)  # fmt: skip
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def _moment(text: str) -> int:
    moment = from_iso(text)
    assert moment is not None
    return moment


@cache
def _numbers(field: str, low: int, high: int) -> frozenset[int]:
    """What a cron field means, read as crontab(5) has it."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        else:
            ends = [DAYS.index(end) if end in DAYS else int(end) for end in span.split("-")]
            first, last = ends[0], ends[-1]
        if last < first:
            last += 7
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _fits(line: str, local: datetime) -> bool:
    minute, hour, day, month, weekday = line.split()
    week = {number % 7 for number in _numbers(weekday, 0, 6)}
    by_day = local.day in _numbers(day, 1, 31)
    by_week = local.isoweekday() % 7 in week
    either = not (day.startswith("*") or weekday.startswith("*"))
    return (
        local.minute in _numbers(minute, 0, 59)
        and local.hour in _numbers(hour, 0, 23)
        and local.month in _numbers(month, 1, 12)
        and ((by_day or by_week) if either else (by_day and by_week))
    )


def _jump(local: datetime) -> timedelta:
    """How far the clocks had just been put forward, so that times in between are made up for."""
    zone = local.tzinfo
    assert zone is not None
    wall = local.replace(tzinfo=None)
    for minutes in (30, 60):
        before = (wall - timedelta(minutes=minutes)).replace(tzinfo=zone)
        there = before.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
        if there != before.replace(tzinfo=None):
            return timedelta(minutes=minutes)
    return timedelta(0)


def _brute(line: str, zone: str, start: int, end: int) -> list[int]:
    """Every moment in (start, end) by walking, without those that a jump of the clocks moved."""
    hours = line.split()[1]
    found = []
    moment = to_datetime(start // MINUTE * MINUTE + MINUTE)
    while (at := from_datetime(moment)) < end:
        local = moment.astimezone(ZoneInfo(zone))
        if _fits(line, local) and not (local.fold and not hours.startswith("*")):
            found.append(at)
        moment += timedelta(minutes=1)
    return found


def _walk(line: str, zone: str, start: int, end: int) -> list[int]:
    found = []
    at = start
    while (tick := next_cron(line, zone, at)) is not None and tick < end:
        assert tick > at
        found.append(tick)
        at = tick
    return found


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("start", ["2026-02-25T10:07:00Z", "2026-03-26T00:00:00Z",
                                   "2026-04-03T00:00:00Z", "2026-10-23T12:30:00Z"])  # fmt: skip
def test_the_next_times_of_a_line_are_those_of_the_calendar(
    line: str, zone: str, start: str
) -> None:
    begin = _moment(start)
    end = begin + 8 * DAY
    walked, brute = _walk(line, zone, begin, end), _brute(line, zone, begin, end)
    made_up = [
        tick for tick in walked if _jump(to_datetime(tick).astimezone(ZoneInfo(zone)))
    ]  # fmt: skip
    assert set(brute) <= set(walked)
    assert set(walked) - set(brute) <= set(made_up)
    assert len(set(walked) - set(brute)) <= 1


def test_a_time_that_the_clocks_skip_comes_late_and_once() -> None:
    begin, end = _moment("2026-03-28T12:00:00Z"), _moment("2026-03-30T12:00:00Z")
    found = [to_iso(tick) for tick in _walk("30 2 * * *", "Europe/Berlin", begin, end)]
    assert found == ["2026-03-29T01:30:00.000Z", "2026-03-30T00:30:00.000Z"]


def test_a_time_that_the_clocks_repeat_comes_once() -> None:
    begin, end = _moment("2026-10-24T12:00:00Z"), _moment("2026-10-26T12:00:00Z")
    found = [to_iso(tick) for tick in _walk("30 2 * * *", "Europe/Berlin", begin, end)]
    assert found == ["2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"]


def test_the_night_after_the_clocks_were_changed_is_not_left_out() -> None:
    begin = _moment("2026-03-01T12:00:00Z")
    april = next_cron("0 0 1 * *", "Europe/Berlin", begin)
    assert april == _moment("2026-03-31T22:00:00Z")
    morning = _moment("2026-03-29T10:00:00Z")
    midnight = next_cron("0 0 * * *", "Europe/Berlin", morning)
    assert midnight == _moment("2026-03-29T22:00:00Z")


def test_every_half_hour_stays_half_an_hour_while_the_clocks_repeat() -> None:
    begin, end = _moment("2026-10-24T22:10:00Z"), _moment("2026-10-25T04:00:00Z")
    found = _walk("*/30 * * * *", "Europe/Berlin", begin, end)
    assert {later - earlier for earlier, later in pairwise(found)} == {HOUR // 2}


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "sun"), (1, "mon"), (2, "tue"), (3, "wed"), (4, "thu"), (5, "fri"), (6, "sat"), (7, "sun")],
)  # fmt: skip
def test_week_days_count_from_sunday(number: int, name: str) -> None:
    begin = _moment("2026-01-01T00:00:00Z")
    by_number = next_cron(f"0 9 * * {number}", "UTC", begin)
    assert by_number == next_cron(f"0 9 * * {name.upper()}", "UTC", begin)
    assert by_number is not None
    assert to_datetime(by_number).strftime("%a").lower() == name


@pytest.mark.parametrize(
    ("macro", "line"),
    [
        ("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"), ("@monthly", "0 0 1 * *"), ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)  # fmt: skip
def test_a_macro_is_the_line_that_it_stands_for(macro: str, line: str) -> None:
    begin = _moment("2026-01-01T00:00:00Z")
    assert check_cron(macro) is None
    assert next_cron(macro, "UTC", begin) == next_cron(line, "UTC", begin)


def test_either_day_will_do_where_both_are_given() -> None:
    begin, end = _moment("2026-01-01T00:00:00Z"), _moment("2026-01-17T00:00:00Z")
    found = [to_iso(tick)[8:10] for tick in _walk("0 9 13 * 5", "UTC", begin, end)]
    assert found == ["02", "09", "13", "16"]


def test_a_star_with_a_step_narrows_the_other_day() -> None:
    begin, end = _moment("2026-01-01T00:00:00Z"), _moment("2026-03-31T00:00:00Z")
    first_sundays = [to_iso(tick)[:10] for tick in _walk("0 9 1-7 * */7", "UTC", begin, end)]
    assert first_sundays == ["2026-01-04", "2026-02-01", "2026-03-01"]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("0 9 * *", "a cron line has 5 fields, this one has 4"),
        ("0 9 * * * *", "a cron line has 5 fields, this one has 6"),
        ("@reboot", "a cron line has 5 fields, this one has 1"),
        ("0 0 31 2 *", "it never comes"),
        ("0 0 * * 8", "'8' is no week day; write 0-7 or sun, mon, tue …"),
        ("0 0 * * x-fri", "'x' is no week day; write 0-7 or sun, mon, tue …"),
        ("0 0 * * 1/x", "'1/x' is no list of week days"),
        ("0 0 * * */0", "'*/0' is no list of week days"),
        ("0 0 * * */-1", "'*/-1' is no list of week days"),
        ("0 0 * * */", "'*/' is no list of week days"),
    ],
)
def test_a_line_that_cannot_be_is_refused_in_words(line: str, wrong: str) -> None:
    assert check_cron(line) == wrong


@pytest.mark.parametrize(
    "line", ["61 * * * *", "* 24 * * *", "0 0 l * *", "*/0 * * * *", "- * * * *"]
)
def test_a_field_beyond_its_range_is_refused(line: str) -> None:
    assert check_cron(line)


def test_a_line_that_never_comes_has_no_next_and_no_last_time() -> None:
    begin = _moment("2026-01-01T00:00:00Z")
    assert next_cron("0 0 31 2 *", "UTC", begin) is None
    assert last_cron("0 0 31 2 *", "UTC", after=begin, until=begin + 400 * DAY) is None


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"])
def test_a_time_zone_of_the_world_is_known(zone: str) -> None:
    assert check_timezone(zone) is None


@pytest.mark.parametrize("zone", ["Europe/Berlinn", "../etc/passwd", "", "/etc/localtime", "x\0y"])
def test_another_time_zone_is_refused_by_its_name(zone: str) -> None:
    assert check_timezone(zone) == f"there is no time zone {zone!r}"


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("line", LINES)
def test_the_last_time_of_a_span_is_the_last_that_was_walked(line: str, zone: str) -> None:
    begin = _moment("2026-03-26T00:00:00Z")
    for days in (0, 1, 3, 5):
        until = begin + days * DAY + 7 * MINUTE
        walked = _walk(line, zone, begin, until + 1)
        assert last_cron(line, zone, after=begin, until=until) == max(walked, default=None)


def test_a_year_of_minutes_is_not_walked_to_find_the_last() -> None:
    begin = _moment("2026-01-01T00:00:30Z")
    until = begin + 365 * DAY
    assert last_cron("* * * * *", "UTC", after=begin, until=until) == until // MINUTE * MINUTE


@settings(deadline=None, max_examples=60)
@given(
    line=st.sampled_from(LINES),
    zone=st.sampled_from(ZONES),
    after=st.integers(1_700_000_000, 1_900_000_000),
    span=st.integers(0, 90 * 86_400),
)
def test_nothing_lies_between_the_last_time_and_the_end_of_the_span(
    line: str, zone: str, after: int, span: int
) -> None:
    begin, end = after * 1_000_000, (after + span) * 1_000_000
    last = last_cron(line, zone, after=begin, until=end)
    following = next_cron(line, zone, begin if last is None else last)
    assert last is None or begin < last <= end
    assert following is None or following > end


@settings(deadline=None)
@given(period=st.integers(1, 40 * DAY), after=st.integers(0, 2**53))
def test_a_period_ticks_at_its_multiples_on_every_machine(period: int, after: int) -> None:
    tick = next_every(period, after)
    assert tick % period == 0
    assert after < tick <= after + period
