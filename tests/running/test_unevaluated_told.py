"""A rule that can't be evaluated raises `rulewave.could_not_evaluate`: once an hour."""

from __future__ import annotations

from pathlib import Path

import pytest
from running.bench import open_bench
from running.told import raised, said

from engine.clock import HOUR
from engine.sources.own import COULD_NOT_EVALUATE, EVENTS

pytestmark = pytest.mark.anyio

ODD = "  - {id: odd, on: user.expired, when: time(user.tag) > `0`, do: [{tell: {}}]}\n"
OPERATOR = (
    "  - {id: operator, on: rulewave.*, do: [{tell: {text: '{{ data.rule }}: {{ data.why }}'}}]}"
)
WHY = 'time() needs a time like 2026-01-05T09:00:00Z, not "GOLD"'


async def test_it_names_the_rule_the_event_and_why(tmp_path: Path) -> None:
    async with open_bench(tmp_path, ODD + OPERATOR) as bench:
        id = await bench.event("user.expired", username="anna", tag="GOLD")
        await bench.settle()
        (data,) = await said(bench)
        assert WHY in data.pop("why")
        assert data == {"rule": "odd", "event": "user.expired", "event_id": id, "key": "anna"}
        assert {*data, "why"} == EVENTS[COULD_NOT_EVALUATE].fields.keys()
        assert len(bench.texts) == 1
        assert bench.texts[0].startswith("odd: time(user.tag)")


async def test_it_comes_once_an_hour_for_each_version_of_each_rule(tmp_path: Path) -> None:
    rules = ODD + ODD.replace("odd", "other")
    async with open_bench(tmp_path, rules) as bench:
        for minutes in (0, 1, 59, 60, 61):
            await bench.event("user.expired", username=f"u{minutes}", tag="GOLD")
            await bench.event("user.expired", username=f"v{minutes}", tag="GOLD")
            await bench.until(f"{minutes}m")
        assert [data["rule"] for data in await said(bench)] == ["odd", "other"] * 2
    async with open_bench(tmp_path, ODD.replace("`0`", "`1`"), clock=bench.clock) as bench:
        await bench.event("user.expired", tag="GOLD")
        await bench.settle()
        assert len(await raised(bench)) == 5
        bench.clock.move(HOUR)
        await bench.event("user.expired", tag=None)
        await bench.settle()
        assert len(await raised(bench)) == 6


async def test_a_key_that_comes_out_null_is_told_without_one(tmp_path: Path) -> None:
    rules = "  - {id: odd, on: user.expired, per: user.tag, do: [{tell: {}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", tag=None)
        await bench.settle()
        (data,) = await said(bench)
        assert (data["key"], data["why"]) == ("", "per: user.tag is null for this event")


@pytest.mark.parametrize("function", ["abs", "time"])
async def test_private_values_are_masked_also_where_they_are_cut_short(
    tmp_path: Path, function: str
) -> None:
    link = "https://sub.example.org/" + "s3cr3t" * 20
    rules = ODD.replace("time(user.tag)", f"{function}(user.subscriptionUrl)")
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", subscriptionUrl=link)
        await bench.settle()
        (data,) = await said(bench)
        assert "•••" in data["why"]
        assert "s3cr3t" not in data["why"]


async def test_a_rule_that_cannot_be_evaluated_for_it_raises_nothing(tmp_path: Path) -> None:
    rules = ODD + ODD.replace("odd", "loop").replace("user.expired", '"rulewave.*"')
    rules = rules.replace("time(user.tag)", "time(key)")
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", username="anna")
        await bench.settle()
        (event,) = await raised(bench)
        assert await bench.verdicts(event.id) == {"loop": "could not evaluate"}


async def test_a_decision_that_is_not_committed_raises_nothing(tmp_path: Path) -> None:
    async with open_bench(tmp_path, ODD) as bench:
        await bench.event("user.expired", tag="GOLD")
        statements = bench.journal._writer._statements
        whole = statements["mark_decided"]
        statements["mark_decided"] = "select 1 from no_such_table"  # type: ignore[index]
        with pytest.raises(Exception, match="no_such_table"):
            await bench.pipeline.decide()
        assert await raised(bench) == []
        statements["mark_decided"] = whole  # type: ignore[index]
        await bench.settle()
        assert len(await raised(bench)) == 1
