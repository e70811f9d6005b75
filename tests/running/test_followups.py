"""Follow-ups: when they are due, what they are asked then, and what they leave behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from running.bench import START, ended, open_bench

from engine.clock import DAY, HOUR, MINUTE, to_iso
from engine.errors import ActionFailed
from engine.model import State

pytestmark = pytest.mark.anyio


async def test_a_follow_up_as_first_step_counts_from_acceptance(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{after: 5m, tell: {text: later}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", raised="-1h")
        bench.clock.move(2 * MINUTE)
        await bench.until("10m")
        assert bench.timed == [("5m", "later")]


async def test_a_later_follow_up_counts_from_when_the_run_reaches_it(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - tell: {text: first}
        retry: {tries: 2, backoff: 10m}
      - after: 5m
        tell: {text: later}
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [ActionFailed("busy", retry=True, after=600.0)]
        await bench.event("user.expired")
        await bench.until("1h")
        at = [told.at for told in bench.tell.told]
        assert bench.texts == ["first", "first", "later"]
        assert at[2] - at[1] == 5 * MINUTE


async def test_a_follow_up_does_not_hold_up_the_steps_after_it(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - {after: 5m, tell: {text: later}}
      - tell: {text: at once}
      - {after: 1m, do: [{tell: {text: soon}}, {tell: {text: soon too}}]}
      - tell: {text: also at once}
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.until("1h")
        assert bench.timed == [
            ("0m", "at once"),
            ("0m", "also at once"),
            ("1m", "soon"),
            ("1m", "soon too"),
            ("5m", "later"),
        ]
        assert (await bench.run()).state is State.SUCCEEDED


async def test_a_run_that_stops_earlier_makes_no_follow_up(tmp_path: Path) -> None:
    rules = """
  - {id: r, on: user.expired, do: [{tell: {text: no}}, {after: 5m, tell: {text: later}}]}
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [ActionFailed("gone")]
        await bench.event("user.expired")
        await bench.until("1h")
        assert [run.path for run in await bench.runs()] == [""]


async def test_follow_ups_nest(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - after: 5m
        do:
          - {id: a, tell: {text: one}}
          - after: 10m
            do:
              - after: 1h
                tell: {text: "three after {{ steps.a.said }}"}
              - tell: {text: two}
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [{"said": "one"}]
        await bench.event("user.expired")
        await bench.until("1d")
        assert bench.timed == [("5m", "one"), ("15m", "two"), ("75m", "three after one")]
        runs = await bench.runs()
        assert [run.path for run in runs] == ["", "do.0", "do.0.do.1", "do.0.do.1.do.0"]
        assert [run.parent for run in runs] == [None, *(run.id for run in runs[:3])]
        assert {run.state for run in runs} == {State.SUCCEEDED}


@pytest.mark.parametrize(
    ("after", "due"),
    [
        ("{until: user.expireAt}", "120m"),
        ("{until: user.expireAt, offset: -30m}", "90m"),
        ("{until: user.expireAt, offset: 1h}", "180m"),
        ("{until: time(user.expireAt), offset: 1h}", "180m"),
        ("{until: user.expireAt, offset: -3d}", "0m"),
    ],
)
async def test_until_names_a_time_and_offset_moves_it(tmp_path: Path, after: str, due: str) -> None:
    rules = f"  - {{id: r, on: user.modified, do: [{{after: {after}, tell: {{text: x}}}}]}}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.modified", expireAt=to_iso(START + 2 * HOUR))
        await bench.until("1d")
        assert bench.timed == [(due, "x")]


@pytest.mark.parametrize(
    ("until", "shown"),
    [
        ("data.nothing", "None"),
        ("user.tag", "'VIP'"),
        ("user.hwidDeviceLimit == `3`", "True"),
        ("data.huge", "1e+300"),
        ("data.beyond", "1e+308"),
        ("user.username", "'anna_k'"),
    ],
)
async def test_until_that_is_no_time_is_a_dead_letter(
    tmp_path: Path, until: str, shown: str
) -> None:
    rules = f"""
  - id: r
    on: user.modified
    do: [{{after: {{until: "{until}"}}, tell: {{text: x}}}}]
  - {{id: other, on: user.modified, do: [{{tell: {{text: fine}}}}]}}
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.modified", huge=1e300, beyond=1e308)
        await bench.until("1d")
        run = await bench.run()
        assert ended(run) == (State.DEAD, "could_not_evaluate")
        assert run.message == f"after.until: {until} is {shown}, which is no time"
        assert bench.texts == ["fine"]


async def test_until_may_use_the_result_of_an_earlier_step(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.modified
    do:
      - {id: asked, tell: {text: ask}}
      - {after: {until: steps.asked.at}, tell: {text: then}}
      - {after: {until: steps.asked.nothing}, tell: {text: never}}
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [{"at": to_iso(START + HOUR)}]
        await bench.event("user.modified")
        await bench.until("1d")
        assert bench.timed == [("0m", "ask"), ("60m", "then")]
        assert ended(await bench.run()) == (State.DEAD, "could_not_evaluate")


async def test_when_is_asked_at_fire_time_with_the_latest_state(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - after: 3d
        when: latest.user.status == 'EXPIRED' && user.status == 'EXPIRED'
        tell: {text: "we miss {{ user.key }}"}
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", username="anna", status="EXPIRED")
        await bench.event("user.expired", username="boris", status="EXPIRED")
        bench.clock.move(DAY)
        await bench.event("user.modified", username="anna", status="ACTIVE")
        await bench.until("4d")
        assert bench.texts == ["we miss boris"]
        one, two = [run for run in await bench.runs() if run.path]
        assert ended(one) == (State.CANCELLED, "no_longer_matches")
        assert two.state is State.SUCCEEDED


async def test_when_that_fails_at_fire_time_is_a_dead_letter(tmp_path: Path) -> None:
    rules = """
  - {id: r, on: user.expired, do: [{after: 1m, when: "contains(latest.user.tag, 'V')", tell: {}}]}
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", tag=None)
        await bench.until("1h")
        assert ended(await bench.run("r", "do.0")) == (State.DEAD, "could_not_evaluate")


async def test_the_rules_own_condition_is_asked_again_before_a_follow_up(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    when: hours_until(user.expireAt) > `-1`
    do: [{after: 3h, tell: {text: later}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", expireAt=to_iso(START))
        await bench.until("1d")
        assert ended(await bench.run("r", "do.0")) == (State.CANCELLED, "no_longer_matches")
        assert bench.texts == []


async def test_a_retry_within_a_follow_up_asks_its_when_again(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do: [{after: 1m, when: latest.user.status == 'EXPIRED', tell: {text: x}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [ActionFailed("busy", retry=True, after=300.0)]
        await bench.event("user.expired", username="anna", status="EXPIRED")
        await bench.until("2m")
        await bench.event("user.modified", username="anna", status="ACTIVE")
        await bench.until("1h")
        assert bench.texts == ["x"]
        assert ended(await bench.run("r", "do.0")) == (State.CANCELLED, "no_longer_matches")


async def test_follow_ups_outlive_a_restart_and_are_never_early(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{after: 1h, tell: {text: later}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.until("59m")
        assert bench.texts == []
    bench.clock.move(DAY)
    async with open_bench(tmp_path, rules, clock=bench.clock) as bench:
        await bench.settle()
        assert bench.texts == ["later"]


async def test_a_clock_that_is_set_back_does_not_fire_early(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{after: 1h, tell: {text: later}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.settle()
        bench.clock.move(-2 * HOUR)
        await bench.until("59m")
        assert bench.texts == []
        await bench.until("1h")
        assert bench.texts == ["later"]


async def test_a_rule_may_have_nothing_but_follow_ups(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{after: 1m, tell: {}}, {after: 2m, tell: {}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.settle()
        assert [run.state for run in await bench.runs()] == [
            State.SUCCEEDED,
            State.PENDING,
            State.PENDING,
        ]
