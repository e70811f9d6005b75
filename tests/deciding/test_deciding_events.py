"""What becomes of an event: names, previous and latest, verdicts, plans, the decision record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from running.bench import START, ended, envelope, open_bench

from engine.clock import to_iso
from engine.model import State

pytestmark = pytest.mark.anyio


async def test_all_matching_rules_fire_in_the_order_of_the_file(tmp_path: Path) -> None:
    rules = """
  - {id: b, on: user.expired, do: [{tell: {text: b}}]}
  - {id: a, on: "user.*", do: [{tell: {text: a}}]}
  - {id: c, on: user.enabled, do: [{tell: {text: c}}]}
"""
    async with open_bench(tmp_path, rules) as bench:
        event = await bench.event("user.expired")
        await bench.settle()
        assert bench.texts == ["b", "a"]
        assert await bench.verdicts(event) == {"b": "matched", "a": "matched"}


async def test_a_rule_fires_once_however_many_of_its_names_match(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: [user.expiration, user.expires_in_24_hours, "user.expires_in_*_hours", "*"]
    do: [{tell: {text: once}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        event = await bench.event("user.expiration", meta__expiration=-24)
        await bench.settle()
        assert await bench.names(event) == ("user.expiration", "user.expires_in_24_hours")
        assert bench.texts == ["once"]


@pytest.mark.parametrize(("panel", "sent"), [("1.5.6", "user.expires_in_24_hours"), ("3.3", "user.expiration")])  # fmt: skip
@pytest.mark.parametrize("on", ["user.expires_in_24_hours", "user.expiration"])
async def test_a_rule_on_either_name_of_an_expiry_notice_works_on_every_panel(
    tmp_path: Path, panel: str, sent: str, on: str
) -> None:
    rules = f'  - {{id: r, on: {on}, do: [{{tell: {{text: "{{{{ event }}}} {{{{ meta.expiration }}}}"}}}}]}}'
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expires_in_24_hours", panel=panel)
        await bench.settle()
        assert bench.texts == [f"{sent} -24"]


@pytest.mark.parametrize(
    ("pattern", "fires"),
    [
        ("user.expired", True),
        ("user.*", True),
        ("*.expired", True),
        ("*", True),
        ("user.expire", False),
        ("rulewave.*", False),
    ],
)
async def test_globs(tmp_path: Path, pattern: str, fires: bool) -> None:
    rules = f'  - {{id: r, on: "{pattern}", do: [{{tell: {{text: x}}}}]}}'
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.settle()
        assert bench.texts == (["x"] if fires else [])


@pytest.mark.parametrize(
    ("per", "event", "key"),
    [
        ("", "user.expired", "anna_k"),
        ("", "user_hwid_devices.added", "anna_k"),
        ("", "node.connection_lost", None),
        ("", "service.panel_started", ""),
        ("per: none", "user.expired", ""),
        ("per: user.tag", "user.expired", "VIP"),
        ("per: user.hwidDeviceLimit", "user.expired", "3"),
        ("per: '[user.tag, user.username]'", "user.expired", '["VIP", "anna_k"]'),
    ],
)
async def test_whom_a_run_is_about(tmp_path: Path, per: str, event: str, key: str | None) -> None:
    rules = f"""
  - id: r
    on: {event}
    {per}
    do: [{{tell: {{text: "{{{{ key }}}}"}}}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event(event)
        await bench.settle()
        run = await bench.run()
        assert key is None or run.key == key
        assert bench.texts == [run.key]


async def test_a_key_that_comes_out_null_could_not_be_evaluated(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, per: user.tag, do: [{tell: {text: x}}]}"
    async with open_bench(tmp_path, rules) as bench:
        event = await bench.event("user.expired", tag=None)
        await bench.settle()
        (outcome,) = (await bench.record(event))["outcomes"]
        assert outcome["verdict"] == "could not evaluate"
        assert outcome["why"] == "per: user.tag is null for this event"
        assert await bench.runs() == []


@pytest.mark.parametrize("per", ["&data", "[&data]"])
async def test_a_key_that_is_no_value_stops_neither_other_rules_nor_later_events(
    tmp_path: Path, per: str
) -> None:
    rules = f"""
  - {{id: r, on: user.expired, per: "{per}", do: [{{after: 1m, cancel_on: user.deleted, log: {{text: x}}}}]}}
  - {{id: fine, on: "user.*", do: [{{tell: {{text: fine}}}}]}}
"""
    async with open_bench(tmp_path, rules, real=True) as bench:
        event = await bench.event("user.expired")
        await bench.event("user.deleted")
        await bench.settle()
        assert await bench.verdicts(event) == {"r": "could not evaluate", "fine": "matched"}
        assert bench.texts == ["fine", "fine"]


async def test_a_rule_that_is_off_does_nothing(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, mode: off, do: [{tell: {text: x}}]}"
    async with open_bench(tmp_path, rules.replace("off,", '"off",')) as bench:
        event = await bench.event("user.expired")
        await bench.settle()
        assert await bench.verdicts(event) == {}
        assert bench.texts == []


@pytest.mark.parametrize(
    ("when", "verdict"),
    [
        ("user.tag == 'VIP'", "matched"),
        ("[user.tag == 'VIP', user.email]", "matched"),
        ("{all: [user.tag == 'VIP', user.nothing]}", None),
        ("{any: [user.nothing, user.tag == 'VIP']}", "matched"),
        ("{not: user.tag == 'VIP'}", None),
        ("{not: {any: [user.nothing, user.tag == 'NO']}}", "matched"),
        ("\"contains(data.nothing, 'x')\"", "could not evaluate"),
        ("{any: [\"contains(data.nothing, 'x')\", user.email]}", "matched"),
        ("{all: [\"contains(data.nothing, 'x')\", user.nothing]}", None),
        ("{all: [\"contains(data.nothing, 'x')\", user.email]}", "could not evaluate"),
    ],
)
async def test_the_four_outcomes_are_never_merged(
    tmp_path: Path, when: str, verdict: str | None
) -> None:
    rules = f"""
  - id: r
    on: user.expired
    when: {when}
    do: [{{tell: {{text: x}}}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        event = await bench.event("user.expired")
        await bench.settle()
        assert (await bench.verdicts(event)).get("r") == verdict
        assert bench.texts == (["x"] if verdict == "matched" else [])


async def test_a_rule_that_cannot_be_evaluated_leaves_the_others_alone(tmp_path: Path) -> None:
    rules = """
  - {id: bad, on: user.expired, when: "contains(data.nothing, 'x')", do: [{tell: {text: x}}]}
  - {id: good, on: user.expired, do: [{tell: {text: good}}]}
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.settle()
        assert bench.texts == ["good"]


# -------------------------------------------------------------------------- previous and latest


SEEN = """
  - id: r
    on: user.modified
    do:
      - tell:
          text: >-
            {{ previous.user.tag | default('-') }} {{ user.tag }} {{ latest.user.tag }}
"""


async def test_previous_is_the_state_before_by_the_events_own_timestamps(tmp_path: Path) -> None:
    async with open_bench(tmp_path, SEEN) as bench:
        for tag, raised in (("A", "1m"), ("C", "3m"), ("B", "2m")):
            await bench.event("user.modified", raised=raised, tag=tag)
            await bench.settle()
        assert bench.texts == ["- A A", "A C C", "A B C"]


async def test_previous_and_latest_belong_to_the_same_subject(tmp_path: Path) -> None:
    async with open_bench(tmp_path, SEEN) as bench:
        await bench.event("user.modified", raised="1m", tag="A", username="anna")
        await bench.event("user.modified", raised="2m", tag="B", username="boris")
        await bench.settle()
        assert bench.texts == ["- A A", "- B B"]


async def test_an_event_without_subject_has_no_previous(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: service.panel_started
    do: [{tell: {text: "{{ previous is none }} {{ latest.event }}"}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("service.panel_started", raised="1m")
        await bench.event("service.panel_started", raised="2m")
        await bench.settle()
        assert bench.texts == ["true service.panel_started"] * 2


@pytest.mark.parametrize(
    ("event", "before", "after", "renewed"),
    [
        ("user.modified", 0, 1, True),
        ("user.enabled", 0, 1, True),
        ("user.modified", 1, 1, False),
        ("user.modified", 1, 0, False),
        ("user.disabled", 0, 1, False),
    ],
)
async def test_a_renewal_is_a_later_end_than_the_last_one_known(
    tmp_path: Path, event: str, before: int, after: int, renewed: bool
) -> None:
    rules = "  - {id: r, on: user.renewed, do: [{tell: {text: thanks}}]}"
    ends = ("2026-02-01T00:00:00.000Z", "2026-03-01T00:00:00.000Z")
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.created", raised="0m", expireAt=ends[before])
        await bench.event(event, raised="1m", expireAt=ends[after])
        await bench.settle()
        assert bench.texts == (["thanks"] if renewed else [])


async def test_the_first_event_of_a_user_is_no_renewal(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.renewed, do: [{tell: {text: thanks}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.modified")
        await bench.settle()
        assert bench.texts == []


# ------------------------------------------------------------------- the record, decided once


async def test_the_decision_record_says_what_was_decided_and_from_what(tmp_path: Path) -> None:
    rules = """
  - {id: yes, on: user.modified, do: [{tell: {text: x}}]}
  - {id: no, on: user.modified, when: user.tag == 'NO', do: [{tell: {text: x}}]}
  - {id: hm, on: user.modified, when: "contains(data.nothing, 'x')", do: [{tell: {text: x}}]}
"""
    async with open_bench(tmp_path, rules) as bench:
        first = await bench.event("user.created", raised="1m")
        newest = await bench.event("user.created", raised="9m")
        event = await bench.event("user.modified", raised="2m")
        await bench.settle()
        record = await bench.record(event)
        assert record["rules"] == bench.library.book.ruleset.hash
        assert record["now"] == bench.clock.now()
        assert (record["previous"], record["latest"]) == (first, newest)
        assert [(line["rule"], line["verdict"]) for line in record["outcomes"]] == [
            ("yes", "matched"),
            ("hm", "could not evaluate"),
        ]
        versions = {rule.id: rule.version for rule in bench.library.book.ruleset.rules}
        assert {line["rule"]: line["version"] for line in record["outcomes"]}.items() <= versions.items()  # fmt: skip
        assert "could not be evaluated" in record["outcomes"][1]["why"]


async def test_an_event_that_nobody_waits_for_is_decided_all_the_same(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{tell: {text: x}}]}"
    async with open_bench(tmp_path, rules) as bench:
        answer = await bench.deliver(envelope("something.new", START, field=[1, {"deep": None}]))
        await bench.settle()
        assert answer.event_id is not None
        assert (await bench.record(answer.event_id))["outcomes"] == []


async def test_unknown_events_and_fields_can_be_matched(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: something.new
    when: data.field[1].deep == `7`
    do: [{tell: {text: "{{ scope }} {{ data.field[1].deep }}"}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.deliver(envelope("something.new", START, field=[1, {"deep": 7}]))
        await bench.settle()
        assert bench.texts == ["something 7"]


async def test_a_run_remembers_where_it_comes_from(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{tell: {text: x}}]}"
    async with open_bench(tmp_path, rules) as bench:
        event = await bench.event("user.expired", raised="-5m")
        await bench.settle()
        run = await bench.run()
        assert (run.origin, run.origin_seq, run.generation) == (event, 1, 0)
        assert run.origin_raised == bench.moment("-5m")
        assert ended(run) == (State.SUCCEEDED, None)


async def test_vars_and_now_are_there_to_ask(tmp_path: Path) -> None:
    rules = f"""version: 1
vars: {{brand: Example}}
rules:
  - id: r
    description: Says hello
    on: user.expired
    when: [vars.brand == 'Example', "time(now) == `{START // 1_000_000}`"]
    do: [{{tell: {{text: "{{{{ vars.brand }}}} {{{{ now }}}} {{{{ rule.id }}}}"}}}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.settle()
        assert bench.texts == [f"Example {to_iso(START)} r"]


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        ({"panel": "1.5.6", "usedTrafficBytes": 50}, "50 number"),
        ({"panel": "3.3", "usedTrafficBytes": 50}, "50 number"),
    ],
)
async def test_conditions_see_the_same_user_on_every_panel(
    tmp_path: Path, fields: dict[str, Any], seen: str
) -> None:
    rules = """
  - id: r
    on: user.expired
    when: user.usedTrafficBytes == `50`
    do: [{tell: {text: "{{ user.usedTrafficBytes }} number"}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", **fields)
        await bench.settle()
        assert bench.texts == [seen]
