"""What is told of an event: by which rules, from which states, and what would come of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running.bench import START, Bench, body, open_bench

from engine.clock import HOUR, MINUTE, to_iso
from engine.deciding.rulebook import CLOCK_EVENT, CLOCK_SOURCE
from engine.errors import UserError
from engine.journal import events
from engine.journal import rules as kept
from engine.journal.operations import ask
from engine.model import Decided, Event

pytestmark = pytest.mark.anyio

RULES = """
  - id: win-back
    on: user.expired
    when: [user.email, "user.status == 'EXPIRED'"]
    do:
      - tell: {text: "link {{ user.subscriptionUrl }} for {{ user.key }}"}
      - after: 1h
        cancel_on: [user.renewed, {on: user.deleted, when: user.tag}]
        when: latest.user.status == 'EXPIRED'
        do:
          - {when: user.tag == 'NOBODY', tell: {text: "asked at {{ now }}"}}
          - {after: 1d, tell: {text: "once more"}}
  - {id: link, on: user.*, when: "user.subscriptionUrl == 'x'", do: [{tell: {text: x}}]}
  - {id: other, on: user.created, do: [{tell: {text: x}}]}
"""
LINK = "https://sub.example.org/s3cr3tl1nk"


async def explain(bench: Bench, **params: str) -> Any:
    return await bench.desk.ask("events", "explain", params)


async def lines(bench: Bench, **params: str) -> dict[str, Any]:
    return {line["rule"]: line for line in (await explain(bench, **params))["rules"]}


def expired(**fields: Any) -> bytes:
    known = {"data__status": "EXPIRED", "data__subscriptionUrl": LINK, "data__email": "a@b.c"}
    return body("user.expired", START, **{**known, **fields})


async def stored(bench: Bench, raw: bytes) -> str:
    answer = await bench.deliver(raw)
    assert answer.event_id is not None
    return answer.event_id


async def test_a_body_is_explained_with_the_plan_and_nothing_is_stored(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        told = await explain(bench, body=expired().decode())
        assert await bench.desk.ask("events", "list", {}) == []
        assert await bench.runs() == []
        assert bench.texts == []
    assert (told["event"], told["type"], told["decided"]) == (None, "user.expired", False)
    first, link, other = told["rules"]
    assert (first["rule"], first["verdict"], first["needed"]) == ("win-back", "matched", None)
    assert (link["verdict"], link["listens"]) == ("not matched", True)
    assert (other["listens"], other["needed"]) == (
        False,
        "it waits for user.created; this is user.expired",
    )
    said, followup = first["plan"]["steps"]
    assert said["does"].startswith("link ••• for ")
    assert followup["due"] == to_iso(START + HOUR)
    assert followup["cancel_on"] == [
        {"on": "user.renewed", "when": None},
        {"on": "user.deleted", "when": "user.tag"},
    ]
    asked, more = followup["steps"]
    assert (asked["does"], asked["verdict"]) == (f"asked at {to_iso(START + HOUR)}", "not matched")
    assert more["due"] == to_iso(START + 25 * HOUR)


async def test_private_values_are_masked_wherever_they_are_told(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await bench.deliver(body("user.modified", START - MINUTE, data__subscriptionUrl=LINK * 9))
        await bench.settle()
        told = await explain(bench, body=expired().decode())
    assert "needed" in told["rules"][1]
    assert told["rules"][1]["condition"]["sides"][0]["value"] == "•••"
    assert "s3cr3tl1nk" not in json.dumps(told)


async def test_a_stored_event_is_explained_by_the_rules_of_its_time(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        id = await stored(bench, expired(data__email=None))
        await bench.settle()
        assert (await explain(bench, id=id))["rules_changed"] is False
    changed = """
  - {id: win-back, on: user.expired, do: [{tell: {text: new}}]}
  - {id: other, on: user.created, do: [{tell: {text: x}}]}
"""
    async with open_bench(tmp_path, changed) as bench:
        told, shown = (
            await explain(bench, id=id),
            await bench.desk.ask("events", "show", {"id": id}),
        )
    assert told["decided"]
    assert told["rules_changed"]
    assert shown["rules_changed"]
    since = {line["rule"]: (line["verdict"], line["since"]) for line in told["rules"]}
    assert since == {
        "win-back": ("not matched", "changed"),
        "link": ("not matched", "gone"),
        "other": ("not matched", "same"),
    }
    assert told["rules"][0]["needed"] == "user.email would have to be set (it is null)"
    assert {line["rule"]: (line["verdict"], line["since"]) for line in shown["rules"]} == since


async def test_of_a_stored_event_the_runs_that_it_made_are_told(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        id = await stored(bench, expired())
        await bench.settle()
        plan = (await lines(bench, id=id))["win-back"]["plan"]
        own, child = await bench.run("win-back"), await bench.run("win-back", "do.1")
    assert (plan["run"], plan["state"]) == (own.id, "succeeded")
    followup = plan["steps"][1]
    assert (followup["run"], followup["state"]) == (child.id, "pending")
    assert followup["steps"][1]["run"] is None


async def test_a_body_is_judged_with_what_is_known_of_its_subject(tmp_path: Path) -> None:
    rules = """
  - {id: r, on: user.modified, when: "changed('user.email')", do: [{tell: {text: x}}]}
"""
    changed = body("user.modified", START, data__email="new@b.c").decode()
    async with open_bench(tmp_path, rules) as bench:
        assert (await lines(bench, body=changed))["r"]["verdict"] == "not matched"
        known = await stored(bench, body("user.modified", START - HOUR, data__email="old@b.c"))
        newer = await stored(bench, body("user.modified", START + HOUR, data__email="old@b.c"))
        told = await explain(bench, body=changed)
    assert told["rules"][0]["verdict"] == "matched"
    assert (told["previous"], told["latest"]) == (known, newer)


async def test_a_body_that_was_accepted_before_says_which_event_it_is(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        id = await stored(bench, expired())
        await bench.settle()
        told = await explain(bench, body=expired().decode() + "\n")
    assert told["event"] == id
    assert told["previous"] is None
    assert told["notes"] == [f"this body was accepted before: rulewave explain {id}"]


async def test_an_event_that_waits_is_judged_by_the_rules_in_force(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        id = await stored(bench, expired())
        told = await explain(bench, id=id)
    assert not told["decided"]
    assert told["notes"] == ["it is not decided yet: this is what the rules in force say"]
    assert told["rules"][0]["verdict"] == "matched"


async def test_a_rule_whose_connection_is_gone_still_says_why(tmp_path: Path) -> None:
    told = await _after_the_connection_went(tmp_path, "{kind: phone, token: written-out}")
    (line,) = told["rules"]
    assert (line["verdict"], line["since"], told["notes"]) == ("matched", "gone", [])
    assert line["plan"]["steps"] == []
    assert line["plan"]["note"] == "its steps can't be read any more"
    assert line["plan"]["state"] == "succeeded"


async def test_a_connection_that_is_no_longer_written_is_still_known(tmp_path: Path) -> None:
    told = await _after_the_connection_went(tmp_path, "{kind: phone}")
    (line,) = told["rules"]
    assert [step["does"] for step in line["plan"]["steps"]] == ["x"]


async def _after_the_connection_went(tmp_path: Path, connection: str) -> dict[str, Any]:
    """What explain tells of an event whose rule used that connection, a life later."""
    rules = f"""version: 1
connections: {{line: {connection}}}
rules: [{{id: r, on: user.expired, when: user.email, do: [{{tell: {{text: x, connection: line}}}}]}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        id = await stored(bench, expired())
        await bench.settle()
    async with open_bench(tmp_path, RULES) as bench:
        return await explain(bench, id=id)


async def test_what_is_no_longer_kept_is_told_and_never_guessed_at(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        first = await stored(bench, body("user.modified", START - MINUTE))
        id = await stored(bench, expired())
        await bench.settle()
        stand = await bench.desk.ask("events", "show", {"id": id})
        assert stand["decision"]["previous"] == first
        await bench.journal.write(ask("drop_event", seq=1))
        told = await explain(bench, id=id)
        assert told["notes"] == [
            "previous is no longer kept: what was read from it may look otherwise"
        ]
        await bench.journal.write(ask("blank_event", blank=2))
        with pytest.raises(UserError, match=r"what event ev_.* said is no longer kept"):
            await explain(bench, id=id)


async def test_a_rule_on_a_clock_listens_to_its_own_ticks_alone(tmp_path: Path) -> None:
    rules = """
  - {id: daily, on: [{every: 1h}, user.expired], do: [{tell: {text: x}}]}
  - {id: hourly, on: {every: 1h}, do: [{tell: {text: x}}]}
"""
    async with open_bench(tmp_path, rules) as bench:
        told = await lines(bench, body=expired().decode())
    assert told["daily"]["listens"]
    assert told["hourly"]["why"] == "it waits for its clock; this is user.expired"


async def test_a_tick_of_a_clock_is_explained_to_the_rule_that_it_is_of(tmp_path: Path) -> None:
    rules = """
  - {id: hourly, on: {every: 1h}, when: vars.on, do: [{tell: {text: x}}]}
  - {id: every, on: "*", do: [{tell: {text: x}}]}
"""
    tick = Event(
        id="ev_tick", seq=0, source=CLOCK_SOURCE, type=CLOCK_EVENT, subject=None, raised=START,
        stored=START, body={"event": CLOCK_EVENT, "data": {"rule": "hourly"}},
    )  # fmt: skip
    async with open_bench(tmp_path, rules) as bench:
        await bench.pipeline.raise_own(tick, b"tick")
        await bench.settle()
        told = await lines(bench, id="ev_tick")
    assert told["hourly"]["needed"] == "vars.on would have to be set (it is absent)"
    assert told["every"]["needed"] == "it waits for *; this is rulewave.clock"


async def test_a_rule_that_is_off_is_told_among_those_that_listen(tmp_path: Path) -> None:
    rules = """
  - {id: other, on: user.created, do: [{tell: {text: x}}]}
  - {id: idle, on: user.expired, mode: "off", do: [{tell: {text: x}}]}
"""
    async with open_bench(tmp_path, rules) as bench:
        told = await explain(bench, body=expired().decode())
    assert [(line["rule"], line["listens"]) for line in told["rules"]] == [
        ("idle", True),
        ("other", False),
    ]
    assert told["rules"][0]["needed"] == "the rule is switched off (mode: off)"


async def decided_as(bench: Bench, **record: Any) -> Any:
    """An event with such a decision record, explained."""
    id = await stored(bench, expired())
    await bench.journal.write(
        events.mark_decided([Decided(1, ("user.expired",), {"now": START, **record})], START)
    )
    return await explain(bench, id=id)


async def test_an_event_that_could_not_be_decided_says_so(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        told = await decided_as(bench, error="deciding it ended the process 3 times")
    assert (told["error"], told["rules"], told["notes"]) == (
        "deciding it ended the process 3 times",
        [],
        [],
    )


async def test_rules_that_are_no_longer_kept_are_told(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        told = await decided_as(bench, rules="forgotten")
    assert not told["decided"]
    assert told["notes"] == [
        "the rules of that time are no longer kept: this is what those in force say"
    ]


async def test_a_rule_of_that_time_that_cannot_be_read_any_more_is_told(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        content = {"rules": ["v1", "v2"], "vars": {}, "timezone": "UTC"}
        await bench.journal.write(kept.keep_ruleset("then", content, START))
        odd = {"rule": {"id": "odd", "on": "*", "surprise": 1}, "timezone": "UTC"}
        await bench.journal.write(kept.keep_version("v1", "odd", odd, START))
        told = await decided_as(bench, rules="then")
    assert told["rules"] == []
    assert told["notes"] == ["2 rule(s) of that time can't be read any more and are left out"]


async def test_what_can_only_be_told_when_it_runs_says_why(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - {id: first, tell: {text: "token {{ user.key }}"}}
      - {tell: {text: "{{ steps.first.answer }}"}}
      - {tell: {to: "{{ user.email | default('') }}", text: x}}
      - {after: {until: user.tag}, tell: {text: x}}
"""
    async with open_bench(tmp_path, rules) as bench:
        told = await lines(bench, body=expired(data__email=None, data__tag="soon").decode())
    first, second, third, last = told["r"]["plan"]["steps"]
    assert first["error"] is None
    assert second["does"] is None
    assert second["error"].startswith("it can't be told before the steps above have run: tell: ")
    assert third["error"].startswith("it would be passed over: ")
    assert (last["due"], last["error"]) == (None, "user.tag is 'soon', which is no time")


async def test_a_secret_never_stands_in_a_plan(tmp_path: Path) -> None:
    rules = """version: 1
rules:
  - id: r
    on: user.expired
    do: [{http: {post: "https://x.example.org/{{ secret('word') }}", json: user}}]
"""
    environ = {"RULEWAVE_SECRET_WORD": "abracadabra"}
    async with open_bench(tmp_path, rules, environ=environ, real=True) as bench:
        told = await explain(bench, body=expired().decode())
    assert told["rules"][0]["plan"]["steps"][0]["does"].startswith("POST https://x.example.org")
    assert "abracadabra" not in json.dumps(told)


@pytest.mark.parametrize("raw", ["{", "[]", '{"event": 5}'])
async def test_what_is_no_event_is_refused(tmp_path: Path, raw: str) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        with pytest.raises(UserError, match="this is no event"):
            await explain(bench, body=raw)
