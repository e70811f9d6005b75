"""A reload that ends in the middle, whatever ends it: the next one, or the next start, does the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from reloading.cutting import cut_off
from reloading.test_last_good import own
from running.bench import Bench, open_bench, write_rules

from engine.errors import JournalUnavailable

pytestmark = pytest.mark.anyio

RULE = """
  - id: NAME
    on: user.expired
    do:
      - after: 1h
        on_rule_change: HOW
        tell: {text: NAME}
"""
OTHER = "  - {id: other, on: user.created, do: [{tell: {text: hi}}]}\n"


def rule(name: str, how: str = "keep") -> str:
    """A rule with one follow-up, and what that does when the rule changes."""
    return RULE.replace("NAME", name).replace("HOW", how)


def anew(text: str) -> str:
    """The rule, changed."""
    return text.replace("{text: ", "{text: new ")


WRITES = 9
"""How often a reload from `OLD` to `NEW` writes."""
OLD = rule("changes", "cancel") + rule("moves", "rebind") + rule("goes") + rule("named")
NEW = (
    anew(rule("changes", "cancel"))
    + anew(rule("moves", "rebind"))
    + rule("named").replace("id: named", "id: called\n    was: named")
)


@asynccontextmanager
async def planned(folder: Path, rules: str) -> AsyncIterator[Bench]:
    """A life in which each rule has one follow-up."""
    async with open_bench(folder, rules) as bench:
        await bench.event("user.expired", username="anna")
        await bench.settle()
        yield bench


async def standing(bench: Bench) -> list[tuple[str, str, str | None]]:
    """How each follow-up stands."""
    runs = [run for run in await bench.runs() if run.path]
    return sorted((run.rule, run.state.value, run.reason) for run in runs)


@pytest.mark.parametrize("how", ["ends", "goes on"])
@pytest.mark.parametrize("writes", range(WRITES))
async def test_wherever_a_reload_is_cut_off_what_was_to_be_done_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int, how: str
) -> None:
    async with planned(tmp_path, OLD) as bench:
        before = bench.reloader.seen
        with monkeypatch.context() as patch:
            cut_off(bench, patch, writes)
            with pytest.raises(JournalUnavailable):
                await bench.reload(NEW)
        assert bench.reloader.seen == before  # so that whoever watches reads them once more
        if how == "goes on":
            await bench.reloader.reload()
            await _all_is_settled(bench)
        clock = bench.clock
    async with open_bench(tmp_path, NEW, clock=clock) as bench:
        await _all_is_settled(bench)
        await bench.until("2h")
        assert sorted(bench.texts) == ["named", "new moves"]


async def _all_is_settled(bench: Bench) -> None:
    assert await standing(bench) == [
        ("called", "pending", None),
        ("changes", "cancelled", "rule_changed"),
        ("goes", "on hold", "rule_gone"),
        ("moves", "pending", None),
    ]
    assert [data["rule"] for data in await own(bench, "rulewave.on_hold")] == ["goes"]


async def test_what_the_reload_above_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with planned(tmp_path, OLD) as bench:
        cut_off(bench, monkeypatch, WRITES)
        await bench.reload(NEW)


async def test_what_was_settled_is_not_settled_again_at_the_next_start(tmp_path: Path) -> None:
    async with planned(tmp_path, rule("r", "cancel")) as bench:
        await bench.reload(anew(rule("r", "cancel")))
        await bench.reload(rule("r", "cancel"))
        await bench.event("user.expired", username="ben")
        await bench.settle()
        clock = bench.clock
    async with open_bench(tmp_path, rule("r", "cancel"), clock=clock) as bench:
        await bench.until("2h")
        assert bench.texts == ["r"]


async def test_an_edit_that_is_taken_back_after_a_crash_still_ends_what_was_planned_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with planned(tmp_path, rule("r", "cancel")) as bench:
        with monkeypatch.context() as patch:
            cut_off(bench, patch, 1)
            with pytest.raises(JournalUnavailable):
                await bench.reload(anew(rule("r", "cancel")))
        await bench.event("user.expired", username="ben")
        await bench.settle()
        clock = bench.clock
    async with open_bench(tmp_path, rule("r", "cancel"), clock=clock) as bench:
        await bench.until("2h")
        assert bench.texts == ["r"]  # anna's, who began with these very rules


async def test_a_rule_that_returns_to_an_empty_file_is_settled_like_any_other(
    tmp_path: Path,
) -> None:
    async with planned(tmp_path, rule("r", "cancel")) as bench:
        await bench.reload("version: 1\nrules: []\n")
        assert bench.reloader.standing.decides
        assert await standing(bench) == [("r", "on hold", "rule_gone")]
        await bench.reload(anew(rule("r", "cancel")))
        assert await standing(bench) == [("r", "cancelled", "rule_changed")]


async def test_a_plan_leaves_a_change_to_be_found(tmp_path: Path) -> None:
    async with open_bench(tmp_path, OTHER) as bench:
        before = bench.reloader.seen
        write_rules(bench.file, OTHER + rule("r"))
        await bench.reloader.plan()
        assert bench.reloader.seen == before
        await bench.reloader.reload()
        assert bench.reloader.seen != before


async def test_a_reload_goes_on_where_whoever_wished_it_hangs_up(tmp_path: Path) -> None:
    async with planned(tmp_path, rule("r")) as bench:
        write_rules(bench.file, OTHER)
        wish = asyncio.create_task(bench.reloader.reload())
        await asyncio.sleep(0)
        wish.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wish
        await bench.reloader.rest()
        assert await standing(bench) == [("r", "on hold", "rule_gone")]
        assert [data["rule"] for data in await own(bench, "rulewave.on_hold")] == ["r"]


async def test_the_new_rules_come_into_force_between_two_decisions(tmp_path: Path) -> None:
    swapped: list[bool] = []
    async with open_bench(tmp_path, rule("r")) as bench:
        decided = asyncio.Event()

        async def decide() -> None:
            async with bench.journal.deciding:  # as the decider does, in the middle of a batch
                await decided.wait()

        deciding = asyncio.create_task(decide())
        await asyncio.sleep(0)
        bench.reloader.on_swapped = lambda: swapped.append(deciding.done())
        write_rules(bench.file, OTHER)
        wish = asyncio.create_task(bench.reloader.reload())
        done, _ = await asyncio.wait({wish}, timeout=0.1)
        assert (done, swapped) == (set(), [])
        decided.set()
        await wish
        assert swapped == [True, True]


async def test_what_was_never_in_force_does_not_come_into_force_by_being_read_twice(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, "rules: [", broken=True) as bench:
        await bench.event("user.expired", username="anna")
        await bench.reloader.reload()
        assert not bench.reloader.standing.decides
        await bench.reload(rule("r"))
        await bench.until("2h")
        assert bench.texts == ["r"]
