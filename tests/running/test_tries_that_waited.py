"""A try that had to wait: for its target's rate, and for a condition that still holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from running.bench import ended, open_bench
from running.tries import busy

from engine.model import State

pytestmark = pytest.mark.anyio

WHILE_EXPIRED = """
  - id: r
    on: user.expired
    when: latest.user.status == 'EXPIRED'
    do: [{tell: {text: one}}]
"""


async def test_a_retry_asks_the_rules_condition_again(tmp_path: Path) -> None:
    async with open_bench(tmp_path, WHILE_EXPIRED) as bench:
        bench.tell.script = [busy()]
        await bench.event("user.expired", username="anna", status="EXPIRED")
        await bench.settle()
        await bench.event("user.modified", raised="1s", username="anna", status="ACTIVE")
        await bench.until("1h")
        run = await bench.run()
        assert bench.texts == ["one"]
        assert ended(run) == (State.CANCELLED, "no_longer_matches")
        assert str(run.message).startswith("latest.user.status == 'EXPIRED' is false")


async def test_a_first_try_at_once_does_not_ask_again(tmp_path: Path) -> None:
    async with open_bench(tmp_path, WHILE_EXPIRED) as bench:
        await bench.event("user.expired", username="anna", status="EXPIRED")
        await bench.decide()
        await bench.event("user.modified", raised="1s", username="anna", status="ACTIVE")
        await bench.settle()
        assert bench.texts == ["one"]


RATED = """version: 1
connections: {ops: {kind: phone, rate: 1/min}}
rules:
  - id: r
    on: user.expired
    when: "!(latest.user.status == 'ACTIVE')"
    do: [{tell: {text: "{{ user.key }}", connection: ops}}]
"""


async def test_a_burst_waits_for_the_targets_rate_and_nothing_is_dropped(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RATED) as bench:
        for name in ("a_a", "b_b", "c_c"):
            await bench.event("user.expired", username=name, status="EXPIRED")
        await bench.settle()
        assert bench.timed == [("0m", "a_a"), ("1m", "b_b"), ("2m", "c_c")]


async def test_a_long_wait_for_the_rate_asks_the_rules_condition_again(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RATED) as bench:
        await bench.event("user.expired", username="a_a", status="EXPIRED")
        await bench.event("user.expired", username="b_b", status="EXPIRED")
        await bench.decide()
        await bench.event("user.modified", raised="1s", username="b_b", status="ACTIVE")
        await bench.settle()
        assert bench.texts == ["a_a"]
        assert ended((await bench.runs())[1]) == (State.CANCELLED, "no_longer_matches")


async def test_a_stop_while_waiting_for_the_rate_leaves_the_run_to_the_next_life(
    tmp_path: Path,
) -> None:
    async def stopped(moment: int) -> bool:
        return False

    async with open_bench(tmp_path, RATED) as bench:
        bench.runner.wait_until = stopped
        await bench.event("user.expired", username="a_a")
        await bench.event("user.expired", username="b_b")
        await bench.settle()
        assert bench.texts == ["a_a"]
    async with open_bench(tmp_path, RATED, clock=bench.clock) as bench:
        await bench.settle()
        assert bench.texts == ["b_b"]
