"""Awaits among other steps: in a follow-up, beside `cancel_on`, over restarts, before a paused target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from running.awaited import MET, NOT_MET, WAITING, Happening, told_after, waiting_for
from running.bench import Bench, crash, ended, open_bench
from running.called_off import CANCELLED, followup

from engine.clock import HOUR, MINUTE
from engine.errors import ActionFailed
from engine.journal import runs
from engine.model import State

pytestmark = pytest.mark.anyio

NODE_DOWN = """
  - id: r
    on: node.connection_lost
    do:
      - after: 5m
        cancel_on: node.connection_restored
        do:
          - tell: {text: "{{ node.name }} has been down for 5 minutes"}
          - await: node.connection_restored
            within: 1d
            do:
              - tell: {text: "{{ node.name }} is back after {{ elapsed | ago }}"}
"""
LOST, RESTORED = "node.connection_lost", "node.connection_restored"


async def node_events(bench: Bench, *happenings: tuple[str, str]) -> None:
    for moment, type in happenings:
        await bench.until(moment)
        await bench.event(type, name="fra-1")
    await bench.until("3d")


async def test_a_node_that_comes_back_in_time_is_told_of_by_nobody(tmp_path: Path) -> None:
    async with open_bench(tmp_path, NODE_DOWN) as bench:
        await node_events(bench, ("0s", LOST), ("4m", RESTORED))
        assert bench.texts == []
        assert [run.path for run in await bench.runs()] == ["", "do.0"]


async def test_a_node_that_was_said_to_be_down_is_said_to_be_back(tmp_path: Path) -> None:
    async with open_bench(tmp_path, NODE_DOWN) as bench:
        await node_events(bench, ("0s", LOST), ("20m", RESTORED))
        assert bench.timed == [
            ("5m", "fra-1 has been down for 5 minutes"),
            ("20m", "fra-1 is back after 20 minutes"),
        ]
        run = await bench.run("r", "do.0.do.1")
        assert ended(run) == (State.SUCCEEDED, None)


async def test_a_node_that_stays_down_is_told_of_once(tmp_path: Path) -> None:
    async with open_bench(tmp_path, NODE_DOWN) as bench:
        await node_events(bench, ("0s", LOST), ("2d", RESTORED))
        assert bench.timed == [("5m", "fra-1 has been down for 5 minutes")]


async def test_the_story_goes_on_over_restarts(tmp_path: Path) -> None:
    async with open_bench(tmp_path, NODE_DOWN) as bench:
        await bench.event(LOST, name="fra-1")
        await bench.until("6m")
    async with open_bench(tmp_path, NODE_DOWN, clock=bench.clock) as bench:
        bench.clock.move(HOUR)
        await bench.event(RESTORED, name="fra-1")
    async with open_bench(tmp_path, NODE_DOWN, clock=bench.clock) as bench:
        await bench.until("3d")
        assert bench.texts == ["fra-1 is back after 1 hour"]


async def test_a_crash_right_after_it_was_met_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with open_bench(tmp_path, WAITING) as bench:
        await bench.event("user.expired")
        await bench.settle()
        bench.clock.move(MINUTE)
        await bench.event("user.enabled")
        await bench.decide()
        await bench.next_job()  # taken out of the queue by a process that is gone now
    async with open_bench(tmp_path, WAITING, clock=bench.clock) as bench:
        await bench.until("3h")
        assert bench.texts == [f"{MET} 60"]


async def test_a_crash_in_mid_try_of_a_met_await_goes_on_with_its_do(tmp_path: Path) -> None:
    async with open_bench(tmp_path, WAITING) as bench:
        await bench.event("user.expired")
        await bench.settle()
        bench.clock.move(MINUTE)
        await bench.event("user.enabled")
        await bench.decide()
        await bench.next_job()
        await crash(bench.journal, await bench.run("r", "do.0"), "do.0.do.0")
    async with open_bench(tmp_path, WAITING, clock=bench.clock) as bench:
        await bench.until("3h")
        assert bench.texts == [f"{MET} 60"]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("user.deleted", "user.enabled", []),
        ("user.enabled", "user.deleted", [f"{MET} 60"]),
    ],
)
async def test_what_comes_first_cancels_or_meets(
    tmp_path: Path, first: str, second: str, told: list[str], at_once: bool
) -> None:
    rules = waiting_for("user.enabled", "cancel_on: user.deleted")
    happenings: list[Happening] = [
        ("user.expired", "0m", {}),
        (first, "1m", {}),
        (second, "2m", {}),
    ]
    assert await told_after(tmp_path, rules, *happenings, at_once=at_once) == told


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_event_that_would_do_both_cancels(tmp_path: Path, at_once: bool) -> None:
    rules = waiting_for("'user.en*'", "cancel_on: user.enabled")
    happenings: list[Happening] = [("user.expired", "0m", {}), ("user.enabled", "1m", {})]
    assert await told_after(tmp_path, rules, *happenings, at_once=at_once) == []


async def test_of_events_known_already_the_first_by_own_timestamps_counts(tmp_path: Path) -> None:
    rules = waiting_for("user.enabled", "cancel_on: user.deleted")
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.deleted", raised="3m")
        await bench.event("user.enabled", raised="2m")
        await bench.event("user.expired", raised="1m")
        await bench.until("3h")
        assert bench.texts == [f"{MET} 60"]


async def test_a_cancelling_event_after_the_span_stops_the_tries_of_else(tmp_path: Path) -> None:
    rules = waiting_for("user.enabled", "cancel_on: user.deleted")
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [ActionFailed("busy", retry=True, after=3600.0)]
        await bench.event("user.expired")
        await bench.until("61m")
        await bench.event("user.enabled")  # too late to meet it
        await bench.until("62m")
        assert not (await bench.run("r", "do.0")).met
        await bench.event("user.deleted")
        await bench.until("5h")
        assert bench.texts == [NOT_MET]
        assert await followup(bench) == CANCELLED


LATE = """
  - id: r
    on: user.expired
    do:
      - tell: {text: first}
      - await: user.enabled
        within: 1h
        tell: {text: "{{ arrived.user.tag }} after {{ elapsed }}"}
"""


async def test_an_await_reached_late_is_met_by_what_is_decided_already(tmp_path: Path) -> None:
    async with open_bench(tmp_path, LATE) as bench:
        bench.tell.script = [ActionFailed("busy", retry=True, after=600.0)]
        await bench.event("user.expired")
        await bench.until("1m")
        await bench.event("user.enabled", tag="VIP")
        await bench.until("5h")
        assert bench.texts == ["first", "first", "VIP after 60"]
        run = await bench.run("r", "do.1")
        assert (run.due, run.late) == (run.created, 0)


async def test_an_await_reached_late_is_met_by_what_is_not_decided_yet(tmp_path: Path) -> None:
    async with open_bench(tmp_path, LATE) as bench:
        await bench.event("user.expired")
        await bench.decide()
        await bench.event("user.enabled", raised="1s", tag="VIP")
        await bench.work()
        assert (await bench.run("r", "do.1")).state is State.PENDING
        await bench.until("5h")
        assert bench.texts == ["first", "VIP after 1"]


async def test_what_arrived_is_known_in_all_that_follows_from_it(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - await: user.enabled
        within: 1h
        do:
          - after: {until: arrived.timestamp, offset: 10m}
            when: arrived.user.tag == 'ONE'
            tell: {text: "{{ arrived.event }} {{ arrived.user.tag }} {{ elapsed }}"}
          - await: user.disabled
            within: 1h
            do: [{tell: {text: "then {{ arrived.event }} {{ elapsed }}"}}]
            else: [{tell: {text: "nothing after {{ arrived.event }} {{ elapsed }}"}}]
"""
    happenings: list[Happening] = [
        ("user.expired", "0m", {}),
        ("user.enabled", "1m", {"tag": "ONE"}),
    ]
    then: Happening = ("user.disabled", "2m", {})
    assert await told_after(tmp_path / "one", rules, *happenings) == [
        "user.enabled ONE 60",
        "nothing after user.enabled 60",
    ]
    assert await told_after(tmp_path / "two", rules, *happenings, then) == [
        "then user.disabled 120",
        "user.enabled ONE 60",
    ]


async def test_an_await_may_stand_among_the_steps_for_a_failure(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do: [{id: first, tell: {text: first}}]
    on_failure:
      - await: user.enabled
        within: 1h
        do: [{tell: {text: "{{ error.step }}, but {{ arrived.event }}"}}]
        else: [{tell: {text: "{{ error.step }} it is"}}]
"""
    for name, came, told in (("one", "1m", "first, but user.enabled"), ("two", "", "first it is")):
        (tmp_path / name).mkdir()
        async with open_bench(tmp_path / name, rules) as bench:
            bench.tell.script = [ActionFailed("gone")]
            await bench.event("user.expired")
            await bench.settle()
            if came:
                await bench.event("user.enabled", raised=came)
            await bench.until("3h")
            assert bench.texts == ["first", told]


async def test_a_run_on_hold_is_met_and_stays_on_hold(tmp_path: Path) -> None:
    async with open_bench(tmp_path, WAITING) as bench:
        await bench.event("user.expired")
        await bench.settle()
        run = await bench.run("r", "do.0")
        held = replace(run, state=State.ON_HOLD, message="its rule is gone")
        assert await bench.journal.write(runs.save(run, held))
        await bench.event("user.enabled", raised="1m")
        await bench.until("2m")
        met = await bench.run("r", "do.0")
        assert (met.state, met.met, met.message) == (State.ON_HOLD, True, "its rule is gone")
        assert await bench.journal.write(runs.save(met, replace(met, state=State.PENDING)))
        await bench.until("3h")
        assert bench.texts == [f"{MET} 60"]


async def test_private_values_of_what_arrived_are_masked(tmp_path: Path) -> None:
    link = "https://sub.example.org/s3cr3tl1nk"
    rules = """
  - id: r
    on: user.expired
    do:
      - await: user.enabled
        within: 1h
        do:
          - {id: one, tell: {text: "{{ arrived.user.subscriptionUrl }}"}}
          - tell: {text: two}
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [{"said": link}, ActionFailed(f"{link} was refused")]
        await bench.event("user.expired")
        await bench.event("user.enabled", raised="1m", subscriptionUrl=link)
        await bench.event("user.enabled", raised="2m", subscriptionUrl="https://sub.example.org/x")
        await bench.until("1h")
        assert bench.texts == [link, "two"]
        run = await bench.run("r", "do.0")
        assert run.message == "••• was refused"
        shown = await bench.desk.ask("runs", "show", {"id": run.id})
        assert shown["results"] == {"one": {"said": "•••"}}
