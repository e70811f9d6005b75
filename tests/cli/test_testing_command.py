"""`rulewave test` and `rulewave backtest`, as people call them."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from cli.commands import Place, command, serving

RULES = """version: 1
rules:
  - id: greet
    on: user.created
    when: user.tag == 'VIP'
    do: [{log: {text: "hello {{ user.username }}"}}]
tests:
  - name: VIPs are greeted
    rule: greet
    given: [{event: user.created, data: {tag: VIP, username: anna}}]
    expect: {actions: [{at: 0s, log: {text: "*anna"}}]}
  - name: others are "not" <greeted>
    rule: greet
    given: [{event: user.created, data: {tag: OLD}}]
    expect: {actions: [{log: {text: hello*}}]}
"""
FINE = RULES.rpartition("  - name:")[0]
SAME = RULES.partition("tests:")[0]
WRONG_TEST = "tests: [{name: t, rule: nobody, expect: {actions: []}}]\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, rules=RULES)


def test_each_test_has_a_line_and_a_failing_one_both_sides(place: Place) -> None:
    done = place.call("test", "rules.yaml")
    assert (done.code, done.err) == (1, "")
    assert done.out.splitlines()[:3] == [
        "ok     VIPs are greeted",
        'FAILED others are "not" <greeted>  (rules.yaml:12)',
        "       expected                                      | happened",
    ]
    assert '       log {text: "hello*"}                          | nothing\n' in done.out
    assert "why not: greet: user.created: user.tag would have to be 'VIP' (it is 'OLD')" in done.out
    assert done.out.splitlines()[-1].startswith("2 tests: 1 passed, 1 failed in ")


def test_where_all_pass_the_exit_is_zero(place: Place) -> None:
    done = place.call("test", "-k", "vips")
    assert (done.code, done.out.splitlines()[-1][:18]) == (0, "1 test: 1 passed i")
    assert sorted(one.name for one in place.folder.iterdir()) == ["rules.yaml"]


def test_a_choice_that_means_no_test_is_told(place: Place) -> None:
    done = place.call("test", "--rule", "nobody")
    assert (done.code, done.err) == (1, "none of the 2 tests is meant by that\n")


def test_mistakes_in_the_rules_are_told_first_and_fail(place: Place) -> None:
    (place.folder / "rules.yaml").write_text(FINE.replace("when:", "whn:"))
    done = place.call("test")
    assert done.code == 1
    assert ' R007 there is no key "whn" here; did you mean "when"?' in done.out
    assert "FAILED VIPs are greeted" in done.out
    assert "! there is no rule greet in force" in done.out


def test_the_results_are_there_as_json(place: Place) -> None:
    told = place.call("test", "--json").json
    assert (told["ok"], told["passed"], told["failed"]) == (False, 1, 1)
    assert [test["ok"] for test in told["tests"]] == [True, False]
    assert told["tests"][1]["holds_back"] == ["greet"]


def test_junit_takes_the_results_whatever_the_names(place: Place) -> None:
    assert place.call("test", "--junit", "out.xml").code == 1
    (suite,) = fromstring((place.folder / "out.xml").read_bytes())  # ours
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    fine, failed = suite
    assert (fine.get("classname"), fine.get("name"), len(fine)) == ("greet", "VIPs are greeted", 0)
    assert failed.get("name") == 'others are "not" <greeted>'
    (failure,) = failed
    assert failure.get("message") == 'expected log {text: "hello*"}; happened: nothing'


def test_a_terminal_gets_colours(place: Place) -> None:
    ours, theirs = pty.openpty()
    subprocess.run(
        command("test"), stdout=theirs, check=False, cwd=place.folder, env=place.environ, timeout=60
    )
    os.close(theirs)
    assert b"\x1b[32mok\x1b[0m" in os.read(ours, 65536)
    os.close(ours)


def test_a_backtest_beside_a_running_daemon_shows_the_difference_first(tmp_path: Path) -> None:
    with serving(tmp_path, rules=SAME) as daemon:
        daemon.send("user.created", "username=anna", "tag=VIP")
        daemon.send("user.created", "username=ben", "tag=OLD")
        daemon.wait_for("run.step", rule="greet")
        (tmp_path / "new.yaml").write_text(SAME.replace("'VIP'", "'OLD'"))
        done = daemon.call("backtest", "--rules", "new.yaml", "--since", "1h")
        told = daemon.call("backtest", "--rules", "new.yaml", "--json").json
        assert daemon.call("events", "list", "--json").json != []
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "would be done no more: 1"
    assert "user:anna" in lines[2]
    assert lines[3] == "would be done newly: 1"
    assert "user:ben" in lines[5]
    assert told["rules"] == [{"rule": "greet", "done": 1, "would": 1, "no_more": 1, "new": 1}]
    assert (told["differs"], told["events"]) == (True, 3)  # rulewave.started is one too


def test_rules_with_mistakes_are_not_played(tmp_path: Path) -> None:
    place = Place(tmp_path, rules=SAME.replace("on:", "onn:"))
    done = place.call("backtest", "--rules", "rules.yaml")
    assert done.code == 1
    assert " R007 there is no key" in done.err


def test_a_backtest_is_of_one_path_and_of_rules_that_there_are(tmp_path: Path) -> None:
    with serving(tmp_path, rules=SAME) as daemon:
        daemon.send("user.created", "username=anna", "tag=VIP")
        daemon.wait_for("run.step", rule="greet")
        (tmp_path / "new.yaml").write_text(SAME.replace("id: greet", "id: hello") + WRONG_TEST)
        for rule in ("greet", "hello"):
            done = daemon.call("backtest", "new.yaml", "--rule", rule)
            assert (done.code, done.err, "user:anna" in done.out) == (0, "", True)
        none = daemon.call("backtest", "new.yaml", "--rule", "helo")
        assert daemon.call("backtest").code == 2
        assert daemon.call("backtest", "new.yaml", "--rules", "new.yaml").code == 2
    assert (none.code, none.out) == (1, "")
    assert none.err.startswith("there is no rule helo, and none of that name has done anything")
    assert 'did you mean "hello"?' in none.err


def test_a_backtest_needs_a_journal(tmp_path: Path) -> None:
    done = Place(tmp_path, rules=SAME).call("backtest", "--rules", "rules.yaml")
    assert done.code == 1
    assert done.err.startswith("there is no journal at")
