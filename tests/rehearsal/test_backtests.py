"""A backtest plays what is stored to other rules, and lays the difference beside what was done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from running.bench import START, Bench, open_bench

from engine.cli.comparing import print_comparison
from engine.clock import DAY, HOUR, ManualClock
from engine.daemon.registry import find_actions
from engine.daemon.supply import recompiler
from engine.errors import UserError
from engine.journal.reading import open_reader
from engine.rehearsal.backtesting import Backtest, Comparison
from engine.rules.loading import load
from engine.rules.secrets import Secrets

RULES = """
  - {id: greet, on: user.created, do: [{tell: {text: hello}}]}
  - id: later
    on: user.expired
    do: [{after: 1d, cancel_on: user.deleted, tell: {text: late}}]
"""

Story = Callable[[Bench], object]


def live(folder: Path, rules: str = RULES) -> dict[str, object]:
    """A story that was lived, and the actions that it was lived with."""

    async def life() -> dict[str, object]:
        async with open_bench(folder, rules, clock=ManualClock(START)) as bench:
            await bench.event("user.created", username="old")
            await bench.until("8d")
            await bench.event("user.created", username="anna", tag="VIP")
            await bench.event("user.expired", username="ben")
            await bench.event("user.expired", username="carl")
            await bench.until("8d2h")
            await bench.event("user.deleted", username="carl")
            await bench.until("10d")
            return dict(bench.runner.actions)

    return asyncio.run(life())


def played(folder: Path, rules: str, actions: dict[str, object], days: int = 7) -> Comparison:
    """The same events, played to other rules."""
    path = folder / "other.yaml"
    path.write_text(f"version: 1\nrules:\n{rules}", "utf-8")
    secrets = Secrets(None, None, {})
    loaded = load(path, actions=actions, secrets=secrets)  # type: ignore[arg-type]
    assert loaded.errors == ()
    until = START + 10 * DAY
    with open_reader(folder / "bench.db") as reader:
        tried = Backtest(
            reader,
            loaded.ruleset,
            actions,
            recompiler(actions, secrets),  # type: ignore[arg-type]
        )
        return tried.run(until - days * DAY, until)


def test_the_same_rules_would_do_what_was_done(tmp_path: Path) -> None:
    found = played(tmp_path, RULES, live(tmp_path))
    assert (found.events, found.gone, found.new) == (4, [], [])
    assert found.same == {"greet": 1, "later": 1}


def test_what_other_rules_would_do_is_the_difference(tmp_path: Path) -> None:
    rules = """
  - {id: greet, on: user.created, when: user.tag == 'OLD', do: [{tell: {text: hello}}]}
  - id: later
    on: user.expired
    do: [{after: 1h, cancel_on: user.deleted, tell: {text: late}}]
  - {id: bye, on: user.deleted, do: [{tell: {text: bye}}]}
"""
    found = played(tmp_path, rules, live(tmp_path))
    assert [(one.rule, one.what, one.at) for one in found.gone] == [
        ("greet", "tell", START + 8 * DAY)
    ]
    assert [(one.rule, one.at) for one in found.new] == [
        ("later", START + 8 * DAY + HOUR),
        ("bye", START + 8 * DAY + 2 * HOUR),
    ]
    assert found.same == {"later": 1}
    assert found.told[found.gone[0].origin].subject == "user:anna"


def test_nothing_is_done_and_the_journal_is_as_it_was(tmp_path: Path) -> None:
    actions = live(tmp_path)
    told = len(actions["tell"].told)  # type: ignore[attr-defined]
    before = (tmp_path / "bench.db").read_bytes()
    played(tmp_path, RULES, actions)
    assert len(actions["tell"].told) == told  # type: ignore[attr-defined]
    assert (tmp_path / "bench.db").read_bytes() == before


def test_earlier_states_are_known_and_earlier_deeds_are_left_alone(tmp_path: Path) -> None:
    rules = (
        "  - {id: greet, on: user.created, do: [{tell: {text: hello}}]}\n"
        "  - {id: again, on: 'user.*', when: previous.user.tag, do: [{tell: {text: x}}]}\n"
    )
    actions = live(tmp_path)

    async def once_more() -> None:
        async with open_bench(tmp_path, RULES, clock=ManualClock(START + 10 * DAY)) as bench:
            await bench.event("user.modified", username="anna", raised="10d")
            await bench.settle()

    asyncio.run(once_more())
    path = tmp_path / "bench.db"
    assert path.exists()
    found = played(tmp_path, rules, actions, days=0)
    assert [one.rule for one in found.new] == ["again"]
    assert found.gone == []


def test_an_earlier_state_is_what_the_panel_said_not_what_a_rule_raised(tmp_path: Path) -> None:
    lived = "  - {id: marks, on: user.expired, do: [{after: 1h, emit: {event: my.mark}}]}\n"
    rules = (
        "  - {id: again, on: user.modified, when: previous.event == 'user.expired',"
        " do: [{tell: {text: x}}]}\n"
    )

    async def life() -> dict[str, object]:
        async with open_bench(tmp_path, lived, clock=ManualClock(START), real=True) as bench:
            await bench.event("user.expired")
            await bench.until("5d")
            assert len(await bench.desk.ask("events", "list", {"type": "my.mark"})) == 1
            await bench.until("10d")
            await bench.event("user.modified")
            await bench.settle()
            return dict(bench.runner.actions)

    found = played(tmp_path, rules, asyncio.run(life()), days=1)
    assert [one.rule for one in found.new] == ["again"]


def test_results_are_those_that_were_recorded_else_taken_for_empty(tmp_path: Path) -> None:
    rules = """
  - id: ask
    on: user.created
    do:
      - {id: asked, tell: {text: "?"}}
      - {when: steps.asked.answer == 'yes', tell: {text: good}}
"""

    async def life() -> dict[str, object]:
        async with open_bench(tmp_path, rules) as bench:
            bench.tell.script = [{"answer": "yes"}]
            await bench.event("user.created")
            await bench.until("1h")
            return dict(bench.runner.actions)

    actions = asyncio.run(life())
    same = played(tmp_path, rules, actions, days=30)
    assert (same.gone, same.new, dict(same.assumed)) == ([], [], {})
    other = played(tmp_path, rules.replace("id: ask\n", "id: anew\n"), actions, days=30)
    assert other.assumed == {("anew", "asked"): 1}
    assert [one.rule for one in other.new] == ["anew"]


def test_a_renamed_rule_is_the_same_one(tmp_path: Path) -> None:
    rules = RULES.replace("id: greet,", "id: welcome, was: greet,")
    found = played(tmp_path, rules, live(tmp_path))
    assert (found.gone, found.new) == ([], [])
    assert found.same["welcome"] == 1


def test_without_a_journal_there_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no journal at"), open_reader(tmp_path / "x.db"):
        pass


def test_a_program_is_called_by_its_name_and_a_key_stands_for_a_missing_subject(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = """
  - id: ring
    on: service.subpage_config_changed
    per: event
    do: [{shell: {run: [/usr/bin/true, x]}}, {after: 30d, do: [{tell: {text: x}}]}]
"""

    async def life() -> dict[str, object]:
        async with open_bench(tmp_path, RULES) as bench:
            await bench.event("service.subpage_config_changed")
            await bench.until("1h")
            return {**bench.runner.actions, "shell": find_actions()["shell"]}

    found = played(tmp_path, rules, asyncio.run(life()), days=30)
    assert [(one.what, one.key) for one in found.new] == [
        ("shell /usr/bin/true x", "service.subpage_config_changed")
    ]
    print_comparison(found, None, 20)
    out = capsys.readouterr().out
    assert "shell /usr/bin/true x  service.subpage_config_changed  service.subpage_" in out
    assert "\n1 event, " in out
    assert "\n1 run would still be waiting\n" in out
