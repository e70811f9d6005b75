"""What is broken keeps its last good version, over a restart too, and stops nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from running.bench import Bench, open_bench

from engine.console.desk import Desk

pytestmark = pytest.mark.anyio

ONE = "  - {id: one, on: user.expired, do: [{tell: {text: one}}]}\n"
TWO = "  - {id: two, on: user.expired, do: [{tell: {text: two}}]}\n"
ONE_BROKEN = "  - {id: one, on: user.expired, do: [{tlel: {text: one}}]}\n"
TWO_NEW = "  - {id: two, on: user.expired, do: [{tell: {text: two anew}}]}\n"
HEAD = "version: 1\nrules:\n"


async def told(bench: Bench, name: str) -> list[str]:
    """What one more event makes the rules tell."""
    bench.tell.told.clear()
    await bench.event("user.expired", username=name)
    await bench.settle()
    return sorted(bench.texts)


async def own(bench: Bench, type: str) -> list[dict[str, Any]]:
    """The data of the daemon's own events of a type, oldest first."""
    found = await bench.desk.ask("events", "list", {"type": type})
    shown = [await bench.desk.ask("events", "show", {"id": event["id"]}) for event in found]
    return [event["body"]["data"] for event in shown][::-1]


async def test_a_broken_rule_keeps_its_last_good_version_while_the_others_change(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, ONE + TWO) as bench:
        report = await bench.reload(ONE_BROKEN + TWO_NEW)
        assert report.as_json()["broken"] == [{"rule": "one", "kept": True}]
        assert await told(bench, "anna") == ["one", "two anew"]
        await bench.reload(TWO_NEW)
        assert await told(bench, "ben") == ["two anew"]


async def test_the_last_good_version_serves_a_restart_too(tmp_path: Path) -> None:
    async with open_bench(tmp_path, ONE + TWO) as bench:
        pass
    for life in ("first", "second"):
        async with open_bench(tmp_path, ONE_BROKEN + TWO_NEW, broken=True) as bench:
            assert await told(bench, life) == ["one", "two anew"]


async def test_a_broken_rule_that_never_was_good_is_left_out(tmp_path: Path) -> None:
    async with open_bench(tmp_path, TWO) as bench:
        report = await bench.reload(ONE_BROKEN + TWO)
        assert report.as_json()["broken"] == [{"rule": "one", "kept": False}]
        assert await told(bench, "anna") == ["two"]


async def test_a_doubled_key_breaks_only_its_rule(tmp_path: Path) -> None:
    async with open_bench(tmp_path, ONE + TWO) as bench:
        doubled = "  - {id: one, on: user.created, on: user.expired, do: [{tell: {text: 1}}]}\n"
        await bench.reload(doubled + TWO_NEW)
        assert await told(bench, "anna") == ["one", "two anew"]


async def test_where_a_rules_very_id_is_mistyped_nothing_that_seems_gone_goes(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, ONE + TWO) as bench:
        await bench.reload(ONE.replace("id: one", "id: On_e") + TWO_NEW)
        assert await told(bench, "anna") == ["one", "two anew"]


async def test_a_rename_with_a_mistake_in_it_keeps_the_rule_under_its_old_id(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, ONE + TWO) as bench:
        renamed = ONE_BROKEN.replace("id: one,", "id: new, was: [one],")
        await bench.reload(renamed + TWO)
        assert await told(bench, "anna") == ["one", "two"]


@pytest.mark.parametrize(
    "text", ["rules: [", "", "version: 1\n", "version: 1\nrules: 5\n", "- a list\n", "\t\n"]
)
async def test_a_file_that_says_nothing_keeps_everything_over_a_restart_too(
    tmp_path: Path, text: str
) -> None:
    async with open_bench(tmp_path, ONE + TWO) as bench:
        bench.file.write_text(text)
        report = await bench.reloader.reload()
        assert not report.standing.well
        assert report.as_json()["broken"] == [{"rule": None, "kept": True}]
        assert await told(bench, "anna") == ["one", "two"]
    async with open_bench(tmp_path, ONE) as bench:
        pass
    async with open_bench(tmp_path, "rules: [", broken=True) as bench:
        assert bench.reloader.standing.decides
        assert await told(bench, "ben") == ["one"]


async def test_a_file_that_is_gone_keeps_everything(tmp_path: Path) -> None:
    async with open_bench(tmp_path, ONE) as bench:
        bench.file.unlink()
        report = await bench.reloader.reload()
        assert not report.standing.well
        assert await told(bench, "anna") == ["one"]


PHONE = """version: 1
connections: {{line: {line}}}
vars: {{greeting: {greeting}}}
rules:
  - {{id: one, on: user.expired, do: [{{tell: {{text: "{{{{ vars.greeting }}}}", connection: line}}}}]}}
"""


async def test_a_broken_connection_keeps_its_last_good_one_over_a_restart_too(
    tmp_path: Path,
) -> None:
    good = PHONE.format(line='{kind: phone, number: "5"}', greeting="hi")
    broken = PHONE.format(line='{kind: phone, nubmer: "6"}', greeting="ho")
    async with open_bench(tmp_path, good) as bench:
        report = await bench.reload(broken)
        assert report.as_json()["broken"] == [{"rule": None, "kept": True}]
        assert await told(bench, "anna") == ["ho"]
        assert bench.tell.told[-1].call.connection.number == "5"  # type: ignore[union-attr]
    async with open_bench(tmp_path, broken, broken=True) as bench:
        assert await told(bench, "ben") == ["ho"]
        assert bench.tell.told[-1].call.connection.number == "5"  # type: ignore[union-attr]


async def test_a_kept_rule_keeps_its_connection_and_variables(tmp_path: Path) -> None:
    good = PHONE.format(line='{kind: phone, number: "5"}', greeting="hi")
    async with open_bench(tmp_path, good) as bench:
        await bench.reload(HEAD + ONE_BROKEN)
        assert await told(bench, "anna") == ["hi"]
    async with open_bench(tmp_path, HEAD + ONE_BROKEN, broken=True) as bench:
        assert await told(bench, "ben") == ["hi"]
        assert bench.tell.told[-1].call.connection.number == "5"  # type: ignore[union-attr]


async def test_a_password_that_is_written_out_is_in_no_journal(tmp_path: Path) -> None:
    rules = PHONE.format(line="{kind: phone, token: hunter22hunter22}", greeting="hi")
    async with open_bench(tmp_path, rules) as bench:
        assert await told(bench, "anna") == ["hi"]
    with closing(sqlite3.connect(tmp_path / "bench.db")) as database:
        assert "hunter22" not in "".join(database.iterdump())


async def test_a_reload_resolves_connections_and_their_secrets_anew(tmp_path: Path) -> None:
    rules = PHONE.format(line="{kind: phone, token: \"secret('line')\"}", greeting="hi")
    secrets = {"RULEWAVE_SECRET_LINE": "old-value"}
    async with open_bench(tmp_path, rules, environ=secrets) as bench:
        for value in ("old-value", "new-value"):
            secrets["RULEWAVE_SECRET_LINE"] = value
            await bench.reloader.reload()
            await told(bench, value)
            assert bench.tell.told[-1].call.connection.token == value  # type: ignore[union-attr]


async def test_without_any_good_rule_events_wait_until_there_is_one(tmp_path: Path) -> None:
    async with open_bench(tmp_path, ONE_BROKEN, broken=True) as bench:
        assert not bench.reloader.standing.decides
        await bench.event("user.expired")
        await bench.reload(ONE)
        assert bench.reloader.standing.decides
        await bench.settle()
        assert bench.texts == ["one"]


async def test_a_rule_that_breaks_is_told_once_and_once_more_when_it_breaks_again(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, ONE + TWO) as bench:
        for text in (ONE_BROKEN + TWO, ONE_BROKEN + TWO, ONE_BROKEN + TWO_NEW):
            await bench.reload(text)
        (first,) = await own(bench, "rulewave.rule_broken")
        assert (first["rule"], first["kept"]) == ("one", True)
        assert 'R015 there is no action "tlel"; did you mean "tell"?' in first["message"]
        clock = bench.clock
    async with open_bench(tmp_path, ONE_BROKEN + TWO, broken=True, clock=clock) as bench:
        assert len(await own(bench, "rulewave.rule_broken")) == 1
        clock.move(1)
        await bench.reload(ONE + TWO)
        await bench.reload(ONE_BROKEN + TWO)
        assert [data["rule"] for data in await own(bench, "rulewave.rule_broken")] == ["one"] * 2


async def test_what_was_decided_while_a_rule_was_broken_is_explained_by_its_last_good_version(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, ONE) as bench:
        await bench.reload(ONE_BROKEN)
        id = await bench.event("user.expired")
        await bench.settle()
        desk: Desk = bench.desk
        shown = await desk.ask("events", "explain", {"id": id})
        assert [(line["rule"], line["verdict"]) for line in shown["rules"]] == [("one", "matched")]
