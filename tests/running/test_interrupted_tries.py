"""Tries amid bugs, stops, crashes, and a journal that is away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from running.bench import START, Bench, TellParams, crash, ended, open_bench
from running.tries import PLAIN, RETRIED, busy

from engine.action import Call
from engine.errors import JournalUnavailable
from engine.journal import runs
from engine.model import State
from engine.queue.jobs import Job

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("error", "name"),
    [(ZeroDivisionError("x"), "ZeroDivisionError"), (asyncio.CancelledError(), "CancelledError")],
)
async def test_a_bug_in_an_action_is_a_dead_letter_and_stops_nothing_else(
    tmp_path: Path, error: BaseException, name: str
) -> None:
    async with open_bench(tmp_path, PLAIN) as bench:
        bench.tell.script = [error]
        await bench.event("user.expired", description="one")
        await bench.event("user.expired", description="two")
        await bench.settle()
        one, two = await bench.runs()
        assert ended(one) == (State.DEAD, "bug")
        assert one.message == f"a bug in the action: {name}"
        assert two.state is State.SUCCEEDED


async def test_a_journal_that_is_away_at_the_point_of_no_return_means_another_try(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, PLAIN) as bench:
        bench.tell.script = [JournalUnavailable("disk full")]
        await bench.event("user.expired")
        await bench.settle()
        run = await bench.run()
        assert (run.state, run.message) == (State.PENDING, "the journal is away: disk full")


async def test_a_result_that_cannot_be_stored_is_buried_with_its_run(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{id: a, tell: {}}]}"
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [{"made": object()}]
        await bench.event("user.expired")
        await bench.settle()
        run = await bench.run()
        assert ended(run) == (State.DEAD, "bug")
        assert run.message == "a bug in Rulewave: TypeError; the log has the traceback"
        assert await bench.attempts(run) == [(1, "unknown", "bug")]


async def handed_back(bench: Bench) -> None:
    began = asyncio.Event()

    async def slow(params: TellParams, call: Call) -> dict[str, Any]:
        await call.irrevocable()
        began.set()
        await asyncio.Event().wait()
        return {}

    bench.tell.script = [slow]
    await bench.event("user.expired")
    await bench.decide()
    job = await bench.next_job()
    assert job is not None
    task = asyncio.create_task(bench.runner.handle(job))
    await began.wait()
    bench.runner.trier.call_back()
    await task


async def test_a_stop_hands_back_what_is_under_way_and_the_next_life_goes_on(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, PLAIN) as bench:
        await handed_back(bench)
        run = await bench.run()
        assert ended(run) == (State.QUEUED, "handed_back")
        assert await bench.attempts(run) == [(1, "handed back", "handed_back")]
    async with open_bench(tmp_path, PLAIN, clock=bench.clock) as bench:
        await bench.settle()
        assert (await bench.run()).state is State.SUCCEEDED


async def test_a_stop_in_the_middle_of_what_must_not_be_repeated_is_an_unknown_outcome(
    tmp_path: Path,
) -> None:
    rules = "  - {id: r, on: user.expired, do: [{tell: {unsafe: true}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await handed_back(bench)
        assert ended(await bench.run()) == (State.DEAD, "outcome_unknown")


async def test_a_try_that_ends_by_itself_at_a_stop_counts(tmp_path: Path) -> None:
    began = asyncio.Event()

    async def tidy(params: TellParams, call: Call) -> dict[str, Any]:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return {}
        return {}

    async with open_bench(tmp_path, PLAIN) as bench:
        bench.tell.script = [tidy]
        await bench.event("user.expired")
        await bench.decide()
        task = asyncio.create_task(bench.work())
        await began.wait()
        bench.runner.trier.call_back()
        await task
        assert (await bench.run()).state is State.SUCCEEDED


async def test_a_crash_in_mid_try_is_followed_by_another_with_the_same_key(tmp_path: Path) -> None:
    async with open_bench(tmp_path, PLAIN) as bench:
        await bench.event("user.expired")
        await bench.decide()
        await bench.next_job()
        await crash(bench.journal, await bench.run(), "do.0")
    async with open_bench(tmp_path, PLAIN, clock=bench.clock) as bench:
        await bench.settle()
        run = await bench.run()
        assert run.state is State.SUCCEEDED
        assert await bench.attempts(run) == [
            (1, "unknown", "outcome_unknown"),
            (2, "succeeded", None),
        ]


async def test_a_crash_past_the_point_of_no_return_is_an_unknown_outcome(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{tell: {unsafe: true}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.decide()
        await bench.next_job()
        run = await bench.run()
        await crash(bench.journal, run, "do.0")
        await bench.journal.write(runs.mark_irrevocable(run.id, "do.0", 1))
    async with open_bench(tmp_path, rules, clock=bench.clock) as bench:
        await bench.settle()
        assert ended(await bench.run()) == (State.DEAD, "outcome_unknown")
        assert bench.texts == []


async def test_a_run_that_ends_the_process_each_time_is_given_up(tmp_path: Path) -> None:
    async with open_bench(tmp_path, PLAIN) as bench:
        await bench.event("user.expired")
        await bench.decide()
        for _ in range(10):
            await bench.handing.hand_over()
            await bench.next_job()
            await crash(bench.journal, await bench.run(), "do.0")
            await bench.handing.reconcile()
        run = await bench.run()
        assert ended(run) == (State.DEAD, "kills_its_worker")
        assert run.message == "started 10 times and never ended: it seems to end the process"


async def test_a_run_whose_job_was_lost_is_queued_again(tmp_path: Path) -> None:
    async with open_bench(tmp_path, PLAIN) as bench:
        await bench.event("user.expired")
        await bench.decide()
        await bench.next_job()
    async with open_bench(tmp_path, PLAIN, clock=bench.clock) as bench:
        await bench.settle()
        assert bench.texts == ["one"]


async def test_late_and_doubled_jobs_do_nothing(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RETRIED) as bench:
        bench.tell.script = [busy()]
        await bench.event("user.expired")
        await bench.decide()
        job = await bench.next_job()
        assert job is not None
        await asyncio.gather(bench.runner.handle(job), bench.runner.handle(job))
        await bench.runner.handle(job)
        await bench.runner.handle(Job("run_that_is_not_there", 0, 0))
        assert bench.texts == ["one"]


async def test_a_success_waits_in_hand_while_the_journal_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bench(tmp_path, PLAIN) as bench:
        await bench.event("user.expired")
        await bench.decide()
        write = bench.journal.write
        times = [JournalUnavailable("disk full"), JournalUnavailable("disk full")]

        async def flaky(op: Any) -> Any:
            if bench.tell.told and times and op.__name__ == "record_and_tell":
                op.close()
                raise times.pop()
            return await write(op)

        monkeypatch.setattr(bench.journal, "write", flaky)
        await bench.work()
        assert bench.texts == ["one"]
        assert (await bench.run()).state is State.SUCCEEDED
        assert bench.clock.now() == START + 2_000_000


async def test_a_stop_while_the_journal_is_away_is_a_try_of_unknown_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stopped(moment: int) -> bool:
        return False

    async with open_bench(tmp_path, PLAIN) as bench:
        await bench.event("user.expired")
        await bench.decide()
        write = bench.journal.write

        async def away(op: Any) -> Any:
            if op.__name__ == "record_and_tell":
                op.close()
                raise JournalUnavailable("disk full")
            return await write(op)

        monkeypatch.setattr(bench.journal, "write", away)
        bench.runner.wait_until = stopped
        await bench.work()
        assert (await bench.run()).state is State.RUNNING
    async with open_bench(tmp_path, PLAIN, clock=bench.clock) as bench:
        await bench.settle()
        assert (await bench.run()).state is State.SUCCEEDED


async def test_handle_never_raises_even_where_a_bug_cannot_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bench(tmp_path, PLAIN) as bench:
        await bench.event("user.expired")
        await bench.decide()
        job = await bench.next_job()
        assert job is not None
        errors: list[Exception] = [ZeroDivisionError("ours"), JournalUnavailable("away")]

        async def broken(op: Any) -> Any:
            op.close()
            raise errors.pop(0)

        monkeypatch.setattr(bench.journal, "read", broken)
        await bench.runner.handle(job)
        assert errors == []
        monkeypatch.undo()
        await bench.handing.reconcile()
        await bench.settle()
        assert bench.texts == ["one"]
