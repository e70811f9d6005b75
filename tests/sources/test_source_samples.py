"""A sample is what a panel of that version would send: body, headers, and the name it uses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from panel_deliveries import PANELS, PanelDelivery, deliveries

from engine.clock import DAY, HOUR, from_iso, to_iso
from engine.errors import UserError
from engine.sources import catalogue
from engine.sources.body import parse
from engine.sources.names import names
from engine.sources.redaction import redact
from engine.sources.samples import Sample, request_headers, sample
from engine.sources.signature import sign, verify
from engine.sources.views import view

NOW = 1_767_603_600_000_000  # 2026-01-05 09:00 UTC
VERSIONS = ["1.5.6", "1.6", "2.1", "2.2", "2.4", "2.6", "2.8", "3.0", "3.3", "3.3.2", "4.1"]
SENDABLE = [
    (name, panel)
    for name, event in catalogue.events().items()
    for panel in VERSIONS
    if event.is_in(catalogue.version(panel))
]


def made(event_type: str, panel: str = "3.3", **overrides: Any) -> tuple[Sample, dict[str, Any]]:
    """A sample and its parsed body; `_` in an override's name stands for a dot."""
    paths = {name.replace("__", "."): value for name, value in overrides.items()}
    sent = sample(event_type, panel=panel, now=NOW, overrides=paths)
    return sent, parse(sent.body)


@pytest.mark.parametrize(("event_type", "panel"), SENDABLE)
def test_every_event_of_every_version_is_a_genuine_delivery(event_type: str, panel: str) -> None:
    sent, body = made(event_type, panel)
    assert (sent.event_type, sent.note, body["event"]) == (event_type, None, event_type)
    signature = sign(sent.body, "s" * 32)
    headers = [*sent.headers, ("X-Remnawave-Signature", signature)]
    verify([(n.encode(), v.encode()) for n, v in headers], sent.body, ["s" * 32])
    assert "made-up" not in json.dumps(redact(body))


def shape(value: Any) -> Any:
    """The keys of a JSON value and the kinds of its leaves; null fits every kind."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return "list"
    return "number" if isinstance(value, int | float) else type(value).__name__


def assert_same_shape(ours: Any, theirs: Any, path: str = "") -> None:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), path
        for name in ours:
            assert_same_shape(ours[name], theirs[name], f"{path}.{name}")
    else:
        assert "NoneType" in (ours, theirs) or ours == theirs, path


# A device's event of 2.1 in the fixtures carries a user of 2.2; the rest is exactly alike.
@pytest.mark.parametrize("delivery", deliveries(), ids=lambda d: d.name)
def test_a_sample_has_the_shape_of_what_a_panel_sent(delivery: PanelDelivery) -> None:
    theirs = delivery.json()
    panel = "2.2" if delivery.panel == "2.1.12" else delivery.panel
    _, ours = made(theirs["event"], panel)
    assert list(ours) == list(theirs)
    assert_same_shape(shape(ours), shape(theirs))


def real_index() -> Any:
    return json.loads((PANELS / "real" / "index.json").read_text("utf-8"))["deliveries"]


@pytest.mark.parametrize("entry", real_index(), ids=lambda e: e["file"])
def test_headers_and_their_order_are_those_of_a_real_panel(entry: Any) -> None:
    sent = dict(entry["headers"])
    body = (PANELS / "real" / entry["file"]).read_bytes()
    ours = request_headers(
        body, sent["X-Remnawave-Signature"], sent["X-Remnawave-Timestamp"], sent["Host"]
    )
    assert ours == [tuple(header) for header in entry["headers"]]


def test_a_sample_has_all_headers_but_signature_and_host() -> None:
    sent, body = made("user.created", timestamp="2026-01-01T00:00:00.000Z")
    assert [name for name, _ in sent.headers] == [
        "Accept",
        "Content-Type",
        "X-Remnawave-Timestamp",
        "User-Agent",
        "Content-Length",
        "Accept-Encoding",
        "Connection",
    ]
    assert dict(sent.headers)["X-Remnawave-Timestamp"] == body["timestamp"]
    assert dict(sent.headers)["Content-Length"] == str(len(sent.body))


def test_the_body_is_compact_with_raw_unicode() -> None:
    sent, _ = made("user.created", description="Привет 😀")
    assert "Привет 😀".encode() in sent.body
    assert b": " not in sent.body.replace("К., family".encode(), b"")


@pytest.mark.parametrize(
    ("event_type", "status", "ends_in"),
    [
        ("user.created", "ACTIVE", 30 * DAY),
        ("user.expired", "EXPIRED", -20_000_000),
        ("user.disabled", "DISABLED", 30 * DAY),
        ("user.limited", "LIMITED", 30 * DAY),
        ("user.expires_in_72_hours", "ACTIVE", 72 * HOUR),
        ("user.expired_24_hours_ago", "EXPIRED", -24 * HOUR),
        ("user.expiration", "ACTIVE", 24 * HOUR),
    ],
)
@pytest.mark.parametrize("panel", ["1.5.6", "2.2", "3.3"])
def test_status_and_end_fit_the_event(
    event_type: str, panel: str, status: str, ends_in: int
) -> None:
    _, body = made(event_type, panel)
    assert (body["data"]["status"], from_iso(body["data"]["expireAt"])) == (status, NOW + ends_in)
    assert body["timestamp"] == to_iso(NOW)


@pytest.mark.parametrize(
    ("asked", "panel", "sent_as", "offset"),
    [
        ("user.expires_in_24_hours", "3.3", "user.expiration", -24),
        ("user.expires_in_36_hours", "3.3", "user.expiration", -36),
        ("user.expired_24_hours_ago", "2.8", "user.expiration", 24),
        ("user.expiration", "2.2", "user.expires_in_24_hours", -24),
        ("user.expiration", "1.5.6", "user.expires_in_24_hours", -24),
    ],
)
def test_an_alias_is_sent_where_the_version_has_no_such_event(
    asked: str, panel: str, sent_as: str, offset: int
) -> None:
    sent, body = made(asked, panel)
    assert (sent.event_type, body["event"]) == (sent_as, sent_as)
    assert sent.note is not None
    assert sent_as in sent.note
    assert view(body)["meta"] == {"expiration": offset}
    assert asked in names(body, None)


@pytest.mark.parametrize("given", [{"meta__expiration": 24}, {"meta": {"expiration": 24}}])
@pytest.mark.parametrize("panel", ["2.2", "3.3"])
def test_the_offset_asked_for_decides_name_and_dates(given: Any, panel: str) -> None:
    sent, body = made("user.expiration", panel, **given)
    assert view(body)["meta"] == {"expiration": 24}
    assert body["data"]["status"] == "EXPIRED"
    assert from_iso(body["data"]["expireAt"]) == NOW - 24 * HOUR
    assert ("user.expired_24_hours_ago" in sent.event_type) == (panel == "2.2")


def test_an_offset_in_the_name_is_not_contradicted() -> None:
    _, body = made("user.expires_in_24_hours", "3.3", meta__expiration=-72)
    assert body["meta"] == {"expiration": -24}


def test_a_renewal_is_sent_as_a_modification() -> None:
    sent, body = made("user.renewed")
    assert (sent.event_type, sent.note) == (
        "user.modified",
        "panel 3.3 does not send user.renewed; sent as user.modified",
    )
    before = parse(sample("user.expired", panel="1.5.6", now=NOW - DAY).body)
    assert "user.renewed" in names(body, before)


@pytest.mark.parametrize(
    ("event_type", "panel", "message"),
    [
        ("torrent_blocker.report", "2.2", r"panel 2\.2 does not send .*: 2\.7\.0 and later$"),
        ("user.traffic_reached", "3.3", r"0\.5\.4 to before 1\.5\.0"),
        (
            "user.expires_in_24_hours",
            "1.4",
            r"1\.5\.0 to before 2\.8\.0, 2\.8\.0 and later \(as user\.expiration\)",
        ),
        ("user.expires_in_36_hours", "2.2", r"2\.8\.0 and later \(as user\.expiration\)"),
        ("user.expierd", "3.3", r'no panel sends "user\.expierd"; did you mean "user\.expired"\?'),
        ("qqqq", "3.3", r'no panel sends "qqqq"$'),
        ("user.created", "three", r'"three" is no panel version'),
        ("user.created", "1.2.3.4", r"is no panel version"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_way_out(
    event_type: str, panel: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        sample(event_type, panel=panel, now=NOW)


def test_overrides_are_merged_in() -> None:
    _, body = made(
        "user.modified",
        email="x@example.org",
        data__activeInternalSquads__0__name="Gold",
        meta__note="n",
        scope="user",
        data={"tag": None, "novelty": {"a": 1}},
        novelty__b=2,
        description__inner="replaced",
    )
    data = body["data"]
    assert (data["email"], data["tag"], body["meta"]) == ("x@example.org", None, {"note": "n"})
    assert data["activeInternalSquads"][0]["name"] == "Gold"
    assert data["novelty"] == {"a": 1, "b": 2}
    assert data["description"] == {"inner": "replaced"}


@pytest.mark.parametrize("panel", ["1.5.6", "3.3"])
@pytest.mark.parametrize("name", ["usedTrafficBytes", "userTraffic__usedTrafficBytes"])
def test_an_override_lands_where_that_version_has_the_field(panel: str, name: str) -> None:
    _, body = made("user.modified", panel, **{name: 7})
    assert view(body)["user"]["usedTrafficBytes"] == 7
    if panel == "1.5.6":
        assert body["data"]["usedTrafficBytes"] == "7"
        assert "userTraffic" not in body["data"]
    else:
        assert "usedTrafficBytes" not in body["data"]


def test_a_whole_group_given_to_an_older_panel_is_added_as_given() -> None:
    _, body = made("user.modified", "1.5.6", userTraffic={"onlineAt": None})
    assert body["data"]["userTraffic"] == {"onlineAt": None}


@pytest.mark.parametrize("step", ["7", "first"])
def test_an_override_of_an_item_that_is_not_there_is_refused(step: str) -> None:
    with pytest.raises(UserError, match="its list holds 1"):
        made("user.modified", **{f"activeInternalSquads__{step}__name": "x"})


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(UserError, match="a set cannot be sent as JSON"):
        made("user.modified", email={1})


def test_samples_do_not_change_each_other() -> None:
    before = sample("node.created", panel="3.3", now=NOW)
    made("node.created", configProfile__activeInbounds__0__tag="x", ips__0__ip="y")
    assert sample("node.created", panel="3.3", now=NOW) == before
