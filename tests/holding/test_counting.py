"""threshold and throttle: matches counted and held back, by key, in sliding windows."""

from __future__ import annotations

from pathlib import Path

import pytest
from holding.stories import happens, rule
from running.bench import open_bench

from engine.errors import ActionFailed
from engine.journal import retention
from engine.model import State

pytestmark = pytest.mark.anyio

THREE = rule("threshold: {at_least: 3, within: 10m}")
DAILY = rule("throttle: 1 per 24h")


async def test_the_third_match_goes_on_and_then_it_counts_anew(tmp_path: Path) -> None:
    story = await happens(tmp_path, THREE, ["0m", "1m", "2m", "3m", "4m", "5m"])
    assert [when for when, _ in story.told] == ["2m", "5m"]
    assert story.held == ["threshold", "threshold", "", "threshold", "threshold", ""]


async def test_matches_older_than_the_window_do_not_count(tmp_path: Path) -> None:
    story = await happens(tmp_path, THREE, ["0m", "5m", "11m", "14m"])
    assert [when for when, _ in story.told] == ["14m"]


async def test_a_match_exactly_as_old_as_the_window_still_counts(tmp_path: Path) -> None:
    story = await happens(tmp_path, THREE, ["0m", "5m", "10m"])
    assert [when for when, _ in story.told] == ["10m"]


async def test_each_key_counts_for_itself(tmp_path: Path) -> None:
    events = [
        (span, "user.expired", {"username": name})
        for span, name in [("0m", "anna"), ("1m", "boris"), ("2m", "anna"), ("3m", "anna")]
    ]
    story = await happens(tmp_path, THREE, events)
    assert story.told == [("3m", "anna")]


async def test_what_is_counted_survives_a_restart(tmp_path: Path) -> None:
    await happens(tmp_path, THREE, ["0m", "1m"], end="1m")
    story = await happens(tmp_path, THREE, ["2m"], end="3m")
    assert [when for when, _ in story.told] == ["2m"]


async def test_in_one_batch_the_second_match_sees_the_first(tmp_path: Path) -> None:
    async with open_bench(tmp_path, DAILY) as bench:
        ids = [await bench.event("user.expired", raised=f"-{n}s") for n in range(3)]
        await bench.settle()
        assert [(await bench.verdicts(id))["r"] for id in ids] == [
            "matched", "held back", "held back",
        ]  # fmt: skip
        assert len(bench.texts) == 1


async def test_a_throttle_tells_until_when_and_is_free_again_at_that_moment(tmp_path: Path) -> None:
    story = await happens(tmp_path, DAILY, ["0m", "10m", "1439m", "1440m", "1441m"])
    assert [when for when, _ in story.told] == ["0m", "1440m"]
    assert story.held == ["", "throttle", "throttle", "", "throttle"]
    assert story.until == [None, "1440m", "1440m", None, "2880m"]


async def test_several_places_slide(tmp_path: Path) -> None:
    rules = rule("throttle: 2 per 1h")
    story = await happens(tmp_path, rules, ["0m", "20m", "40m", "60m", "70m", "80m"])
    assert [when for when, _ in story.told] == ["0m", "20m", "60m", "80m"]
    assert story.until[2] == "60m"
    assert story.until[4] == "80m"


@pytest.mark.parametrize(
    ("do", "gives_back"),
    [
        ("do: [{tell: {text: hello}}]", False),
        ("do: [{tell: {text: hello, to: ''}}]", True),
        ("do: [{tell: {text: hello}, when: user.tag == 'NO'}]", True),
        ("do: [{tell: {text: '{{ user.nothing }}'}}]", True),
        ("do: [{after: 1m, tell: {text: hello}, when: user.tag == 'NO'}]", True),
        ("do: [{after: 1m, tell: {text: hello}}]", False),
    ],
)
async def test_a_run_that_tries_nothing_gives_its_place_back(
    tmp_path: Path, do: str, gives_back: bool
) -> None:
    story = await happens(tmp_path, rule("throttle: 1 per 24h", do=do), ["0m", "30m"])
    assert story.held == ["", "" if gives_back else "throttle"]


async def test_a_story_holds_its_place_while_a_follow_up_may_still_act(tmp_path: Path) -> None:
    do = "do: [{after: 3d, cancel_on: user.enabled, tell: {text: back}}]"
    rules = rule("throttle: 1 per 90d", do=do)
    events = ["0m", "1h", ("2h", "user.enabled", {}), "3h", "4h"]
    story = await happens(tmp_path, rules, events)
    assert story.held == ["", "throttle", "", "throttle"]
    assert story.told == [(f"{3 * 1440 + 180}m", "back")]


async def test_a_place_is_kept_longer_than_runs_are(tmp_path: Path) -> None:
    rules = rule("throttle: 1 per 90d")
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.settle()
        await bench.journal.write(retention.forget_runs(bench.clock.now() + 1))
        assert await bench.runs() == []
        await bench.until("80d")
        again = await bench.event("user.expired")
        await bench.settle()
        assert (await bench.verdicts(again))["r"] == "held back"


async def test_another_id_takes_the_places_over(tmp_path: Path) -> None:
    renamed = DAILY.replace("id: r", "id: s\n    was: r")
    async with open_bench(tmp_path, DAILY) as bench:
        await bench.event("user.expired")
        await bench.settle()
        await bench.reload(renamed)
        again = await bench.event("user.expired", raised="-1s")
        await bench.settle()
        assert (await bench.verdicts(again))["s"] == "held back"


async def test_a_reload_keeps_what_is_counted(tmp_path: Path) -> None:
    async with open_bench(tmp_path, THREE) as bench:
        for n in range(2):
            await bench.event("user.expired", raised=f"-{n}s")
        await bench.settle()
        await bench.reload(THREE.replace("user.key", "user.username"))
        await bench.event("user.expired", raised="-5s")
        await bench.settle()
        assert len(bench.texts) == 1


async def test_a_dead_try_keeps_the_place(tmp_path: Path) -> None:
    rules = rule("throttle: 1 per 24h", do="do: [{tell: {text: x}, retry: {tries: 1}}]")
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script.append(ActionFailed("no"))
        await bench.event("user.expired")
        await bench.settle()
        assert (await bench.run()).state is State.DEAD
        again = await bench.event("user.expired", raised="-1s")
        await bench.settle()
        assert (await bench.verdicts(again))["r"] == "held back"
