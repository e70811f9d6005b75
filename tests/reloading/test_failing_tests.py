"""A test that fails keeps its rules from being loaded: what was in force before stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from running.bench import open_bench

from engine.rehearsal import testing
from engine.rules import codes

pytestmark = pytest.mark.anyio

GREET = "  - {id: greet, on: user.created, do: [{tell: {text: %s}}]}\n"
OTHER = "  - {id: other, on: user.deleted, do: [{tell: {text: bye}}]}\n"
TEST = """tests:
  - name: friendly
    rule: greet
    given: [{event: user.created}]
    expect: {actions: [{tell: {text: hello}}]}
"""


def file(word: str, more: str = OTHER, test: str = TEST) -> str:
    return f"version: 1\nrules:\n{GREET % word}{more}{test}"


async def test_a_failing_test_holds_back_its_rule_and_no_other(tmp_path: Path) -> None:
    async with open_bench(tmp_path, file("hello", more="")) as bench:
        report = await bench.reload(file("go away"))
        (problem,) = report.standing.problems
        assert (problem.code, problem.rule, problem.line) == (codes.TEST_FAILED, "greet", 6)
        assert problem.message == (
            'the test "friendly" fails: expected tell {text: "hello"};'
            ' happened: 0s tell of greet {text: "go away"}'
        )
        assert report.as_json()["broken"] == [{"rule": "greet", "kept": True}]
        await bench.event("user.created")
        await bench.event("user.deleted")
        await bench.settle()
        assert bench.texts == ["hello", "bye"]


async def test_nothing_of_a_test_is_done_or_stored(tmp_path: Path) -> None:
    async with open_bench(tmp_path, file("hello")) as bench:
        await bench.settle()
        assert bench.texts == []
        assert await bench.desk.ask("events", "list", {}) == []
        assert await bench.runs() == []


async def test_a_rule_that_never_passed_is_left_out_at_a_start(tmp_path: Path) -> None:
    async with open_bench(tmp_path, file("go away"), broken=True) as bench:
        assert [rule.id for rule in bench.library.book.ruleset.rules] == ["other"]


async def test_the_last_version_that_passed_serves_a_restart(tmp_path: Path) -> None:
    async with open_bench(tmp_path, file("hello")):
        pass
    async with open_bench(tmp_path, file("go away"), broken=True) as bench:
        await bench.event("user.created")
        await bench.settle()
        assert bench.texts == ["hello"]


async def test_without_a_rule_named_all_that_acted_are_held_back(tmp_path: Path) -> None:
    both = "  - {id: other, on: user.*, do: [{tell: {text: bye}}]}\n"
    test = TEST.replace("    rule: greet\n", "")
    async with open_bench(tmp_path, file("hello", more="")) as bench:
        report = await bench.reload(file("hello", more=both, test=test))
        assert sorted(report.standing.broken) == ["greet", "other"]
        assert report.standing.kept == {"greet"}


async def test_a_plan_runs_the_tests_and_changes_nothing(tmp_path: Path) -> None:
    async with open_bench(tmp_path, file("hello")) as bench:
        draft = tmp_path / "draft.yaml"
        draft.write_text(file("go away"), "utf-8")
        report = await bench.reloader.plan(draft)
        assert [problem.code for problem in report.standing.problems] == [codes.TEST_FAILED]
        assert bench.reloader.standing.well


async def test_a_test_that_blames_nobody_is_told_all_the_same(tmp_path: Path) -> None:
    test = "tests: [{name: t, given: [{event: user.limited}], expect: {actions: [{tell: {}}]}}]\n"
    async with open_bench(tmp_path, file("hello")) as bench:
        report = await bench.reload(file("hello", test=test))
        assert list(report.standing.broken) == [""]
        assert len(report.standing.ruleset.rules) == 2


async def test_a_rule_with_a_mistake_is_told_once_and_blames_nobody_else(tmp_path: Path) -> None:
    nameless = """  - name: both
    given: [{event: user.created}, {event: user.deleted}]
    expect: {actions: [{tell: {text: hello}}, {tell: {text: bye}}]}
"""
    broken = file("hello", test=TEST + nameless).replace("on: user.created", "onn: x")
    async with open_bench(tmp_path, broken, broken=True) as bench:
        found = {(problem.code, problem.rule) for problem in bench.reloader.standing.problems}
        assert found == {(codes.UNKNOWN_KEY, "greet"), (codes.MISSING_KEY, "greet")}
        assert [rule.id for rule in bench.library.book.ruleset.rules] == ["other"]


async def test_tests_that_do_not_end_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing, "MOST_SECONDS", 0.05)
    often = "  - {id: often, on: {every: 1s}, do: [{tell: {text: x}}]}\n"
    test = "tests: [{name: t, rule: often, until: 90d, expect: {dead: []}}]\n"
    async with open_bench(tmp_path, file("hello")) as bench:
        report = await bench.reload(file("hello", more=often, test=test))
        (problem,) = report.standing.problems
        assert (problem.rule, "it takes too long" in problem.message) == ("often", True)
