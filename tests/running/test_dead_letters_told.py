"""Each dead letter raises `rulewave.dead_letter`, in its own commit, and never about that one."""

from __future__ import annotations

from pathlib import Path

import pytest
from running.bench import START, Bench, crash, ended, open_bench
from running.told import NO, RULES, die, raised, said
from running.tries import busy

from engine.clock import to_iso
from engine.errors import ActionFailed
from engine.journal import runs
from engine.model import State
from engine.running.clocks import clock_event
from engine.sources.own import DEAD_LETTER, EVENTS

pytestmark = pytest.mark.anyio


async def test_a_dead_letter_is_told_with_all_that_a_person_needs(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        origin = await die(bench, username="anna")
        (event,) = await raised(bench)
        run = await bench.run()
        assert event.body == {
            "scope": "rulewave",
            "event": "rulewave.dead_letter",
            "timestamp": to_iso(START),
            "data": {
                "rule": "r", "run": run.id, "step": "mail", "action": "tell", "target": "tell",
                "key": "anna", "reason": "refused", "message": "no", "tries": 1,
                "event": "user.expired", "event_id": origin,
            },
        }  # fmt: skip
        assert event.body["data"].keys() == EVENTS[DEAD_LETTER].fields.keys()
        assert bench.texts == ["one", "rulewave.dead_letter: r"]


async def test_it_comes_after_the_last_try_and_counts_them(tmp_path: Path) -> None:
    rules = RULES.replace("text: one}", "text: one}, retry: {tries: 3, backoff: 1m}")
    async with open_bench(tmp_path, rules) as bench:
        await die(bench, [busy(), busy(), busy()])
        assert await raised(bench) == []
        await bench.until("1h")
        (data,) = await said(bench)
        assert (data["tries"], data["message"]) == (3, "busy (try 3, the last)")


async def test_what_died_before_any_try_names_its_place(tmp_path: Path) -> None:
    rules = '  - {id: r, on: user.expired, do: [{tell: {text: "{{ user.email }}"}}]}'
    async with open_bench(tmp_path, rules) as bench:
        await die(bench, [], email=None)
        (data,) = await said(bench)
        assert (data["step"], data["reason"], data["tries"]) == ("do.0", "template", 0)


async def test_what_dies_while_it_is_planned_is_told(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{after: {until: user.tag}, tell: {}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await die(bench, [], username="anna", tag="GOLD")
        (data,) = await said(bench)
        assert (data["step"], data["action"], data["target"]) == ("do.0", "", "")
        assert data["message"] == "after.until: user.tag is 'GOLD', which is no time"


async def test_follow_ups_and_what_tells_of_a_failure_are_told_too(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do: [{after: 5m, tell: {text: later}}]
    on_failure: [{id: alarm, tell: {text: alarm}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        await die(bench, [NO, NO])
        await bench.until("5m")
        assert [data["step"] for data in await said(bench)] == ["do.0.do.0", "alarm"]


async def test_what_a_clock_began_is_told_too(tmp_path: Path) -> None:
    async with open_bench(tmp_path, "  - {id: r, on: {every: 1h}, do: [{tell: {}}]}") as bench:
        bench.tell.script = [NO]
        await bench.pipeline.raise_own(clock_event("r", START, START), b"tick")
        await bench.settle()
        (data,) = await said(bench)
        assert (data["event"], data["key"]) == ("rulewave.clock", "")


async def test_an_event_that_cannot_be_decided_is_told_without_private_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise ValueError("about https://sub.example.org/s3cr3t")

    async with open_bench(tmp_path, RULES) as bench:
        with monkeypatch.context() as patch:
            patch.setattr("engine.deciding.batch.judge", explode)
            await bench.event("user.expired", subscriptionUrl="https://sub.example.org/s3cr3t")
            await bench.pipeline.decide()
        (data,) = await said(bench)
        assert (data["rule"], data["step"], data["reason"]) == ("", "", "could_not_decide")
        assert data["message"] == "ValueError: about •••"
        await bench.settle()
        assert bench.texts == ["rulewave.dead_letter: "]


async def test_a_private_value_is_neither_told_nor_kept_with_the_dead_letter(
    tmp_path: Path,
) -> None:
    rules = "  - {id: r, on: user.expired, do: [{after: {until: user.subscriptionUrl}, tell: {}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await die(bench, [], subscriptionUrl="https://sub.example.org/s3cr3t")
        (data,) = await said(bench)
        assert "•••" in data["message"]
        assert data["message"] == (await bench.run()).message


async def test_a_lone_star_does_not_hear_of_it(tmp_path: Path) -> None:
    rules = RULES.replace("rulewave.*", '"*"').replace("{{ data.rule }}", "all")
    async with open_bench(tmp_path, rules) as bench:
        await die(bench)
        assert len(await raised(bench)) == 1
        assert bench.texts == ["one", "user.expired: all"]


async def test_a_rule_that_asks_for_it_by_name_hears_of_nothing_else(tmp_path: Path) -> None:
    rules = RULES.replace("rulewave.*", "rulewave.dead_letter")
    rules += "  - {id: odd, on: user.limited, per: data.nothing, do: [{tell: {}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.limited")
        await die(bench)
        assert [event.type for event in await raised(bench)] == [
            "rulewave.could_not_evaluate", "rulewave.dead_letter",
        ]  # fmt: skip
        assert bench.texts == ["one", "rulewave.dead_letter: r"]


async def test_a_tick_of_a_clock_is_no_event_of_the_daemon_for_other_rules(tmp_path: Path) -> None:
    rules = RULES + "  - {id: hourly, on: {every: 1h}, do: [{tell: {text: tick}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.pipeline.raise_own(clock_event("hourly", START, START), b"tick")
        await bench.settle()
        assert bench.texts == ["tick"]


async def test_a_rule_that_fails_to_tell_is_a_dead_letter_and_raises_nothing(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await die(bench, [NO, NO, NO, NO])
        assert [event.type for event in await raised(bench)] == ["rulewave.dead_letter"]
        assert [ended(run) for run in await bench.runs()] == [(State.DEAD, "refused")] * 2
        assert len(bench.tell.script) == 2


async def test_a_replay_that_dies_again_is_told_again(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await die(bench)
        bench.clock.move(1)
        bench.tell.script = [ActionFailed("no, again", reason="refused")]
        await bench.desk.ask("dead", "replay", {"rule": "r"})
        await bench.settle()
        assert [data["message"] for data in await said(bench)] == ["no", "no, again"]
        assert [data["tries"] for data in await said(bench)] == [1, 1]


async def test_what_a_person_drops_is_not_told(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await die(bench)
        await bench.desk.ask("dead", "drop", {"rule": "r"})
        await bench.settle()
        assert len(await raised(bench)) == 1


async def test_it_is_explained_as_any_event(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await die(bench)
        (event,) = await raised(bench)
        told = await bench.desk.ask("events", "explain", {"id": event.id})
        assert [(line["rule"], line["verdict"]) for line in told["rules"]] == [
            ("operator", "matched"), ("r", "not matched"),
        ]  # fmt: skip
        assert told["rules"][0]["plan"]["steps"][0]["does"] == "rulewave.dead_letter: r"
        shown = await bench.desk.ask("events", "show", {"id": event.id})
        assert (shown["source"], shown["subject"]) == ("rulewave", None)
        assert shown["body"] == event.body


async def _never(_moment: int) -> bool:
    return False


async def test_an_event_that_cannot_be_stored_leaves_no_dead_letter(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await bench.event("user.expired")
        await bench.decide()
        _break(bench, "add_event")
        bench.runner.wait_until = _never
        bench.tell.script = [NO]
        await bench.work()
        assert (await bench.run()).state is State.RUNNING
        assert await raised(bench) == []
    async with open_bench(tmp_path, RULES, clock=bench.clock) as bench:
        bench.tell.script = [NO]
        await bench.settle()
        assert (await bench.run()).state is State.DEAD
        assert len(await raised(bench)) == 1


async def test_a_dead_letter_that_cannot_be_recorded_is_not_told(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await bench.event("user.expired")
        await bench.decide()
        _break(bench, "save_run")
        bench.runner.wait_until = _never
        bench.tell.script = [NO]
        await bench.work()
        assert (await bench.run()).state is State.RUNNING
        assert await raised(bench) == []


async def test_a_commit_of_decisions_that_fails_leaves_neither(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{after: {until: user.tag}, tell: {}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", tag="GOLD")
        whole = _break(bench, "mark_decided")
        with pytest.raises(Exception, match="no_such_table"):
            await bench.pipeline.decide()
        assert (await bench.runs(), await raised(bench)) == ([], [])
        bench.journal._writer._statements["mark_decided"] = whole  # type: ignore[index]
        await bench.settle()
        assert len(await raised(bench)) == 1


def _break(bench: Bench, name: str) -> str:
    """Let a statement fail as it does on a full disk; its text."""
    statements = bench.journal._writer._statements
    whole = statements[name]
    statements[name] = "select 1 from no_such_table"  # type: ignore[index]
    return whole


async def test_a_try_that_a_crash_interrupted_for_good_is_told_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await bench.event("user.expired")
        await bench.decide()
        await bench.next_job()
        run = await bench.run()
        await crash(bench.journal, run, "do.0")
        await bench.journal.write(runs.mark_irrevocable(run.id, "do.0", 1))
    async with open_bench(tmp_path, RULES, clock=bench.clock) as bench:
        (data,) = await said(bench)
        assert (data["reason"], data["step"]) == ("outcome_unknown", "mail")
        assert bench.pipeline.backlog == 1
        assert bench.pipeline.stored.is_set()
        await bench.settle()
        assert bench.texts == ["rulewave.dead_letter: r"]
    async with open_bench(tmp_path, RULES, clock=bench.clock) as bench:
        assert len(await raised(bench)) == 1


async def test_the_decider_is_rung_for_it(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        bench.tell.script = [NO]
        await bench.event("user.expired")
        await bench.decide()
        bench.pipeline.stored.clear()
        await bench.work()
        assert bench.pipeline.stored.is_set()
        assert bench.pipeline.backlog == 1
