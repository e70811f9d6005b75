"""What becomes of a follow-up that was due while nobody was there to begin it."""

from __future__ import annotations

from pathlib import Path

import pytest
from running.bench import Bench, ended, open_bench

from engine.clock import HOUR, MINUTE, SECOND, to_iso
from engine.errors import ActionFailed
from engine.model import Run, State

pytestmark = pytest.mark.anyio

RULES = """
  - id: r
    on: user.expired
    do:
      - after: 1h
        {if_late}
        cancel_on: user.enabled
        tell: {{text: later}}
"""
EXPIRED = (State.EXPIRED, "too_late")


def rules(if_late: str) -> str:
    return RULES.format(if_late=f"if_late: {if_late}" if if_late else "")


async def away(folder: Path, rules: str, late: int) -> tuple[list[str], Run]:
    """What is told, and how the follow-up ended, where the daemon comes back so late."""
    async with open_bench(folder, rules) as bench:
        await bench.event("user.expired")
        await bench.until("10m")
    bench.clock.move(50 * MINUTE + late)
    async with open_bench(folder, rules, clock=bench.clock) as bench:
        await bench.settle()
        return bench.texts, await bench.run("r", "do.0")


@pytest.mark.parametrize(
    ("if_late", "late", "runs"),
    [
        ("", 90 * HOUR, True),
        ("run", 90 * HOUR, True),
        ("skip", 2 * SECOND, True),
        ("skip", MINUTE, True),
        ("skip", MINUTE + 1, False),
        ("{within: 10m}", 10 * MINUTE, True),
        ("{within: 10m}", 10 * MINUTE + 1, False),
        ("{within: 0s}", 0, True),
        ("{within: 0s}", 1, False),
    ],
)
async def test_if_late_says_how_late_it_may_be(
    tmp_path: Path, if_late: str, late: int, runs: bool
) -> None:
    told, run = await away(tmp_path, rules(if_late), late)
    assert told == (["later"] if runs else [])
    assert ended(run) == ((State.SUCCEEDED, None) if runs else EXPIRED)
    assert run.late == late


async def test_what_is_too_late_says_so_in_words(tmp_path: Path) -> None:
    _, run = await away(tmp_path, rules("{within: 10m}"), 20 * MINUTE)
    due = "2026-01-05T10:00:00.000Z"
    assert run.message == f"due at {due}, 20 minutes late; if_late allows 10 minutes"
    assert not run.watched


async def test_lateness_is_asked_before_conditions(tmp_path: Path) -> None:
    asked = rules("skip").replace("cancel_on:", "when: \"contains(`1`, 'x')\"\n        cancel_on:")
    _, run = await away(tmp_path, asked, HOUR)
    assert ended(run) == EXPIRED


async def test_a_try_that_comes_late_belongs_to_what_began_in_time(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rules("skip")) as bench:
        bench.tell.script = [ActionFailed("busy", retry=True)]
        await bench.event("user.expired")
        await bench.until("1h")
    bench.clock.move(9 * HOUR)
    async with open_bench(tmp_path, rules("skip"), clock=bench.clock) as bench:
        await bench.settle()
        assert bench.texts == ["later"]


async def test_a_later_step_of_a_follow_up_is_never_late(tmp_path: Path) -> None:
    two = rules("skip").replace("tell: {text: later}", "do: [{tell: {text: one}}, {tell: {}}]")
    async with open_bench(tmp_path, two) as bench:
        await bench.event("user.expired")
        await bench.until("59m")
        bench.clock.move(MINUTE)
        await bench.handing.hand_over()
        job = await bench.next_job()
        assert job is not None
        await bench.runner.handle(job)
    bench.clock.move(9 * HOUR)
    async with open_bench(tmp_path, two, clock=bench.clock) as bench:
        await bench.settle()
        assert bench.texts == [""]


@pytest.mark.parametrize(
    ("offset", "told"), [("-3d", []), ("-2h", ["x"]), ("-122m", []), ("1m", ["x"])]
)
async def test_a_time_in_the_past_is_late_at_once(
    tmp_path: Path, offset: str, told: list[str]
) -> None:
    until = f"{{until: user.expireAt, offset: {offset}}}"
    text = f"  - {{id: r, on: user.modified, do: [{{after: {until}, if_late: skip, tell: {{text: x}}}}]}}"
    async with open_bench(tmp_path, text) as bench:
        await bench.event("user.modified", expireAt=to_iso(bench.moment("2h")))
        await bench.until("1d")
        assert bench.texts == told
        if not told:
            assert ended(await bench.run("r", "do.0")) == EXPIRED


async def test_a_time_in_the_past_is_late_where_it_is_reached_late(tmp_path: Path) -> None:
    text = """
  - id: r
    on: user.modified
    do:
      - tell: {text: first}
      - {after: {until: user.expireAt, offset: -3d}, if_late: skip, tell: {text: x}}
"""
    async with open_bench(tmp_path, text) as bench:
        await bench.event("user.modified", expireAt=to_iso(bench.moment("2h")))
        await bench.until("1d")
        assert bench.texts == ["first"]
        assert ended(await bench.run("r", "do.1")) == EXPIRED


AWAIT = """
  - id: r
    on: user.expired
    do:
      - await: user.enabled
        within: 1h
        if_late: skip
        do: [{tell: {text: came}}]
        else: [{tell: {text: nobody came}}]
"""


async def test_of_an_await_it_is_else_that_can_be_late(tmp_path: Path) -> None:
    told, run = await away(tmp_path, AWAIT, HOUR)
    assert told == []
    assert ended(run) == EXPIRED


async def stored_before_a_stop(folder: Path) -> Bench:
    """A life that ended right after the awaited event was stored."""
    async with open_bench(folder, AWAIT) as bench:
        await bench.event("user.expired")
        await bench.until("10m")
        await bench.event("user.enabled")
    return bench


async def test_a_met_await_is_never_late(tmp_path: Path) -> None:
    before = await stored_before_a_stop(tmp_path)
    before.clock.move(9 * HOUR)
    async with open_bench(tmp_path, AWAIT, clock=before.clock) as bench:
        await bench.settle()
        assert bench.texts == ["came"]
        assert (await bench.run("r", "do.0")).late == 0


async def test_an_await_without_else_that_nothing_met_has_nothing_to_be_late_with(
    tmp_path: Path,
) -> None:
    alone = AWAIT[: AWAIT.index("        else")]
    _, run = await away(tmp_path, alone, HOUR)
    assert ended(run) == (State.SUCCEEDED, None)
