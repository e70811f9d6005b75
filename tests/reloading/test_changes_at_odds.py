"""Changes of rules that meet: renamed and under way, joined, switched off and edited, released."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reloading.test_clocks_that_change import ELEVEN, NINE, begin, tick
from reloading.test_interrupted_reloads import OTHER, anew, planned, rule, standing
from reloading.test_last_good import own
from running.bench import open_bench

from engine.journal import later
from engine.journal.rules import clocks as known_clocks
from engine.reloading import settling
from engine.running.clocks import Clocks

pytestmark = pytest.mark.anyio

STEP_GONE = "  - {id: r, on: user.expired, do: [{tell: {text: none}}]}\n"


def off(text: str) -> str:
    """The rule, switched off."""
    return text.replace("on: user.expired", "on: user.expired\n    mode: off")


def renamed(text: str, name: str) -> str:
    """The rule under another name."""
    return text.replace("id: r\n", f"id: {name}\n    was: r\n")


# ------------------------------------------------------------------------------------- renamed


async def test_two_rules_that_become_one_keep_what_each_had(tmp_path: Path) -> None:
    both = rule("r") + rule("other-one")
    async with planned(tmp_path, both) as bench:
        await bench.event("user.expired", username="ben")
        await bench.settle()
        joined = rule("other-one").replace("id: other-one\n", "id: other-one\n    was: r\n")
        changes = (await bench.reload(joined)).changes
        assert (changes.removed, changes.renamed) == (("r",), {})
        clock = bench.clock
    async with open_bench(tmp_path, joined, clock=clock) as bench:
        await bench.until("2h")
        assert sorted(bench.texts) == ["other-one", "other-one", "r", "r"]


async def test_of_two_rules_that_become_one_the_heir_takes_what_only_the_other_had(
    tmp_path: Path,
) -> None:
    async with planned(tmp_path, rule("r")) as bench:
        await bench.reload(rule("r") + rule("heir"))
        await bench.event("user.expired", username="ben")
        await bench.settle()
        await bench.reload(rule("heir").replace("id: heir\n", "id: heir\n    was: r\n"))
        assert [name for name, _, _ in await standing(bench)] == ["heir", "heir", "r"]


@pytest.mark.parametrize("how", ["cancel", "rebind"])
async def test_a_new_name_alone_is_no_change(tmp_path: Path, how: str) -> None:
    async with planned(tmp_path, rule("r", how)) as bench:
        report = await bench.reload(renamed(rule("r", how), "s"))
        (touched,) = report.touched
        assert touched.what == "finishing with the version that it began with"
        await bench.reload(rule("r", how).replace("id: r\n", "id: s\n"))
        await bench.until("2h")
        assert bench.texts == ["r"]


async def test_a_new_name_and_a_change_are_a_change(tmp_path: Path) -> None:
    async with planned(tmp_path, rule("r", "cancel")) as bench:
        await bench.reload(anew(renamed(rule("r", "cancel"), "s")))
        assert await standing(bench) == [("s", "cancelled", "rule_changed")]


async def test_what_a_run_plans_while_its_rule_is_renamed_has_the_new_name(
    tmp_path: Path,
) -> None:
    rules = rule("r").replace("do:\n", "do:\n      - tell: {text: first}\n", 1)
    keys: list[str] = []
    for folder, second in (("renamed", rules.replace("id: r\n", "id: s\n")), ("same", rules)):
        (tmp_path / folder).mkdir()
        async with open_bench(tmp_path / folder, rules) as bench:

            async def slow(*_: Any, bench: Any = bench, second: str = second) -> dict[str, Any]:
                was = second.replace("id: s\n", "id: s\n    was: r\n")
                await bench.reload(was)
                return {}

            bench.tell.script = [slow]
            await bench.event("user.expired", username="anna")
            await bench.settle()
            await bench.reload(second)
            await bench.until("2h")
            assert bench.texts == ["first", "r"]
            keys.append(bench.tell.told[-1].call.key)
    assert keys[0] == keys[1]


async def test_the_idempotency_key_survives_two_renames(tmp_path: Path) -> None:
    keys: list[str] = []
    for folder, names in (("renamed", ("s", "t")), ("same", ())):
        (tmp_path / folder).mkdir()
        async with planned(tmp_path / folder, rule("r")) as bench:
            before = "r"
            for name in names:
                was = f"id: {name}\n    was: {before}\n"
                await bench.reload(rule("r").replace("id: r\n", was))
                before = name
            await bench.until("2h")
            keys.append(bench.tell.told[-1].call.key)
    assert keys[0] == keys[1]


async def test_a_tick_that_was_raised_before_its_rule_was_renamed_is_not_lost(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, ELEVEN) as bench:
        await begin(bench)
        clocks = Clocks(
            bench.journal, bench.library, bench.handing.alarm, bench.clock,
            bench.pipeline.raise_own,
        )  # fmt: skip
        await clocks.tick()
        await bench.reload(ELEVEN.replace("id: daily", "id: eleven, was: daily"))
        await bench.settle()
        assert bench.texts == ["morning"]


async def test_a_clock_that_is_renamed_and_set_does_not_ring_for_today(tmp_path: Path) -> None:
    async with open_bench(tmp_path, NINE) as bench:
        await begin(bench)
        await bench.reload(ELEVEN.replace("id: daily", "id: eleven, was: daily"))
        assert await bench.journal.read(known_clocks()) == {"eleven": bench.clock.now()}
        assert await tick(bench) == []


async def test_a_clock_that_is_looked_at_in_the_middle_of_a_reload_goes_by_the_new_line(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, NINE) as bench:
        await begin(bench)
        clocks = Clocks(
            bench.journal, bench.library, bench.handing.alarm, bench.clock,
            bench.pipeline.raise_own,
        )  # fmt: skip
        looks: list[asyncio.Task[None]] = []
        bench.reloader.on_swapped = lambda: looks.append(asyncio.create_task(clocks.tick()))
        await bench.reload(ELEVEN)
        await asyncio.gather(*looks)
        await bench.settle()
        assert (len(looks), bench.texts) == (2, [])


# -------------------------------------------------------------------------------- on hold


@pytest.mark.parametrize("how", ["cancel", "rebind"])
async def test_a_rule_that_is_switched_off_holds_what_would_change(
    tmp_path: Path, how: str
) -> None:
    async with planned(tmp_path, rule("r", how)) as bench:
        version = (await bench.run("r", "do.0")).version
        report = await bench.reload(off(rule("r", how)))
        assert [one.what for one in report.touched] == ["put on hold"]
        assert await standing(bench) == [("r", "on hold", "rule_off")]
        assert (await bench.run("r", "do.0")).version == version
        report = await bench.reload(rule("r", how))
        assert [one.what for one in report.touched] == ["going on again"]
        await bench.until("2h")
        assert bench.texts == ["r"]


@pytest.mark.parametrize(
    ("how", "new", "what", "stands"),
    [
        ("cancel", anew(rule("r")), "cancelled (", ("cancelled", "rule_changed")),
        ("rebind", anew(rule("r")), "going on by the new version", ("pending", None)),
        ("rebind", STEP_GONE, "put on hold: the new version has", ("on hold", "rule_changed")),
        ("keep", anew(rule("r")), "going on again", ("pending", None)),
    ],
)
async def test_a_rule_that_returns_changed_does_what_it_says_and_said(
    tmp_path: Path, how: str, new: str, what: str, stands: tuple[str, str | None]
) -> None:
    async with planned(tmp_path, rule("r", how)) as bench:
        await bench.reload(OTHER)
        (touched,) = (await bench.reload(new)).touched
        assert (touched.what[: len(what)], touched.count) == (what, 1)
        assert await standing(bench) == [("r", *stands)]


async def test_what_was_overdue_when_its_rule_returned_changed_is_cancelled_where_it_says_so(
    tmp_path: Path,
) -> None:
    async with planned(tmp_path, rule("r", "cancel")) as bench:
        await bench.reload(OTHER)
        await bench.until("2h")
        (touched,) = (await bench.reload(anew(rule("r")))).touched
        assert touched.what == "cancelled (on_rule_change: cancel)"
        assert await standing(bench) == [("r", "cancelled", "rule_changed")]


async def test_that_follow_ups_are_on_hold_is_not_told_again_for_every_other_edit(
    tmp_path: Path,
) -> None:
    async with planned(tmp_path, rule("r")) as bench:
        for text in ("hi", "ho", "hi"):
            await bench.reload(OTHER.replace("hi", text))
        assert len(await own(bench, "rulewave.on_hold")) == 1
        await bench.reload(rule("r"))
        bench.clock.move(1)
        await bench.reload(OTHER)
        assert len(await own(bench, "rulewave.on_hold")) == 2


async def test_what_a_person_released_is_not_counted_as_on_hold(tmp_path: Path) -> None:
    async with planned(tmp_path, rule("r")) as bench:
        await bench.reload(OTHER)
        await bench.desk.ask("followups", "release", {"rule": "r"})
        await bench.reload(rule("r"))
        await bench.event("user.expired", username="ben")
        await bench.settle()
        bench.clock.move(1)
        await bench.reload(OTHER)
        assert [data["count"] for data in await own(bench, "rulewave.on_hold")] == [1, 1]
        await bench.until("2h")
        assert bench.texts == ["r"]


async def test_an_edit_of_a_rule_that_is_off_leaves_its_follow_ups_on_hold(tmp_path: Path) -> None:
    async with planned(tmp_path, rule("r", "cancel")) as bench:
        await bench.reload(off(rule("r", "cancel")))
        (touched,) = (await bench.reload(off(anew(rule("r", "cancel"))))).touched
        assert touched.what == "still on hold"
        assert await standing(bench) == [("r", "on hold", "rule_off")]


async def test_what_is_put_on_hold_later_is_told_although_its_rule_went_earlier(
    tmp_path: Path,
) -> None:
    rules = rule("r").replace("do:\n", "do:\n      - tell: {text: first}\n", 1)
    async with open_bench(tmp_path, rules) as bench:

        async def slow(*_: Any) -> dict[str, Any]:
            await bench.reload(OTHER)
            return {}

        bench.tell.script = [slow]
        await bench.event("user.expired", username="anna")
        await bench.settle()
        assert await own(bench, "rulewave.on_hold") == []
        await bench.reload(OTHER.replace("hi", "ho"))
        assert await standing(bench) == [("r", "on hold", "rule_gone")]
        assert [data["count"] for data in await own(bench, "rulewave.on_hold")] == [1]


async def test_what_a_person_released_is_not_held_again_for_the_next_edit(
    tmp_path: Path,
) -> None:
    async with planned(tmp_path, rule("r", "rebind")) as bench:
        await bench.reload(STEP_GONE)
        run = await bench.run("r", "do.0")
        await bench.desk.ask("followups", "release", {"ids": run.id})
        await bench.reload(STEP_GONE.replace("none", "nothing"))
        await bench.until("2h")
        assert bench.texts == ["r"]


@pytest.mark.parametrize(
    ("new", "how", "stands"),
    [
        (OTHER, "keep", {("r", "on hold", "rule_gone")}),
        (anew(rule("r")), "cancel", {("r", "cancelled", "rule_changed")}),
        (anew(rule("r")), "rebind", {("r", "pending", None)}),
        (anew(renamed(rule("r"), "s")), "cancel", {("s", "cancelled", "rule_changed")}),
    ],
)
async def test_of_very_many_follow_ups_none_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: str, how: str, stands: set[Any]
) -> None:
    monkeypatch.setattr(later, "BITE", 2)
    monkeypatch.setattr(settling, "_RENAMES", 3)
    async with planned(tmp_path, rule("r", how)) as bench:
        for number in range(6):
            await bench.event("user.expired", username=f"user{number}")
        await bench.settle()
        before = {run.version for run in await bench.runs() if run.path}
        await bench.reload(new)
        assert set(await standing(bench)) == stands
        after = {run.version for run in await bench.runs() if run.path}
        assert (len(after), after != before) == (1, how == "rebind")
        (name,) = {run.rule for run in await bench.runs()}
        await bench.reload(rule(name, how))
        assert {state for _, state, _ in await standing(bench)} <= {"pending", "cancelled"}


@pytest.mark.parametrize("verb", ["release", "run-now"])
async def test_what_a_person_lets_go_on_is_looked_at_at_once(tmp_path: Path, verb: str) -> None:
    woken: list[str] = []
    async with planned(tmp_path, rule("r")) as bench:
        await bench.reload(OTHER)
        id = (await bench.run("r", "do.0")).id
        desk = replace(bench.desk, on_replayed=lambda: woken.append(verb))
        await desk.ask("followups", verb, {"id": id, "ids": id})
        assert woken == [verb]


async def test_older_versions_are_compiled_again_rather_than_kept_for_ever(
    tmp_path: Path,
) -> None:
    many = "".join(f"  - {{id: r{n}, on: user.created, do: [{{tell: {{text: hi}}}}]}}\n"
                   for n in range(400))  # fmt: skip
    async with planned(tmp_path, rule("r")) as bench:
        version = (await bench.run("r", "do.0")).version
        for text in ("one", "two", "three", "four", "five"):
            await bench.reload(rule("r").replace("{text: r}", "{text: new}")
                               + many.replace("hi", text))  # fmt: skip
        assert version not in bench.library.book.by_version
        assert len(bench.library.book.by_version) < 1500
        await bench.until("2h")
        assert bench.texts == ["r"]
