"""What an http step may say, and what is refused before anybody is asked."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from actions.http import Auth, Http, HttpConnection, HttpParams
from actions.http.parameters import statuses

URL = "https://panel.example.org/x"


def refusal(model: type[Any], **values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model(**values)
    return str(caught.value)


def test_one_verb_is_needed_and_one_only() -> None:
    assert "exactly one of get, post" in refusal(HttpParams)
    assert "exactly one of get, post" in refusal(HttpParams, get=URL, post=URL)


def test_one_body_at_most_and_none_for_get_and_head() -> None:
    assert "only one of json, form and body" in refusal(HttpParams, post=URL, json=1, body="x")
    assert "a get request has no body" in refusal(HttpParams, get=URL, body="x")
    assert "a head request has no body" in refusal(HttpParams, head=URL, form={"a": "b"})


def test_a_path_needs_a_connection() -> None:
    assert "needs a `connection`" in refusal(HttpParams, get="/api/users")
    assert HttpParams(get="/api/users", connection="panel").url == "/api/users"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x",
        "file:///etc/passwd",
        "https:///nohost",
        "https:example.org",
        "javascript:alert(1)",
        "https://example.org:99999/",
        "https://example.org:port/",
        "https://example.org/a\r\nHost: evil.example",
        "https://example.org/a\nb",
        "https://example.org/\x00",
        "https://example.org/users/../admin",
        "https://example.org/users/%2e%2E/admin",
        "https://example.org/./x",
    ],
)
def test_a_url_that_could_lead_elsewhere_is_refused(url: str) -> None:
    refusal(HttpParams, get=url)


@pytest.mark.parametrize("url", ["/relative", "https://e.org/?a=b", "https://e.org/#a", "ftp://e"])
def test_a_connection_is_an_absolute_url_without_query(url: str) -> None:
    refusal(HttpConnection, url=url)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "one\r\nX-B: two"},
        {"X-A": "one\ntwo"},
        {"X-A": "nul\x00"},
        {"X A": "space in the name"},
        {"X-A\r\nX-B": "line break in the name"},
        {"": "no name"},
        {"Host": "evil.example"},
        {"Content-Length": "5"},
        {"transfer-encoding": "chunked"},
    ],
)
def test_a_header_can_neither_break_its_line_nor_reframe_the_message(
    headers: dict[str, str],
) -> None:
    refusal(HttpParams, get=URL, headers=headers)
    refusal(HttpConnection, url=URL, headers=headers)


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"bearer": "a", "basic": ["b", "c"]},
        {"bearer": ""},
        {"bearer": "a\r\nX: y"},
        {"basic": ["only one"]},
        {"basic": ["a", "b\n"]},
        {"digest": "x"},
    ],
)
def test_auth_is_a_bearer_token_or_user_and_password(auth: dict[str, Any]) -> None:
    refusal(Auth, **auth)


def test_a_refused_secret_is_not_repeated_in_the_message() -> None:
    assert "hunter2" not in refusal(Auth, bearer="hunter2\n")
    assert "hunter2" not in refusal(HttpParams, get="ftp://hunter2.example/")


def test_secrets_are_not_shown_where_parameters_are_printed() -> None:
    shown = repr(
        HttpParams(
            get="https://e.org/hunter2?t=hunter2",
            headers={"X-Key": "hunter2"},
            query={"key": "hunter2"},
            auth={"basic": ["me", "hunter2"]},
        )
    )
    shown += repr(HttpConnection(url=URL, auth={"bearer": "hunter2"}, headers={"K": "hunter2"}))
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("expect", "members", "strangers"),
    [
        ("2xx", {200, 299}, {199, 300}),
        ("2xx,404", {204, 404}, {400}),
        (201, {201}, {200}),
        ([200, "404", "500-503"], {200, 404, 500, 503}, {201, 504}),
    ],
)
def test_expect_means_statuses(
    expect: str | int | list[str | int], members: set[int], strangers: set[int]
) -> None:
    assert HttpParams(get=URL, expect=expect).expect == expect
    assert members <= statuses(expect)
    assert not strangers & statuses(expect)


@pytest.mark.parametrize("expect", ["ok", "6xx", "20", "2000", "", [], "204-200", "٢٠٠"])
def test_an_expectation_that_is_no_status_is_refused(expect: str | list[str]) -> None:
    refusal(HttpParams, get=URL, expect=expect)


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ({"get": "https://me:pw@e.org:8443/bot-token/x?key=1"}, "GET https://e.org:8443"),
        (
            {"post": "/api/users?key=1", "connection": "panel"},
            "POST panel /api/users",
        ),
        ({"get": "/a\u202eb", "connection": "p"}, "GET p /a\\u202eb"),
    ],
)
def test_a_description_names_where_to_and_no_token(params: dict[str, str], line: str) -> None:
    assert Http().describe(HttpParams(**params)) == line


def test_a_repeat_is_safe_and_the_lane_is_connection_or_host() -> None:
    action = Http()
    assert action.safe_to_repeat(HttpParams(get=URL))
    assert action.target("panel", "https://e.org") == "panel"
    assert action.target(None, "https://e.org") == "https://e.org"
