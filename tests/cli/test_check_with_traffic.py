"""`rulewave check --traffic`: rules held against what is on record."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from cli.commands import Place, serving
from running.bench import open_bench

from engine.clock import DAY
from engine.console.desk import Desk
from engine.errors import UserError
from engine.rules.lint_traffic import doubts, question
from engine.rules.loading import Loaded

_RULES = """
  - {id: greet, on: user.created, do: [{tell: {text: a}}]}
  - {id: quiet, on: user.created, when: user.tag == 'NOBODY', do: [{tell: {text: a}}]}
"""
_DRAFT = """version: 1
rules:
  - id: greet
    on: [user.created, user.first_connected, user.renewed]
    when: user.email
    do: [{log: {text: "{{ meta.expiration | default(1) }} {{ user.username }}"}}]
    empty_ok: true
  - id: untold
    on: rulewave.*
    do: [{log: {text: "{{ event }}"}}]
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A journal with three events, and the draft of other rules."""

    async def leave() -> None:
        async with open_bench(tmp_path, _RULES) as bench:
            for number in range(3):
                await bench.event("user.created", username=f"u{number}")
            await bench.settle()

    asyncio.run(leave())
    database = f"sqlite:///{tmp_path / 'bench.db'}"
    return Place(tmp_path, {"RULEWAVE_DATABASE": database}, rules=_DRAFT)


def test_what_never_came_is_told_as_a_warning_with_its_place(place: Place) -> None:
    done = place.call("check", "--traffic")
    assert done.code == 0
    file = place.folder / "rules.yaml"
    came = "is on record, though other events are; does the panel send it?"
    hint = "a setting may switch it on, or a newer version have it"
    absent = "meta.expiration was in none of the last 3 events that the rule waits for"
    assert done.out.splitlines() == [
        f"{file}:4:24: R048 no user.first_connected {came} {hint}",
        f"{file}:4:46: R048 no user.renewed {came} {hint}",
        f"{file}:6:23: R048 {absent}; rulewave events show ID tells what they hold",
        "2 rules in order, 0 errors, 3 warnings",
    ]


def test_programs_and_github_read_the_same(place: Place) -> None:
    problems = place.call("check", "--traffic", "--json").json["problems"]
    assert [one["code"] for one in problems] == ["R048"] * 3
    github = place.call("check", "--traffic", "--github").out.splitlines()
    assert [line.partition(" ")[0] for line in github] == ["::warning"] * 3


def test_without_the_option_no_journal_is_asked(place: Place) -> None:
    done = place.call("check", environ={"RULEWAVE_DATABASE": "sqlite:////nowhere/rw.db"})
    assert done.out == "2 rules in order, 0 errors, 0 warnings\n"


def test_where_there_is_no_journal_that_is_said(place: Place) -> None:
    done = place.call("check", "--traffic", "--database", f"sqlite:///{place.folder / 'no.db'}")
    assert done.code == 1
    assert "there is no journal" in done.err


def test_a_running_daemon_is_asked_over_its_socket_about_rules_that_are_not_its_own(
    tmp_path: Path,
) -> None:
    draft = tmp_path / "draft.yaml"
    draft.write_text(_DRAFT, "utf-8")
    # The daemon holds the lock of the journal: nobody else can have read it.
    with serving(tmp_path) as daemon:
        for number in range(2):
            daemon.send("user.created", f"data.username=u{number}")
        asked = daemon.call("check", str(draft), "--traffic", "--json")
        broken = daemon.call("check", "--traffic", environ={"RULEWAVE_RULES": "nowhere.yaml"})
    assert asked.code == 0
    problems = asked.json["problems"]
    assert [(one["line"], one["code"]) for one in problems] == [
        (4, "R048"),
        (4, "R048"),
        (6, "R048"),
    ]
    assert "in none of the last 2 events" in problems[2]["message"]
    assert broken.code == 1
    assert "nowhere.yaml" in broken.out


@pytest.mark.parametrize(
    ("days", "more", "expected"),
    [(31, "", ["quiet"]), (31, "empty_ok: true, ", []), (20, "", [])],
)
def test_a_rule_that_was_silent_for_a_month_is_told(
    tmp_path: Path, days: int, more: str, expected: list[str]
) -> None:
    rules = _RULES.replace("when: user.tag", f"{more}when: user.tag")

    async def story() -> list[str | None]:
        async with open_bench(tmp_path, rules) as bench:
            await bench.event("user.created", username="anna")
            await bench.settle()
            bench.clock.move(days * DAY)
            await bench.event("user.created", username="ben")
            await bench.settle()
            loaded = _loaded(bench.file, {"tell": bench.tell})
            asked = question(loaded.ruleset, loaded.places, ["user.created"])
            answer = await bench.desk.ask("traffic", "ask", {"of": json.dumps(asked)})
            return [one.rule for one in doubts(loaded.ruleset, loaded.places, answer)]

    assert asyncio.run(story()) == expected


def test_what_is_no_question_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_bench(tmp_path, _RULES) as bench:
            desk: Desk = bench.desk
            with pytest.raises(UserError, match="no question about traffic"):
                await desk.ask("traffic", "ask", {"of": "[]"})

    asyncio.run(story())


def _loaded(path: Path, actions: object) -> Loaded:
    from engine.rules.loading import load
    from engine.rules.secrets import Secrets

    return load(path, actions=actions, secrets=Secrets(None, None, {}))  # type: ignore[arg-type]
