"""concurrency: what a match does while an older run of its key is under way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from holding.stories import happens, rule
from running.bench import Bench, open_bench

from engine.action import Call
from engine.clock import MINUTE
from engine.errors import ActionFailed
from engine.model import State

pytestmark = pytest.mark.anyio

LATER = "do: [{after: 10m, tell: {text: '{{ user.key }}'}}]"
DOWN = """
  - id: r
    on: node.connection_lost
    concurrency: restart
    do:
      - after: 5m
        cancel_on: node.connection_restored
        do: [{tell: {text: down}}]
"""


async def test_restart_counts_anew_and_tells_one_story(tmp_path: Path) -> None:
    lost = [(span, "node.connection_lost", {}) for span in ("0m", "3m", "6m", "20m")]
    story = await happens(tmp_path, DOWN, lost)
    assert story.told == [("11m", "down"), ("25m", "down")]


async def test_the_run_that_gives_way_says_so(tmp_path: Path) -> None:
    async with open_bench(tmp_path, DOWN) as bench:
        await bench.event("node.connection_lost")
        await bench.until("3m")
        by = await bench.event("node.connection_lost")
        await bench.settle()
        first, second = [run for run in await bench.runs() if run.path]
        assert (first.state, first.reason) == (State.CANCELLED, "started_anew")
        assert first.message == (
            f"started anew by node.connection_lost, event {by} (concurrency: restart)"
        )
        assert first.cancelled_by == by
        assert second.state is State.PENDING


async def test_restart_within_one_batch(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule("concurrency: restart", do=LATER)) as bench:
        for n in range(3):
            await bench.event("user.expired", raised=f"-{3 - n}s")
        await bench.settle()
        states = [run.state for run in await bench.runs() if run.path]
        assert states == [State.CANCELLED, State.CANCELLED, State.PENDING]


async def test_restart_leaves_other_keys_alone(tmp_path: Path) -> None:
    events = [
        ("0m", "user.expired", {"username": "anna"}), ("1m", "user.expired", {"username": "boris"}),
    ]  # fmt: skip
    story = await happens(tmp_path, rule("concurrency: restart", do=LATER), events)
    assert story.told == [("10m", "anna"), ("11m", "boris")]


async def test_drop_holds_back_until_the_story_has_ended(tmp_path: Path) -> None:
    story = await happens(tmp_path, rule("concurrency: drop", do=LATER), ["0m", "5m", "11m"])
    assert [when for when, _ in story.told] == ["10m", "21m"]
    assert story.held == ["", "concurrency", ""]


async def test_parallel_is_what_nobody_wrote(tmp_path: Path) -> None:
    for written in ("concurrency: parallel", "empty_ok: true"):
        folder = tmp_path / written[:5]
        folder.mkdir()
        story = await happens(folder, rule(written, do=LATER), ["0m", "5m"])
        assert [when for when, _ in story.told] == ["10m", "15m"]


def failing(bench: Bench, tries: int) -> None:
    bench.tell.script += [ActionFailed("no", retry=True, after=600.0)] * tries


async def test_queue_lets_one_after_the_other_run_in_their_order(tmp_path: Path) -> None:
    rules = rule("concurrency: queue", do='do: [{tell: {text: "{{ event }}"}}]', on="'user.*'")
    async with open_bench(tmp_path, rules) as bench:
        failing(bench, 1)
        await bench.event("user.expired")
        await bench.settle()
        held = await bench.event("user.disabled")
        await bench.settle()
        await bench.event("user.enabled")
        await bench.until("9m")
        assert bench.texts == ["user.expired"]
        assert (await bench.verdicts(held))["r"] == "held back"
        waiting = await bench.runs(state="pending")
        assert [run.reason for run in waiting] == ["failed", "concurrency", "concurrency"]
        await bench.until("11m")
        assert bench.texts == ["user.expired", "user.expired", "user.disabled", "user.enabled"]


async def test_queue_waits_for_steps_only_not_for_follow_ups(tmp_path: Path) -> None:
    story = await happens(tmp_path, rule("concurrency: queue", do=LATER), ["0m", "5m"])
    assert [when for when, _ in story.told] == ["10m", "15m"]
    assert story.held == ["", ""]


@pytest.mark.parametrize("end", ["dead", "cancelled"])
async def test_however_the_first_ends_the_next_goes_on(tmp_path: Path, end: str) -> None:
    async with open_bench(tmp_path, rule("concurrency: queue")) as bench:
        failing(bench, 1)
        await bench.event("user.expired")
        await bench.settle()
        await bench.event("user.expired", raised="-1s")
        await bench.settle()
        first = (await bench.runs())[0]
        if end == "dead":
            bench.tell.script.append(ActionFailed("never"))
            await bench.until("11m")
        else:
            await bench.desk.ask("runs", "cancel", {"id": first.id})
            await bench.settle()
        assert [run.state for run in await bench.runs()] == [State(end), State.SUCCEEDED]


async def test_a_queue_survives_a_restart(tmp_path: Path) -> None:
    rules = rule("concurrency: queue")
    async with open_bench(tmp_path, rules) as bench:
        failing(bench, 1)
        await bench.event("user.expired")
        await bench.settle()
        await bench.event("user.expired", raised="-1s")
        await bench.settle()
    async with open_bench(tmp_path, rules) as bench:
        await bench.until("11m")
        assert [run.state for run in await bench.runs()] == [State.SUCCEEDED] * 2


async def test_the_next_is_asked_its_when_again(tmp_path: Path) -> None:
    rules = rule("concurrency: queue\nwhen: latest.user.status == 'EXPIRED'")
    async with open_bench(tmp_path, rules) as bench:
        failing(bench, 1)
        await bench.event("user.expired", status="EXPIRED")
        await bench.settle()
        await bench.event("user.expired", status="EXPIRED", raised="-1s")
        await bench.until("1m")
        await bench.event("user.enabled", status="ACTIVE")
        await bench.until("11m")
        assert {run.reason for run in await bench.runs()} == {"no_longer_matches"}


async def test_restart_in_mid_try_ends_the_run_before_its_next_step(tmp_path: Path) -> None:
    do = "do: [{tell: {text: one}}, {tell: {text: two}}]"
    async with open_bench(tmp_path, rule("concurrency: restart", do=do)) as bench:

        async def once_more(_: Any, __: Call) -> dict[str, Any]:
            bench.clock.move(MINUTE)
            await bench.event("user.expired")
            await bench.decide()
            return {}

        bench.tell.script.append(once_more)
        await bench.event("user.expired")
        await bench.settle()
        assert bench.texts == ["one", "one", "two"]
        states = [(run.state, run.reason) for run in await bench.runs()]
        assert states == [(State.CANCELLED, "started_anew"), (State.SUCCEEDED, None)]


@pytest.mark.parametrize(
    ("mode", "told"),
    [("drop", ["1m"]), ("restart", ["1m", "11m"]), ("queue", ["1m", "11m"])],
)
async def test_a_digest_meets_the_run_before_it_when_it_is_due(
    tmp_path: Path, mode: str, told: list[str]
) -> None:
    rules = rule(f"concurrency: {mode}\ndigest: {{wait: 1m}}")
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script.append(ActionFailed("no", retry=True, after=600.0))
        await bench.event("user.expired")
        await bench.until("10m")
        await bench.event("user.expired")
        await bench.until("1h")
        times = [when for when, _ in bench.timed]
        # The first one's second try is at 11m as well.
        assert times == {
            "drop": ["1m", "11m"], "restart": ["1m", "11m"], "queue": ["1m", "11m", "11m"],
        }[mode]  # fmt: skip
        states = [(run.state, run.reason) for run in await bench.runs()]
        assert (
            states
            == {
                "drop": [(State.SUCCEEDED, None), (State.CANCELLED, "concurrency")],
                "restart": [(State.CANCELLED, "started_anew"), (State.SUCCEEDED, None)],
                "queue": [(State.SUCCEEDED, None), (State.SUCCEEDED, None)],
            }[mode]
        )
