"""Credentials are gone before anything is stored; private values do not show."""

from __future__ import annotations

import copy
import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panel_deliveries import PanelDelivery, deliveries

from engine.sources import catalogue
from engine.sources.redaction import (
    MASK,
    mask_private,
    mask_texts,
    redact,
    redact_text,
    strip_secrets,
)

SECRET_NAMES = {"trojanPassword", "vlessUuid", "ssPassword", "proxyUrl", "rawInbound", "password"}


def secret_values(value: Any) -> list[str]:
    """Every text under a secret name."""
    if isinstance(value, list):
        return [text for each in value for text in secret_values(each)]
    if not isinstance(value, dict):
        return []
    found = [text for name, each in value.items() if name in SECRET_NAMES for text in texts(each)]
    return found + [text for each in value.values() for text in secret_values(each)]


def texts(value: Any) -> list[str]:
    """Every text that is long enough to be a credential; the names of inbounds are none."""
    if isinstance(value, dict):
        return texts(value.get("streamSettings", {}).get("realitySettings", {}).get("privateKey"))
    return [value] if isinstance(value, str) else []


def test_the_catalogue_names_the_credentials() -> None:
    assert catalogue.secret_names() == SECRET_NAMES
    assert catalogue.private_names() == {"shortUuid", "subscriptionUrl"}


@pytest.mark.parametrize("delivery", deliveries(), ids=lambda d: d.name)
def test_no_secret_is_left_of_what_a_panel_sends(delivery: PanelDelivery) -> None:
    body = delivery.json()
    before = copy.deepcopy(body)
    stored = json.dumps(redact(body), ensure_ascii=False)
    assert not any(f'"{name}"' in stored for name in SECRET_NAMES)
    assert not any(secret in stored for secret in secret_values(body))
    assert body == before


@pytest.mark.parametrize("delivery", deliveries(), ids=lambda d: d.name)
@pytest.mark.parametrize("cut", [0, 1, 40, 400])
def test_no_secret_is_left_of_a_text_that_is_no_json(delivery: PanelDelivery, cut: int) -> None:
    text = delivery.body.decode()
    text = text[: len(text) - cut]
    shown = redact_text(text, limit=10**6)
    assert not any(secret in shown for secret in secret_values(delivery.json()))


def test_everything_else_stays_as_it_was() -> None:
    body = {"event": "a", "data": {"ssPassword": "x", "list": [1, [{"vlessUuid": 1, "b": None}]]}}
    assert redact(body) == {"event": "a", "data": {"list": [1, [{"b": None}]]}}


def test_a_field_that_the_rules_file_keeps_stays() -> None:
    body = {"data": {"ssPassword": "x", "vlessUuid": "y"}}
    assert redact(body, frozenset({"vlessUuid"})) == {"data": {"vlessUuid": "y"}}


def test_the_redacted_body_shares_nothing_that_can_change() -> None:
    body: dict[str, Any] = {"data": {"list": [{"a": 1}]}}
    redacted = redact(body)
    redacted["data"]["list"][0]["a"] = 2
    assert body == {"data": {"list": [{"a": 1}]}}


def test_read_only_mappings_and_tuples_become_plain_json() -> None:
    body = MappingProxyType({"data": MappingProxyType({"ssPassword": "x", "t": ({"a": 1},)})})
    assert redact(body) == {"data": {"t": [{"a": 1}]}}


@pytest.mark.parametrize(
    "text",
    [
        '{"password":"hunter2","a":1',
        '{"password" : "hunter2"}}}',
        '{"password"\n:\t"hunter2',
        '{"password":"hun\\"hunter2","a":1',
        '{"password":"a\\\\","vlessUuid":"hunter2"',
        '{"password":"hunter2\\',
        "{'password': 'hunter2', 'a': 1}",
        "{'password': 'it\\'s hunter2",
        "password=hunter2&a=1",
        "password: hunter2",
        '{"password":hunter2,"a":1}',
        r'"{\"password\":\"hunter2\",\"a\":1}"',
        r'"{\"password\":\"hun\\\"hunter2\",\"a\":1}"',
        r'"{\"password\":\"hunter2',
        r'{"p\u0061ssw\u006Frd":"hunter2"}',
        '{"rawInbound":{"privateKey":"hunter2"},"a":1',
        '{"rawInbound": [1, {"k": "hunter2"',
        'x\n"ssPassword": "hunter2"\n"trojanPassword": "hunter2"',
    ],
)
def test_a_broken_text_shows_no_credential(text: str) -> None:
    assert "hunter2" not in redact_text(text)
    assert MASK in redact_text(text)


def test_a_broken_text_still_shows_the_rest() -> None:
    assert redact_text('{"a":1,"ssPassword":"x","b":2') == f'{{"a":1,"ssPassword":"{MASK}","b":2'
    assert redact_text("the password_hint stays") == "the password_hint stays"


def test_a_text_is_cut_at_the_limit() -> None:
    assert redact_text("a" * 5000) == "a" * 2000
    assert len(redact_text('"password":"",' * 10, limit=30)) == 30


@given(st.text(), st.integers(0, 50))
def test_redacting_text_never_fails_nor_exceeds_its_limit(text: str, limit: int) -> None:
    assert len(redact_text('"password":' + text, limit)) <= limit


@pytest.mark.parametrize("delivery", deliveries(), ids=lambda d: d.name)
def test_private_values_are_masked_at_any_depth(delivery: PanelDelivery) -> None:
    shown = mask_private(delivery.json())
    body = delivery.json()
    user = body["data"].get("user", body["data"])
    if "shortUuid" in user:
        assert shown["data"].get("user", shown["data"])["shortUuid"] == MASK
        assert user["shortUuid"] not in json.dumps(shown)


def test_what_is_not_there_is_not_masked() -> None:
    assert mask_private([{"shortUuid": None, "a": "b"}, "text", 7]) == [
        {"shortUuid": None, "a": "b"},
        "text",
        7,
    ]
    assert mask_private("text") == "text"


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "Password",
        "PASSWD",
        "token",
        "secret",
        "api_key",
        "apikey",
        "API-Key",
        "Authorization",
        "access_token",
        "accessToken",
        "refresh-token",
        "private_key",
        "privateKey",
        "vless_uuid",
        "ssPassword",
        "Set-Cookie",
    ],
)
def test_step_results_lose_what_is_named_like_a_secret(name: str) -> None:
    result = {"status": 200, "json": [{name: "hunter2", "ok": True}], "headers": {name: "hunter2"}}
    assert strip_secrets(result) == {"status": 200, "json": [{"ok": True}], "headers": {}}


def test_step_results_keep_what_only_resembles_a_secret() -> None:
    result = {"tokens_left": 7, "keys": ["a"], "secretary": "Ann", "text": None, "raw": b"x"}
    assert strip_secrets(result) == result


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"id": 7, "token": "hunter2"}', '{"id": 7}'),
        ('[{"a": {"Pass\\u0077ord": ["hunter2"]}}, "ä"]', '[{"a": {}}, "ä"]'),
        ('{"said": "{\\"api_key\\": \\"hunter2\\"}", "token": 1}', '{"said": "{}"}'),
        ('{ "tokens_left": 7}', '{ "tokens_left": 7}'),
        ('{"a": 1, "token": "hunter2", "b": "cut of', '{"a": 1, "token": "•••", "b": "cut of'),
        ('{"a": 1, "token": "hunter2', '{"a": 1, "token": "•••"'),
        ('{"a": 1, "credentials": {"x": "hunter2"', '{"a": 1, "credentials": "•••"'),
        ('say "token": hunter2', 'say "token": hunter2'),
    ],
)
def test_the_text_of_an_answer_loses_what_its_json_loses(text: str, kept: str) -> None:
    assert strip_secrets({"text": text, "lines": [text]}) == {"text": kept, "lines": [kept]}


def test_private_values_are_masked_inside_of_texts() -> None:
    shown = mask_private({"out": ["see https://s.org/x"], "n": 1}, ["https://s.org/x"])
    assert shown == {"out": ["see •••"], "n": 1}


def test_no_depth_of_a_result_is_too_much() -> None:
    deep: Any = {"token": "hunter2"}
    for _ in range(50_000):
        deep = [deep]
    stripped = strip_secrets(deep)
    while isinstance(stripped, list):
        (stripped,) = stripped
    assert stripped == {}


def test_a_rejected_text_does_not_show_the_subscription_link() -> None:
    text = '{"event":5,"data":{"subscriptionUrl":"https://sub.example.org/abc","shortUuid":"abc"'
    assert "abc" not in redact_text(text)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('not "https://sub.example.org/s3c…" … and …', 'not "•••…" … and …'),
        ("https://sub.example.org/s3cr3t… https://sub.example.org/s3cr…", "•••… •••…"),
        ("https://sub.example.org/other…", "https://sub.example.org/other…"),
        ("so… https://sub.example.org", "so… https://sub.example.org"),
    ],
)
def test_a_private_value_that_was_cut_short_is_masked_too(text: str, masked: str) -> None:
    assert mask_texts(text, ["https://sub.example.org/s3cr3t"]) == masked
