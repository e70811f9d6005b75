"""Event types fit patterns; the daemon's own events only those that ask for them."""

from __future__ import annotations

import pytest

from engine.rules.patterns import Patterns, matches


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("user.expired", "user.expired", True),
        ("user.expired", "user.expired.x", False),
        ("user.*", "user.expired", True),
        ("user.*", "user", False),
        ("user.expires_in_*_hours", "user.expires_in_24_hours", True),
        ("*", "user.a.b", True),
        ("*.b", "user.a.b", True),
        ("a.*", "axb", False),
        ("*" * 60 + "x", "a" * 2000, False),
        ("*", "rulewave.started", False),
        ("*.started", "rulewave.started", False),
        ("rulewave.*", "rulewave.started", True),
        ("rulewave.started", "rulewave.started", True),
    ],
)
def test_a_star_crosses_dots_but_never_meets_our_own_events(
    pattern: str, name: str, fits: bool
) -> None:
    assert matches(pattern, name) is fits


def test_the_index_gives_each_entry_once_in_its_order() -> None:
    index = Patterns(
        [("user.*", 1), ("user.expired", 2), ("node.*", 3), ("user.expired", 4), ("*", 5)]
    )
    assert index.find(["user.expired", "user.expiration"]) == (1, 2, 4, 5)
    assert index.find(["rulewave.started"]) == ()
    assert index.find([]) == ()
