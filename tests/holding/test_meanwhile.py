"""What is held while its rule is renamed, away or changed, and while another run is under way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from holding.stories import happens, rule
from running.bench import TellParams, open_bench

from engine.action import Call
from engine.journal import retention
from engine.model import State

pytestmark = pytest.mark.anyio

LATER = "do: [{tell: {text: first}}, {after: 5m, tell: {text: later}}]"


@pytest.mark.parametrize("who", ["restart", "cancel_on"])
async def test_what_gives_way_in_its_last_try_makes_no_follow_ups(tmp_path: Path, who: str) -> None:
    keys = "concurrency: restart" if who == "restart" else "cancel_on: user.enabled"
    async with open_bench(tmp_path, rule(keys, do=LATER)) as bench:

        async def meanwhile(params: TellParams, call: Call) -> dict[str, Any]:
            await bench.event("user.expired" if who == "restart" else "user.enabled", raised="1m")
            await bench.decide()
            return {}

        bench.tell.script.append(meanwhile)
        await bench.event("user.expired")
        await bench.until("1h")
        expected = ["first", "first", "later"] if who == "restart" else ["first"]
        assert bench.texts == expected


async def test_what_a_person_cancels_in_its_last_try_makes_no_follow_ups(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule("", do=LATER)) as bench:

        async def meanwhile(params: TellParams, call: Call) -> dict[str, Any]:
            await bench.desk.ask("runs", "cancel", {"id": (await bench.run()).id})
            return {}

        bench.tell.script.append(meanwhile)
        await bench.event("user.expired")
        await bench.until("1h")
        assert bench.texts == ["first"]


DIGEST = "digest: {wait: 10m}\nper: none\nconcurrency: "
SLOW = 'do: [{tell: {text: "{{ events | length }}"}}, {after: 30m, tell: {text: later}}]'


async def test_a_renamed_digest_still_meets_the_run_before_it(tmp_path: Path) -> None:
    old = rule(DIGEST + "drop", do=SLOW)
    async with open_bench(tmp_path, old) as bench:
        await bench.event("user.expired")
        await bench.until("12m")
        await bench.event("user.expired")
        await bench.settle()
        await bench.reload(old.replace("id: r\n", "id: new\n    was: [r]\n"))
        await bench.until("2h")
        assert bench.timed == [("10m", "1"), ("40m", "later")]


async def test_a_digest_that_was_on_hold_still_meets_the_run_before_it(tmp_path: Path) -> None:
    on = rule(DIGEST + "drop", do=SLOW)
    async with open_bench(tmp_path, on) as bench:
        await bench.event("user.expired")
        await bench.until("12m")
        await bench.event("user.expired")
        await bench.settle()
        await bench.reload(rule("mode: off\n" + DIGEST + "drop", do=SLOW))
        await bench.until("13m")
        await bench.reload(on)
        await bench.until("2h")
        assert bench.timed == [("10m", "1"), ("40m", "later")]


@pytest.mark.parametrize("mode", ["parallel", "queue", "restart", "drop"])
async def test_a_digest_waits_for_what_came_before_it_was_due_however_it_runs(
    tmp_path: Path, mode: str
) -> None:
    do = 'do: [{tell: {text: "{{ events | length }}"}}]'
    async with open_bench(tmp_path, rule(DIGEST + mode, do=do)) as bench:
        await bench.event("user.expired")
        await bench.until("9m")
        await bench.event("user.expired")
        bench.clock.move(60_000_000)
        assert await bench.hand_over() == 0
        await bench.until("1h")
        assert bench.texts == ["2"]


async def test_a_rebound_follow_up_has_the_ttl_of_its_new_due_time(tmp_path: Path) -> None:
    def rules(span: str) -> str:
        do = f"do: [{{after: {span}, on_rule_change: rebind, tell: {{text: later}}}}]"
        return rule("ttl: 1h", do=do)

    async with open_bench(tmp_path, rules("5m")) as bench:
        await bench.event("user.expired")
        await bench.settle()
        await bench.reload(rules("1d"))
        await bench.until("2d")
        assert bench.timed == [("1440m", "later")]


async def test_places_that_were_given_back_do_not_pile_up(tmp_path: Path) -> None:
    do = "do: [{when: \"user.tag == 'VIP'\", tell: {text: hello}}]"
    async with open_bench(tmp_path, rule("throttle: 1 per 90d", do=do)) as bench:
        for minute in range(5):
            await bench.event("user.expired", raised=f"{minute}m")
            await bench.settle()
        assert await bench.count("places") == 1


async def test_a_run_behind_another_is_on_hold_while_its_rule_is_off(tmp_path: Path) -> None:
    on, off = rule("concurrency: queue"), rule("concurrency: queue\nmode: off")
    async with open_bench(tmp_path, on) as bench:

        async def meanwhile(params: TellParams, call: Call) -> dict[str, Any]:
            await bench.event("user.expired", raised="1m")
            await bench.event("user.expired", raised="2m")
            await bench.decide()
            await bench.reload(off)
            return {}

        bench.tell.script.append(meanwhile)
        await bench.event("user.expired")
        await bench.until("1h")
        assert len(bench.texts) == 1
        assert (await bench.states())["on hold"] == 2
        await bench.reload(on)
        await bench.until("2h")
        assert len(bench.texts) == 3


async def test_a_run_behind_another_that_a_person_lets_go_goes_at_once(tmp_path: Path) -> None:
    on, off = rule("concurrency: queue"), rule("concurrency: queue\nmode: off")
    async with open_bench(tmp_path, on) as bench:

        async def meanwhile(params: TellParams, call: Call) -> dict[str, Any]:
            await bench.event("user.expired", raised="1m")
            await bench.decide()
            await bench.reload(off)
            return {}

        bench.tell.script.append(meanwhile)
        await bench.event("user.expired")
        await bench.until("1h")
        assert len(bench.texts) == 1
        await bench.desk.ask("followups", "release", {"rule": "r"})
        await bench.until("2h")
        assert len(bench.texts) == 2


TOLD = """
  - id: watch
    on: rulewave.on_hold
    do: [{tell: {text: "{{ data.rule }}: {{ data.count }}"}}]
"""


async def test_a_digest_counts_among_what_is_put_on_hold(tmp_path: Path) -> None:
    on = rule("digest: {wait: 10m}")
    async with open_bench(tmp_path, on + TOLD) as bench:
        await bench.event("user.expired")
        await bench.settle()
        report = await bench.reload(rule("mode: off\ndigest: {wait: 10m}") + TOLD)
        await bench.settle()
        assert bench.texts == ["r: 1"]
        assert [(one.count, one.what) for one in report.touched] == [(1, "put on hold")]


async def test_what_is_forgotten_of_one_digest_is_kept_of_another(tmp_path: Path) -> None:
    do = 'do: [{tell: {text: "{{ events | length }}"}}]'
    async with open_bench(tmp_path, rule("per: none\ndigest: {wait: 1m}", do=do)) as bench:
        await bench.event("user.expired")
        await bench.until("1d")
        for minute in range(1, 4):
            await bench.event("user.expired", raised=f"{minute}m")
        await bench.settle()
        await bench.journal.write(retention.forget_runs(bench.clock.now()))
        await bench.journal.write(retention.forget_holding(bench.clock.now()))
        await bench.until("2d")
        assert bench.texts == ["1", "3"]


async def test_a_dead_letter_that_is_replayed_never_comes_too_late(tmp_path: Path) -> None:
    do = 'do: [{tell: {text: "{{ previous.user.tag }}"}}]'
    async with open_bench(tmp_path, rule("ttl: 1h", do=do)) as bench:
        await bench.event("user.expired")
        await bench.settle()
        assert (await bench.run()).state is State.DEAD
        await bench.until("1d")
        await bench.desk.ask("dead", "replay", {"rule": "r"})
        await bench.until("2d")
        run = await bench.run()
        assert (run.state, run.reason) == (State.DEAD, "template")


async def test_a_digest_of_follow_ups_alone_does_not_end_as_one_that_gathers(
    tmp_path: Path,
) -> None:
    do = 'do: [{for_each: {in: events, do: [{after: 1h, tell: {text: "{{ item.user.key }}"}}]}}]'
    async with open_bench(tmp_path, rule("digest: {wait: 10m}", do=do)) as bench:
        await bench.event("user.expired")
        await bench.until("30m")
        run = await bench.run()
        assert (run.state, run.reason, run.message) == (State.SUCCEEDED, None, None)


async def test_what_is_dropped_takes_no_place_in_its_batch(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule("throttle: 2 per 1d\nconcurrency: drop")) as bench:
        came = [await bench.event("user.expired", raised=f"{minute}m") for minute in range(3)]
        await bench.settle()
        records = [await bench.record(event) for event in came]
        held = [(record["outcomes"][0].get("held") or {}).get("by") for record in records]
        assert held == [None, "concurrency", "concurrency"]


async def test_a_digest_that_is_dropped_leaves_no_gap_behind(tmp_path: Path) -> None:
    keys = 'digest: {every: 1h}\nquiet: {between: "22:00-07:00", timezone: UTC, then: drop}'
    story = await happens(tmp_path, rule(keys), ["14h", "21h50m", "22h5m"])
    assert story.held == ["quiet", "quiet", ""]
    assert [when for when, _ in story.told] == ["1325m"]


async def test_a_digest_that_was_cancelled_does_not_shorten_the_gap(tmp_path: Path) -> None:
    keys = "digest: {every: 1h}\ncancel_on: user.enabled"
    events = ["0m", "10m", ("20m", "user.enabled", {}), "30m"]
    story = await happens(tmp_path, rule(keys), events)
    assert [when for when, _ in story.told] == ["0m", "60m"]


async def test_a_digest_that_was_cancelled_makes_no_gap(tmp_path: Path) -> None:
    keys = "digest: {wait: 10m, every: 1h}\ncancel_on: user.enabled"
    story = await happens(tmp_path, rule(keys), ["0m", ("5m", "user.enabled", {}), "6m"])
    assert [when for when, _ in story.told] == ["16m"]


async def test_what_is_dropped_at_night_lets_the_older_story_go_on(tmp_path: Path) -> None:
    keys = 'concurrency: restart\nquiet: {between: "22:00-07:00", timezone: UTC, then: drop}'
    now = "{tell: {text: now}, when: user.tag == 'NO'}"
    do = f'do: [{now}, {{after: 1d, tell: {{text: "{{{{ user.key }}}}"}}}}]'
    story = await happens(tmp_path, rule(keys, do=do), ["0m", "14h"])
    assert story.held == ["", "quiet"]
    assert [when for when, _ in story.told] == ["1440m"]


async def test_of_two_nights_the_one_that_drops_counts(tmp_path: Path) -> None:
    night = 'quiet: {{between: "22:00-0{}:00", timezone: UTC, then: {}}}'
    do = f"do: [{{after: 14h, {night.format(6, 'drop')}, tell: {{text: later}}}}]"
    async with open_bench(tmp_path, rule(night.format(7, "hold"), do=do)) as bench:
        await bench.event("user.expired")
        await bench.until("2d")
        run = await bench.run(path="do.0")
        assert (run.state, run.reason) == (State.CANCELLED, "quiet")


async def test_nobody_queues_behind_what_waits_for_a_person(tmp_path: Path) -> None:
    def rules(mode: str) -> str:
        night = 'quiet: {between: "22:00-07:00", timezone: UTC}'
        return rule(f"mode: {mode}\nconcurrency: queue\n{night}")

    async with open_bench(tmp_path, rules("live")) as bench:
        await bench.until("14h")
        await bench.event("user.expired")
        await bench.settle()
        await bench.reload(rules("off"))
        await bench.until("23h")
        await bench.reload(rules("live"))
        await bench.event("user.expired")
        await bench.until("24h")
        assert (await bench.states()) == {"on hold": 1, "succeeded": 1}


async def test_the_gap_counts_from_when_a_person_sent_the_digest(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule("digest: {wait: 10h, every: 11h}")) as bench:
        await bench.event("user.expired")
        await bench.until("1m")
        await bench.desk.ask("followups", "run-now", {"id": (await bench.run()).id})
        await bench.until("2m")
        await bench.event("user.expired")
        await bench.until("2d")
        assert [when for when, _ in bench.timed] == ["1m", "661m"]
