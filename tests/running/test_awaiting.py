"""What meets an await and what does not, in whatever order the events arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from running.awaited import MET, NOT_MET, WAITING, Happening, told_after, waiting_for
from running.bench import START, ended, open_bench

from engine.clock import HOUR, MINUTE
from engine.model import State

pytestmark = pytest.mark.anyio


async def test_an_awaited_event_starts_the_steps_at_once(tmp_path: Path) -> None:
    async with open_bench(tmp_path, WAITING) as bench:
        await bench.event("user.expired")
        await bench.until("20m")
        by = await bench.event("user.enabled")
        await bench.until("3h")
        assert bench.timed == [("20m", f"{MET} 1200")]
        run = await bench.run("r", "do.0")
        assert ended(run) == (State.SUCCEEDED, None)
        assert (run.met, run.watched, run.late) == (True, False, 0)
        assert run.arrived is not None
        assert run.due == START + 20 * MINUTE
        assert (await bench.attempts(run)) == [(1, "succeeded", None)]
        assert by in {line["id"] for line in await bench.desk.ask("events", "list", {})}


async def test_where_no_such_event_comes_else_is_done_when_the_span_is_over(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, WAITING) as bench:
        await bench.event("user.expired")
        await bench.until("59m")
        assert bench.texts == []
        await bench.until("3h")
        assert bench.timed == [("60m", NOT_MET)]
        assert not (await bench.run("r", "do.0")).met


async def test_what_was_met_says_by_what_until_it_is_done(tmp_path: Path) -> None:
    rules = waiting_for("'user.*'")
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        by = await bench.event("user.enabled")
        await bench.decide()
        run = await bench.run("r", "do.0")
        assert run.state is State.QUEUED
        assert run.message == f"met by user.enabled (user.*), event {by}"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("origin", "awaited", "awaited_first", "met"),
    [
        ("10m", "11m", False, True),  # in order
        ("10m", "11m", True, True),  # it arrived first, but was raised later
        ("10m", "9m", False, False),  # an old one that arrives late
        ("10m", "9m", True, False),
        ("10m", "10m", False, True),  # the same timestamp: stored later
        ("10m", "10m", True, False),
    ],
)
async def test_own_timestamps_decide_and_arrival_breaks_ties(
    tmp_path: Path, origin: str, awaited: str, awaited_first: bool, met: bool, at_once: bool
) -> None:
    events = [("user.expired", origin), ("user.enabled", awaited)]
    async with open_bench(tmp_path, WAITING) as bench:
        bench.clock.move(15 * MINUTE)
        for type, raised in reversed(events) if awaited_first else events:
            await bench.event(type, raised=raised)
            if not at_once:
                await bench.settle()
        await bench.until("3h")
        seconds = 60 if awaited == "11m" else 0
        assert bench.timed == [("15m", f"{MET} {seconds}") if met else ("75m", NOT_MET)]


async def test_an_event_in_the_backlog_at_the_due_time_still_meets(tmp_path: Path) -> None:
    async with open_bench(tmp_path, WAITING) as bench:
        await bench.event("user.expired")
        await bench.settle()
        bench.clock.move(HOUR)
        await bench.event("user.enabled", raised="59m")
        bench.clock.move(MINUTE)
        await bench.handing.hand_over()
        await bench.work()
        assert (await bench.run("r", "do.0")).state is State.PENDING
        await bench.until("3h")
        assert bench.texts == [f"{MET} 3540"]


async def test_an_event_stored_after_the_span_does_not_meet(tmp_path: Path) -> None:
    async with open_bench(tmp_path, WAITING) as bench:
        await bench.event("user.expired")
        await bench.settle()
        bench.clock.move(HOUR + 1)
        await bench.event("user.enabled", raised="59m")  # it says so itself, but came too late
        await bench.until("3h")
        assert bench.texts == [NOT_MET]


async def test_an_event_that_overtook_the_first_one_meets_though_it_was_stored_before(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, WAITING) as bench:
        await bench.event("user.enabled", raised="5m")
        bench.clock.move(10 * MINUTE)
        await bench.event("user.expired", raised="1m")
        await bench.settle()
        assert bench.timed == [("10m", f"{MET} 240")]
        run = await bench.run("r", "do.0")
        assert (run.due, run.late) == (run.created, 0)


async def test_other_subjects_do_not_meet(tmp_path: Path) -> None:
    happenings: list[Happening] = [
        ("user.expired", "0m", {"username": "anna_k"}),
        ("user.enabled", "1m", {"username": "boris"}),
    ]
    assert await told_after(tmp_path, WAITING, *happenings) == [NOT_MET]


@pytest.mark.parametrize(
    ("awaited", "event", "fields", "met"),
    [
        ("user.enabled", "user.disabled", {}, False),
        ("'user.*'", "user.disabled", {}, True),
        ("[user.deleted, user.enabled]", "user.enabled", {}, True),
        ("{on: user.enabled, when: user.tag == origin.user.tag}", "user.enabled", {"tag": "VIP"}, True),
        ("{on: user.enabled, when: user.tag == origin.user.tag}", "user.enabled", {"tag": "NO"}, False),
        ("{on: [user.deleted, user.enabled]}", "user.enabled", {}, True),
        ("[user.deleted, {on: user.enabled, when: user.tag == 'VIP'}]", "user.enabled", {"tag": "NO"}, False),
        ("{on: user.enabled, when: \"contains(user.tag, 'V')\"}", "user.enabled", {"tag": None}, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("at_once", [True, False])
async def test_what_await_may_say(
    tmp_path: Path, awaited: str, event: str, fields: dict[str, Any], met: bool, at_once: bool
) -> None:
    happenings: list[Happening] = [("user.expired", "0m", {"tag": "VIP"}), (event, "1m", fields)]
    (told,) = await told_after(tmp_path, waiting_for(awaited), *happenings, at_once=at_once)
    assert told == (f"anna_k: {event} after 60" if met else NOT_MET)


@pytest.mark.parametrize("per", ["per: none", "per: data.tag", "per: user.email"])
@pytest.mark.parametrize("order", ["later", "earlier"])
async def test_a_key_of_ones_own_finds_what_meets_it(tmp_path: Path, per: str, order: str) -> None:
    rules = WAITING.replace("do:", f"{per}\n    do:", 1)
    events: list[Happening] = [
        ("user.expired", "1m", {}),
        ("user.enabled", "2m", {"username": "boris"}),
    ]
    happenings = events if order == "later" else events[::-1]
    assert await told_after(tmp_path, rules, *happenings) == [f"{MET} 60"]


async def test_another_key_of_ones_own_does_not_meet(tmp_path: Path) -> None:
    rules = WAITING.replace("do:", "per: user.tag\n    do:", 1)
    happenings: list[Happening] = [
        ("user.expired", "1m", {"tag": "A"}),
        ("user.enabled", "2m", {"tag": "B"}),
    ]
    assert await told_after(tmp_path, rules, *happenings) == [NOT_MET]


async def test_without_else_nothing_is_done_where_nothing_comes(tmp_path: Path) -> None:
    rules = """
  - {id: r, on: user.expired, do: [{await: user.enabled, within: 1h, tell: {text: came}}]}
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.until("3h")
        assert bench.texts == []
        assert ended(await bench.run("r", "do.0")) == (State.SUCCEEDED, None)


async def test_without_do_nothing_is_done_where_it_comes(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    when: hours_until(user.expireAt) > `-1000`
    do: [{await: user.enabled, within: 1h, else: [{tell: {text: nobody}}]}]
"""
    happenings: list[Happening] = [("user.expired", "0m", {}), ("user.enabled", "1m", {})]
    assert await told_after(tmp_path / "met", rules, *happenings) == []
    assert await told_after(tmp_path / "not", rules, happenings[0]) == ["nobody"]


async def test_the_first_of_several_events_is_the_one_that_arrived(tmp_path: Path) -> None:
    happenings: list[Happening] = [
        ("user.expired", "0m", {}),
        ("user.enabled", "2m", {}),
        ("user.enabled", "3m", {}),
    ]
    for at_once in (True, False):
        folder = tmp_path / str(at_once)
        assert await told_after(folder, WAITING, *happenings, at_once=at_once) == [f"{MET} 120"]


async def test_its_condition_is_asked_before_do_and_before_else(tmp_path: Path) -> None:
    rules = waiting_for("user.enabled", "when: latest.user.tag == 'VIP'")
    came: Happening = ("user.enabled", "1m", {"tag": "NO"})
    for folder, happenings in (("met", [came]), ("not", [])):
        told = await told_after(
            tmp_path / folder, rules, ("user.expired", "0m", {"tag": "NO"}), *happenings
        )
        assert told == []
