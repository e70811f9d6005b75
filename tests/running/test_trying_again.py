"""Tries: retries, time limits, unknown outcomes, crashes in mid-try, and the idempotency key."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from running.bench import START, Bench, TellParams, crash, ended, open_bench

from engine.action import Call
from engine.clock import HOUR, MINUTE
from engine.errors import ActionFailed, JournalUnavailable
from engine.journal import runs
from engine.model import State
from engine.queue.jobs import Job
from engine.running import trying

pytestmark = pytest.mark.anyio

RETRIED = """
  - id: r
    on: user.expired
    do: [{tell: {text: one}, retry: {tries: 3, backoff: 1m, max: 10m}}, {tell: {text: two}}]
"""
PLAIN = "  - {id: r, on: user.expired, do: [{tell: {text: one}}]}"
BUSY = "busy"


def busy(**more: Any) -> ActionFailed:
    return ActionFailed(BUSY, retry=True, reason="connection", **more)


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


# ------------------------------------------------------------------------------ time limits


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


# ------------------------------------------------------------------- bugs, stops and crashes


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


async def test_a_retry_asks_the_rules_condition_again(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    when: latest.user.status == 'EXPIRED'
    do: [{tell: {text: one}}]
"""
    async with open_bench(tmp_path, rules) as bench:
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
    rules = """
  - id: r
    on: user.expired
    when: latest.user.status == 'EXPIRED'
    do: [{tell: {text: one}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", username="anna", status="EXPIRED")
        await bench.decide()
        await bench.event("user.modified", raised="1s", username="anna", status="ACTIVE")
        await bench.settle()
        assert bench.texts == ["one"]


# ---------------------------------------------------------------------------------- rates

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


# ------------------------------------------------------------------------ the journal is away


async def test_a_success_waits_in_hand_while_the_journal_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bench(tmp_path, PLAIN) as bench:
        await bench.event("user.expired")
        await bench.decide()
        write = bench.journal.write
        times = [JournalUnavailable("disk full"), JournalUnavailable("disk full")]

        async def flaky(op: Any) -> Any:
            if bench.tell.told and times and op.__name__ == "record":
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
            if op.__name__ == "record":
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
