"""Loops, ways and raised events where something comes between, or is too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from holding.stories import rule
from running.bench import TellParams, open_bench

from engine.action import Call
from engine.model import State

pytestmark = pytest.mark.anyio


async def test_follow_ups_met_before_a_dead_step_are_made(tmp_path: Path) -> None:
    do = "do: [{after: 5m, tell: {text: later}}, {for_each: {in: user.key, do: [{stop: x}]}}]"
    async with open_bench(tmp_path, rule("", do=do)) as bench:
        await bench.event("user.expired")
        await bench.until("1h")
        assert (await bench.run()).state is State.DEAD
        assert bench.texts == ["later"]


async def test_all_loops_of_a_run_share_one_measure(tmp_path: Path) -> None:
    loop = "{for_each: {in: data.many, do: [{after: 1d, tell: {text: never}}]}}"
    async with open_bench(tmp_path, rule("", do=f"do: [{loop}, {loop}]")) as bench:
        await bench.event("user.expired", many=list(range(501)))
        await bench.settle()
        run = await bench.run()
        assert (run.state, run.path) == (State.DEAD, "")
        assert "501 items; a run goes through 1000" in (run.message or "")


async def test_what_cancels_a_rule_in_mid_step_keeps_the_next_one_away(tmp_path: Path) -> None:
    do = "do: [{tell: {text: one}}, {tell: {text: two}}]"
    async with open_bench(tmp_path, rule("cancel_on: user.enabled", do=do)) as bench:

        async def meanwhile(params: TellParams, call: Call) -> dict[str, Any]:
            await bench.event("user.enabled", raised="1m")
            await bench.decide()
            return {}

        bench.tell.script.append(meanwhile)
        await bench.event("user.expired")
        await bench.until("1h")
        assert bench.texts == ["one"]
        assert (await bench.run()).reason == "cancelled_by_event"


async def test_a_rebound_follow_up_of_a_loop_counts_from_its_item(tmp_path: Path) -> None:
    def rules(offset: str) -> str:
        at = f"{{until: when_, offset: {offset}}}"
        step = f'{{after: {at}, on_rule_change: rebind, tell: {{text: "{{{{ when_ }}}}"}}}}'
        return rule("", do=f"do: [{{for_each: {{in: data.moments, as: when_, do: [{step}]}}}}]")

    async with open_bench(tmp_path, rules("1h")) as bench:
        moments = ["2026-01-05T10:00:00.000Z", "2026-01-05T11:00:00.000Z"]
        await bench.event("user.expired", moments=moments)
        await bench.settle()
        await bench.reload(rules("3h"))
        await bench.until("1d")
        assert bench.timed == [("240m", moments[0]), ("300m", moments[1])]


async def test_what_is_raised_may_not_be_too_big(tmp_path: Path) -> None:
    copies = ", ".join(f"{name}: data.text" for name in "abcdefghijk")
    do = f'do: [{{emit: {{event: shop.big, data: "{{{copies}}}"}}}}]'
    async with open_bench(tmp_path, rule("", do=do), real=True) as bench:
        await bench.event("user.expired", text="x" * 100_000)
        await bench.settle()
        run = await bench.run()
        assert (run.state, run.reason) == (State.DEAD, "bad_parameters")
        assert "its data is too big" in (run.message or "")
