"""docs/reference/json.md names each field that `--json` prints, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cli.commands import RULES, Daemon, serving
from docs.fenced import ROOT

_PAGE = ROOT / "docs" / "reference" / "json.md"


def _named(heading: str) -> set[str]:
    _, found, table = _PAGE.read_text("utf-8").partition(f"| {heading} |")
    assert found, heading
    rows = table.split("\n\n")[0].splitlines()[2:]
    return {row.split("`")[1] for row in rows}


@dataclass
class _Told:
    """What the commands print of one event whose rule has failed."""

    daemon: Daemon

    def ask(self, *args: str) -> Any:
        return self.daemon.call(*args, "--json").json

    def first(self, noun: str, verb: str = "list") -> Any:
        return self.ask(noun, verb)[0]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Told]:
    with serving(tmp_path_factory.mktemp("d")) as daemon:
        daemon.send("user.created", "username=anna")
        daemon.wait_for("run.step", rule="greet", state="succeeded")
        daemon.send("user.limited", "username=boris")
        daemon.wait_for("run.step", rule="fails", state="dead")
        daemon.call("send", "user.created", "--set", "event=5")
        yield _Told(daemon)


def test_the_fields_of_an_event_are_named(told: _Told) -> None:
    line = told.first("events")
    shown = told.ask("events", "show", line["id"])
    assert set(line) == _named("field of an event")
    assert set(shown) == set(line) | _named("field of an event shown")
    said = re.search(
        r"^\| `rules` \| what each rule said: ([^,]*(?:, `\w+`)*)", _text(), re.MULTILINE
    )
    assert said is not None
    assert set(re.findall(r"`(\w+)`", said[1])) == set(shown["rules"][0])


def test_the_fields_of_a_rejected_delivery_are_named(told: _Told) -> None:
    assert set(told.first("events", "rejected")) == _named("field of a rejected delivery")


@pytest.mark.parametrize("noun", ["runs", "followups", "dead"])
def test_the_fields_of_a_run_are_named(told: _Told, noun: str) -> None:
    line = told.first(noun)
    shown = told.ask(noun, "show", line["id"])
    more = _named("field of a run shown") - (set() if noun == "dead" else {"dropped"})
    assert set(line) == _named("field of a run")
    assert set(shown) == set(line) | more


def test_the_fields_of_a_try_are_named(told: _Told) -> None:
    (line,) = told.ask("dead", "show", told.first("dead")["id"])["attempts"]
    assert set(line) == _named("field of a try")


def test_the_fields_of_a_reload_and_of_a_problem_are_named(told: _Told) -> None:
    report = told.ask("reload", "--plan")
    assert set(report) == _named("field of a reload")
    (told.daemon.folder / "b.yaml").write_text(RULES.replace("log:", "lgo:"))
    check = told.ask("check", "b.yaml")
    assert set(check) == {"rules", "problems"}
    assert set(check["problems"][0]) == _named("field of a problem")


def test_the_fields_of_tests_and_of_a_backtest_are_named(told: _Told) -> None:
    rules = (
        f"{RULES}tests: [{{name: t, given: [{{event: user.created}}], expect: {{actions: []}}}}]\n"
    )
    (told.daemon.folder / "t.yaml").write_text(rules)
    tests = told.ask("test", "t.yaml")
    assert set(tests) == _named("field of what `test` prints")
    assert set(tests["tests"][0]) == _named("field of a test")
    played = told.ask("backtest", "--rules", "t.yaml")
    assert set(played) == _named("field of what `backtest` prints")


def test_the_fields_of_a_copy_are_named(told: _Told) -> None:
    made = told.ask("backup", "copy.db")
    put = told.ask("restore", "copy.db", "--database", "sqlite:///other.db")
    assert set(made) | set(put) == _named("field of a copy")


def _text() -> str:
    return _PAGE.read_text("utf-8")
