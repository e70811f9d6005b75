"""What cancels a follow-up and what does not, in whatever order the events arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from running.bench import ended, open_bench
from running.called_off import BACK, CANCELLED, followup

from engine.clock import MINUTE
from engine.model import State

pytestmark = pytest.mark.anyio

Happening = tuple[str, str, dict[str, Any]]


async def told_after(folder: Path, rules: str, *happenings: Happening) -> list[str]:
    """What was told in the end, where these events arrived and were decided one after the other."""
    async with open_bench(folder, rules) as bench:
        for type, raised, fields in happenings:
            await bench.event(type, raised=raised, **fields)
            await bench.settle()
        await bench.until("3h")
        return bench.texts


async def test_a_cancelling_event_calls_the_follow_up_off_and_says_so(tmp_path: Path) -> None:
    async with open_bench(tmp_path, BACK) as bench:
        await bench.event("user.expired")
        bench.clock.move(MINUTE)
        by = await bench.event("user.enabled")
        await bench.until("2h")
        run = await bench.run("r", "do.0")
        assert ended(run) == CANCELLED
        assert run.cancelled_by == by
        assert run.message == f"cancelled by user.enabled, event {by}"
        assert bench.texts == []


async def test_other_subjects_do_not_cancel(tmp_path: Path) -> None:
    async with open_bench(tmp_path, BACK) as bench:
        await bench.event("user.expired", username="anna")
        bench.clock.move(MINUTE)
        await bench.event("user.enabled", username="boris")
        await bench.until("2h")
        assert bench.texts == ["anna"]


@pytest.mark.parametrize(
    ("cancel_on", "event", "fields", "cancels"),
    [
        ("user.enabled", "user.disabled", {}, False),
        ("'user.*'", "user.disabled", {}, True),
        ("'user.*'", "user_hwid_devices.added", {}, False),
        ("'*'", "user_hwid_devices.added", {}, True),
        ("[user.deleted, user.enabled]", "user.enabled", {}, True),
        ("{on: user.enabled, when: user.tag == 'VIP'}", "user.enabled", {"tag": "VIP"}, True),
        ("{on: user.enabled, when: user.tag == 'VIP'}", "user.enabled", {"tag": "NO"}, False),
        ("{on: [user.deleted, user.enabled]}", "user.enabled", {}, True),
        ("[user.deleted, {on: user.enabled, when: user.tag == 'VIP'}]", "user.enabled", {"tag": "NO"}, False),
        ("[{on: user.enabled, when: user.tag == 'A'}, {on: user.enabled, when: user.tag == 'B'}]", "user.enabled", {"tag": "B"}, True),
        ("{on: user.enabled, when: user.tag == origin.user.tag}", "user.enabled", {"tag": "VIP"}, True),
        ("{on: user.enabled, when: user.tag == origin.user.tag}", "user.enabled", {"tag": "NO"}, False),
        ("{on: user.enabled, when: \"contains(user.tag, 'V')\"}", "user.enabled", {"tag": None}, False),
    ],
)  # fmt: skip
async def test_what_cancel_on_may_say(
    tmp_path: Path, cancel_on: str, event: str, fields: dict[str, Any], cancels: bool
) -> None:
    rules = f"""
  - id: r
    on: user.expired
    do:
      - after: 1h
        cancel_on: {cancel_on}
        tell: {{text: fired}}
"""
    for folder, in_one_batch in (("one", True), ("two", False)):
        (tmp_path / folder).mkdir()
        async with open_bench(tmp_path / folder, rules) as bench:
            await bench.event("user.expired", tag="VIP")
            bench.clock.move(MINUTE)
            if not in_one_batch:
                await bench.settle()
            await bench.event(event, **fields)
            await bench.until("2h")
            assert bench.texts == ([] if cancels else ["fired"])


async def test_a_renewal_cancels_by_its_alias(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expires_in_24_hours
    do: [{after: 1h, cancel_on: user.renewed, tell: {text: "{{ user.key }}"}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        for name in ("anna", "boris"):
            await bench.event(
                "user.expiration", username=name, expireAt="2026-01-06T09:00:00.000Z",
                meta__expiration=-24,
            )  # fmt: skip
        bench.clock.move(MINUTE)
        renewed = await bench.event(
            "user.modified", username="anna", expireAt="2026-02-06T09:00:00.000Z"
        )
        await bench.event("user.modified", username="boris", expireAt="2026-01-06T09:00:00.000Z")
        await bench.until("2h")
        assert await bench.names(renewed) == ("user.modified", "user.renewed")
        assert bench.texts == ["boris"]
        anna = next(run for run in await bench.runs() if run.path and run.key == "anna")
        assert anna.message == f"cancelled by user.modified (user.renewed), event {renewed}"


@pytest.mark.parametrize(
    ("origin", "canceller", "canceller_first", "fires"),
    [
        ("10m", "11m", False, False),  # in order
        ("10m", "11m", True, False),  # the canceller arrived first, but was raised later
        ("10m", "9m", False, True),  # raised before the origin
        ("10m", "9m", True, True),
        ("10m", "10m", False, False),  # same timestamp: the one stored later cancels
        ("10m", "10m", True, True),
    ],
)
@pytest.mark.parametrize("batches", ["one batch", "two batches"])
async def test_own_timestamps_decide_and_arrival_breaks_ties(
    tmp_path: Path, origin: str, canceller: str, canceller_first: bool, fires: bool, batches: str
) -> None:
    events = [("user.expired", origin), ("user.enabled", canceller)]
    async with open_bench(tmp_path, BACK) as bench:
        bench.clock.move(15 * MINUTE)
        for type, raised in reversed(events) if canceller_first else events:
            await bench.event(type, raised=raised)
            if batches == "two batches":
                await bench.settle()
        await bench.until("3h")
        assert bench.texts == (["anna_k"] if fires else [])
        assert await followup(bench) == ((State.SUCCEEDED, None) if fires else CANCELLED)


@pytest.mark.parametrize("per", ["per: none", "per: data.tag", "per: user.email"])
@pytest.mark.parametrize("order", ["later", "earlier"])
async def test_a_key_of_ones_own_finds_its_cancellers(tmp_path: Path, per: str, order: str) -> None:
    rules = f"""
  - id: r
    on: user.expired
    {per}
    do: [{{after: 1h, cancel_on: user.enabled, tell: {{text: "{{{{ user.key }}}}"}}}}]
"""
    origin: Happening = ("user.expired", "1m", {"username": "anna"})
    canceller: Happening = ("user.enabled", "2m", {"username": "boris"})
    events = [origin, canceller] if order == "later" else [canceller, origin]
    assert await told_after(tmp_path, rules, *events) == []


@pytest.mark.parametrize("order", ["later", "earlier"])
async def test_another_key_of_ones_own_does_not_cancel(tmp_path: Path, order: str) -> None:
    rules = """
  - id: r
    on: user.expired
    per: user.tag
    do: [{after: 1h, cancel_on: user.enabled, tell: {text: "{{ key }}"}}]
"""
    origin: Happening = ("user.expired", "1m", {"tag": "A"})
    others: list[Happening] = [
        ("user.enabled", "2m", {"tag": "B"}),
        ("user.enabled", "3m", {"tag": None}),
    ]
    events = [origin, *others] if order == "later" else [*others, origin]
    assert await told_after(tmp_path, rules, *events) == ["A"]


async def test_events_without_subject_cancel_by_the_one_key_for_all(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: service.panel_started
    do: [{after: 1h, cancel_on: service.login_attempt_success, tell: {text: nobody came}}]
"""
    canceller: Happening = ("service.login_attempt_success", "2m", {})
    origin: Happening = ("service.panel_started", "1m", {})
    assert await told_after(tmp_path, rules, canceller, origin) == []


@pytest.mark.parametrize("order", ["later", "earlier"])
async def test_the_condition_of_a_canceller_sees_what_it_changed(
    tmp_path: Path, order: str
) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - after: 1h
        cancel_on: {on: user.modified, when: "previous.user.tag == 'OLD' && changed('user.tag')"}
        tell: {text: fired}
"""
    before: Happening = ("user.created", "0m", {"tag": "OLD"})
    origin: Happening = ("user.expired", "1m", {"tag": "OLD"})
    canceller: Happening = ("user.modified", "2m", {"tag": "NEW"})
    events = [origin, canceller] if order == "later" else [canceller, origin]
    assert await told_after(tmp_path, rules, before, *events) == []
