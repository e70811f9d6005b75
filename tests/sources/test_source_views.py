"""`user` and `node` look the same, whatever panel sent them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panel_deliveries import PanelDelivery, deliveries

from engine.sources import catalogue
from engine.sources.body import parse
from engine.sources.names import names
from engine.sources.redaction import redact
from engine.sources.samples import sample
from engine.sources.subject import raised, subject
from engine.sources.views import view

NOW = 1_767_603_600_000_000
GENERATIONS = ["1.5.6", "1.6.18", "2.0.0", "2.2", "2.3", "2.5", "2.7", "2.8", "3.0", "3.3"]
TRAFFIC = {
    "usedTrafficBytes",
    "lifetimeUsedTrafficBytes",
    "onlineAt",
    "lastConnectedNodeUuid",
    "firstConnectedAt",
}
USER_KEYS = (
    {field.name for field in catalogue.newest_fields("user")}
    | TRAFFIC
    | {"key", "uuid", "usedPercent"}
)
NODE_KEYS = {field.name for field in catalogue.newest_fields("node")} | {"key", "usedPercent"}


def seen(event_type: str, panel: str) -> dict[str, Any]:
    """The view of a sample, as the rules see it: credentials removed."""
    return view(redact(parse(sample(event_type, panel=panel, now=NOW).body)))


def user_view(**data: Any) -> Any:
    return view({"event": "user.modified", "data": {"username": "anna_k", **data}})["user"]


def node_view(**data: Any) -> Any:
    return view({"event": "node.modified", "data": {"uuid": "n-1", **data}})["node"]


@pytest.mark.parametrize("delivery", deliveries(), ids=lambda d: d.name)
def test_every_delivery_gives_the_same_keys(delivery: PanelDelivery) -> None:
    for body in (delivery.json(), redact(delivery.json())):
        seen_names = view(body)
        has_user = delivery.name.split("-")[1].startswith(("user", "torrent"))
        has_node = delivery.name.split("-")[1].startswith(("node", "torrent"))
        assert (seen_names["user"] is not None) == has_user
        assert (seen_names["node"] is not None) == has_node
        assert seen_names["user"] is None or seen_names["user"].keys() >= USER_KEYS
        assert seen_names["node"] is None or seen_names["node"].keys() >= NODE_KEYS


@pytest.mark.parametrize("panel", GENERATIONS)
def test_the_same_user_looks_the_same_on_every_panel(panel: str) -> None:
    user = seen("user.limited", panel)["user"]
    newest = seen("user.limited", "3.3")["user"]
    assert user.keys() >= newest.keys()
    differing = {name for name in newest if user[name] != newest[name]}
    unknown_to_the_older = {name for name in differing if user[name] is None}
    assert differing - unknown_to_the_older <= {"uuid", "userTraffic"}
    assert user["userTraffic"].keys() == newest["userTraffic"].keys()
    assert (user["key"], user["usedPercent"], user["telegramId"]) == ("anna_k", 101, 512345678)


@pytest.mark.parametrize("panel", GENERATIONS)
def test_the_same_node_looks_the_same_on_every_panel(panel: str) -> None:
    node = seen("node.traffic_notify", panel)["node"]
    newest = seen("node.traffic_notify", "3.3")["node"]
    assert node.keys() >= newest.keys()
    differing = {name for name in newest if node[name] != newest[name]}
    unknown_to_the_older = {name for name in differing if node[name] is None}
    assert differing - unknown_to_the_older <= {"versions", "system"}
    assert (node["key"], node["usedPercent"]) == (newest["uuid"], 82)
    assert node["consumptionMultiplier"] == 1
    assert node["versions"].keys() == {"xray", "node"}
    assert node["system"]["info"].keys() == newest["system"]["info"].keys()
    assert (node["system"]["info"]["cpus"], node["usersOnline"]) == (2, 37)


def test_traffic_is_found_at_the_top_and_within_on_every_panel() -> None:
    old = user_view(usedTrafficBytes="7", onlineAt="2026-01-05T09:00:00.000Z")
    new = user_view(userTraffic={"usedTrafficBytes": 7, "onlineAt": "2026-01-05T09:00:00.000Z"})
    assert old["usedTrafficBytes"] == new["usedTrafficBytes"] == 7
    assert old["userTraffic"] == new["userTraffic"]
    assert old["onlineAt"] == new["onlineAt"]


def test_fields_that_only_older_panels_have_are_kept() -> None:
    user = seen("user.modified", "1.5.6")["user"]
    assert user["subLastUserAgent"] == "Happ/1.9.4"
    assert user["activeUserInbounds"][0]["type"] == "vless"
    node = seen("node.modified", "1.5.6")["node"]
    assert (node["isNodeOnline"], node["xrayVersion"]) == (True, "25.3.6")


def test_fields_of_panels_to_come_are_kept() -> None:
    assert user_view(novelty={"a": 1})["novelty"] == {"a": 1}
    assert node_view(novelty=[1])["novelty"] == [1]


@pytest.mark.parametrize(
    ("used", "limit", "percent"),
    [
        (50, 200, 25),
        ("50", "200", 25),
        (1, 3, pytest.approx(33.333, abs=0.001)),
        (0, 200, 0),
        (50, 0, None),
        (50, None, None),
        (None, 200, None),
        ("?", 200, None),
        (50, -1, None),
        (1e308, 1e-300, None),
        (10**400, 3, None),
        (True, 100, None),
    ],
)
def test_used_percent_is_a_number_or_null(used: Any, limit: Any, percent: Any) -> None:
    assert user_view(usedTrafficBytes=used, trafficLimitBytes=limit)["usedPercent"] == percent
    assert node_view(trafficUsedBytes=used, trafficLimitBytes=limit)["usedPercent"] == percent


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ("512345678", 512345678),
        (512345678, 512345678),
        ("0", None),
        (0, None),
        (None, None),
        ("", None),
        ("NaN", None),
        ([1], None),
        (float("nan"), None),
    ],
)
def test_a_telegram_id_is_a_number_and_0_is_none(sent: Any, number: int | None) -> None:
    assert user_view(telegramId=sent)["telegramId"] == number


@pytest.mark.parametrize(
    ("sent", "number"),
    [("1500000000", 1.5), ("1000000000", 1), (1.5, 1.5), ("much", None), (None, None)],
)
def test_the_consumption_multiplier_is_a_factor(sent: Any, number: float | None) -> None:
    assert node_view(consumptionMultiplier=sent)["consumptionMultiplier"] == number


def test_zero_limits_of_a_node_stay_as_sent() -> None:
    assert node_view(trafficLimitBytes=0)["trafficLimitBytes"] == 0


def test_decimal_counters_are_read_too() -> None:
    assert node_view(xrayUptime="12.5")["xrayUptime"] == 12.5


@pytest.mark.parametrize(
    ("sent", "memory"),
    [
        ("3.82 GB", 4101693768),
        ("512 MB", 536870912),
        ("1GiB", 1073741824),
        ("17 B", 17),
        ("4096", 4096),
        ("plenty", None),
        (7, 7),
    ],
)
def test_memory_of_older_panels_becomes_bytes(sent: Any, memory: int | None) -> None:
    info = node_view(cpuCount=2, totalRam=sent)["system"]["info"]
    assert info["memoryTotal"] == memory
    assert info["hostname"] is None


def test_groups_of_the_newest_generation_are_null_where_nothing_is_known() -> None:
    node = node_view(name="fra-1")
    assert (node["system"], node["versions"], node["configProfile"]) == (None, None, None)


def test_groups_that_were_sent_stay_as_sent() -> None:
    node = node_view(system=None, versions={"xray": "1"}, xrayVersion="2")
    assert (node["system"], node["versions"]) == (None, {"xray": "1"})


def test_the_config_profile_is_put_together_from_older_fields() -> None:
    profile = seen("node.modified", "2.2")["node"]["configProfile"]
    assert profile["activeInbounds"][0]["tag"] == "fra-reality"
    assert profile == seen("node.modified", "3.3")["node"]["configProfile"]


@pytest.mark.parametrize(
    ("body", "scope"),
    [
        ({"event": "user.created"}, "user"),
        ({"event": "user_hwid_devices.added"}, "user_hwid_devices"),
        ({"event": "oddity"}, "oddity"),
        ({"event": "a.b", "scope": "sent"}, "sent"),
        ({"event": "a.b", "scope": 7}, "a"),
        ({"event": 7}, None),
        ({}, None),
    ],
)
def test_the_scope_is_derived_where_it_was_not_sent(
    body: dict[str, Any], scope: str | None
) -> None:
    assert view(body)["scope"] == scope


@pytest.mark.parametrize(
    ("body", "meta"),
    [
        ({"event": "user.expires_in_24_hours"}, {"expiration": -24}),
        ({"event": "user.expires_in_36_hours", "meta": None}, {"expiration": -36}),
        ({"event": "user.expired_24_hours_ago", "meta": {"a": 1}}, {"expiration": 24, "a": 1}),
        ({"event": "user.expired_24_hours_ago", "meta": {"expiration": 5}}, {"expiration": 5}),
        ({"event": "user.expiration", "meta": {"expiration": -24}}, {"expiration": -24}),
        ({"event": "user.created", "meta": None}, None),
        ({"event": "user.created"}, None),
        ({"event": "user.created", "meta": "x"}, None),
        ({"event": "user.expires_in_0_hours"}, None),
        ({"event": "user.expires_in_many_hours"}, None),
    ],
)
def test_meta_is_filled_in_for_older_expiry_notices(
    body: dict[str, Any], meta: dict[str, Any] | None
) -> None:
    assert view(body)["meta"] == meta


def test_event_timestamp_and_data_are_as_sent() -> None:
    body = {"event": "user.created", "timestamp": "t", "data": {"username": "a"}}
    names_seen = view(body)
    assert {name: names_seen[name] for name in body} == body
    assert view({"event": "a.b"})["data"] is None


@pytest.mark.parametrize("data", [None, [], "x", 7, {}, {"user": None, "node": []}])
def test_an_event_without_user_and_node_has_neither(data: Any) -> None:
    seen_names = view({"event": "service.panel_started", "data": data})
    assert (seen_names["user"], seen_names["node"]) == (None, None)


def test_user_and_node_of_other_events_come_from_within() -> None:
    data = {"user": {"username": "anna_k"}, "node": {"uuid": "n-1"}}
    seen_names = view({"event": "torrent_blocker.report", "data": data})
    assert (seen_names["user"]["key"], seen_names["node"]["key"]) == ("anna_k", "n-1")


@pytest.mark.parametrize("username", [None, "", 7, "a\x00b", "a" * 201])
def test_a_username_that_cannot_be_a_key_is_none(username: Any) -> None:
    body = {"event": "user.created", "data": {"username": username, "status": "ACTIVE"}}
    assert view(body)["user"]["key"] is None
    assert subject(body) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
USER_NAMES = st.sampled_from(sorted(USER_KEYS | {"userTraffic", "username", "lastConnectedNode"}))
NODE_NAMES = st.sampled_from(sorted(NODE_KEYS | {"cpuCount", "totalRam", "xrayVersion"}))
PAYLOADS = st.dictionaries(USER_NAMES | NODE_NAMES | st.sampled_from(["user", "node"]), JSON)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(
            ["user.expiration", "user.modified", "node.x", "a.b", "user.expires_in_1_hours"]
        )
        | JSON,
        "scope": st.sampled_from(["user", "node"]) | JSON,
        "timestamp": JSON,
        "meta": st.fixed_dictionaries({"expiration": JSON}) | JSON,
        "data": PAYLOADS | st.dictionaries(st.sampled_from(["user", "node"]), PAYLOADS) | JSON,
    },
)


@given(BODIES, BODIES)
def test_no_json_object_makes_views_names_or_subject_fail(
    body: dict[str, Any], previous: dict[str, Any]
) -> None:
    assert view(body).keys() == {"event", "timestamp", "data", "scope", "meta", "user", "node"}
    assert isinstance(names(body, previous), tuple)
    assert subject(body) is None or ":" in str(subject(body))
    assert raised(body) is None or isinstance(raised(body), int)
