"""Follow-ups of a living daemon: called off, waited for, late; in whatever order events arrive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from daemon.in_process import Ahead, Running, Site, tell

from engine.clock import HOUR, MINUTE, SECOND, from_iso, to_iso

CANCELLED = """
version: 1
rules:
  - id: r
    on: user.expired
    do: [{{after: {after}, cancel_on: user.enabled, log: {{text: x}}}}]
  - {{id: other, on: user.expired, do: [{{after: {after}, log: {{text: x}}}}]}}
"""
AWAITED = """
version: 1
rules:
  - id: r
    on: user.expired
    do:
      - await: user.enabled
        within: {within}
        do: [{{log: {{text: "{{{{ arrived.event }}}} after {{{{ elapsed }}}}"}}}}]
        else: [{{log: {{text: nobody}}}}]
  - {{id: other, on: user.expired, do: [{{after: {within}, log: {{text: x}}}}]}}
"""
NINE = from_iso("2026-01-05T09:00:00.000Z") or 0


async def post(running: Running, type: str, minute: int) -> None:
    """Deliver an event of anna that says it was raised at that minute after nine."""
    moment = to_iso(NINE + minute * MINUTE)
    data = {"username": "anna"}
    body = {"scope": "user", "event": type, "timestamp": moment, "data": data}
    assert await running.post(json.dumps(body).encode()) == 202


async def stand(running: Running, number: int, state: str) -> None:
    """Wait until so many runs stand so."""
    await running.until("/metrics", f'rulewave_runs{{state="{state}"}} {number}.0')


async def followup(running: Running, rule: str = "r") -> tuple[str, list[str]]:
    """How a rule's follow-up stands, and which of its steps were tried."""
    desk = running.engine.desk
    lines = await desk.ask("runs", "list", {"rule": rule})
    (id,) = [line["id"] for line in lines if line["step"] == "do.0"]
    run = await desk.ask("runs", "show", {"id": id})
    return run["state"], [attempt["step"] for attempt in run["attempts"]]


def test_an_event_that_overtook_the_first_one_cancels(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        await post(running, "user.enabled", 2)
        await post(running, "user.expired", 1)
        await stand(running, 1, "cancelled")
        assert await followup(running) == ("cancelled", [])

    tell(Site(tmp_path, CANCELLED.format(after="1h")), story)


def test_an_event_that_comes_while_it_is_waited_for_cancels(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        await post(running, "user.expired", 1)
        await stand(running, 2, "pending")
        await post(running, "user.enabled", 2)
        await stand(running, 1, "cancelled")
        assert await followup(running) == ("cancelled", [])

    tell(Site(tmp_path, CANCELLED.format(after="1h")), story)


def test_an_old_event_that_comes_late_does_not_cancel(tmp_path: Path) -> None:
    clock = Ahead()

    async def story(running: Running) -> None:
        await post(running, "user.expired", 2)
        await stand(running, 2, "pending")
        await post(running, "user.enabled", 1)
        await running.until("/metrics", "rulewave_backlog 0.0")
        await clock.pass_by(running, HOUR)
        await stand(running, 4, "succeeded")
        assert await followup(running) == ("succeeded", ["do.0.do.0"])

    tell(Site(tmp_path, CANCELLED.format(after="1h"), clock=clock), story)


def test_an_event_in_the_backlog_at_the_due_time_cancels(tmp_path: Path) -> None:
    clock = Ahead()

    async def story(running: Running) -> None:
        await post(running, "user.expired", 1)
        await stand(running, 2, "pending")
        async with running.engine.journal.deciding:
            await post(running, "user.enabled", 2)
            await clock.pass_by(running, HOUR)
            await stand(running, 3, "succeeded")  # the other rule's, which was due as well
            assert await followup(running) == ("pending", [])
        await stand(running, 1, "cancelled")
        assert await followup(running) == ("cancelled", [])

    tell(Site(tmp_path, CANCELLED.format(after="1h"), clock=clock), story)


@pytest.mark.parametrize("order", ["in order", "overtaking"])
def test_an_event_that_is_waited_for_meets_its_await(tmp_path: Path, order: str) -> None:
    async def story(running: Running) -> None:
        events = [("user.expired", 1), ("user.enabled", 2)]
        for type, minute in events if order == "in order" else events[::-1]:
            await post(running, type, minute)
        await stand(running, 3, "succeeded")
        assert await followup(running) == ("succeeded", ["do.0.do.0"])

    tell(Site(tmp_path, AWAITED.format(within="1h")), story)


def test_an_await_that_nothing_meets_goes_on_with_else(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        await post(running, "user.expired", 2)
        await post(running, "user.enabled", 1)  # an old one
        await stand(running, 4, "succeeded")
        assert await followup(running) == ("succeeded", ["do.0.else.0"])

    tell(Site(tmp_path, AWAITED.format(within="1s")), story)


def test_an_event_in_the_backlog_at_the_end_of_the_span_meets_the_await(tmp_path: Path) -> None:
    clock = Ahead()

    async def story(running: Running) -> None:
        await post(running, "user.expired", 1)
        await stand(running, 2, "pending")
        async with running.engine.journal.deciding:
            await post(running, "user.enabled", 2)
            await clock.pass_by(running, HOUR)
            await stand(running, 3, "succeeded")
            assert await followup(running) == ("pending", [])
        await stand(running, 4, "succeeded")
        assert await followup(running) == ("succeeded", ["do.0.do.0"])

    tell(Site(tmp_path, AWAITED.format(within="1h"), clock=clock), story)


def test_an_await_goes_on_over_a_restart(tmp_path: Path) -> None:
    async def before(running: Running) -> None:
        await post(running, "user.expired", 1)
        await stand(running, 2, "pending")

    async def after(running: Running) -> None:
        await post(running, "user.enabled", 2)
        await stand(running, 3, "succeeded")
        assert await followup(running) == ("succeeded", ["do.0.do.0"])

    site = Site(tmp_path, AWAITED.format(within="1h"))
    tell(site, before)
    tell(site, after)


LATE = """
version: 1
rules:
  - {id: skips, on: user.expired, do: [{after: 1h, if_late: skip, log: {text: x}}]}
  - {id: within, on: user.expired, do: [{after: 1h, if_late: {within: 1d}, log: {text: x}}]}
  - {id: runs, on: user.expired, do: [{after: 1h, log: {text: x}}]}
"""


@pytest.mark.parametrize(
    ("late", "end", "tried"),
    [(2 * SECOND, "succeeded", ["do.0.do.0"]), (HOUR, "expired", [])],
)
def test_a_restart_of_seconds_drops_nothing_and_a_long_one_what_may_not_be_late(
    tmp_path: Path, late: int, end: str, tried: list[str]
) -> None:
    async def before(running: Running) -> None:
        await post(running, "user.expired", 1)
        await stand(running, 3, "pending")

    async def after(running: Running) -> None:
        await stand(running, 6 if end == "succeeded" else 5, "succeeded")
        assert await followup(running, "skips") == (end, tried)
        for rule in ("within", "runs"):
            assert await followup(running, rule) == ("succeeded", ["do.0.do.0"])

    tell(Site(tmp_path, LATE), before)
    tell(Site(tmp_path, LATE, clock=Ahead(HOUR + late)), after)
