"""What follow-ups do when their rule changes: they keep to it, go over to the new one, or end."""

from __future__ import annotations

from pathlib import Path

import pytest
from running.bench import Bench, ended, open_bench

from engine.clock import MINUTE, SECOND
from engine.errors import ActionFailed
from engine.model import State

pytestmark = pytest.mark.anyio

RULE = """
  - id: r
    on: user.expired
    do:
      - after: 1h
        on_rule_change: HOW
        tell: {text: old}
"""
NEW = RULE.replace("old", "new").replace("after: 1h", "after: 3h")
AWAIT = """
  - id: r
    on: user.expired
    do:
      - await: user.modified
        within: 1h
        on_rule_change: rebind
        do: [{tell: {text: old came}}]
        else: [{tell: {text: old none}}]
"""


def how(rules: str, word: str) -> str:
    """The rules with that `on_rule_change`."""
    return rules.replace("HOW", word)


async def planned(bench: Bench) -> None:
    """One follow-up waits."""
    await bench.event("user.expired", username="anna")
    await bench.settle()


async def becomes(bench: Bench, rules: str) -> list[str]:
    """Reload; what the report says of each follow-up."""
    return [touched.what for touched in (await bench.reload(rules)).touched]


async def test_keep_finishes_with_the_version_that_it_began_with(tmp_path: Path) -> None:
    async with open_bench(tmp_path, how(RULE, "keep")) as bench:
        await planned(bench)
        told = await becomes(bench, how(NEW, "rebind"))
        assert told == ["finishing with the version that it began with"]
        await bench.until("5h")
        assert bench.timed == [("60m", "old")]


async def test_rebind_goes_over_to_the_newest_version_due_from_when_it_was_reached(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, how(RULE, "rebind")) as bench:
        await planned(bench)
        bench.clock.move(30 * MINUTE)
        told = await becomes(bench, how(NEW, "keep"))
        assert told == ["going on by the new version (on_rule_change: rebind)"]
        await bench.until("5h")
        assert bench.timed == [("180m", "new")]


async def test_rebind_over_a_restart(tmp_path: Path) -> None:
    async with open_bench(tmp_path, how(RULE, "rebind")) as bench:
        await planned(bench)
        clock = bench.clock
    async with open_bench(tmp_path, how(NEW, "keep"), clock=clock) as bench:
        await bench.until("5h")
        assert bench.timed == [("180m", "new")]


async def test_what_is_due_already_by_the_new_version_runs_at_once(tmp_path: Path) -> None:
    async with open_bench(tmp_path, how(RULE, "rebind")) as bench:
        await planned(bench)
        await bench.until("30m")
        await bench.reload(how(NEW, "keep").replace("3h", "10m"))
        await bench.until("1h")
        assert bench.timed == [("30m", "new")]


async def test_cancel_ends_it(tmp_path: Path) -> None:
    async with open_bench(tmp_path, how(RULE, "cancel")) as bench:
        await planned(bench)
        assert await becomes(bench, how(NEW, "keep")) == ["cancelled (on_rule_change: cancel)"]
        assert ended(await bench.run("r", "do.0")) == (State.CANCELLED, "rule_changed")
        await bench.until("5h")
        assert bench.texts == []


async def test_a_change_of_another_rule_touches_nothing(tmp_path: Path) -> None:
    other = "  - {id: other, on: user.created, do: [{tell: {text: hi}}]}\n"
    async with open_bench(tmp_path, how(RULE, "cancel")) as bench:
        await planned(bench)
        assert await becomes(bench, how(RULE, "cancel") + other) == []
        await bench.until("5h")
        assert bench.texts == ["old"]


@pytest.mark.parametrize(
    "new",
    [
        "  - {id: r, on: user.expired, do: [{tell: {text: no follow-up}}]}\n",
        AWAIT,
    ],
)
async def test_where_the_step_is_gone_a_rebound_follow_up_waits_for_a_person(
    tmp_path: Path, new: str
) -> None:
    async with open_bench(tmp_path, how(RULE, "rebind")) as bench:
        await planned(bench)
        told = await becomes(bench, new)
        assert told == ["put on hold: the new version has no such step"]
        await bench.reload(new + "  - {id: x, on: user.created, do: [{tell: {text: x}}]}\n")
        await bench.until("2h")
        run = await bench.run("r", "do.0")
        assert ended(run) == (State.ON_HOLD, "rule_changed")
        await bench.desk.ask("followups", "release", {"ids": run.id})
        await bench.settle()
        assert bench.texts == ["old"]


async def test_what_cancels_it_now_is_what_the_new_version_says(tmp_path: Path) -> None:
    new = how(NEW, "keep").replace(
        "on_rule_change", "cancel_on: user.deleted\n        on_rule_change"
    )
    for folder, early in (("before", True), ("after", False)):
        (tmp_path / folder).mkdir()
        async with open_bench(tmp_path / folder, how(RULE, "rebind")) as bench:
            await planned(bench)
            bench.clock.move(MINUTE)
            if early:
                await bench.event("user.deleted", username="anna")
                await bench.settle()
            await bench.reload(new)
            if not early:
                await bench.event("user.deleted", username="anna")
            await bench.until("5h")
            run = await bench.run("r", "do.0")
            assert ended(run) == (State.CANCELLED, "cancelled_by_event")
            assert bench.texts == []


async def test_a_watch_of_the_old_version_does_not_cancel_any_more(tmp_path: Path) -> None:
    old = how(RULE, "rebind").replace(
        "on_rule_change", "cancel_on: user.deleted\n        on_rule_change"
    )
    async with open_bench(tmp_path, old) as bench:
        await planned(bench)
        await bench.reload(how(NEW, "keep"))
        bench.clock.move(MINUTE)
        await bench.event("user.deleted", username="anna")
        await bench.until("5h")
        assert bench.texts == ["new"]


async def test_an_await_goes_over_with_what_it_waits_for(tmp_path: Path) -> None:
    new = AWAIT.replace("old", "new").replace("user.modified", "user.limited")
    for folder, event, text in (
        ("came", "user.limited", "new came"),
        ("none", "user.modified", "new none"),
    ):
        (tmp_path / folder).mkdir()
        async with open_bench(tmp_path / folder, AWAIT) as bench:
            await planned(bench)
            await bench.reload(new)
            bench.clock.move(MINUTE)
            await bench.event(event, username="anna")
            await bench.until("5h")
            assert bench.texts == [text]


async def test_an_await_may_be_met_by_what_came_before_the_new_version_asked_for_it(
    tmp_path: Path,
) -> None:
    new = AWAIT.replace("old", "new").replace("user.modified", "user.limited")
    async with open_bench(tmp_path, AWAIT) as bench:
        await planned(bench)
        bench.clock.move(MINUTE)
        await bench.event("user.limited", username="anna")
        await bench.settle()
        await bench.reload(new)
        await bench.until("5h")
        assert bench.timed == [("1m", "new came")]


async def test_a_follow_up_between_two_tries_stays_with_its_version(tmp_path: Path) -> None:
    old = how(RULE, "rebind").replace(
        "tell: {text: old}", "retry: {backoff: 30m}\n        tell: {text: old}"
    )
    async with open_bench(tmp_path, old) as bench:
        await planned(bench)
        bench.tell.script = [ActionFailed("busy", retry=True)]
        await bench.until("1h")
        await bench.reload(how(NEW, "keep"))
        await bench.until("5h")
        assert bench.texts == ["old", "old"]


async def test_a_follow_up_that_waits_for_its_paused_target_only_stays_with_its_version(
    tmp_path: Path,
) -> None:
    down = "  - {id: other, on: user.created, do: [{retry: {tries: 1}, tell: {text: x}}]}\n"
    async with open_bench(tmp_path, how(RULE, "rebind") + down) as bench:
        await planned(bench)
        bench.clock.move(60 * MINUTE - 5 * SECOND)
        bench.tell.script = [ActionFailed("away", retry=True)] * 5
        for name in ("a", "b", "c", "d", "e"):
            await bench.event("user.created", username=name)
        await bench.settle()
        bench.clock.move(5 * SECOND)
        await bench.settle()
        assert (await bench.run("r", "do.0")).reason == "target_paused"
        await bench.reload(how(NEW, "keep") + down)
        await bench.until("5h")
        assert set(bench.texts) == {"x", "old"}


async def test_a_time_that_the_new_version_cannot_work_out_leaves_it_due_when_it_was(
    tmp_path: Path,
) -> None:
    new = how(NEW, "keep").replace("after: 3h", "after: {until: user.nothing}")
    async with open_bench(tmp_path, how(RULE, "rebind")) as bench:
        await planned(bench)
        await bench.reload(new)
        await bench.until("5h")
        assert bench.timed == [("60m", "new")]


async def test_a_rebound_follow_up_of_a_renamed_rule(tmp_path: Path) -> None:
    renamed = how(NEW, "keep").replace("- id: r", "- id: new-name\n    was: [r]")
    async with open_bench(tmp_path, how(RULE, "rebind")) as bench:
        await planned(bench)
        await bench.reload(renamed)
        await bench.until("5h")
        assert bench.timed == [("180m", "new")]
