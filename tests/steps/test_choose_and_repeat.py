"""choose, for_each and stop: the way taken, each item once, and where the run ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from holding.stories import rule
from running.bench import Bench, open_bench

from engine.clock import MINUTE
from engine.errors import ActionFailed
from engine.model import State

pytestmark = pytest.mark.anyio

WAYS = """do:
      - choose:
          - {when: user.tag == 'VIP', do: [{tell: {text: vip}}]}
          - when: user.tag == 'TRIAL'
            do:
              - tell: {text: trial}
              - tell: {text: twice}
          - else: [{tell: {text: else}}]
      - tell: {text: after}"""
LOOP = """do:
      - for_each:
          in: data.list
          do: [{tell: {text: "{{ item }}"}}]
      - tell: {text: after}"""


def plain(do: str) -> str:
    return rule("empty_ok: true", do=do)


async def told(folder: Path, do: str, **fields: Any) -> list[str]:
    """What a rule with these steps tells of one event."""
    async with open_bench(folder, plain(do)) as bench:
        await bench.event("user.expired", **fields)
        await bench.until("5h")
        return bench.texts


@pytest.mark.parametrize(
    ("tag", "texts"),
    [("VIP", ["vip", "after"]), ("TRIAL", ["trial", "twice", "after"]), (None, ["else", "after"])],
)
async def test_choose_goes_the_first_way_that_fits(
    tmp_path: Path, tag: str | None, texts: list[str]
) -> None:
    assert await told(tmp_path, WAYS, tag=tag) == texts


async def test_where_no_way_fits_the_next_step_follows(tmp_path: Path) -> None:
    do = WAYS.replace("          - else: [{tell: {text: else}}]\n", "")
    assert await told(tmp_path, do, tag="NO") == ["after"]


async def test_a_way_is_decided_once_whatever_comes_meanwhile(tmp_path: Path) -> None:
    do = WAYS.replace("user.tag ==", "latest.user.tag ==")
    async with open_bench(tmp_path, plain(do)) as bench:
        bench.tell.script.append(ActionFailed("no", retry=True, after=600.0))
        await bench.event("user.expired", tag="TRIAL")
        await bench.until("5m")
        await bench.event("user.modified", tag="VIP")
        await bench.until("1h")
        assert bench.texts == ["trial", "trial", "twice", "after"]


async def test_what_cannot_be_evaluated_is_a_dead_letter(tmp_path: Path) -> None:
    do = "do: [{choose: [{when: \"contains(user.tag, 'V')\", do: [{tell: {text: x}}]}]}]"
    async with open_bench(tmp_path, plain(do)) as bench:
        await bench.event("user.expired", tag=None)
        await bench.settle()
        run = await bench.run()
        assert (run.state, run.reason) == (State.DEAD, "could_not_evaluate")
        assert (run.message or "").startswith("choose: contains(user.tag, 'V') could not be")


async def test_for_each_does_its_steps_once_for_each_item(tmp_path: Path) -> None:
    assert await told(tmp_path, LOOP, list=["a", "b", "c"]) == ["a", "b", "c", "after"]


@pytest.mark.parametrize("found", [[], None])
async def test_nothing_to_go_through_is_no_failure(tmp_path: Path, found: Any) -> None:
    assert await told(tmp_path, LOOP, list=found) == ["after"]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("text", "for_each: data.list is no list, but a text"),
        ([0] * 1001, "for_each: data.list has 1001 items; a run goes through 1000"),
    ],
)
async def test_what_is_no_list_or_too_long_is_a_dead_letter(
    tmp_path: Path, found: Any, message: str
) -> None:
    async with open_bench(tmp_path, plain(LOOP)) as bench:
        await bench.event("user.expired", list=found)
        await bench.settle()
        run = await bench.run()
        assert (run.state, run.message) == (State.DEAD, message)


async def test_items_keep_their_types_and_have_a_name_of_their_own(tmp_path: Path) -> None:
    do = """do:
      - for_each:
          in: data.list
          as: node
          do: [{tell: {text: "{{ node.name }} {{ node.load + 1 }}"}}]"""
    items = [{"name": "a", "load": 1}, {"name": "b", "load": 2}]
    assert await told(tmp_path, do.replace("node", "one"), list=items) == ["a 2", "b 3"]


async def test_loops_in_loops_and_ways_in_loops(tmp_path: Path) -> None:
    do = """do:
      - for_each:
          in: data.list
          as: row
          do:
            - for_each:
                in: row
                as: cell
                do:
                  - choose:
                      - {when: cell == `2`, do: [{tell: {text: two}}]}
                      - else: [{tell: {text: "{{ row | length }}:{{ cell }}"}}]"""
    assert await told(tmp_path, do, list=[[1, 2], [], [3]]) == ["2:1", "two", "1:3"]


async def test_a_failing_item_is_tried_again_and_those_before_it_are_not(tmp_path: Path) -> None:
    async with open_bench(tmp_path, plain(LOOP)) as bench:
        bench.tell.script += [{}, ActionFailed("no", retry=True), {}]
        await bench.event("user.expired", list=["a", "b", "c"])
        await bench.until("1h")
        assert bench.texts == ["a", "b", "b", "c", "after"]
        keys = [told.call.key for told in bench.tell.told]
        assert keys[1] == keys[2]
        assert len(set(keys)) == 4


async def test_a_restart_in_a_loop_goes_on_where_it_was(tmp_path: Path) -> None:
    clock = None
    async with open_bench(tmp_path, plain(LOOP)) as bench:
        bench.tell.script += [{}, ActionFailed("no", retry=True)]
        await bench.event("user.expired", list=["a", "b", "c"])
        await bench.settle()
        assert bench.texts == ["a", "b"]
        clock = bench.clock
    async with open_bench(tmp_path, plain(LOOP), clock=clock) as bench:
        await bench.until("1h")
        assert bench.texts == ["b", "c", "after"]


async def test_continue_passes_over_a_failing_item(tmp_path: Path) -> None:
    do = LOOP.replace('"{{ item }}"}}]', '"{{ item }}"}, on_error: continue}]')
    async with open_bench(tmp_path, plain(do)) as bench:
        bench.tell.script += [{}, ActionFailed("no"), {}]
        await bench.event("user.expired", list=["a", "b", "c"])
        await bench.settle()
        assert bench.texts == ["a", "b", "c", "after"]
        paths = [line["step"] for line in await _attempts(bench)]
        assert paths == ["do.0[0].do.0", "do.0[1].do.0", "do.0[2].do.0", "do.1"]


async def _attempts(bench: Bench) -> list[dict[str, Any]]:
    shown = await bench.desk.ask("runs", "show", {"id": (await bench.run()).id})
    return list(shown["attempts"])


async def test_follow_ups_of_a_loop_know_their_item_and_outlive_a_restart(tmp_path: Path) -> None:
    do = """do:
      - for_each:
          in: data.list
          as: wait
          do:
            - after: 10m
              cancel_on: {on: user.enabled, when: user.tag == 'NO'}
              do:
                - tell: {text: "{{ wait.word }}"}
                - after: 10m
                  tell: {text: "again {{ wait.word }}"}"""
    items = [{"word": "one"}, {"word": "two"}]
    async with open_bench(tmp_path, plain(do)) as bench:
        await bench.event("user.expired", list=items)
        await bench.settle()
        later = [run for run in await bench.runs() if run.path]
        assert [run.path for run in later] == ["do.0[0].do.0", "do.0[1].do.0"]
        clock = bench.clock
    async with open_bench(tmp_path, plain(do), clock=clock) as bench:
        await bench.until("1h")
        assert bench.timed == [
            ("10m", "one"), ("10m", "two"), ("20m", "again one"), ("20m", "again two"),
        ]  # fmt: skip


async def test_results_of_a_loop_are_those_of_its_last_item(tmp_path: Path) -> None:
    do = """do:
      - for_each: {in: data.list, do: [{id: call, tell: {text: "{{ item }}"}}]}
      - tell: {text: "{{ steps.call.found }}"}"""
    async with open_bench(tmp_path, plain(do)) as bench:
        bench.tell.script += [{"found": 1}, {"found": 2}]
        await bench.event("user.expired", list=["a", "b"])
        await bench.settle()
        assert bench.texts == ["a", "b", "2"]


async def test_stop_ends_the_run_and_tells_why(tmp_path: Path) -> None:
    do = """do:
      - after: 1h
        tell: {text: later}
      - {stop: "not {{ user.tag }}", when: user.tag != 'VIP'}
      - after: 2h
        tell: {text: never}
      - tell: {text: vip}"""
    async with open_bench(tmp_path, plain(do)) as bench:
        await bench.event("user.expired", tag="NO")
        await bench.until("5h")
        run = await bench.run()
        assert (run.state, run.reason, run.message) == (State.SUCCEEDED, "stopped", "not NO")
        assert bench.texts == ["later"]


async def test_stop_in_a_way_or_a_loop_ends_all_of_the_run(tmp_path: Path) -> None:
    do = """do:
      - for_each:
          in: data.list
          do:
            - choose: [{when: item == 'b', do: [{stop: enough}]}]
            - tell: {text: "{{ item }}"}
      - tell: {text: after}"""
    assert await told(tmp_path, do, list=["a", "b", "c"]) == ["a"]


async def test_when_stands_beside_any_control_step(tmp_path: Path) -> None:
    do = """do:
      - when: user.tag == 'VIP'
        choose: [{else: [{tell: {text: vip}}]}]
      - when: user.tag == 'VIP'
        for_each: {in: data.list, do: [{tell: {text: "{{ item }}"}}]}
      - tell: {text: after}"""
    folder = tmp_path / "yes"
    folder.mkdir()
    assert await told(tmp_path, do, tag="NO", list=["a"]) == ["after"]
    assert await told(folder, do, tag="VIP", list=["a"]) == ["vip", "a", "after"]


async def test_control_steps_in_on_failure_and_in_an_await(tmp_path: Path) -> None:
    rules = rule(
        "on_failure: [{choose: [{when: error.reason == 'failed', do: [{tell: {text: failed}}]}]}]",
        do="do: [{await: user.enabled, within: 1h, do: [{choose: [{when: arrived.user.tag == 'A', "
        "do: [{tell: {text: came}}]}]}]}]",
    )
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script.append(ActionFailed("no"))
        await bench.event("user.expired")
        await bench.settle()
        bench.clock.move(MINUTE)
        await bench.event("user.enabled", tag="A")
        await bench.until("2h")
        assert bench.texts == ["came", "failed"]


async def test_one_action_beside_after_may_be_a_control_step(tmp_path: Path) -> None:
    do = "do: [{after: 1h, choose: [{else: [{tell: {text: later}}]}]}]"
    assert await told(tmp_path, do) == ["later"]


async def test_an_explanation_shows_ways_and_items(tmp_path: Path) -> None:
    do = WAYS + LOOP.removeprefix("do:")
    async with open_bench(tmp_path, plain(do)) as bench:
        event = await bench.event("user.expired", tag="VIP", list=["a", "b"])
        await bench.settle()
        told = await bench.desk.ask("events", "explain", {"id": event})
        steps = told["rules"][0]["plan"]["steps"]
        assert [way["verdict"] for way in steps[0]["ways"]] == [
            "matched",
            "not matched",
            "not matched",
        ]
        assert steps[0]["ways"][0]["steps"][0]["does"] == "vip"
        assert [way["item"] for way in steps[2]["ways"]] == ['"a"', '"b"']
        assert steps[2]["ways"][1]["steps"][0]["does"] == "b"
        assert json.dumps(told)
