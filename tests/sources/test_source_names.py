"""One event, all the names that rules may know it by, and whom it is about."""

from __future__ import annotations

from typing import Any

import pytest
from panel_deliveries import PanelDelivery, deliveries

from engine.clock import from_iso
from engine.sources.names import names
from engine.sources.subject import raised, subject

EARLY, LATE = "2026-01-05T09:00:00.000Z", "2026-02-05T09:00:00.000Z"


def user_event(event: str, expire_at: Any = None, **more: Any) -> dict[str, Any]:
    return {"event": event, "data": {"username": "anna_k", "expireAt": expire_at}, **more}


@pytest.mark.parametrize(
    ("offset", "older"),
    [
        (-24, "user.expires_in_24_hours"),
        (-72, "user.expires_in_72_hours"),
        (24, "user.expired_24_hours_ago"),
        (-1, "user.expires_in_1_hours"),
        (168, "user.expired_168_hours_ago"),
        (-24.0, "user.expires_in_24_hours"),
    ],
)
def test_a_new_expiry_notice_answers_to_its_older_name(offset: float, older: str) -> None:
    body = user_event("user.expiration", meta={"expiration": offset})
    assert names(body, None) == ("user.expiration", older)


@pytest.mark.parametrize(
    "older",
    [
        "user.expires_in_72_hours",
        "user.expires_in_24_hours",
        "user.expired_24_hours_ago",
        "user.expires_in_36_hours",
    ],
)
def test_an_old_expiry_notice_answers_to_the_new_name(older: str) -> None:
    assert names(user_event(older), None) == (older, "user.expiration")


@pytest.mark.parametrize(
    "meta",
    [
        None,
        {},
        "x",
        {"expiration": None},
        {"expiration": 0},
        {"expiration": "24"},
        {"expiration": True},
        {"expiration": 1.5},
        {"expiration": float("nan")},
        {"expiration": float("inf")},
        {"expiration": 10**9},
    ],
)
def test_an_expiry_notice_without_a_usable_offset_has_no_alias(meta: Any) -> None:
    assert names(user_event("user.expiration", meta=meta), None) == ("user.expiration",)


@pytest.mark.parametrize(
    "event", ["user.expires_in_0_hours", "user.expires_in_٣_hours", "user.expires_in_24_hours\n"]
)
def test_what_only_resembles_an_old_name_has_no_alias(event: str) -> None:
    assert names(user_event(event), None) == (event,)


@pytest.mark.parametrize("event", ["user.modified", "user.enabled"])
def test_a_later_end_is_a_renewal(event: str) -> None:
    before = user_event("user.expired", EARLY)
    assert names(user_event(event, LATE), before) == (event, "user.renewed")


def test_a_renewal_is_seen_across_panel_versions_and_kinds_of_events() -> None:
    before = {
        "scope": "user_hwid_devices",
        "event": "user_hwid_devices.added",
        "data": {"user": {"username": "anna_k", "expireAt": EARLY}},
    }
    after = user_event("user.modified", LATE)
    assert names(after, before) == ("user.modified", "user.renewed")


@pytest.mark.parametrize(
    ("event", "before", "after"),
    [
        ("user.modified", EARLY, EARLY),
        ("user.modified", LATE, EARLY),
        ("user.modified", None, LATE),
        ("user.modified", EARLY, None),
        ("user.modified", "soon", LATE),
        ("user.modified", EARLY, 7),
        ("user.created", EARLY, LATE),
        ("user.expired", EARLY, LATE),
    ],
)
def test_anything_else_is_no_renewal(event: str, before: Any, after: Any) -> None:
    assert names(user_event(event, after), user_event("user.created", before)) == (event,)


def test_the_first_known_state_is_no_renewal() -> None:
    assert names(user_event("user.modified", LATE), None) == ("user.modified",)
    assert names(user_event("user.modified", LATE), {"event": "x.y"}) == ("user.modified",)


def test_an_object_without_an_event_has_no_name() -> None:
    assert names({}, None) == ()


@pytest.mark.parametrize("delivery", deliveries(), ids=lambda d: d.name)
def test_every_delivery_keeps_its_own_name_first_and_tells_its_time(
    delivery: PanelDelivery,
) -> None:
    body = delivery.json()
    assert names(body, None)[0] == body["event"]
    assert raised(body) == from_iso(body["timestamp"])
    assert raised(body) is not None


@pytest.mark.parametrize(
    ("body", "whom"),
    [
        (user_event("user.created"), "user:anna_k"),
        ({"event": "node.created", "data": {"uuid": "n-1"}}, "node:n-1"),
        (
            {"event": "x.report", "data": {"node": {"uuid": "n"}, "user": {"username": "a"}}},
            "user:a",
        ),
        ({"event": "x.report", "data": {"node": {"uuid": "n"}, "user": {"id": 3}}}, "node:n"),
        ({"event": "x.report", "data": {"node": {"uuid": 7}}}, None),
        ({"event": "user_hwid_devices.added", "data": {"user": {"username": "b"}}}, "user:b"),
        ({"event": "service.panel_started", "data": {}}, None),
        ({"event": "user.created"}, None),
        ({}, None),
    ],
)
def test_the_subject_is_the_user_else_the_node(body: dict[str, Any], whom: str | None) -> None:
    assert subject(body) == whom


@pytest.mark.parametrize("timestamp", [None, "", "yesterday", 1_767_603_600, "2026-01-05"])
def test_an_unreadable_time_is_none(timestamp: Any) -> None:
    assert raised({"timestamp": timestamp}) is None
