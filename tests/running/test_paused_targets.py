"""A target that keeps failing is paused and probed: who waits for it burns no tries."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from running.bench import START, Bench, TellParams, ended, open_bench
from running.tries import busy

from engine.action import Call
from engine.clock import HOUR, MINUTE, SECOND
from engine.errors import ActionFailed, JournalUnavailable
from engine.model import Run, State
from engine.running.targets import FAILURES, LONGEST

pytestmark = pytest.mark.anyio

RULES = """
version: 1
connections:
  red: {kind: phone}
  blue: {kind: phone}
rules:
  - {id: r, on: user.expired, do: [{tell: {text: "{{ user.key }}", connection: red}}]}
  - {id: other, on: user.limited, do: [{tell: {text: blue, connection: blue}}]}
  - id: asks
    on: user.revoked
    do:
      - after: 1m
        cancel_on: user.deleted
        do: [{tell: {text: asked, connection: red}}]
  - id: waits
    on: user.disabled
    do:
      - await: user.enabled
        within: 1m
        if_late: skip
        do: [{tell: {text: came, connection: red}}]
        else: [{tell: {text: nobody came, connection: red}}]
"""
_FOR_EVER = 10_000


async def away(params: TellParams, call: Call) -> dict[str, Any]:
    """The red phone is away, the blue one works."""
    if params.connection == "red":
        raise busy()
    return {}


def set_away(bench: Bench) -> None:
    bench.tell.script = [away] * _FOR_EVER


async def several(bench: Bench, number: int, first: int = 0) -> None:
    for at in range(first, first + number):
        await bench.event("user.expired", username=f"user{at}")


def tries_of_red(bench: Bench) -> int:
    return sum(told.text != "blue" for told in bench.tell.told)


async def pause_red(bench: Bench) -> None:
    set_away(bench)
    await several(bench, FAILURES)
    await bench.settle()
    assert bench.runner.pausing.paused == ["red"]


async def test_runs_that_wait_for_a_paused_target_burn_no_tries(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await pause_red(bench)
        await several(bench, 50, first=100)
        await bench.settle()
        assert tries_of_red(bench) == FAILURES
        waiting = [run for run in await bench.runs(rule="r") if run.reason == "target_paused"]
        assert len(waiting) == 50
        for run in waiting:
            assert (run.state, run.attempt) == (State.PENDING, 0)
            assert await bench.attempts(run) == []


async def test_nobody_dies_of_an_outage_of_six_hours_and_all_is_done_after_it(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await pause_red(bench)
        await several(bench, 40, first=100)
        await bench.until("6h")
        assert set(await bench.states()) == {"pending"}
        probes = tries_of_red(bench) - FAILURES
        assert 6 * HOUR / LONGEST * 0.8 < probes < 6 * HOUR / LONGEST + 10
        bench.tell.script = []
        await bench.until("6h10m")
        assert await bench.states() == {"succeeded": FAILURES + 40}


async def test_one_probe_at_a_time_is_let_through_with_growing_pauses(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await pause_red(bench)
        await several(bench, 20, first=100)
        await bench.until("1h")
        times = [told.at for told in bench.tell.told[FAILURES:]]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps[:3] == sorted(gaps[:3])
        assert min(gaps) >= 10 * SECOND
        assert max(gaps) <= LONGEST


async def test_when_a_probe_succeeds_all_that_waited_goes_on_at_once(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await pause_red(bench)
        await several(bench, 20, first=100)
        await bench.settle()
        bench.tell.script = []
        await bench.until("15s")
        assert bench.runner.pausing.paused == []
        done = [run for run in await bench.runs(rule="r") if run.state is State.SUCCEEDED]
        assert len(done) >= 20
        assert max(run.ended or 0 for run in done) <= START + 15 * SECOND


async def test_other_targets_are_not_held_up(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await pause_red(bench)
        await bench.event("user.limited")
        await bench.settle()
        run = await bench.run("other")
        assert ended(run) == (State.SUCCEEDED, None)
        assert run.ended == START


async def test_what_only_this_request_is_refused_for_pauses_nobody(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        bench.tell.script = [ActionFailed("404", reason="http_status") for _ in range(20)]
        await several(bench, 20)
        await bench.settle()
        assert bench.runner.pausing.paused == []
        assert await bench.states() == {"dead": 20}


async def test_a_target_that_hangs_is_paused_too(tmp_path: Path) -> None:
    async def hang(params: TellParams, call: Call) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    rules = RULES.replace("connection: red}}", "connection: red}, timeout: 0.01s}", 1)
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [hang] * FAILURES
        await several(bench, FAILURES)
        await bench.settle()
        assert bench.runner.pausing.paused == ["red"]


async def parked_followup(bench: Bench) -> Run:
    """A follow-up that is due while its target is paused, and so is the one to probe it."""
    set_away(bench)
    await bench.event("user.revoked", username="anna")
    await bench.until("58s")
    await several(bench, FAILURES)
    await bench.until("1m")
    followup = await bench.run("asks", "do.0")
    assert ended(followup) == (State.PENDING, "target_paused")
    return followup


async def test_a_run_that_waits_can_still_be_cancelled_by_an_event(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await parked_followup(bench)
        await bench.event("user.deleted", username="anna")
        await bench.settle()
        followup = await bench.run("asks", "do.0")
        assert ended(followup) == (State.CANCELLED, "cancelled_by_event")


async def test_a_restart_begins_anew_and_frees_what_waited(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await pause_red(bench)
        await several(bench, 3, first=100)
        await bench.settle()
    async with open_bench(tmp_path, RULES, clock=bench.clock) as bench:
        assert bench.runner.pausing.paused == []
        await bench.settle()
        assert len(bench.tell.told) == 3
        assert (await bench.states())["succeeded"] == 3


async def test_lists_say_what_a_run_waits_for(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await pause_red(bench)
        await several(bench, 1, first=100)
        await bench.settle()
        desk = bench.desk
        line = (await desk.ask("runs", "list", {}))[0]
        assert (line["state"], line["reason"], line["tries"]) == ("pending", "target_paused", 0)
        assert line["message"] == (
            f"waits for red, which failed {FAILURES} times in a row (busy)"
            " and is probed until it answers"
        )


async def test_a_probe_that_was_cancelled_keeps_nobody_waiting_for_long(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        followup = await parked_followup(bench)
        await several(bench, 3, first=100)
        await bench.settle()
        desk = bench.desk
        await desk.ask("followups", "cancel", {"id": followup.id})
        bench.tell.script = []
        await bench.until("20m")
        assert await bench.states() == {"cancelled": 1, "succeeded": FAILURES + 4}


async def test_a_condition_that_no_longer_holds_ends_a_run_that_waited(tmp_path: Path) -> None:
    rules = RULES.replace(
        "on: user.expired,", "on: user.expired, when: latest.user.status == 'EXPIRED',", 1
    )
    async with open_bench(tmp_path, rules) as bench:
        set_away(bench)
        for at in range(FAILURES + 1):
            await bench.event("user.expired", username=f"user{at}", status="EXPIRED")
        await bench.settle()
        assert (await bench.run()).reason == "target_paused"
        await bench.event("user.enabled", username=f"user{FAILURES}", status="ACTIVE")
        bench.tell.script = []
        await bench.until("20m")
        assert ended(await bench.run()) == (State.CANCELLED, "no_longer_matches")


async def test_runs_are_freed_in_the_end_though_the_journal_was_away_when_the_target_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await pause_red(bench)
        await several(bench, 2, first=100)
        await bench.settle()
        bench.tell.script = []
        write = bench.journal.write

        async def full(op: Any) -> Any:
            if op.__name__ == "release":
                op.close()
                raise JournalUnavailable("disk full")
            return await write(op)

        with monkeypatch.context() as patch:
            patch.setattr(bench.journal, "write", full)
            await bench.until("11s")
        assert bench.runner.pausing.paused == []
        await bench.until("20m")
        assert await bench.states() == {"succeeded": FAILURES + 2}


async def test_a_paused_target_uses_up_none_of_its_rate(tmp_path: Path) -> None:
    rules = RULES.replace("red: {kind: phone}", "red: {kind: phone, rate: 1/min}")
    async with open_bench(tmp_path, rules) as bench:
        set_away(bench)
        await several(bench, FAILURES)
        await bench.until("6m")
        assert bench.runner.pausing.paused == ["red"]
        before = bench.clock.now()
        await several(bench, 30, first=100)
        await bench.settle()
        assert bench.clock.now() - before <= MINUTE
        waiting = [run for run in await bench.runs(rule="r") if run.reason == "target_paused"]
        assert len(waiting) >= 30


async def test_a_target_that_opens_while_a_run_is_being_parked_frees_that_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await pause_red(bench)
        await several(bench, 1, first=100)
        bench.tell.script = []
        pausing, write = bench.runner.pausing, bench.journal.write

        async def opened_meanwhile(op: Any) -> Any:
            if op.__name__ == "record_and_tell" and pausing.paused:
                await pausing.end("red", "another", None)
            return await write(op)

        with monkeypatch.context() as patch:
            patch.setattr(bench.journal, "write", opened_meanwhile)
            await bench.settle()
        assert (await bench.run()).state is State.SUCCEEDED
        assert bench.clock.now() == START


async def test_an_else_that_waits_for_its_target_is_neither_met_nor_late(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await pause_red(bench)
        await bench.event("user.disabled", username="anna")
        await bench.until("61s")
        assert (await bench.run("waits", "do.0")).reason == "target_paused"
        await bench.event("user.enabled", username="anna")
        bench.tell.script = []
    bench.clock.move(6 * HOUR)
    async with open_bench(tmp_path, RULES, clock=bench.clock) as bench:
        await bench.settle()
        assert "nobody came" in bench.texts
        assert "came" not in bench.texts
