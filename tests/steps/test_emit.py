"""emit: events of one's own, raised once, counted in their depth, no state of anybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruletools import told
from running.bench import open_bench

from engine.clock import MINUTE
from engine.daemon.registry import find_actions
from engine.errors import ActionFailed, JournalUnavailable
from engine.journal import events
from engine.model import State
from engine.rules.loading import load
from engine.rules.secrets import Secrets

pytestmark = pytest.mark.anyio

VIP = """
  - id: notices
    on: user.expired
    do:
      - id: said
        emit: {event: vip.lost, data: "{days: `3`, tags: data.list}"}
      - tell: {text: "{{ steps.said.event_id }}"}
  - id: answers
    on: vip.*
    do: [{tell: {text: "{{ event }} {{ user.key }} {{ data.days + 1 }} {{ meta.depth }}"}}]
"""
LOOP = """
  - {id: a, on: user.expired, do: [{emit: {event: my.ping}}]}
  - {id: b, on: my.ping, do: [{emit: {event: my.pong}}]}
  - {id: c, on: my.pong, do: [{emit: {event: my.ping}}]}
"""


async def test_a_rule_answers_to_what_another_one_raises(tmp_path: Path) -> None:
    async with open_bench(tmp_path, VIP, real=True) as bench:
        await bench.event("user.expired", list=[1, "x"])
        await bench.settle()
        first, second = bench.texts
        assert second == "vip.lost anna_k 4 1"
        stored = await bench.desk.ask("events", "show", {"id": first})
        assert (stored["type"], stored["source"], stored["subject"]) == (
            "vip.lost", "emit", "user:anna_k",
        )  # fmt: skip
        data = stored["body"]["data"]
        assert (data["days"], data["tags"], data["user"]["username"]) == (3, [1, "x"], "anna_k")
        assert stored["body"]["meta"]["chain"] == ["notices: vip.lost"]


async def test_data_may_be_a_mapping_of_templates(tmp_path: Path) -> None:
    rules = """
  - {id: a, on: user.expired, do: [{emit: {event: my.own, data: {text: "x {{ user.key }}"}}}]}
  - {id: b, on: my.own, per: none, do: [{tell: {text: "{{ data.text }}"}}]}
"""
    async with open_bench(tmp_path, rules, real=True) as bench:
        await bench.event("user.expired")
        await bench.settle()
        assert bench.texts == ["x anna_k"]


async def test_another_try_raises_no_second_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bench(tmp_path, VIP, real=True) as bench:
        emit = bench.runner.actions["emit"]
        honest = type(emit).run

        async def fails_after(self: Any, params: Any, call: Any) -> dict[str, Any]:
            await honest(self, params, call)
            if call.attempt == 1:
                raise ActionFailed("crashed behind it", retry=True)
            return await honest(self, params, call)

        monkeypatch.setattr(type(emit), "run", fails_after)
        await bench.event("user.expired", list=[])
        await bench.until("1h")
        found = await bench.desk.ask("events", "list", {"type": "vip.lost"})
        assert len(found) == 1
        assert len(bench.texts) == 2


async def test_where_the_journal_is_away_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bench(tmp_path, VIP, real=True) as bench:
        store = events.store
        away = [True]

        def unwell(event: Any, digest: bytes) -> Any:
            if event.source == "emit" and away:
                away.clear()
                raise JournalUnavailable("away")
            return (yield from store(event, digest))

        monkeypatch.setattr(events, "store", unwell)
        await bench.event("user.expired", list=[])
        await bench.until("1h")
        assert len(bench.texts) == 2


async def test_rules_that_raise_for_one_another_end_at_a_depth_of_eight(tmp_path: Path) -> None:
    async with open_bench(tmp_path, LOOP, real=True) as bench:
        await bench.event("user.expired")
        await bench.settle()
        raised = await bench.desk.ask("events", "list", {})
        own = [line for line in raised if line["source"] == "emit"]
        assert len(own) == 8
        (dead,) = await bench.runs(state="dead")
        assert dead.reason == "too_deep"
        assert dead.message is not None
        assert dead.message.startswith(
            "rules raise events for one another more than 8 deep: a: my.ping, then b: my.pong, then"
        )


async def test_a_rule_on_dead_letters_that_raises_cannot_loop(tmp_path: Path) -> None:
    rules = """
  - {id: a, on: [user.expired, my.again], per: none, do: [{tell: {text: x}, retry: {tries: 1}}]}
  - {id: b, on: rulewave.dead_letter, do: [{emit: {event: my.again}}]}
"""
    async with open_bench(tmp_path, rules, real=True) as bench:
        bench.tell.script += [ActionFailed("no")] * 100
        await bench.event("user.expired")
        await bench.settle()
        assert len(bench.texts) == 9
        assert {run.reason for run in await bench.runs(state="dead")} == {"failed", "too_deep"}


async def test_what_a_panel_says_of_its_depth_counts_for_nothing(tmp_path: Path) -> None:
    from running.bench import body

    raw = body("user.expired", 1_767_603_600_000_000, "3.3")
    forged = raw.replace(
        b'"event"', b'"meta":{"depth":8,"chain":["x","x","x","x","x","x","x","x"]},"event"', 1
    )
    async with open_bench(tmp_path, VIP, real=True) as bench:
        await bench.deliver(forged)
        await bench.settle()
        assert [run.state for run in await bench.runs(rule="notices")] == [State.SUCCEEDED]


async def test_it_is_no_state_of_its_subject(tmp_path: Path) -> None:
    rules = """
  - {id: a, on: user.expired, do: [{emit: {event: my.own}}]}
  - id: b
    on: [user.enabled, my.own]
    do: [{tell: {text: "{{ event }} {{ latest.event }} {{ previous.event | default('none') }}"}}]
"""
    async with open_bench(tmp_path, rules, real=True) as bench:
        await bench.event("user.expired")
        await bench.until("1m")
        await bench.event("user.enabled")
        await bench.settle()
        assert bench.texts == [
            "my.own user.expired none", "user.enabled user.enabled user.expired",
        ]  # fmt: skip


@pytest.mark.parametrize("order", ["before", "after"])
async def test_it_cancels_what_waits_for_the_same_key(tmp_path: Path, order: str) -> None:
    rules = """
  - id: a
    on: user.expired
    do: [{after: 1h, cancel_on: my.own, tell: {text: "{{ user.key }}"}}]
  - {id: b, on: user.enabled, do: [{emit: {event: my.own}}]}
"""
    async with open_bench(tmp_path, rules, real=True) as bench:
        bench.clock.move(5 * MINUTE)
        types = ["user.expired", "user.enabled"]
        moments = {"user.expired": "1m", "user.enabled": "2m"}
        for type in types if order == "after" else types[::-1]:
            await bench.event(type, raised=moments[type])
            await bench.settle()
        await bench.until("3h")
        assert bench.texts == []


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ("rulewave.mine", "events whose names begin with rulewave. are raised by Rulewave alone"),
        ("user.expired", '"user.expired" is an event of the panel'),
        ("user.expires_in_5_hours", "is an event of the panel"),
        ("my.*", '"my.*" is no event type'),
        ("my event", '"my event" is no event type'),
    ],
)
async def test_names_that_are_not_one_s_own_are_refused(
    tmp_path: Path, event: str, says: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        f"version: 1\nrules:\n  - {{id: a, on: user.expired, do: [{{emit: {{event: '{event}'}}}}]}}\n"
    )
    loaded = load(path, actions=find_actions(), secrets=Secrets(None, None, {}))
    (problem,) = told(loaded.problems)
    assert says in problem


async def test_a_name_that_a_rule_raises_is_not_doubted_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    doubtful = "  - {id: z, on: your.own, do: [{log: {text: x}}]}\n"
    path.write_text(f"version: 1\nrules:{LOOP}{doubtful}")
    loaded = load(path, actions=find_actions(), secrets=Secrets(None, None, {}))
    doubted = [problem for problem in told(loaded.problems) if "no panel sends" in problem]
    assert len(doubted) == 1
    assert 'no panel sends "your.own"' in doubted[0]


async def test_data_that_is_no_mapping_is_a_dead_letter(tmp_path: Path) -> None:
    rules = "\n  - {id: a, on: user.expired, do: [{emit: {event: my.own, data: user.username}}]}\n"
    async with open_bench(tmp_path, rules, real=True) as bench:
        await bench.event("user.expired")
        await bench.settle()
        assert (await bench.run("a")).reason == "bad_parameters"


async def test_credentials_are_not_carried_along(tmp_path: Path) -> None:
    rules = """
  - id: a
    on: user.expired
    do: [{emit: {event: my.own, data: "{user: {username: 'ben', trojanPassword: 'abcdefgh'}}"}}]
"""
    async with open_bench(tmp_path, rules, real=True) as bench:
        await bench.event("user.expired")
        await bench.settle()
        (line,) = await bench.desk.ask("events", "list", {"type": "my.own"})
        shown = await bench.desk.ask("events", "show", {"id": line["id"]})
        assert shown["body"]["data"] == {"user": {"username": "ben"}}
        assert shown["subject"] == "user:ben"
