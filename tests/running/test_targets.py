"""When a target is paused, who may probe it, and what opens it: a table of cases."""

from __future__ import annotations

import pytest

from engine.clock import MINUTE, SECOND
from engine.errors import ActionFailed
from engine.running.targets import (
    FAILURES,
    LONGEST,
    SHORTEST,
    Sign,
    Target,
    begun,
    ended,
    left,
    may_try,
    pause,
    sign_of,
)

NOW = 1_000_000 * SECOND


def failing(target: Target, run: str, now: int = NOW) -> Target:
    return ended(target, run, Sign.FAILING, "busy", now)


def paused() -> Target:
    target = Target()
    for number in range(FAILURES):
        target = failing(target, f"run{number}")
    return target


@pytest.mark.parametrize(
    ("failure", "sign"),
    [
        (None, Sign.WELL),
        (ActionFailed("503", retry=True, reason="http_status"), Sign.FAILING),
        (ActionFailed("nobody there", retry=True, reason="connection"), Sign.FAILING),
        (ActionFailed("hangs", retry=True, reason="timeout"), Sign.FAILING),
        (ActionFailed("hangs after DATA", unknown=True, reason="timeout"), Sign.FAILING),
        (ActionFailed("404", reason="http_status"), Sign.WELL),
        (ActionFailed("550 no such user", reason="refused"), Sign.WELL),
        (ActionFailed("no URL", reason="bad_parameters"), Sign.NOTHING),
        (ActionFailed("ours", reason="bug"), Sign.NOTHING),
        (ActionFailed("stopped", retry=True, reason="handed_back"), Sign.NOTHING),
    ],
)
def test_what_a_failure_says_of_its_target(failure: ActionFailed | None, sign: Sign) -> None:
    assert sign_of(failure) is sign


def test_failures_in_a_row_pause_a_target_whatever_run_they_are_of() -> None:
    target = Target()
    for number in range(FAILURES - 1):
        target = failing(target, f"run{number}")
        assert may_try(target, "next", NOW)
    target = failing(target, "last")
    assert target.paused
    assert not may_try(target, "next", NOW)
    assert may_try(target, "next", NOW + SHORTEST)


def test_a_success_in_between_begins_the_count_anew() -> None:
    target = Target()
    for number in range(3 * FAILURES):
        target = failing(target, "run")
        if number % 2:
            target = ended(target, "other", Sign.WELL, "", NOW)
    assert not target.paused


def test_one_run_at_a_time_probes() -> None:
    later = NOW + MINUTE
    target = begun(paused(), "probe")
    assert not may_try(target, "other", later)
    assert may_try(target, "probe", later)


def test_pauses_grow_with_each_probe_that_fails() -> None:
    target, now, waits = paused(), NOW, []
    for number in range(8):
        assert target.next_probe is not None
        waits.append(target.next_probe - now)
        now = target.next_probe
        target = failing(begun(target, f"probe{number}"), f"probe{number}", now)
    assert waits == sorted(waits)
    assert waits[:3] == [SHORTEST, 2 * SHORTEST, 4 * SHORTEST]
    assert waits[-1] == LONGEST == pause(10_000)


def test_a_probe_that_succeeds_opens_the_target() -> None:
    target = ended(begun(paused(), "probe"), "probe", Sign.WELL, "", NOW)
    assert target == Target()


def test_a_try_from_before_the_pause_does_not_lengthen_it() -> None:
    before = paused()
    after = failing(before, "straggler", NOW + SECOND)
    assert (after.next_probe, after.pauses) == (before.next_probe, 0)


def test_a_probe_that_says_nothing_leaves_its_place_to_the_next() -> None:
    later = NOW + MINUTE
    for gone in (
        left(begun(paused(), "probe"), "probe"),
        ended(begun(paused(), "probe"), "probe", Sign.NOTHING, "", later),
    ):
        assert gone.paused
        assert may_try(gone, "other", later)


def test_an_open_target_knows_no_probe() -> None:
    assert begun(Target(), "run") == Target()
    assert not Target().wants_candidate
    assert paused().wants_candidate
