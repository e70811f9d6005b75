"""Dead letters: listed, replayed from the step that failed, laid aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from running.bench import START, Bench, ended, open_bench
from running.tries import busy

from engine.clock import DAY, HOUR, to_iso
from engine.console.desk import Desk
from engine.errors import ActionFailed, UserError
from engine.model import State

pytestmark = pytest.mark.anyio

RULES = """
  - id: r
    on: user.expired
    do:
      - {id: first, tell: {text: one}}
      - {tell: {text: "two {{ steps.first.said }}"}, retry: {tries: 2, backoff: 1m, max: 1m}}
      - {tell: {text: three}}
  - {id: s, on: user.limited, do: [{tell: {text: other}}]}
"""
NO = ActionFailed("no", reason="refused")


def desk(bench: Bench) -> Desk:
    return bench.desk


async def ask(bench: Bench, verb: str, **params: str) -> Any:
    return await desk(bench).ask("dead", verb, params)


async def dead(bench: Bench, script: list[Any], event: str = "user.expired", **data: str) -> str:
    """The id of a run that died of this script."""
    bench.tell.script = script
    before = {line["id"] for line in await ask(bench, "list")}
    await bench.event(event, **data)
    await bench.settle()
    ((one,),) = [{line["id"] for line in await ask(bench, "list")} - before]
    bench.tell.script = []
    return str(one)


async def test_a_replay_goes_on_from_the_failed_step_with_the_same_key(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        id = await dead(bench, [{"said": "hello"}, NO])
        assert await ask(bench, "replay", ids=id) == [id]
        await bench.settle()
        assert bench.texts == ["one", "two hello", "two hello", "three"]
        failed, again = bench.tell.told[1:3]
        assert failed.call.key == again.call.key
        assert ended(await bench.run()) == (State.SUCCEEDED, None)
        assert await ask(bench, "list") == []


async def test_a_replay_with_a_new_key_is_no_longer_a_repeat(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        id = await dead(bench, [{"said": "hello"}, NO])
        await ask(bench, "replay", ids=id, new_key="True")
        bench.tell.script = [busy()]
        await bench.until("5m")
        failed, second, third = (told.call.key for told in bench.tell.told[1:4])
        assert failed != second == third


async def test_tries_are_counted_anew_and_those_before_are_kept(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        bench.tell.script = [{"said": "x"}, busy(), busy()]
        await bench.event("user.expired")
        await bench.until("5m")
        run = await bench.run()
        assert run.message == "busy (try 2, the last)"
        await ask(bench, "replay", ids=run.id)
        bench.tell.script = [busy(), busy()]
        await bench.until("10m")
        again = await bench.run()
        assert ended(again) == (State.DEAD, "connection")
        assert again.message == "busy (try 2, the last)"
        assert await bench.attempts(run) == [
            (1, "succeeded", None),
            *((number, "failed", "connection") for number in (1, 2, 3, 4)),
        ]
        await ask(bench, "replay", ids=run.id)
        await bench.until("20m")
        assert (await bench.run()).state is State.SUCCEEDED


async def test_dead_letters_are_replayed_by_rule_and_by_reason(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        broken = ActionFailed("gone", reason="http_status")
        mine = await dead(bench, [NO], username="anna")
        theirs = await dead(bench, [NO], "user.limited")
        last = await dead(bench, [broken], username="bert")
        assert set(await ask(bench, "replay", rule="r", reason="refused")) == {mine}
        assert set(await ask(bench, "replay", rule="r")) == {last}
        assert [line["id"] for line in await ask(bench, "list")] == [theirs]
        assert await ask(bench, "replay", reason="http_status") == []


async def test_more_dead_letters_than_fit_in_one_commit_are_all_replayed_once(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        bench.tell.script = [NO] * 450
        for number in range(450):
            await bench.event("user.limited", username=f"user{number}")
        await bench.settle()
        assert await bench.states() == {"dead": 450}
        assert len(await ask(bench, "replay", rule="s")) == 450
        await bench.settle()
        assert await bench.states() == {"succeeded": 450}


async def test_lists_know_rule_key_reason_and_time(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        old = await dead(bench, [NO], username="anna")
        bench.clock.move(2 * DAY)
        new = await dead(bench, [NO], "user.limited", username="bert")

        async def ids(**wish: str) -> list[str]:
            return [line["id"] for line in await ask(bench, "list", **wish)]

        assert await ids() == [new, old]
        assert await ids(rule="r") == [old]
        assert await ids(key="bert") == [new]
        assert await ids(since="1d") == [new]
        assert await ids(reason="timeout") == []
        assert await ids(most="1") == [new]
        with pytest.raises(UserError, match="'nonsense' is no reason; there are bad_parameters"):
            await ids(reason="nonsense")


async def test_what_was_dropped_leaves_the_list_and_the_figures_but_not_the_history(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        id = await dead(bench, [{"said": "x"}, NO])
        assert await ask(bench, "drop", ids=id) == [id]
        assert await ask(bench, "drop", ids=id) == []
        assert await ask(bench, "list") == []
        assert await ask(bench, "replay", rule="r") == []
        assert await bench.states() == {}
        assert (await bench.run()).state is State.DEAD
        shown = await ask(bench, "show", id=id)
        assert shown["dropped"] == to_iso(START)
        assert len(shown["attempts"]) == 2
        await ask(bench, "replay", ids=id)
        await bench.settle()
        assert await bench.states() == {"succeeded": 1}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "say which"),
        ({"ids": "run_x", "rule": "r"}, "either ids"),
        ({"ids": "run_x"}, "there is no run run_x"),
    ],
)
async def test_it_must_be_said_which_dead_letters_are_meant(
    tmp_path: Path, params: dict[str, str], message: str
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        for verb in ("replay", "drop"):
            with pytest.raises(UserError, match=message):
                await ask(bench, verb, **params)


async def test_only_what_is_dead_can_be_replayed_or_dropped(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await bench.event("user.limited")
        await bench.settle()
        run = await bench.run("s")
        for verb in ("replay", "drop"):
            with pytest.raises(UserError, match="is no dead letter: it is succeeded"):
                await ask(bench, verb, ids=run.id)


async def test_conditions_are_asked_again_before_a_replay_acts(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, when: hours_until(now) > `-1`, do: [{tell: {}}]}"
    rules = rules.replace("hours_until(now)", "hours_until(timestamp)")
    async with open_bench(tmp_path, rules) as bench:
        id = await dead(bench, [NO])
        bench.clock.move(2 * HOUR)
        await ask(bench, "replay", ids=id)
        await bench.settle()
        assert ended(await bench.run()) == (State.CANCELLED, "no_longer_matches")


async def test_a_dead_letter_before_any_try_is_tried_when_it_is_replayed(tmp_path: Path) -> None:
    rules = '  - {id: r, on: user.expired, do: [{tell: {text: "{{ latest.user.tag }}"}}]}'
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", username="anna", tag=None)
        await bench.settle()
        run = await bench.run()
        assert ended(run) == (State.DEAD, "template")
        await bench.event("user.modified", username="anna", tag="GOLD")
        await ask(bench, "replay", ids=run.id)
        await bench.settle()
        assert bench.texts == ["GOLD"]
        assert await bench.attempts(run) == [(0, "failed", "template"), (1, "succeeded", None)]


async def test_what_could_not_be_decided_is_decided_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        with monkeypatch.context() as patch:
            patch.setattr("engine.deciding.batch.judge", _explode)
            event = await bench.event("user.limited")
            await bench.settle()
        (line,) = await ask(bench, "list", reason="could_not_decide")
        await ask(bench, "replay", reason="could_not_decide")
        assert await ask(bench, "list") == []
        await bench.settle()
        assert bench.texts == ["other"]
        assert await bench.verdicts(event) == {"s": "matched"}
        assert [run.id for run in await bench.runs()] != [line["id"]]


async def test_a_replay_outlives_a_restart(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        id = await dead(bench, [{"said": "hello"}, NO])
        await ask(bench, "replay", ids=id)
    async with open_bench(tmp_path, RULES, clock=bench.clock) as bench:
        await bench.settle()
        assert bench.texts == ["two hello", "three"]


def _explode(*_: object) -> None:
    raise RuntimeError("a bug")
