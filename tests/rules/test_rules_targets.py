"""Where an action goes: a URL keeps its host, and a connection is filled in before use."""

from __future__ import annotations

from typing import Any

import pytest
from parameters import CONTEXT, SECRETS, compile_raw, compiled, render, told
from ruletools import ACTIONS, PostBox

from engine.errors import ActionFailed, UserError
from engine.rules import codes
from engine.rules.connections import compile_connection, resolve
from engine.rules.model import ConnectionSpec
from engine.rules.parameters import Terms
from engine.rules.report import Report


@pytest.mark.parametrize(
    ("url", "authority", "result"),
    [
        ("https://a.example.org", "a.example.org", "https://a.example.org"),
        (
            "https://a.example.org:8443/x?y#z",
            "a.example.org:8443",
            "https://a.example.org:8443/x?y#z",
        ),
        ("{{ vars.base }}/u/{{ user.name }}", "api.example.org", "https://api.example.org/u/anna"),
        (
            "https://{{ secret('host') }}/{{ user.n }}",
            "https://{{ secret('host') }}/",
            "https://hidden.example.org/3",
        ),
        (
            "https://a.example.org/{# c #}{{ user.break }}",
            "a.example.org",
            "https://a.example.org/a%0D%0ABcc:%20x",
        ),
        (
            "https://a.example.org/?q={{ user.name | urlquote }}é",
            "a.example.org",
            "https://a.example.org/?q=anna%C3%A9",
        ),
        (
            "https://a.example.org/{% if user %}x{% endif %}",
            "a.example.org",
            "https://a.example.org/x",
        ),
    ],
)
def test_a_url_keeps_its_host_and_is_encoded(url: str, authority: str, result: str) -> None:
    found = compiled("fetch", {"get": url})
    assert found.authority == authority
    assert found.render(CONTEXT, SECRETS).model_dump()["get"] == result


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("https://{{ user.name }}/", "begin it like"),
        ("{{ user.name }}", "begin it like"),
        ("{% if user %}https://a.example.org/{% endif %}", "begin it like"),
        ("https://a.example.org{{ user.name }}", "put a /"),
        ("https://a.example.org:{{ user.n }}/", "put a /"),
        ("https://a.example.org{{ '}}/' ~ user.n }}", "put a /"),
        ("https://me:pw@a.example.org/", "auth"),
        ("/x", "begin it like"),
        ("https://", "begin it like"),
        ("https://a.example.org:port/", ""),
        ("{{ vars.nope }}/x", ""),
    ],
)
def test_a_url_whose_host_is_not_fixed_is_refused(url: str, hint: str) -> None:
    found = [entry for entry in told("fetch", {"get": url}) if entry[0] == codes.OPEN_ORIGIN]
    assert len(found) == 1
    assert hint in found[0][2]


def test_a_url_that_is_no_template_is_told_as_such() -> None:
    assert told("fetch", {"get": "https://a.example.org/{{ user.x"})[0][0] == codes.BAD_TEMPLATE


def test_with_a_connection_a_url_is_a_path() -> None:
    found = render("fetch", {"get": "/u/{{ user.name }} x"}, connection="c")
    assert found.model_dump()["get"] == "/u/anna%20x"
    for url in ("https://evil.example.org/", "//evil.example.org", "u/x", "{{ user.name }}"):
        assert told("fetch", {"get": url}, connection="c")[0][0] == codes.OPEN_ORIGIN


@pytest.mark.parametrize("name", ["/evil.example.org", "\\evil.example.org"])
def test_a_value_cannot_turn_a_path_into_another_host(name: str) -> None:
    with pytest.raises(ActionFailed, match="path"):
        compiled("fetch", {"get": "/{{ user.name }}"}, connection="c").render(
            {"user": {"name": name}}, SECRETS
        )


def test_a_var_that_changes_its_mind_cannot_move_the_host() -> None:
    found = compiled("fetch", {"get": "{{ vars.base }}/{{ user.name }}"})
    with pytest.raises(ActionFailed, match="scheme, host and port"):
        found.render({"user": {"name": "x"}, "vars": {"base": ""}}, SECRETS)


def test_a_missing_secret_in_a_host_is_a_warning() -> None:
    found, report = compile_raw("fetch", {"get": "https://{{ secret('lost') }}/"})
    assert [problem.code for problem in report.problems] == [codes.SECRET_MISSING]
    assert found is not None
    assert found.authority is None


def _connection(raw: Any) -> tuple[ConnectionSpec | None, list[tuple[str, str]]]:
    report = Report()
    found = compile_connection("c", raw, ACTIONS, Terms(SECRETS, CONTEXT["vars"]), report)
    return found, [(problem.code, problem.message) for problem in report.problems]


def test_a_connection_gets_its_secrets_and_vars_before_use() -> None:
    raw = {"kind": "box", "host": "{{ vars.brand }}.x", "password": "secret('token')", "port": "25"}
    spec, problems = _connection(raw)
    assert not problems
    assert spec is not None
    found = resolve(spec, SECRETS, CONTEXT["vars"])
    assert found == PostBox(host="B.x", password="s3cret-token", port=25)
    assert spec.model is PostBox


@pytest.mark.parametrize(
    ("raw", "code", "message"),
    [
        ("x", codes.BAD_CONNECTION, "is a mapping"),
        ({"host": "x"}, codes.BAD_CONNECTION, "needs a kind"),
        ({"kind": "bix"}, codes.BAD_CONNECTION, "no kind of connection"),
        ({"kind": ["box"]}, codes.BAD_CONNECTION, "no kind of connection"),
        ({"kind": "box"}, codes.MISSING_PARAMETER, '"host"'),
        ({"kind": "box", "host": "x", "prot": 1}, codes.UNKNOWN_PARAMETER, '"prot"'),
        ({"kind": "box", "host": "x", "rate": "fast"}, codes.BAD_TIME, "no rate"),
        ({"kind": "box", "host": "{{ user.x }}"}, codes.UNKNOWN_NAME, '"user"'),
    ],
)
def test_a_wrong_connection_is_told_at_load(raw: Any, code: str, message: str) -> None:
    _, problems = _connection(raw)
    assert [one for one, _ in problems] == [code]
    assert message in problems[0][1]


@pytest.mark.parametrize(
    "raw",
    [
        {"kind": "box", "host": "secret('lost')"},
        {"kind": "box", "host": "{{ vars.nope }}"},
        {"kind": "box", "host": "x", "port": "{{ vars.brand }}"},
    ],
)
def test_a_connection_that_cannot_be_resolved_says_so(raw: Any) -> None:
    with pytest.raises(UserError):
        resolve(ConnectionSpec("box", raw, PostBox), SECRETS, CONTEXT["vars"])
