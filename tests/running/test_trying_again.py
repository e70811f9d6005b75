"""Tries: retries, time limits, unknown outcomes, and the idempotency key."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from running.bench import START, TellParams, ended, open_bench
from running.tries import BUSY, PLAIN, RETRIED, busy

from engine.action import Call
from engine.clock import HOUR, MINUTE
from engine.errors import ActionFailed
from engine.model import State
from engine.running import trying

pytestmark = pytest.mark.anyio


async def for_ever(params: TellParams, call: Call) -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


async def past_the_gate(params: TellParams, call: Call) -> dict[str, Any]:
    await call.irrevocable()
    await asyncio.Event().wait()
    return {}


async def test_a_failed_try_is_repeated_until_it_succeeds(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RETRIED) as bench:
        bench.tell.script = [busy(), busy()]
        await bench.event("user.expired")
        await bench.settle()
        run = await bench.run()
        assert ended(run) == (State.PENDING, "connection")
        assert run.message == BUSY
        await bench.until("10m")
        assert bench.texts == ["one", "one", "one", "two"]
        assert [told.call.attempt for told in bench.tell.told] == [1, 2, 3, 1]
        assert ended(await bench.run()) == (State.SUCCEEDED, None)
        assert await bench.attempts(run) == [
            (1, "failed", "connection"),
            (2, "failed", "connection"),
            (3, "succeeded", None),
            (1, "succeeded", None),
        ]


async def test_the_last_failure_is_a_dead_letter_that_counts_the_tries(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RETRIED) as bench:
        bench.tell.script = [busy(), busy(), busy()]
        await bench.event("user.expired")
        await bench.until("1h")
        run = await bench.run()
        assert ended(run) == (State.DEAD, "connection")
        assert run.message == "busy (try 3, the last)"
        assert bench.texts == ["one"] * 3


async def test_a_failure_that_no_other_try_would_mend_is_not_repeated(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RETRIED) as bench:
        bench.tell.script = [ActionFailed("gone", reason="http_status")]
        await bench.event("user.expired")
        await bench.until("1h")
        assert ended(await bench.run()) == (State.DEAD, "http_status")
        assert bench.texts == ["one"]


async def test_the_default_goes_on_for_about_six_hours(tmp_path: Path) -> None:
    async with open_bench(tmp_path, PLAIN) as bench:
        bench.tell.script = [busy() for _ in range(20)]
        await bench.event("user.expired")
        await bench.until("1d")
        assert len(bench.tell.told) == 16
        assert 4.5 * HOUR < bench.tell.told[-1].at - START < 7.5 * HOUR
        assert (await bench.run()).state is State.DEAD


async def test_the_other_side_decides_how_long_to_wait(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RETRIED) as bench:
        bench.tell.script = [busy(after=1800.0)]
        await bench.event("user.expired")
        await bench.until("1h")
        assert bench.tell.told[1].at == START + 30 * MINUTE


async def test_retry_for_ends_with_its_span(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do: [{tell: {text: one}, retry: {for: 1h, backoff: 10m, max: 10m}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [busy() for _ in range(20)]
        await bench.event("user.expired")
        await bench.until("3h")
        assert (await bench.run()).state is State.DEAD
        assert 5 <= len(bench.tell.told) <= 8
        assert bench.tell.told[-1].at <= START + HOUR


async def test_the_idempotency_key_is_the_same_for_every_try_and_after_a_restart(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RETRIED) as bench:
        bench.tell.script = [busy()]
        await bench.event("user.expired")
        await bench.settle()
        (first,) = bench.tell.told
    async with open_bench(tmp_path, RETRIED, clock=bench.clock) as bench:
        bench.tell.script = [busy()]
        await bench.until("1h")
        keys = [told.call.key for told in bench.tell.told]
        assert keys[0] == keys[1] == first.call.key
        assert keys[2] != first.call.key


async def test_every_event_rule_and_step_has_an_idempotency_key_of_its_own(tmp_path: Path) -> None:
    rules = """
  - {id: a, on: user.expired, do: [{tell: {}}, {tell: {}}, {after: 1m, do: [{tell: {}}]}]}
  - {id: b, on: user.expired, do: [{tell: {}}]}
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", description="one")
        await bench.event("user.expired", description="two")
        await bench.until("5m")
        assert len({told.call.key for told in bench.tell.told}) == len(bench.tell.told) == 8


async def test_an_action_sees_the_event_as_stored(tmp_path: Path) -> None:
    async with open_bench(tmp_path, PLAIN) as bench:
        await bench.event("user.expired", username="anna")
        await bench.settle()
        (told,) = bench.tell.told
        assert told.call.event["data"]["username"] == "anna"
        assert "trojanPassword" not in told.call.event["data"]


async def test_a_try_ends_with_its_time_limit_and_is_repeated(tmp_path: Path) -> None:
    rules = """
  - {id: r, on: user.expired, do: [{tell: {text: one}, timeout: 10ms, retry: {tries: 2}}]}
""".replace("10ms", "0.01s")
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [for_ever]
        await bench.event("user.expired")
        await bench.until("1h")
        run = await bench.run()
        assert bench.tell.told[0].call.timeout == pytest.approx(0.01)
        assert await bench.attempts(run) == [(1, "failed", "timeout"), (2, "succeeded", None)]


async def test_a_time_limit_after_the_point_of_no_return_is_an_unknown_outcome(
    tmp_path: Path,
) -> None:
    rules = """
  - {id: r, on: user.expired, do: [{tell: {text: one, unsafe: true}, timeout: 0.01s}]}
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [past_the_gate]
        await bench.event("user.expired")
        await bench.until("1h")
        run = await bench.run()
        assert ended(run) == (State.DEAD, "outcome_unknown")
        assert run.message == "outcome unknown: no end within 0.01 s"
        assert await bench.attempts(run) == [(1, "unknown", "timeout")]


async def test_what_is_safe_to_repeat_is_repeated_after_an_unknown_outcome(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{tell: {text: one}, timeout: 0.01s}]}"
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [past_the_gate]
        await bench.event("user.expired")
        await bench.until("1h")
        run = await bench.run()
        assert await bench.attempts(run) == [(1, "unknown", "timeout"), (2, "succeeded", None)]
        assert bench.tell.told[0].call.key == bench.tell.told[1].call.key


@pytest.mark.parametrize(
    ("unsafe", "if_unknown", "state"),
    [("false", "dead", State.DEAD), ("true", "repeat", State.SUCCEEDED)],
)
async def test_if_unknown_decides_over_the_actions_own_default(
    tmp_path: Path, unsafe: str, if_unknown: str, state: State
) -> None:
    rules = f"""
  - id: r
    on: user.expired
    do: [{{tell: {{text: one, unsafe: {unsafe}}}, if_unknown: {if_unknown}}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [ActionFailed("the line went dead", retry=True, unknown=True)]
        await bench.event("user.expired")
        await bench.until("1h")
        assert (await bench.run()).state is state


async def test_a_result_that_comes_with_the_time_limit_counts(tmp_path: Path) -> None:
    async def just_in_time(params: TellParams, call: Call) -> dict[str, Any]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return {"n": 1}
        return {}

    rules = "  - {id: r, on: user.expired, do: [{id: a, tell: {text: one}, timeout: 0.01s}]}"
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [just_in_time]
        await bench.event("user.expired")
        await bench.settle()
        run = await bench.run()
        assert (run.state, run.results) == (State.SUCCEEDED, {"a": {"n": 1}})


async def test_an_action_that_does_not_let_itself_be_ended_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trying, "GRACE", 0.01)
    release = asyncio.Event()

    async def stubborn(params: TellParams, call: Call) -> dict[str, Any]:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return {}

    rules = "  - {id: r, on: user.expired, do: [{tell: {}, timeout: 0.01s, retry: {tries: 1}}]}"
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [stubborn]
        await bench.event("user.expired")
        await bench.settle()
        assert ended(await bench.run()) == (State.DEAD, "timeout")
        release.set()
