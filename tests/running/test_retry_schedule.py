"""The retry schedule as a table: pure, so that a rehearsal has the same times."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import DAY, HOUR, MINUTE, SECOND
from engine.errors import ActionFailed
from engine.model import Run, State
from engine.rules.model import ActionStep, Retry
from engine.running.retries import Tried, after_crash, after_try, backoff, next_try

NOW = 1_767_603_600 * SECOND
RUN = Run(
    id="run_1", origin="ev_1", origin_seq=1, origin_raised=NOW, rule="r", version="v", path="",
    generation=0, key="anna", state=State.RUNNING, due=NOW, created=NOW, lane="tell",
    attempt=1, starts=1, first_try=NOW,
)  # fmt: skip


@pytest.mark.parametrize(
    ("attempt", "middle"),
    [
        (1, 5 * SECOND),
        (2, 10 * SECOND),
        (3, 20 * SECOND),
        (5, 80 * SECOND),
        (10, 2560 * SECOND),
        (11, HOUR),
        (15, HOUR),
        (1000, HOUR),
    ],
)
def test_the_wait_doubles_up_to_an_hour_and_may_be_a_fifth_longer(
    attempt: int, middle: int
) -> None:
    waits = [backoff(Retry(), attempt, f"run_{number}") for number in range(200)]
    assert all(middle <= wait <= 1.2 * middle for wait in waits)
    assert max(waits) - min(waits) > 0.15 * middle


def test_the_default_outlasts_six_hours_over_sixteen_tries() -> None:
    for number in range(200):
        waits = sum(backoff(Retry(), attempt, f"run_{number}") for attempt in range(1, 16))
        assert 6 * HOUR < waits < 8 * HOUR
    assert next_try(replace(RUN, attempt=15), Retry(), now=NOW, key="k") is not None
    assert next_try(replace(RUN, attempt=16), Retry(), now=NOW, key="k") is None


@given(st.integers(1, 50), st.text())
def test_the_same_run_has_the_same_times(attempt: int, key: str) -> None:
    assert backoff(Retry(), attempt, key) == backoff(Retry(), attempt, key)


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (None, 5 * SECOND, 6 * SECOND),
        (1.0, 5 * SECOND, 6 * SECOND),
        (60.0, MINUTE, MINUTE),
        (0.0, 5 * SECOND, 6 * SECOND),
        (-5.0, 5 * SECOND, 6 * SECOND),
        (10.0**9, DAY, DAY),
    ],
)
def test_a_wish_of_the_other_side_is_honoured_up_to_a_day(
    asked: float | None, least: int, most: int
) -> None:
    due = next_try(RUN, Retry(), now=NOW, key="k", asked=asked)
    assert due is not None
    assert least <= due - NOW <= most


@pytest.mark.parametrize(
    ("since_first", "again"), [(0, True), (50 * MINUTE, True), (59 * MINUTE, False), (HOUR, False)]
)
def test_a_span_ends_the_tries_whatever_their_number(since_first: int, again: bool) -> None:
    retry = Retry(tries=None, backoff=5 * MINUTE, max=5 * MINUTE, span=HOUR)
    run = replace(RUN, attempt=500, first_try=NOW - since_first)
    assert (next_try(run, retry, now=NOW, key="k") is not None) is again


def test_a_span_begins_with_the_first_try() -> None:
    retry = Retry(tries=None, backoff=MINUTE, max=MINUTE, span=HOUR)
    assert next_try(replace(RUN, first_try=None), retry, now=NOW, key="k") is not None


def step(*, stop: bool = True, retry: Retry | None = None, id: str | None = "a") -> ActionStep:
    return ActionStep(
        path="do.0", id=id, action="tell", template=None,  # type: ignore[arg-type]  # unused here
        when=None, retry=retry or Retry(), timeout=None, stop_on_error=stop, if_unknown=None,
        connection=None, target="tell",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("failure", "repeat", "stop", "state", "reason", "outcome"),
    [
        (ActionFailed("x", retry=True, reason="timeout"), True, True, State.PENDING, "timeout", "failed"),
        (ActionFailed("x", reason="refused"), True, True, State.DEAD, "refused", "failed"),
        (ActionFailed("x", unknown=True, reason="bug"), True, True, State.PENDING, "bug", "unknown"),
        (ActionFailed("x", unknown=True, retry=True), False, True, State.DEAD, "outcome_unknown", "unknown"),
        (ActionFailed("x", unknown=True), False, False, State.DEAD, "outcome_unknown", "unknown"),
        (ActionFailed("x", reason="refused"), True, False, State.RUNNING, None, "failed"),
    ],
)  # fmt: skip
def test_what_a_failure_makes_of_a_run(
    failure: ActionFailed, repeat: bool, stop: bool, state: State, reason: str | None, outcome: str
) -> None:
    after = after_try(RUN, step(stop=stop), Tried(failure=failure), now=NOW, repeat_unknown=repeat)
    assert (after.run.state, after.run.reason, after.outcome) == (state, reason, outcome)
    assert after.go_on is (state is State.RUNNING)


def test_a_result_moves_the_run_to_its_next_step_untried() -> None:
    after = after_try(RUN, step(), Tried({"n": 1}), now=NOW, repeat_unknown=True)
    assert after.go_on
    assert (after.run.cursor, after.run.attempt, after.run.starts) == (1, 0, 0)
    assert after.run.first_try is None
    assert after.run.results == {"a": {"n": 1}}


def test_a_try_handed_back_is_due_at_once_and_burns_no_start() -> None:
    failure = ActionFailed("stopped", retry=True, reason="handed_back")
    tried = Tried(failure=failure, handed_back=True)
    after = after_try(replace(RUN, attempt=99), step(), tried, now=NOW, repeat_unknown=True)
    assert (after.run.state, after.run.due, after.run.starts) == (State.PENDING, NOW, 0)


@pytest.mark.parametrize(
    ("starts", "irrevocable", "state", "reason"),
    [
        (1, False, State.PENDING, None),
        (9, False, State.PENDING, None),
        (10, False, State.DEAD, "kills_its_worker"),
        (1, True, State.DEAD, "outcome_unknown"),
    ],
)
def test_what_a_crash_in_mid_try_makes_of_a_run(
    starts: int, irrevocable: bool, state: State, reason: str | None
) -> None:
    after = after_crash(replace(RUN, starts=starts), irrevocable=irrevocable, now=NOW)
    assert (after.state, after.reason) == (state, reason)
    assert after.delayed or state is State.DEAD
