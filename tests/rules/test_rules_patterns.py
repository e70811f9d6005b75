"""Event types fit patterns; the daemon's own events only those that ask for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruletools import GOOD, load_text, told

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
        ("rulewave.*", "rulewave.clock", False),
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


@pytest.mark.parametrize(
    ("pattern", "known"),
    [
        ("user.expired", True),
        ("user.renewed", True),
        ("user.expires_in_5_hours", True),
        ("user.expires_in_*_hours", True),
        ("*", True),
        ("crm.*", True),
        ("rulewave.started", True),
        ("rulewave.*", True),
        ("rulewave.clock", False),
        ("rulewave.dead_leter", False),
        ("user.expires_in_24_hour", False),
        ("User.Expired", False),
        ("users.*", False),
    ],
)
def test_an_event_that_no_panel_sends_gets_a_warning(
    tmp_path: Path, pattern: str, known: bool
) -> None:
    loaded = load_text(tmp_path, GOOD.replace("user.*", f'"{pattern}"'))
    assert len(loaded.ruleset.rules) == 1
    assert [problem.code for problem in loaded.problems] == ([] if known else ["R032"])


def test_a_misspelt_event_of_the_daemon_itself_gets_the_right_name(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, GOOD.replace("user.*", "rulewave.dead_leter"))
    (problem,) = loaded.problems
    assert (problem.code, problem.hint) == ("R032", 'did you mean "rulewave.dead_letter"?')


def test_the_warning_says_which_event_is_meant(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, GOOD.replace("user.*", "user.expires_in_24_hour"))
    assert (
        'no panel sends "user.expires_in_24_hour"; did you mean "user.expires_in_24_hours"?'
        in (told(loaded.problems)[0])
    )


def test_a_name_that_panels_list_but_never_send_is_told_as_such(tmp_path: Path) -> None:
    (problem,) = load_text(tmp_path, GOOD.replace("user.*", "node.restarted")).problems
    assert (problem.code, problem.message) == ("R032", 'no panel sends "node.restarted"')
    assert problem.hint == "panels know the name, and never send such an event"
