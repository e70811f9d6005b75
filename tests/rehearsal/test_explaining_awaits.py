"""What is told of a rule that waits for an event: before anything came, and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running.bench import START, Bench, body, open_bench

from engine.clock import HOUR, MINUTE, to_iso

pytestmark = pytest.mark.anyio

RULES = """
  - id: r
    on: user.expired
    do:
      - await: [user.renewed, {on: user.enabled, when: user.tag}]
        within: 1h
        cancel_on: user.deleted
        when: latest.user.email
        do:
          - tell: {text: "{{ arrived.event }} after {{ elapsed }}: {{ arrived.user.subscriptionUrl }}"}
          - tell: {text: "{{ user.key }} is back"}
          - {after: 1d, tell: {text: "asked at {{ now }}"}}
          - {after: {until: arrived.timestamp}, tell: {text: x}}
          - {after: {until: user.expireAt}, tell: {text: x}}
        else:
          - {after: 1h, tell: {text: "asked at {{ now }}"}}
"""
NOT_YET = "when it is due is known once the event has come"
LINK = "https://sub.example.org/s3cr3tl1nk"


async def plan(bench: Bench, **params: str) -> Any:
    told = await bench.desk.ask("events", "explain", params)
    assert "s3cr3tl1nk" not in json.dumps(told)
    (step,) = told["rules"][0]["plan"]["steps"]
    return step


async def test_an_await_tells_what_it_waits_for_until_when_and_what_then(tmp_path: Path) -> None:
    expired = body("user.expired", START, expireAt=to_iso(START)).decode()
    async with open_bench(tmp_path, RULES) as bench:
        step = await plan(bench, body=expired)
    assert step["await"] == [
        {"on": "user.renewed", "when": None},
        {"on": "user.enabled", "when": "user.tag"},
    ]
    assert step["cancel_on"] == [{"on": "user.deleted", "when": None}]
    assert (step["due"], step["met"], step["error"]) == (to_iso(START + HOUR), None, None)
    came, named, later, until, known = step["steps"]
    assert came["error"].startswith("it can't be told before the event has come: tell: text: ")
    assert named["does"] == "anna_k is back"
    assert (later["due"], later["error"]) == (None, NOT_YET)
    assert (until["due"], until["error"]) == (None, NOT_YET)
    assert (known["due"], known["error"]) == (to_iso(START), None)
    (instead,) = step["else"]
    assert instead["due"] == to_iso(START + 2 * HOUR)
    assert instead["steps"][0]["does"] == f"asked at {to_iso(START + 2 * HOUR)}"


async def test_of_an_await_that_was_met_it_is_told_by_what(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        id = await bench.event("user.expired")
        await bench.settle()
        bench.clock.move(MINUTE)
        by = await bench.event("user.enabled", tag="VIP", subscriptionUrl=LINK)
        await bench.settle()
        step = await plan(bench, id=id)
        run = await bench.run("r", "do.0")
    assert (step["run"], step["state"], step["met"]) == (run.id, "succeeded", by)
    assert step["due"] == to_iso(START + MINUTE)
    came, _, later, until, _ = step["steps"]
    assert came["does"] == "user.enabled after 60: •••"
    assert later["due"] == to_iso(START + MINUTE + 24 * HOUR)
    assert until["due"] == to_iso(START + MINUTE)


async def test_an_await_that_nothing_met_goes_on_with_else(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        id = await bench.event("user.expired", email="a@b.c")
        await bench.until("90m")
        step = await plan(bench, id=id)
    assert (step["state"], step["met"]) == ("succeeded", None)
    assert step["else"][0]["state"] == "pending"
    assert step["steps"][0]["does"] is None
