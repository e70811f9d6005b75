"""The answer to a delivery: what is stored, what is refused, and what never reaches the disk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from panel_deliveries import PanelDelivery, deliveries
from running.bench import SECRET, START, Bench, body, envelope, open_bench, signed, undecided

from engine.clock import DAY, MINUTE, to_iso
from engine.errors import JournalUnavailable
from engine.journal import listing
from engine.model import Delivery
from engine.sources import catalogue
from engine.sources.signature import sign

pytestmark = pytest.mark.anyio

RULES = "  - {id: r, on: user.expired, do: [{tell: {text: x}}]}"


async def rejected(bench: Bench) -> list[dict[str, Any]]:
    return [dict(row) for row in await bench.journal.read(listing.rejected(100))]


async def test_a_genuine_event_is_stored_before_it_is_answered(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        answer = await bench.deliver(body("user.expired", START))
        assert (answer.status, answer.code) == (202, "accepted")
        assert bench.pipeline.stored.is_set()
        with closing(sqlite3.connect(tmp_path / "bench.db")) as other:
            assert other.execute("select id from events").fetchall() == [(answer.event_id,)]


async def test_the_same_body_again_is_a_duplicate_with_the_same_id(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        raw = body("user.expired", START)
        first = await bench.deliver(raw)
        for _ in range(3):
            again = await bench.deliver(raw)
            assert (again.status, again.code) == (200, "duplicate")
            assert again.event_id == first.event_id
        await bench.settle()
        assert await bench.deliver(raw) == again
        await bench.settle()
        assert bench.texts == ["x"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ((), 401, "signature_missing"),
        (((b"X-Remnawave-Signature", b"0" * 64),), 401, "signature_wrong"),
        (((b"X-Remnawave-Signature", b"zz"),), 401, "signature_malformed"),
        (((b"X-Remnawave-Signature", "Анна".encode()),), 401, "signature_malformed"),
        (((b"X-Remnawave-Signature", b"0" * 64),) * 2, 400, "signature_doubled"),
    ],
)
async def test_a_delivery_that_does_not_prove_itself_leaves_no_trace(
    tmp_path: Path, headers: tuple[tuple[bytes, bytes], ...], status: int, code: str
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        answer = await bench.pipeline.accept(Delivery(headers, b'{"event":"user.expired"}'))
        assert (answer.status, answer.code, answer.event_id) == (status, code, None)
        assert await undecided(bench) == 0
        assert await rejected(bench) == []


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b"[" * 100_000])
async def test_nothing_is_parsed_before_it_is_verified(tmp_path: Path, raw: bytes) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        answer = await bench.pipeline.accept(
            Delivery(((b"X-Remnawave-Signature", b"0" * 64),), raw)
        )
        assert (answer.status, answer.code) == (401, "signature_wrong")
        assert await rejected(bench) == []


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "not_json"),
        (b"[]", "not_an_object"),
        (b"{}", "no_event"),
        (b'{"event":5}', "no_event"),
        (b"\xff", "not_utf8"),
        (b"[" * 100_000, "too_deep"),
        (b'{"event":"rulewave.dead_letter","data":{}}', "own_event"),
        (b'{"event":"rulewave.clock","data":{"rule":"r"}}', "own_event"),
        (b'{"event":"x","n":1' + b"0" * 10_000 + b"}", "number_too_large"),
    ],
)
async def test_a_genuine_delivery_that_is_no_event_is_kept_among_the_rejected(
    tmp_path: Path, raw: bytes, code: str
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        answer = await bench.deliver(raw)
        assert (answer.status, answer.code) == (400, code)
        (kept,) = await rejected(bench)
        assert (kept["code"], kept["stored"]) == (code, START)
        assert await undecided(bench) == 0


async def test_a_rejected_delivery_is_kept_without_its_credentials(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await bench.deliver(b'{"data":{"trojanPassword":"hunter2","username":"anna"}}')
        await bench.deliver(b'{"event":"user.created","data":{"trojanPassword":"hunter2"')
        texts = [row["body"] for row in await rejected(bench)]
        assert not any("hunter2" in text for text in texts)
        assert '"username":"anna"' in texts[1]


async def test_only_the_last_thousand_rejected_deliveries_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.journal.events.KEPT_REJECTED", 3)
    async with open_bench(tmp_path, RULES) as bench:
        for number in range(5):
            await bench.deliver(b"[%d]" % number)
        assert [row["body"] for row in await rejected(bench)] == ["[4]", "[3]", "[2]"]


async def test_an_event_that_is_too_old_is_refused_but_a_known_one_is_a_duplicate(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RULES, max_age=DAY) as bench:
        raw = body("user.expired", START)
        await bench.deliver(raw)
        bench.clock.move(DAY + MINUTE)
        known = await bench.deliver(raw)
        assert (known.status, known.code) == (200, "duplicate")
        old = await bench.deliver(body("user.expired", START + 1000))
        assert (old.status, old.code) == (400, "too_old")
        fresh = await bench.deliver(body("user.expired", START + 2 * MINUTE))
        assert fresh.status == 202


async def test_without_a_limit_no_event_is_too_old(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        assert (await bench.deliver(body("user.expired", START - 3650 * DAY))).status == 202


@pytest.mark.parametrize("timestamp", [None, 5, "yesterday", "2026-01-05", "9999-99-99T00:00:00Z"])
async def test_an_event_without_a_readable_timestamp_counts_as_raised_now(
    tmp_path: Path, timestamp: object
) -> None:
    async with open_bench(tmp_path, RULES, max_age=DAY) as bench:
        raw = json.dumps({"event": "user.expired", "timestamp": timestamp}).encode()
        answer = await bench.deliver(raw)
        assert answer.status == 202
        stored = await bench.journal.read(listing.event(str(answer.event_id)))
        assert stored is not None
        assert stored.event.raised == START


async def test_a_backlog_at_its_limit_is_answered_with_503_until_it_is_worked_off(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RULES, max_backlog=2) as bench:
        known = envelope("a.b", START, n=0)
        assert (await bench.deliver(known)).status == 202
        assert (await bench.deliver(envelope("a.b", START, n=1))).status == 202
        full = await bench.deliver(envelope("a.b", START, n=2))
        assert (full.status, full.code) == (503, "backlog_full")
        assert (await bench.deliver(known)).status == 200
        await bench.settle()
        assert (await bench.deliver(envelope("a.b", START, n=2))).status == 202


async def test_the_backlog_is_counted_anew_at_each_start(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        await bench.deliver(envelope("a.b", START))
    async with open_bench(tmp_path, RULES, clock=bench.clock, max_backlog=1) as bench:
        assert bench.pipeline.backlog == 1
        assert bench.pipeline.stored.is_set()
        assert (await bench.deliver(envelope("a.c", START))).status == 503


async def test_what_cannot_be_stored_is_answered_with_503_and_nothing_is_kept(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        with closing(sqlite3.connect(tmp_path / "bench.db", isolation_level=None)) as other:
            other.execute("alter table events rename to away")
            other.execute("alter table rejected rename to away_too")
            for raw in (body("user.expired", START), b"[]"):
                answer = await bench.deliver(raw)
                assert (answer.status, answer.code) == (503, "not_stored")
            other.execute("alter table away rename to events")
        assert await undecided(bench) == 0
        assert (await bench.deliver(body("user.expired", START))).status == 202


async def test_a_journal_that_cannot_even_be_asked_is_a_503(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(op: Any) -> Any:
        op.close()
        raise JournalUnavailable("database is locked")

    async with open_bench(tmp_path, RULES, max_age=DAY) as bench:
        monkeypatch.setattr(bench.journal, "read", away)
        answer = await bench.deliver(body("user.expired", START - 2 * DAY))
        assert (answer.status, answer.code) == (503, "not_stored")


async def test_several_secrets_are_taken_while_they_are_rotated(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        other = "another" + SECRET
        raw = envelope("a.b", START)
        assert (await bench.deliver(raw, other)).status == 401
        bench.pipeline.intake = type(bench.pipeline.intake)((SECRET, other), None, 10)
        assert (await bench.deliver(raw, other)).status == 202


# ------------------------------------------------------------------------------- secrets


def secrets_in(value: Any) -> Iterator[str]:
    """The values of all fields that carry credentials, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in catalogue.secret_names():
                yield from texts_in(inner)
            else:
                yield from secrets_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from secrets_in(inner)


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


def shown_elsewhere(delivery: PanelDelivery, secret: str) -> bool:
    """Whether the same text also stands in a field that is no credential, as `tcp` or `443` may."""
    return secret in json.dumps(_without(delivery.json()), ensure_ascii=False)


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        names = catalogue.secret_names()
        return {name: _without(inner) for name, inner in value.items() if name not in names}
    return [_without(inner) for inner in value] if isinstance(value, list) else value


def on_disk(folder: Path) -> bytes:
    """All bytes of the database, its log included."""
    return b"".join(file.read_bytes() for file in folder.glob("bench.db*"))


async def test_every_delivery_of_real_and_sample_panels_is_stored_without_its_credentials(
    tmp_path: Path,
) -> None:
    rules = '  - {id: r, on: "*", do: [{tell: {text: "{{ event }}"}}]}'
    hidden: set[str] = set()
    async with open_bench(tmp_path, rules) as bench:
        for delivery in deliveries():
            bench.pipeline.intake = type(bench.pipeline.intake)((delivery.secret,), None, 1000)
            answer = await bench.pipeline.accept(Delivery(delivery.headers, delivery.body))
            assert answer.status == 202, delivery.name
            found = {text for text in secrets_in(delivery.json()) if len(text) > 8}
            hidden |= {secret for secret in found if not shown_elsewhere(delivery, secret)}
            broken = delivery.body[:-1]
            signature = ((b"x-remnawave-signature", sign(broken, delivery.secret).encode()),)
            assert (await bench.pipeline.accept(Delivery(signature, broken))).status == 400
        await bench.settle()
        assert sorted(bench.texts) == sorted(each.json()["event"] for each in deliveries())
    assert len(hidden) > 10
    stored = on_disk(tmp_path)
    for secret in hidden:
        assert secret.encode() not in stored


async def test_keep_fields_names_exceptions(tmp_path: Path) -> None:
    rules = f"version: 1\ndefaults: {{keep_fields: [vlessUuid]}}\nrules:\n{RULES}"
    async with open_bench(tmp_path, rules) as bench:
        event = await bench.event("user.expired", vlessUuid="kept", trojanPassword="hunter2")
        stored = await bench.journal.read(listing.event(event))
        assert stored is not None
        assert stored.event.body["data"]["vlessUuid"] == "kept"
        assert "trojanPassword" not in stored.event.body["data"]


async def test_an_event_of_our_own_is_raised_once(tmp_path: Path) -> None:
    from engine.running.clocks import clock_event

    rules = "  - {id: r, on: {every: 15m}, do: [{tell: {text: '{{ data.scheduled }}'}}]}"
    async with open_bench(tmp_path, rules) as bench:
        tick = clock_event("r", START, START)
        assert await bench.pipeline.raise_own(tick, b"digest")
        assert not await bench.pipeline.raise_own(tick, b"digest")
        await bench.settle()
        assert bench.texts == [to_iso(START)]


async def test_a_clock_event_of_a_rule_that_is_off_or_gone_does_nothing(tmp_path: Path) -> None:
    from engine.running.clocks import clock_event

    rules = """
  - {id: off, mode: "off", on: {every: 15m}, do: [{tell: {}}]}
  - {id: no-clock, on: "*", do: [{tell: {}}]}
"""
    async with open_bench(tmp_path, rules) as bench:
        for rule in ("off", "gone", "no-clock"):
            assert await bench.pipeline.raise_own(clock_event(rule, START, START), rule.encode())
        await bench.settle()
        assert bench.texts == []


async def test_a_delivery_is_signed_over_its_very_bytes(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES) as bench:
        raw = envelope("a.b", START, text="Анна — 🚀\u2028")
        delivery = signed(raw)
        other = Delivery(delivery.headers, raw.replace(b" ", b""))
        assert (await bench.pipeline.accept(other)).status == 401
        assert (await bench.pipeline.accept(delivery)).status == 202


@pytest.mark.parametrize(
    "timestamp", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1969-12-31T00:00:00Z"]
)
async def test_an_event_from_the_end_of_all_calendars_can_be_decided_and_listed(
    tmp_path: Path, timestamp: str
) -> None:
    rules = """
  - id: r
    on: user.expired
    do: [{after: {until: timestamp, offset: -1d}, tell: {text: x}}, {tell: {text: y}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        raw = json.dumps({"event": "user.expired", "timestamp": timestamp}).encode()
        assert (await bench.deliver(raw)).status == 202
        await bench.settle()
        desk = bench.desk
        (event,) = await desk.ask("events", "list", {"type": "user.expired"})
        assert event["decided"]
        assert await desk.ask("runs", "list", {})
        assert await desk.ask("followups", "list", {}) is not None
