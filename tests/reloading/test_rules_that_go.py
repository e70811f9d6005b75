"""Follow-ups of rules that vanish, are switched off, come back, or are renamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reloading.test_last_good import own
from running.bench import Bench, ended, open_bench

from engine.clock import MINUTE
from engine.errors import ActionFailed, UserError
from engine.model import State
from engine.sources.own import EVENTS, ON_HOLD

pytestmark = pytest.mark.anyio

RULE = """
  - id: r
    on: user.expired
    do:
      - after: 1h
        cancel_on: user.renewed
        tell: {text: later}
"""
OTHER = "  - {id: other, on: user.created, do: [{tell: {text: hi}}]}\n"
OFF = RULE.replace("on: user.expired", "on: user.expired\n    mode: off")


async def planned(bench: Bench, name: str = "anna") -> None:
    """One follow-up waits."""
    await bench.event("user.expired", username=name)
    await bench.settle()


async def state(bench: Bench, rule: str = "r") -> tuple[State, str | None]:
    """How the newest follow-up stands."""
    return ended(await bench.run(rule, "do.0"))


@pytest.mark.parametrize(("without", "reason"), [(OTHER, "rule_gone"), (OFF, "rule_off")])
async def test_follow_ups_of_a_rule_that_is_away_are_on_hold_and_somebody_is_told(
    tmp_path: Path, without: str, reason: str
) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await planned(bench, "anna")
        await planned(bench, "ben")
        report = await bench.reload(without)
        assert [(one.count, one.what) for one in report.touched] == [(2, "put on hold")]
        assert await state(bench) == (State.ON_HOLD, reason)
        await bench.until("3h")
        assert bench.texts == []
        (data,) = await own(bench, "rulewave.on_hold")
        assert data.keys() == EVENTS[ON_HOLD].fields.keys()
        assert (data["rule"], data["count"], data["reason"]) == ("r", 2, reason)
        await bench.reloader.reload()
        assert len(await own(bench, "rulewave.on_hold")) == 1


async def test_a_rule_that_is_gone_at_a_restart_holds_its_follow_ups_before_any_is_due(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await planned(bench)
        clock = bench.clock
    clock.move(120 * MINUTE)
    async with open_bench(tmp_path, OTHER, clock=clock) as bench:
        await bench.until("3h")
        assert bench.texts == []
        assert await state(bench) == (State.ON_HOLD, "rule_gone")


async def test_what_is_not_yet_due_goes_on_when_the_rule_returns(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await planned(bench)
        await bench.reload(OTHER)
        await bench.until("30m")
        report = await bench.reload(RULE + OTHER)
        assert [(one.count, one.what) for one in report.touched] == [(1, "going on again")]
        await bench.until("2h")
        assert bench.timed == [("60m", "later")]


async def test_what_is_overdue_when_the_rule_returns_waits_for_a_person(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await planned(bench)
        await bench.reload(OTHER)
        await bench.until("2h")
        report = await bench.reload(RULE)
        (touched,) = report.touched
        assert touched.what.startswith("still on hold: overdue")
        await bench.until("3h")
        assert (bench.texts, await state(bench)) == ([], (State.ON_HOLD, "overdue"))
        await bench.reloader.reload()
        run = await bench.run("r", "do.0")
        assert await bench.desk.ask("followups", "release", {"ids": run.id}) == [run.id]
        await bench.settle()
        assert bench.timed == [("180m", "later")]


async def test_a_cancelling_event_cancels_what_is_on_hold(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await bench.event("user.created", username="anna", expireAt="2026-01-05T08:00:00.000Z")
        await planned(bench)
        await bench.reload(OTHER)
        bench.clock.move(MINUTE)
        await bench.event("user.modified", username="anna", expireAt="2026-06-05T08:00:00.000Z")
        await bench.settle()
        assert await state(bench) == (State.CANCELLED, "cancelled_by_event")


async def test_a_person_may_cancel_what_is_on_hold(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await planned(bench)
        await bench.reload(OTHER)
        run = await bench.run("r", "do.0")
        await bench.desk.ask("followups", "cancel", {"id": run.id})
        assert await state(bench) == (State.CANCELLED, "cancelled_by_person")


async def test_a_follow_up_that_is_planned_after_its_rule_went_does_not_start(
    tmp_path: Path,
) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - tell: {text: first}
        retry: {tries: 3, backoff: 10m}
      - after: 1h
        tell: {text: later}
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [ActionFailed("busy", retry=True)]
        await planned(bench)
        await bench.reload(OTHER)
        await bench.until("5h")
        assert bench.texts == ["first", "first"]
        assert ended(await bench.run("r", "do.1")) == (State.ON_HOLD, "rule_gone")


async def test_released_while_the_rule_is_gone_it_finishes_with_the_version_it_began_with(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        for name in ("anna", "ben"):
            await planned(bench, name)
        await bench.reload(OTHER)
        assert len(await bench.desk.ask("followups", "release", {"rule": "r"})) == 2
        await bench.reloader.reload()
        await bench.until("2h")
        assert bench.timed == [("60m", "later"), ("60m", "later")]


async def test_run_now_is_due_at_once_and_asks_its_conditions_all_the_same(
    tmp_path: Path,
) -> None:
    rules = RULE.replace("cancel_on", "when: latest.user.status == 'EXPIRED'\n        cancel_on")
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", username="anna", status="EXPIRED")
        await bench.settle()
        await bench.event("user.expired", username="ben", status="ACTIVE")
        await bench.settle()
        found = await bench.desk.ask("followups", "list", {})
        for line in found:
            told = await bench.desk.ask("followups", "run-now", {"id": line["id"]})
            assert told["state"] == "pending"
        await bench.settle()
        assert bench.timed == [("0m", "later")]
        assert {run.reason for run in await bench.runs(rule="r")} >= {None, "no_longer_matches"}


async def test_run_now_releases_what_is_on_hold(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await planned(bench)
        await bench.reload(OTHER)
        run = await bench.run("r", "do.0")
        await bench.desk.ask("followups", "run-now", {"id": run.id})
        await bench.settle()
        assert bench.timed == [("0m", "later")]


@pytest.mark.parametrize(
    ("verb", "params", "message"),
    [
        ("release", {}, "say which"),
        ("release", {"ids": "{id}", "rule": "r"}, "say which"),
        ("release", {"ids": "{id}"}, "is not on hold: it is succeeded"),
        ("run-now", {"id": "{id}"}, "can't run now: it is succeeded"),
        ("run-now", {"id": "{first}"}, "is no follow-up"),
        ("release", {"ids": "run_x"}, "there is no run run_x"),
    ],
)
async def test_what_cannot_be_released_is_refused_in_words(
    tmp_path: Path, verb: str, params: dict[str, str], message: str
) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await planned(bench)
        await bench.until("2h")
        ids = {"id": (await bench.run("r", "do.0")).id, "first": (await bench.run("r", "")).id}
        given = {name: value.format(**ids) for name, value in params.items()}
        with pytest.raises(UserError, match=message):
            await bench.desk.ask("followups", verb, given)


# ------------------------------------------------------------------------------------- renamed

RENAMED = RULE.replace("- id: r", "- id: farewell\n    was: [r]")


async def test_a_renamed_rule_takes_its_follow_ups_and_history_along(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await planned(bench)
        report = await bench.reload(RENAMED)
        assert report.changes.renamed == {"r": "farewell"}
        assert [one.rule for one in report.touched] == ["r"]
        runs = await bench.runs(rule="farewell")
        assert ([run.path for run in runs], await bench.runs(rule="r")) == (["", "do.0"], [])
        await bench.reload(RENAMED.replace("\n    was: [r]", ""))
        await bench.until("2h")
        assert bench.timed == [("60m", "later")]


async def test_a_rule_that_is_renamed_over_a_restart_loses_nothing(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await planned(bench)
        clock = bench.clock
    async with open_bench(tmp_path, RENAMED, clock=clock) as bench:
        await bench.until("2h")
        assert bench.timed == [("60m", "later")]
        assert await own(bench, "rulewave.on_hold") == []


async def test_a_cancelling_event_finds_the_follow_up_of_a_renamed_rule(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await bench.event("user.created", username="anna", expireAt="2026-01-05T08:00:00.000Z")
        await planned(bench)
        await bench.reload(RENAMED)
        bench.clock.move(MINUTE)
        await bench.event("user.modified", username="anna", expireAt="2026-06-05T08:00:00.000Z")
        await bench.settle()
        assert await state(bench, "farewell") == (State.CANCELLED, "cancelled_by_event")


async def test_what_a_renamed_rule_said_is_told_as_of_a_rule_that_changed(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        id = await bench.event("user.expired")
        await bench.settle()
        for rules, since in ((RULE, "same"), (RENAMED, "changed"), (OTHER, "gone")):
            await bench.reload(rules)
            told = await bench.desk.ask("events", "explain", {"id": id})
            assert [(line["rule"], line["since"]) for line in told["rules"]] == [("r", since)]


async def test_the_idempotency_key_survives_a_rename_between_two_tries(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - tell: {text: first}
        retry: {tries: 3, backoff: 10m}
      - after: 1h
        tell: {text: later}
        retry: {tries: 3, backoff: 10m}
"""
    renamed = rules.replace("- id: r", "- id: farewell\n    was: [r]")
    keys: dict[str, list[Any]] = {}
    for folder, second in (("renamed", renamed), ("same", rules)):
        (tmp_path / folder).mkdir()
        async with open_bench(tmp_path / folder, rules) as bench:
            bench.tell.script = [ActionFailed("busy", retry=True)]
            await planned(bench)
            await bench.reload(second)
            await bench.until("5h")
            keys[folder] = [told.call.key for told in bench.tell.told]
            assert bench.texts == ["first", "first", "later"]
    assert keys["renamed"] == keys["same"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (RENAMED + OTHER.replace("other", "r"), '"r" cannot be what this rule was'),
        (RENAMED + RENAMED.replace("farewell", "again"), '"r" cannot be what this rule was'),
        (RENAMED.replace("was: [r]", "was: [farewell]"), 'the rule\'s id is "farewell" still'),
        (RENAMED.replace("was: [r]", "was: [R_R]"), '"R_R" is no id that a rule can have had'),
    ],
)
async def test_a_former_id_has_one_heir(tmp_path: Path, rules: str, message: str) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        report = await bench.reload(rules)
        assert any(message in str(problem) for problem in report.standing.problems)


# ------------------------------------------------------------------------------------- reports


async def test_a_plan_tells_the_same_and_changes_nothing(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await planned(bench)
        before = await bench.runs()
        bench.file.write_text("version: 1\nrules:\n" + OTHER)
        plan = (await bench.reloader.plan()).as_json()
        assert await bench.runs() == before
        assert [rule.id for rule in bench.library.book.ruleset.rules] == ["r"]
        done = (await bench.reloader.reload()).as_json()
        assert {**plan, "planned": False} == done
        assert (done["added"], done["removed"], done["rules"]) == (["other"], ["r"], 1)
        assert done["followups"] == [{"rule": "r", "count": 1, "what": "put on hold"}]


async def test_a_draft_is_planned_with_and_the_daemons_own_rules_stay(tmp_path: Path) -> None:
    draft = tmp_path / "draft.yaml"
    async with open_bench(tmp_path, RULE) as bench:
        await planned(bench)
        draft.write_text("version: 1\nrules:\n" + OTHER)
        params = {"plan": "yes", "draft": str(draft)}
        told = await bench.desk.ask("rules", "reload", params)
        assert (told["added"], told["removed"], told["planned"]) == (["other"], ["r"], True)
        assert told["followups"] == [{"rule": "r", "count": 1, "what": "put on hold"}]
        assert not (await bench.reload(RULE)).changes
        draft.unlink()
        told = await bench.desk.ask("rules", "reload", params)
        assert not told["ok"]
        assert "draft.yaml" in told["problems"][0]["file"]


async def test_a_changed_rule_lets_its_follow_ups_finish_as_they_began(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULE) as bench:
        await planned(bench)
        report = await bench.reload(RULE.replace("text: later", "text: other"))
        assert report.changes.changed == ("r",)
        (touched,) = report.touched
        assert touched.what == "finishing with the version that it began with"
        await bench.until("2h")
        assert bench.texts == ["later"]


async def test_what_is_on_hold_is_told_once_whatever_else_is_saved_until_the_rule_was_back(
    tmp_path: Path,
) -> None:
    another = OTHER.replace("hi", "hello")
    async with open_bench(tmp_path, RULE + OTHER) as bench:
        await planned(bench)
        for rules in (OTHER, another, OTHER):
            bench.clock.move(MINUTE)
            await bench.reload(rules)
        clock = bench.clock
    async with open_bench(tmp_path, another, clock=clock) as bench:
        assert len(await own(bench, "rulewave.on_hold")) == 1
        for rules in (RULE + OTHER, OTHER):
            bench.clock.move(MINUTE)
            await bench.reload(rules)
        assert [data["count"] for data in await own(bench, "rulewave.on_hold")] == [1, 1]
