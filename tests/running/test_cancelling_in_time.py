"""A follow-up can be called off at every moment: due, in mid-try, planned late, its rule replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from running.bench import Bench, TellParams, crash, ended, open_bench
from running.called_off import BACK, CANCELLED, followup

from engine.action import Call
from engine.clock import HOUR, MINUTE
from engine.errors import ActionFailed
from engine.journal import runs
from engine.model import State

pytestmark = pytest.mark.anyio


async def test_a_follow_up_waits_until_the_backlog_before_its_due_time_is_decided(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, BACK) as bench:
        await bench.event("user.expired")
        await bench.settle()
        bench.clock.move(59 * MINUTE)
        await bench.event("user.enabled")
        bench.clock.move(MINUTE)
        await bench.handing.hand_over()
        await bench.work()
        assert bench.texts == []
        assert (await bench.run("r", "do.0")).state is State.PENDING
        await bench.settle()
        assert await followup(bench) == CANCELLED


async def test_an_event_stored_after_the_due_time_does_not_hold_a_follow_up_up(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, BACK) as bench:
        await bench.event("user.expired")
        await bench.settle()
        bench.clock.move(HOUR + MINUTE)
        await bench.event("user.created")
        await bench.handing.hand_over()
        await bench.work()
        assert bench.texts == ["anna_k"]


async def test_a_cancelling_event_that_comes_after_the_effect_changes_nothing(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, BACK) as bench:
        await bench.event("user.expired")
        await bench.until("1h")
        await bench.event("user.enabled")
        await bench.settle()
        run = await bench.run("r", "do.0")
        assert ended(run) == (State.SUCCEEDED, None)
        assert run.cancelled_by is None


async def queued(bench: Bench) -> None:
    """Let a follow-up fall due and lie in the queue."""
    await bench.event("user.expired")
    await bench.settle()
    bench.clock.move(HOUR)
    await bench.handing.hand_over()


async def test_a_follow_up_that_lies_in_the_queue_can_still_be_cancelled(tmp_path: Path) -> None:
    async with open_bench(tmp_path, BACK) as bench:
        await queued(bench)
        assert (await bench.run("r", "do.0")).state is State.QUEUED
        await bench.event("user.enabled")
        await bench.settle()
        assert await followup(bench) == CANCELLED
        assert bench.texts == []


async def test_a_follow_up_between_two_tries_is_cancelled(tmp_path: Path) -> None:
    async with open_bench(tmp_path, BACK) as bench:
        bench.tell.script = [ActionFailed("busy", retry=True, after=600.0)]
        await bench.event("user.expired")
        await bench.until("1h")
        await bench.event("user.enabled")
        await bench.until("3h")
        assert bench.texts == ["anna_k"]
        assert await followup(bench) == CANCELLED


End = ActionFailed | dict[str, Any]


async def in_mid_try(bench: Bench, happens: Callable[[], Awaitable[None]], end: End) -> None:
    """Let something happen during the follow-up's first try, which then ends so."""

    async def during(params: TellParams, call: Call) -> dict[str, Any]:
        await happens()
        if isinstance(end, ActionFailed):
            raise end
        return end

    bench.tell.script = [during]
    await bench.event("user.expired")
    await bench.until("3h")


async def cancelled_in_mid_try(bench: Bench, end: End) -> None:
    async def enable() -> None:
        await bench.event("user.enabled")
        await bench.decide()

    await in_mid_try(bench, enable, end)


async def test_a_follow_up_cancelled_in_mid_try_is_not_tried_again(tmp_path: Path) -> None:
    async with open_bench(tmp_path, BACK) as bench:
        await cancelled_in_mid_try(bench, ActionFailed("busy", retry=True))
        assert bench.texts == ["anna_k"]
        assert await followup(bench) == CANCELLED


async def test_a_try_that_succeeds_although_it_was_cancelled_meanwhile_counts(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, BACK) as bench:
        await cancelled_in_mid_try(bench, {})
        assert await followup(bench) == (State.SUCCEEDED, None)


async def test_a_crash_does_not_bring_a_cancelled_follow_up_back(tmp_path: Path) -> None:
    async with open_bench(tmp_path, BACK) as bench:
        await queued(bench)
        await bench.next_job()
        await crash(bench.journal, await bench.run("r", "do.0"), "do.0.do.0")
        await bench.event("user.enabled")
        await bench.decide()
    async with open_bench(tmp_path, BACK, clock=bench.clock) as bench:
        await bench.until("3h")
        assert await followup(bench) == CANCELLED
        assert bench.texts == []


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        (ActionFailed("busy", retry=True), State.CANCELLED, "cancelled_by_person"),
        (ActionFailed("gone", reason="refused"), State.DEAD, "refused"),
        ({}, State.CANCELLED, "cancelled_by_person"),
    ],
)
async def test_a_person_stops_a_run_in_mid_try_before_its_next_try_or_step(
    tmp_path: Path, end: End, state: State, reason: str
) -> None:
    rules = """
  - id: r
    on: user.expired
    do: [{after: 1h, do: [{tell: {text: one}}, {tell: {}}]}]
"""
    async with open_bench(tmp_path, rules) as bench:

        async def cancel() -> None:
            run = await bench.run("r", "do.0")
            cancelling = runs.cancel(run.id, by=None, reason="x", message="x", now=0)
            assert not await bench.journal.write(cancelling)

        await in_mid_try(bench, cancel, end)
        assert bench.texts == ["one"]
        assert await followup(bench) == (state, reason)


def keyed(rules: str, per: str) -> str:
    """The rule with a `per`."""
    return rules.replace("do:", f"{per}\n    do:", 1)


NESTED = """
  - id: r
    on: user.expired
    do:
      - tell: {text: first}
        retry: {backoff: 10m}
      - after: 1h
        cancel_on: user.enabled
        tell: {text: later}
"""


@pytest.mark.parametrize(("per", "by"), [("", "anna"), ("per: none", "boris")])
async def test_a_follow_up_planned_late_is_cancelled_by_what_is_decided_already(
    tmp_path: Path, per: str, by: str
) -> None:
    async with open_bench(tmp_path, keyed(NESTED, per)) as bench:
        bench.tell.script = [ActionFailed("busy", retry=True, after=600.0)]
        await bench.event("user.expired", username="anna")
        await bench.until("1m")
        await bench.event("user.enabled", username=by)
        await bench.until("5h")
        assert bench.texts == ["first", "first"]
        assert await followup(bench, "do.1") == CANCELLED


class _Bell(asyncio.Lock):
    """A lock that tells when somebody has to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted = asyncio.Event()

    async def acquire(self) -> Literal[True]:
        if self.locked():
            self.wanted.set()
        return await super().acquire()


async def test_a_follow_up_is_planned_late_only_while_nobody_decides(tmp_path: Path) -> None:
    async with open_bench(tmp_path, NESTED) as bench:
        await bench.event("user.expired")
        await bench.decide()
        bench.journal.deciding = lock = _Bell()
        async with lock:
            working = asyncio.create_task(bench.work())
            wanted = asyncio.create_task(lock.wanted.wait())
            await asyncio.wait({working, wanted}, return_when=asyncio.FIRST_COMPLETED)
            assert [run.path for run in await bench.runs()] == [""]
        await working
        assert [run.path for run in await bench.runs()] == ["", "do.1"]


async def test_a_follow_up_planned_late_is_cancelled_by_what_is_not_decided_yet(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, NESTED) as bench:
        await bench.event("user.expired")
        await bench.decide()
        await bench.event("user.enabled", raised="1s")
        await bench.work()
        assert (await bench.run("r", "do.1")).state is State.PENDING
        await bench.until("5h")
        assert await followup(bench, "do.1") == CANCELLED


async def test_a_follow_up_planned_late_is_not_cancelled_by_what_came_before_the_origin(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, NESTED) as bench:
        await bench.event("user.enabled", raised="-1m")
        await bench.event("user.expired")
        await bench.event("user.enabled", raised="-2m")
        await bench.until("5h")
        assert bench.texts == ["first", "later"]


async def test_an_inner_follow_up_has_the_window_of_the_first_event(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - after: 1h
        do:
          - tell: {text: first}
          - {after: 1h, cancel_on: user.enabled, tell: {text: second}}
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.until("30m")
        await bench.event("user.enabled")
        await bench.until("5h")
        assert bench.texts == ["first"]
        assert await followup(bench, "do.0.do.1") == CANCELLED


async def test_a_skipped_first_step_leaves_a_follow_up_cancellable(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - after: 1h
        cancel_on: user.enabled
        do:
          - tell: {text: skipped}
            when: user.tag == 'NOPE'
          - tell: {text: second}
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.until("3h")
        assert bench.texts == ["second"]


@asynccontextmanager
async def enabled_under_other_rules(folder: Path, before: str, after: str) -> AsyncIterator[Bench]:
    """The end of a follow-up planned by rules that were replaced before the user was enabled."""
    async with open_bench(folder, before) as bench:
        await bench.event("user.expired")
        await bench.settle()
    async with open_bench(folder, after, clock=bench.clock) as bench:
        bench.clock.move(MINUTE)
        await bench.event("user.enabled")
        await bench.until("3h")
        yield bench


async def test_a_follow_up_of_an_older_version_is_still_cancelled(tmp_path: Path) -> None:
    other = "  - {id: r, on: user.expired, do: [{after: 1h, tell: {text: changed}}]}"
    async with enabled_under_other_rules(tmp_path, BACK, other) as bench:
        assert await followup(bench) == CANCELLED


@pytest.mark.parametrize("per", ["per: none", "per: user.email", ""])
async def test_follow_ups_of_a_rule_that_is_gone_are_still_cancelled(
    tmp_path: Path, per: str
) -> None:
    other = "  - {id: other, on: user.expired, do: [{tell: {text: other}}]}"
    async with enabled_under_other_rules(tmp_path, keyed(BACK, per), other) as bench:
        assert await followup(bench) == CANCELLED


async def test_a_version_that_cannot_be_compiled_any_more_does_not_spoil_the_event(
    tmp_path: Path,
) -> None:
    rules = f"""version: 1
connections: {{ops: {{kind: phone}}}}
rules:
{BACK.replace("{text:", "{connection: ops, text:")}
"""
    other = "  - {id: other, on: user.enabled, do: [{tell: {text: other}}]}"
    async with enabled_under_other_rules(tmp_path, rules, other) as bench:
        assert bench.texts == ["other"]
        assert (await followup(bench))[0] in {State.CANCELLED, State.DEAD}
        assert "could_not_decide" not in {run.reason for run in await bench.runs()}


async def test_two_events_at_once_cancel_once(tmp_path: Path) -> None:
    async with open_bench(tmp_path, BACK) as bench:
        await bench.event("user.expired")
        await bench.settle()
        first = await bench.event("user.enabled", raised="1m", description="one")
        await bench.event("user.enabled", raised="2m", description="two")
        await asyncio.gather(bench.decide(), bench.decide())
        assert (await bench.run("r", "do.0")).cancelled_by == first
