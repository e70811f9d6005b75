"""`rulewave reload`, and what follow-ups of changed rules can be told to do, as people call them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.commands import RULES, Daemon, Place, serving

from engine.clock import from_iso

OTHER = """version: 1
rules:
  - id: welcome
    was: [greet]
    on: user.created
    do:
      - {id: said, log: {text: "welcome {{ user.key }}"}}
  - {id: silent, on: user.revoked, when: user.tag == 'NOBODY', do: [{log: {text: now}}]}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> object:
    """A daemon with one follow-up that waits."""
    with serving(tmp_path) as running:
        assert running.call("send", "user.created", "--set", "data.username=anna").code == 0
        yield running


def write(daemon: Daemon, rules: str) -> None:
    """Other rules, all at once."""
    beside = daemon.folder / "rules.next"
    beside.write_text(rules, "utf-8")
    beside.rename(daemon.folder / "rules.yaml")


def test_a_reload_tells_what_changed_and_what_becomes_of_follow_ups(daemon: Daemon) -> None:
    write(daemon, OTHER.replace("    was: [greet]\n", ""))
    done = daemon.call("reload")
    assert (done.code, done.err) == (0, "")
    told = done.out.splitlines()
    assert told[-1] == "2 rules in force"
    # The files are watched: who came first, the command or the watch, is anybody's guess.
    if told[0] == "nothing is new":
        assert told[1].startswith("the last change was read at 2")
        told = [line.removeprefix("  ") for line in told[2:]]
    assert told[:3] == ["added: welcome", "changed: silent", "removed: greet, fails"]
    assert "  1 follow-up of greet: put on hold" in told
    (line,) = daemon.call("followups", "list", "--json").json
    assert (line["state"], line["message"]) == ("on hold", "its rule is gone from the rules")


def test_a_plan_changes_nothing(tmp_path: Path) -> None:
    far = "sqlite:///nowhere.db"
    with serving(tmp_path) as daemon:
        good = RULES.replace("user.nothing", "user.username")
        broken = good.replace("log: {text: later}", "lgo: {text: later}")
        write(daemon, good)
        assert daemon.call("reload").code == 0
        done = daemon.call("reload", "--plan")
        told = done.out.splitlines()
        assert (done.code, told[0], told[-1]) == (0, "nothing is new", "3 rules would be in force")
        assert "  changed: fails" in told
        write(daemon, broken)
        done = daemon.call("reload", "--plan")
        assert done.code == 1
        assert done.out.splitlines()[0].endswith(
            'rules.yaml:7:46: R015 there is no action "lgo"; did you mean "log"?'
        )
        assert "rule greet is broken: what was in force before stays" in done.out
        told = daemon.call("reload", "--plan", "--json").json
        assert (told["ok"], told["planned"], told["rules"]) == (False, True, 3)
        assert daemon.call("reload", "--database", far).code == 1


def test_a_fault_beside_the_rules_is_told_and_does_not_stop_them(daemon: Daemon) -> None:
    write(daemon, f"{RULES}vars: {{brand: secret('x')}}\n")
    done = daemon.call("reload")
    assert done.code == 1
    assert "the rules have an error: what it spoils stays as it was\n" in done.out
    assert done.out.endswith("3 rules in force\n")


def test_mistakes_in_tests_alone_are_told_as_such(daemon: Daemon) -> None:
    wrong = "tests: [{name: t, given: [{evnt: user.created}], expect: {actions: []}}]\n"
    write(daemon, RULES + wrong)
    done = daemon.call("reload")
    assert done.code == 1
    assert "a test has an error: it can't be played, and holds no rule back\n" in done.out
    assert daemon.call("reload", "--json").json["only_tests"] is True
    write(daemon, f"{RULES}{wrong}vars: {{brand: secret('x')}}\n")
    told = daemon.call("reload", "--json").json
    assert (told["only_tests"], told["broken"]) == (False, [{"rule": None, "kept": True}])


def test_a_draft_is_planned_with_and_never_put_in_force(daemon: Daemon) -> None:
    (daemon.folder / "draft.yaml").write_text(OTHER, "utf-8")
    done = daemon.call("reload", "--plan", "draft.yaml")
    assert done.code == 0
    assert "renamed: greet is now welcome" in done.out
    assert daemon.call("reload", "draft.yaml").code == 2
    assert daemon.call("reload", "--json").json["rules"] == 3


def test_without_a_daemon_there_is_nothing_to_reload(tmp_path: Path) -> None:
    done = Place(tmp_path).call("reload")
    assert (done.code, done.out) == (1, "")
    assert "no daemon runs on sqlite:///" in done.err
    assert "its next start reads the rules" in done.err


def test_a_follow_up_on_hold_is_released_by_a_person(daemon: Daemon) -> None:
    write(daemon, "version: 1\nrules: []\n")
    assert daemon.call("reload").code == 0
    (line,) = daemon.call("followups", "list", "--state", "on hold", "--json").json
    done = daemon.call("followups", "release", line["id"])
    assert (done.code, done.out) == (0, f"{line['id']} goes on\n")
    assert (
        daemon.call("followups", "release", "--rule", "greet").out == "nothing is on hold there\n"
    )
    (line,) = daemon.call("followups", "list", "--json").json
    assert line["state"] == "pending"
    assert daemon.call("followups", "release").code == 1


def test_a_follow_up_can_be_due_now(daemon: Daemon) -> None:
    (line,) = daemon.call("followups", "list", "--json").json
    done = daemon.call("followups", "run-now", line["id"])
    assert (done.code, done.out) == (0, f"{line['id']} of rule greet (anna) is due now\n")
    shown = daemon.call("runs", "show", line["id"], "--json").json
    assert (from_iso(shown["due"]) or 0) < (from_iso(line["due"]) or 0)
    done = daemon.call("followups", "run-now", "run_x")
    assert (done.code, done.err) == (1, "there is no run run_x\n")


def test_without_a_daemon_follow_ups_are_told_the_same_way(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        assert running.call("send", "user.created", "--set", "data.username=anna").code == 0
        (line,) = running.call("followups", "list", "--json").json
    place = Place(tmp_path)
    told = place.call("followups", "run-now", line["id"], "--json")
    assert (told.code, told.json["state"]) == (0, "pending")
    done = place.call("runs", "cancel", line["id"])
    assert (done.code, done.out) == (0, f"{line['id']} of rule greet (anna) is cancelled\n")
    assert place.call("runs", "cancel", line["id"]).code == 1
