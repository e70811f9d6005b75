"""`on_failure`: steps that tell of a dead letter, once for each run that died."""

from __future__ import annotations

from pathlib import Path

import pytest
from running.bench import Bench, crash, ended, open_bench
from running.tries import busy

from engine.errors import ActionFailed
from engine.model import State
from engine.running.retries import MOST_STARTS

pytestmark = pytest.mark.anyio

RULES = """
  - id: r
    on: user.expired
    do:
      - {id: mail, tell: {text: one}, retry: {tries: 2, backoff: 1m}}
      - {tell: {text: two}}
    on_failure:
      - tell:
          text: "{{ rule.id }}, {{ user.key }}: {{ error.step }}, {{ error.reason }}, {{ error.message }}"
      - {tell: {text: "and so on"}}
"""
NO = ActionFailed("no", reason="refused")


async def replay(bench: Bench, id: str) -> None:
    await bench.desk.ask("dead", "replay", {"ids": id})


async def test_a_dead_letter_is_told_with_step_reason_and_message(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        bench.tell.script = [NO]
        await bench.event("user.expired", username="anna")
        await bench.settle()
        assert bench.texts == ["one", "r, anna: mail, refused, no", "and so on"]
        run, child = await bench.runs()
        assert ended(run) == (State.DEAD, "refused")
        assert (child.path, child.parent, child.state) == ("on_failure", run.id, State.SUCCEEDED)


async def test_nothing_is_told_before_the_last_try(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        bench.tell.script = [busy(), busy()]
        await bench.event("user.expired", username="anna")
        await bench.settle()
        assert bench.texts == ["one"]
        await bench.until("5m")
        assert bench.texts[2] == "r, anna: mail, connection, busy (try 2, the last)"


async def test_what_succeeds_tells_nothing(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await bench.event("user.expired")
        await bench.settle()
        assert bench.texts == ["one", "two"]


async def test_it_tells_once_however_often_the_run_dies(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        bench.tell.script = [NO]
        await bench.event("user.expired")
        await bench.settle()
        bench.tell.script = [NO]
        await replay(bench, (await bench.run()).id)
        await bench.settle()
        assert bench.texts.count("and so on") == 1
        assert bench.texts.count("one") == 2


async def test_its_own_failure_is_a_dead_letter_and_is_not_told(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        bench.tell.script = [NO, NO]
        await bench.event("user.expired")
        await bench.settle()
        assert await bench.states() == {"dead": 2}
        assert len(bench.tell.told) == 2
        await replay(bench, (await bench.run("r", "on_failure")).id)
        await bench.settle()
        assert bench.texts[-1] == "and so on"


async def test_its_steps_are_tried_again_though_the_rule_would_no_longer_match(
    tmp_path: Path,
) -> None:
    rules = RULES.replace(
        "on: user.expired", "on: user.expired\n    when: hours_until(now) >= `0`"
    ).replace("hours_until(now)", "hours_until(timestamp)")
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [NO, busy()]
        await bench.event("user.expired")
        await bench.until("5m")
        assert bench.texts[-1] == "and so on"
        assert (await bench.run("r", "on_failure")).state is State.SUCCEEDED


async def test_a_follow_up_that_dies_is_told_too_with_keys_of_its_own(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - {after: 1m, tell: {text: later}}
      - {tell: {text: now}}
    on_failure: [{tell: {text: "{{ error.step }} failed"}}, {after: 1h, tell: {text: reminder}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [NO, {}, NO]
        await bench.event("user.expired")
        await bench.until("2h")
        assert bench.texts == [
            "now", "do.1 failed", "later", "do.0.do.0 failed", "reminder", "reminder",
        ]  # fmt: skip
        assert len({told.call.key for told in bench.tell.told}) == 6
        paths = {run.path for run in await bench.runs()}
        assert paths == {
            "", "do.0", "on_failure", "on_failure:do.0", "on_failure.1", "on_failure.1:do.0",
        }  # fmt: skip


async def test_a_run_that_ends_the_process_each_time_is_told_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await bench.event("user.expired", username="anna")
        await bench.decide()
        for _ in range(MOST_STARTS):
            assert await bench.next_job() is not None
            await crash(bench.journal, await bench.run(), "do.0")
            await bench.handing.reconcile()
            await bench.handing.hand_over()
        await bench.settle()
        assert ended(await bench.run()) == (State.DEAD, "kills_its_worker")
        assert bench.texts[0].startswith("r, anna: mail, kills_its_worker, started 10 times")


async def test_a_rule_that_dies_while_it_is_planned_is_told(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do: [{after: {until: user.tag}, tell: {text: never}}]
    on_failure: [{tell: {text: "{{ error.step }}: {{ error.reason }}"}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", tag=None)
        await bench.settle()
        assert bench.texts == ["do.0: could_not_evaluate"]


async def test_what_is_told_of_a_failure_is_no_follow_up(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        bench.tell.script = [NO, busy()]
        await bench.event("user.expired")
        await bench.settle()
        desk = bench.desk
        assert await desk.ask("followups", "list", {}) == []
        (line, _) = await desk.ask("runs", "list", {})
        assert (line["step"], line["state"]) == ("on_failure", "pending")


async def test_a_step_that_may_fail_is_not_told(tmp_path: Path) -> None:
    rules = RULES.replace(
        "{id: mail, tell: {text: one},", "{id: mail, on_error: continue, tell: {text: one},"
    )
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [NO]
        await bench.event("user.expired")
        await bench.settle()
        assert bench.texts == ["one", "two"]
