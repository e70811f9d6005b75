"""Texts are rendered once, in a sandbox, and a null is never printed."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import CouldNotEvaluate
from engine.rules import codes, sandbox, templates
from engine.rules.templates import NullFound, Template, inspect, is_template

CONTEXT: dict[str, Any] = {
    "now": "2026-01-05T09:05:00.000Z",
    "user": {
        "email": "a@b",
        "tag": None,
        "tags": ["x", None],
        "n": 3,
        "ok": True,
        "expireAt": "2026-01-05T09:00:00Z",
        "html": "<b>",
        "hostile": "{{ 7 * 7 }}",
    },
    "meta": None,
    "previous": None,
    "steps": {"x": {"json": {"items": "mine"}}},
    "vars": {"brand": "Example"},
}


def render(text: str, **more: Any) -> str:
    return Template(text).render(CONTEXT | more)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{{ user.email }}", "a@b"),
        ("{{ user['email'] }}", "a@b"),
        ("{{ user.tag | default('-') }}", "-"),
        ("{{ user.nope | default('-') }}", "-"),
        ("{{ user.email | d('-') }}", "a@b"),
        ("{{ '' | default('-', true) }}", "-"),
        ("{{ previous.user.tag | default('new') }}", "new"),
        ("{{ previous['user']['tag'] | default('new') }}", "new"),
        ("{% if user.tag %}yes{% else %}no{% endif %}", "no"),
        ("{% if user.tag is none %}null{% endif %}", "null"),
        ("{{ user.tag is defined }} {{ user.nope is defined }}", "true false"),
        ("{{ user.tag is undefined }} {{ user.nope is undefined }}", "false true"),
        ("{{ user.tag == none }} {{ user.tag != 'x' }} {{ meta == none }}", "true true true"),
        ("{{ [user.tag, none] | unique | list | length }}", "1"),
        ("{{ steps.x.json.items }}", "mine"),
        ("{% for key, value in vars.items() %}{{ key }}={{ value }}{% endfor %}", "brand=Example"),
        ("{{ user.ok }} {{ user.n + 1 }} {{ user.n * 2 }} {{ 'ab' * 2 }}", "true 4 6 abab"),
        ("{{ 2 ** 3 }} {{ 'a' ~ user.n }}", "8 a3"),
        ("{{ user.hostile }}", "{{ 7 * 7 }}"),
        ("{{ user.html }}", "<b>"),
        ("line\n", "line\n"),
        ("{{ user.expireAt | date }}", "2026-01-05 09:00"),
        ("{{ user.expireAt | date('%d.%m. %H Uhr', timezone='Europe/Berlin') }}", "05.01. 10 Uhr"),
        ("{{ user.expireAt | date('%d %B, %A', locale='ru') }}", "05 января, понедельник"),
        ("{{ user.expireAt | date('%a %d. %b %Y', locale='de-DE') }}", "Mo. 05. Jan. 2026"),
        ("{{ user.expireAt | date('%x %%B', locale='pt_BR') }}", "05/01/2026 %B"),
        ("{{ 0 | date('%Y') }}", "1970"),
        ("{{ user.expireAt | ago }}", "5 minutes ago"),
        ("{{ '2026-01-06T09:06:00Z' | ago }}", "in 1 day"),
        ("{{ 7200 | ago }} {{ 1 | ago }} {{ 0 | ago }}", "2 hours 1 second 0 seconds"),
        ("{{ 259198 | ago }} {{ 21599.4 | ago }} {{ 86399 | ago }}", "3 days 6 hours 1 day"),
        ("{{ 244800 | ago }} {{ 46800 | ago }} {{ 89 | ago }}", "2 days 13 hours 1 minute"),
        ("{{ 10737418240 | gib }} {{ 1610612736 | gib }}", "10 1.5"),
        ("{{ 512 | human_bytes }} {{ 1536 | human_bytes }}", "512 B 1.5 KiB"),
        ("{{ user.tags | tojson }}", '["x", null]'),
        ("{{ 'a b/ü' | urlquote }}", "a%20b%2F%C3%BC"),
        ("{{ upper(user.email) }} {{ default(user.tag, 'x') }}", "A@B x"),
        ("{{ default(user.nope, 'x') }}", "x"),
        ("{{ hours_until('2026-01-05T11:05:00Z') }}", "2.0"),
        ("{{ changed('user.email') }}", "false"),
        ("{{ range(3) | join('-') }}", "0-1-2"),
    ],
)
def test_what_a_template_gives(text: str, result: str) -> None:
    assert render(text) == result


@pytest.mark.parametrize(
    "text",
    [
        "{{ user.tag }}",
        "{{ user['tag'] }}",
        "{{ meta }}",
        "{{ meta.expiration }}",
        "{{ none }}",
        "{{ user.tag | upper }}",
        "{{ user.tag | int }}",
        "{{ user.tag | tojson }}",
        "{{ none | upper }}",
        "{{ user.tag ~ 'x' }}",
        "{{ user.n + user.tag }}",
        "{{ user.n > user.tag }}",
        "{{ '%s' % user.tag }}",
        "{{ user.tags | join(',') }}",
        "{% for tag in user.tags %}{{ tag ~ '' }}{% endfor %}",
        "{% for x in user.tag %}{% endfor %}",
    ],
)
def test_a_null_is_an_error_wherever_a_value_is_needed(text: str) -> None:
    with pytest.raises(NullFound, match="null"):
        render(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ user.emial }}", 'did you mean "email"'),
        ("{{ usr.email }}", 'no "usr"'),
        ("{{ user.tags[5] }}", 'no "5"'),
        ("{{ upper(user.nope) }}", 'no "nope"'),
        ("{{ user.nope | upper }}", 'no "nope"'),
        ("{{ upper(user.tag) }}", "needs a text, not null"),
        ("{{ upper() }}", "takes 1 value"),
        ("{{ user.keys }}", "brackets missing"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("a\nb\n{{ user.nope }}", "line 3"),
        ("{{ user.email | date }}", "needs a time"),
        ("{{ user.expireAt | date('%Y', locale='xx') }}", "there is no locale"),
        ("{{ user.expireAt | date('%Y', timezone='Mars') }}", "no time zone"),
        ("{{ 99999999999999 | date }}", "cannot be shown"),
        ("{{ user.email | gib }}", "no number"),
        ("{{ user.keys | tojson }}", "tojson"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ user.tags.append(1) }}", "unsafe"),
        ("{{ 'x' * 10000000 }}", "1 MiB"),
        ("{{ 9 ** 999999 }}", "the number would be too big"),
        ("{% for i in range(99999) %}{{ 'x' * 50 }}{% endfor %}", "1 MiB"),
        ("{% for i in range(9999999) %}{% endfor %}", "too big"),
    ],
)
def test_what_cannot_be_rendered_says_why(text: str, message: str) -> None:
    with pytest.raises(CouldNotEvaluate, match=message) as caught:
        render(text)
    assert not isinstance(caught.value, NullFound)


def test_html_escapes_values_but_not_what_is_written() -> None:
    template = Template("<i>{{ user.html }}</i>{{ user.html | tojson }}", html=True)
    assert template.render(CONTEXT) == "<i>&lt;b&gt;</i>&#34;&lt;b&gt;&#34;"


def test_a_template_can_be_rendered_again_with_other_values() -> None:
    template = Template("{{ user.n }}", timezone="Europe/Berlin")
    assert [template.render({"user": {"n": n}}) for n in (1, 2)] == ["1", "2"]


def test_date_falls_back_to_the_timezone_of_the_rule() -> None:
    template = Template("{{ user.expireAt | date('%H') }}", timezone="Europe/Berlin")
    assert template.render(CONTEXT) == "10"


def test_a_secret_is_only_there_where_it_is_given() -> None:
    template = Template("Bearer {{ secret('token') }}")
    assert template.render(CONTEXT, {"token": "s3cret"}.__getitem__) == "Bearer s3cret"
    with pytest.raises(CouldNotEvaluate):
        template.render(CONTEXT)


def test_an_endless_template_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MAX_SECONDS", -1.0)
    with pytest.raises(CouldNotEvaluate, match="took too long"):
        render("{% for i in range(9) %}{{ i }}{% endfor %}")


@pytest.mark.parametrize(
    ("text", "code", "message", "hint"),
    [
        ("{{ user.email", codes.BAD_TEMPLATE, "wrong", "}}"),
        ("{% if user %}", codes.BAD_TEMPLATE, "wrong", ""),
        ("{% if user ", codes.BAD_TEMPLATE, "wrong", "%}"),
        ("{{ user.email | lowr }}", codes.BAD_TEMPLATE, 'filter "lowr"', '"lower"'),
        ("{{ user.email is nome }}", codes.BAD_TEMPLATE, 'test "nome"', '"none"'),
        ("{% include 'x' %}", codes.BAD_TEMPLATE, "include", ""),
        ("{{ secret(user.email) }}", codes.SECRET_REFUSED, "written out", "secret('name')"),
        ("{% set s = secret %}{{ s('x') }}", codes.SECRET_REFUSED, "written out", ""),
        ("{{ secret('a', x=1) }}", codes.SECRET_REFUSED, "written out", ""),
    ],
)
def test_what_is_wrong_shows_without_rendering(
    text: str, code: str, message: str, hint: str
) -> None:
    mistake = inspect(text).mistakes[0]
    assert mistake.code == code
    assert message in mistake.message
    assert hint in mistake.hint


def test_inspection_names_what_a_template_uses() -> None:
    seen = inspect("{% for a in user.tags %}{{ a }}{{ time(now) }}{% endfor %}{{ secret('t') }}")
    assert seen.names == {"user", "now"}
    assert seen.secrets == ("t",)
    assert not seen.mistakes


def test_a_template_nested_beyond_reason_is_a_mistake_not_a_crash() -> None:
    assert inspect("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}").mistakes


@pytest.mark.parametrize(("text", "result"), [("plain }}", False), ("{# x #}", True), ("{%", True)])
def test_a_text_without_marks_is_no_template(text: str, result: bool) -> None:
    assert is_template(text) is result


def test_there_is_one_environment_for_each_kind() -> None:
    assert sandbox.environment(html=True) is sandbox.environment(html=True)
    assert sandbox.environment(html=True) is not sandbox.environment(html=False)
