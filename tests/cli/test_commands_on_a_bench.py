"""Commands on journals in states that are hard to meet: undecided events, runs in mid-try."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli.commands import Place
from running.bench import crash, open_bench

from engine.clock import HOUR
from engine.console.api import build_control
from engine.console.desk import Desk
from engine.model import State

RULES = """
  - id: r
    on: user.expired
    do: [{after: 1h, do: [{id: a, tell: {text: later}}]}]
  - {id: "off", mode: "off", on: user.expired, do: [{tell: {text: never}}]}
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place(tmp_path)
    found.more["RULEWAVE_DATABASE"] = f"sqlite:///{tmp_path / 'bench.db'}"
    return found


def test_an_undecided_event_is_shown_as_such(place: Place) -> None:
    async def leave() -> str:
        async with open_bench(place.folder, RULES) as bench:
            return await bench.event("user.expired")

    done = place.call("events", "show", asyncio.run(leave()))
    assert "\nrules\n  not decided yet\n" in done.out
    assert "\ndecided" not in done.out


def test_cancelling_what_is_under_way_says_that_it_will_not_be_tried_again(place: Place) -> None:
    async def leave() -> str:
        async with open_bench(place.folder, RULES) as bench:
            await bench.event("user.expired")
            await bench.settle()
            bench.clock.move(HOUR)
            await bench.handing.hand_over()
            run = await bench.run("r", "do.0")
            await crash(bench.journal, run, "do.0.do.0")
            return run.id

    id = asyncio.run(leave())
    done = place.call("followups", "cancel", id)
    assert (done.code, done.out) == (0, f"{id} is under way; it will not be tried again\n")


def test_a_try_under_way_is_shown_without_an_end(place: Place) -> None:
    async def leave() -> Any:
        async with open_bench(place.folder, RULES) as bench:
            await bench.event("user.expired")
            await bench.settle()
            bench.clock.move(HOUR)
            await bench.handing.hand_over()
            run = await bench.run("r", "do.0")
            await crash(bench.journal, run, "do.0.do.0")
            desk = bench.desk
            return await desk.ask("runs", "show", {"id": run.id})

    shown = asyncio.run(leave())
    assert shown["state"] == State.RUNNING
    (attempt,) = shown["attempts"]
    assert (attempt["ended"], attempt["seconds"], attempt["outcome"]) == (None, None, None)


def test_the_desk_says_why_a_rule_that_is_off_did_nothing(place: Place) -> None:
    async def ask() -> Any:
        async with open_bench(place.folder, RULES) as bench:
            event = await bench.event("user.expired")
            await bench.settle()
            desk = bench.desk
            return await desk.ask("events", "show", {"id": event})

    said = {line["rule"]: line["why"] for line in asyncio.run(ask())["rules"]}
    assert said["off"] == "the rule is switched off (mode: off)"


@contextmanager
def spoilt(path: Path) -> Iterator[None]:
    """A journal that answers nothing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("alter table events rename to away")
        yield
        other.execute("alter table away rename to events")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("events/list", 503, "journal_away"),
        ("events/nope", 400, "refused"),
        ("events", 404, "refused"),
        ("runs/list", 500, "bug"),
    ],
)
def test_the_control_api_answers_in_one_form(
    place: Place, path: str, status: int, code: str
) -> None:
    class Buggy(Desk):
        async def list_runs(self, params: Any) -> Any:
            raise ZeroDivisionError("ours")

    async def ask() -> tuple[int, Any]:
        async with open_bench(place.folder, RULES) as bench:
            desk = Buggy(bench.journal, bench.library, bench.clock, {})
            with spoilt(place.folder / "bench.db"):
                client = build_control(desk).test_client()
                answer = await client.post(f"/api/v1/{path}", json={})
                return answer.status_code, await answer.get_json()

    got, answer = asyncio.run(ask())
    assert got == status
    assert answer["error"]["code"] == code


def test_no_private_value_is_shown_with_what_was_decided(place: Place) -> None:
    rules = """
  - id: r
    on: user.modified
    when: "time(previous.user.subscriptionUrl) > time(user.subscriptionUrl)"
    do: [{tell: {text: never}}]
"""

    async def leave() -> Any:
        async with open_bench(place.folder, rules) as bench:
            await bench.event("user.modified", subscriptionUrl="https://sub.example/old-link")
            bench.clock.move(HOUR)
            link = "https://sub.example/new-link"
            event = await bench.event("user.modified", subscriptionUrl=link)
            await bench.settle()
            desk = bench.desk
            return await desk.ask("events", "show", {"id": event})

    shown = asyncio.run(leave())
    assert shown["decision"]["outcomes"][0]["verdict"] == "could not evaluate"
    assert "•••" in shown["decision"]["outcomes"][0]["why"]
    assert "link" not in str([shown["decision"], shown["rules"]])
