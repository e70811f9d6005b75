"""Spans, sizes and rates are read as people write them."""

from __future__ import annotations

import pytest

from engine.clock import DAY, HOUR, MINUTE, SECOND
from engine.rules.durations import parse_bytes, parse_duration, parse_rate


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", 90 * SECOND),
        ("5m", 5 * MINUTE),
        ("3d", 3 * DAY),
        ("1w", 7 * DAY),
        ("1h30m", 90 * MINUTE),
        ("-6h", -6 * HOUR),
        ("1.5s", 1_500_000),
        ("0s", 0),
    ],
)
def test_a_duration_has_units(text: str, span: int) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize("text", [5, 1.5, True, None, "", "5", "1:30", "soon", "3mo", "1.1.1h", []])
def test_a_duration_without_a_unit_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"no unit|no duration"):
        parse_duration(text)


def test_a_duration_of_centuries_is_refused() -> None:
    with pytest.raises(ValueError, match="hundred years"):
        parse_duration("40000d")


@pytest.mark.parametrize(
    ("text", "between"),
    [
        ("10/s", SECOND // 10),
        ("20/min", 3 * SECOND),
        ("60/m", SECOND),
        ("1/h", HOUR),
        ("2/d", 12 * HOUR),
    ],
)
def test_a_rate_tells_the_time_between_two_calls(text: str, between: int) -> None:
    assert parse_rate(text) == between


@pytest.mark.parametrize("text", ["10", "0/s", "x/s", "10/week", 10, None])
def test_a_rate_that_says_nothing_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="no rate"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("10 GiB", 10 * 1024**3), ("500 MB", 500_000_000), ("1.5KiB", 1536), ("7", 7), ("7b", 7)],
)
def test_a_size_is_a_number_of_bytes(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "much", "-1 GiB", 5, None])
def test_a_size_that_says_nothing_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="no size"):
        parse_bytes(text)
