"""ttl, priority, shadow and the cancel_on of a rule; the order of all; what is shown of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from holding.stories import happens, rule
from running.bench import open_bench

from engine.errors import ActionFailed
from engine.model import State

pytestmark = pytest.mark.anyio

NIGHT = 'quiet: {between: "22:00-07:00", timezone: UTC}'


async def test_a_run_that_has_not_begun_in_time_expires(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule(NIGHT + "\nttl: 2h")) as bench:
        await bench.until("14h")
        await bench.event("user.expired")
        await bench.until("2d")
        run = await bench.run()
        assert (run.state, run.reason) == (State.EXPIRED, "not_begun_in_time")
        assert run.message == "not begun within 2 hours (ttl)"
        assert bench.texts == []


async def test_what_began_in_time_may_be_tried_for_longer(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule("ttl: 1h")) as bench:
        bench.tell.script.append(ActionFailed("no", retry=True, after=7200.0))
        await bench.event("user.expired")
        await bench.until("3h")
        assert [when for when, _ in bench.timed] == ["0m", "120m"]


async def test_a_follow_up_counts_its_ttl_from_when_it_is_due(tmp_path: Path) -> None:
    do = "do: [{after: 3d, tell: {text: later}}]"
    story = await happens(tmp_path, rule("ttl: 1h", do=do), ["0m"])
    assert story.told == [("4320m", "later")]


async def test_priority_goes_to_the_run_and_its_follow_ups(tmp_path: Path) -> None:
    for word, number in (("high", 10), ("normal", 0), ("low", -10)):
        folder = tmp_path / word
        folder.mkdir()
        do = "do: [{after: 1m, tell: {text: later}}]"
        async with open_bench(folder, rule(f"priority: {word}", do=do)) as bench:
            await bench.event("user.expired")
            await bench.settle()
            assert {run.priority for run in await bench.runs()} == {number}


async def test_a_rule_s_cancel_on_cancels_what_is_held(tmp_path: Path) -> None:
    rules = rule(NIGHT + "\ncancel_on: user.enabled")
    async with open_bench(tmp_path, rules) as bench:
        await bench.until("14h")
        await bench.event("user.expired")
        await bench.until("15h")
        by = await bench.event("user.enabled")
        await bench.until("2d")
        run = await bench.run()
        assert (run.state, run.reason, run.cancelled_by) == (
            State.CANCELLED, "cancelled_by_event", by,
        )  # fmt: skip
        assert bench.texts == []


@pytest.mark.parametrize("condition", ["user.tag == 'VIP'", "user.tag == origin.user.tag"])
async def test_a_rule_s_cancel_on_may_have_a_condition(tmp_path: Path, condition: str) -> None:
    rules = rule(NIGHT + f'\ncancel_on: {{on: user.enabled, when: "{condition}"}}')
    events = [
        ("14h", "user.expired", {"tag": "VIP"}), ("15h", "user.enabled", {"tag": "NO"}),
    ]  # fmt: skip
    story = await happens(tmp_path, rules, events)
    assert [when for when, _ in story.told] == ["1320m"]


async def test_a_rule_s_cancel_on_cancels_between_tries_and_steps(tmp_path: Path) -> None:
    do = "do: [{tell: {text: one}}, {tell: {text: two}}]"
    async with open_bench(tmp_path, rule("cancel_on: user.enabled", do=do)) as bench:
        bench.tell.script += [{}, ActionFailed("no", retry=True, after=600.0)]
        await bench.event("user.expired")
        await bench.until("5m")
        await bench.event("user.enabled")
        await bench.until("1h")
        assert bench.texts == ["one", "two"]
        assert (await bench.run()).reason == "cancelled_by_event"


async def test_a_rule_s_cancel_on_holds_for_its_follow_ups_too(tmp_path: Path) -> None:
    rules = rule("cancel_on: user.enabled", do="do: [{after: 3d, tell: {text: later}}]")
    story = await happens(tmp_path, rules, ["0m", ("1d", "user.enabled", {})])
    assert story.told == []


async def test_an_await_comes_before_the_rule_s_cancel_on(tmp_path: Path) -> None:
    do = "do: [{await: user.enabled, within: 1d, do: [{tell: {text: back}}]}]"
    rules = rule("cancel_on: user.enabled", do=do)
    story = await happens(tmp_path, rules, ["0m", ("1h", "user.enabled", {})])
    assert story.told == [("60m", "back")]


async def test_an_event_that_overtook_the_first_one_cancels_it(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule("cancel_on: user.enabled")) as bench:
        await bench.event("user.enabled", raised="1m")
        await bench.settle()
        await bench.event("user.expired", raised="0m")
        await bench.settle()
        assert bench.texts == []
        assert (await bench.run()).reason == "cancelled_by_event"


async def test_shadow_does_nothing_and_says_what_it_would(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule("mode: shadow")) as bench:
        event = await bench.event("user.expired")
        await bench.settle()
        assert await bench.runs() == []
        (line,) = (await bench.record(event))["outcomes"]
        assert (line["verdict"], line["held"]["by"]) == ("held back", "shadow")
        told = await bench.desk.ask("events", "explain", {"id": event})
        assert told["rules"][0]["why"] == "shadow: would have run"
        assert told["rules"][0]["plan"]["steps"][0]["does"] == "anna_k"


@pytest.mark.parametrize(
    ("keys", "held"),
    [
        ("throttle: 1 per 1h", ["shadow", "throttle", "shadow"]),
        ("threshold: {at_least: 2, within: 2h}", ["threshold", "shadow", "threshold"]),
        ("digest: {wait: 1m}", ["shadow", "shadow", "shadow"]),
    ],
)
async def test_a_shadow_counts_as_if_it_had_acted(
    tmp_path: Path, keys: str, held: list[str]
) -> None:
    story = await happens(tmp_path, rule(f"mode: shadow\n{keys}"), ["0m", "30m", "61m"])
    assert story.held == held
    assert story.told == []


async def test_what_is_in_shadow_puts_its_follow_ups_on_hold(tmp_path: Path) -> None:
    rules = rule("empty_ok: true", do="do: [{after: 3d, tell: {text: later}}]")
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.settle()
        await bench.reload(rules.replace("empty_ok: true", "mode: shadow"))
        run = await bench.run("r", "do.0")
        assert (run.state, run.reason) == (State.ON_HOLD, "rule_shadow")
        await bench.reload(rules)
        await bench.until("4d")
        assert bench.texts == ["later"]


async def test_the_order_of_holding_back(tmp_path: Path) -> None:
    keys = f"threshold: {{at_least: 2, within: 1h}}\nthrottle: 1 per 24h\n{NIGHT}"
    story = await happens(tmp_path, rule(keys), ["14h", "14h1m", "14h2m", "14h3m"])
    assert story.held == ["threshold", "quiet", "threshold", "throttle"]
    assert [when for when, _ in story.told] == ["1320m"]


async def test_an_explanation_of_a_held_match_is_that_of_the_decision(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule("throttle: 1 per 24h")) as bench:
        ids = []
        for n in range(3):
            ids.append(await bench.event("user.expired", raised=f"{n - 5}s"))
            await bench.settle()
        for id in ids:
            (told,) = (await bench.desk.ask("events", "explain", {"id": id}))["rules"]
            (line,) = (await bench.record(id))["outcomes"]
            assert told["verdict"] == line["verdict"]
            assert (told["held"] or {}).get("by") == (line.get("held") or {}).get("by")
        assert told["held"]["until"] == "2026-01-06T09:00:00.000Z"
        assert told["why"] == "throttled (1 per 1 day)"


async def test_what_would_be_held_now_is_told_before_it_comes(tmp_path: Path) -> None:
    from running.bench import body

    async with open_bench(tmp_path, rule("throttle: 1 per 24h")) as bench:
        await bench.event("user.expired")
        await bench.settle()
        text = body("user.expired", bench.clock.now() + 1_000_000, "3.3").decode()
        (told,) = (await bench.desk.ask("events", "explain", {"body": text}))["rules"]
        assert (told["verdict"], told["held"]["by"]) == ("held back", "throttle")


async def test_what_a_shadow_would_have_told_does_not_silence_the_live_rule(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule("mode: shadow\nthrottle: 1 per 90d")) as bench:
        await bench.event("user.expired")
        await bench.settle()
        await bench.reload(rule("throttle: 1 per 90d"))
        await bench.until("1h")
        await bench.event("user.expired")
        await bench.until("2h")
        await bench.event("user.expired")
        await bench.settle()
        assert [when for when, _ in bench.timed] == ["60m"]
