"""Whatever a text asks for, it ends soon and stays small."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from engine.errors import CouldNotEvaluate
from engine.rules import templates
from engine.rules.templates import Template

CONTEXT: dict[str, Any] = {
    "s": "x" * 1000,
    "lines": "a\n" * 1000,
    "n": 7,
    "items": list(range(1000)),
}
NEVER_ENDING = [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{% set x = range(99999) | sum %}{% endfor %}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% for a in range(99999) recursive %}{{ loop(range(99999)) }}{% endfor %}",
    "{% for a in range(99999) if range(99999) | sum < 0 %}{% endfor %}",
]
TOO_BIG = [
    "{{ 'x' * 10 ** 9 }}",
    "{{ 10 ** 9 * 'x' }}",
    "{{ [1] * 10 ** 9 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:{}}'.format(1, 1000000000) }}",
    "{{ 'x'.center(10 ** 9) }}",
    "{{ 'x'.ljust(10 ** 9) }}",
    "{{ 'x'.zfill(10 ** 9) }}",
    "{{ '\t\t'.expandtabs(10 ** 9) }}",
    "{{ 'x' | center(10 ** 9) }}",
    "{{ 'x' | center(width=10 ** 9) }}",
    "{{ lines | indent(10 ** 6) }}",
    "{{ lines | indent('x' * 10000) }}",
    "{{ s | replace('', s * 10) }}",
    "{{ s.replace('x', s * 10) }}",
    "{{ items | join(s * 10) }}",
    "{{ (s * 10).join(['a'] * 1000) }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ [1] | batch(10 ** 9, 0) | list }}",
    "{{ 9 ** 9999 }}",
    "{% set ns = namespace(x=2) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
    "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% for i in range(99999) %}{{ s }}{% endfor %}",
    "{% macro m() %}{{ caller() * 2 }}{% endmacro %}{% call m() %}{{ s * 1000 }}{% endcall %}",
]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MAX_SECONDS", 0.2)


@pytest.mark.parametrize("text", NEVER_ENDING)
def test_what_would_never_end_is_stopped(text: str) -> None:
    with pytest.raises(CouldNotEvaluate, match=r"too long|longer|recursion"):
        Template(text).render(CONTEXT)


@pytest.mark.parametrize("text", TOO_BIG)
def test_what_would_be_huge_is_refused_before_it_is_made(text: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CouldNotEvaluate):
        Template(text).render(CONTEXT)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 * 1024  # KiB


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (
            "{% for a, b in [(1, 2)] %}{{ a }}{{ b }}{{ loop.last }}{{ loop.length }}{% endfor %}",
            "12true1",
        ),
        ("{% for k in {'a': 1} %}{{ k }}{% endfor %}", "a"),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% else %}none{% endfor %}", "a1"),
        ("{% for x in [] %}x{% else %}none{% endfor %}", "none"),
        ("{{ '%05.1f' % 3.14159 }} {{ '{:>8}'.format('x') }}", "003.1        x"),
        ("{{ 'a' ~ n ~ 'b' }}{{ 2 ** 20 }}{{ 'ab' * 3 }}{{ [1] + [2] }}", "a7b1048576ababab[1, 2]"),
        ("{{ 'a-b' | replace('-', '+') }}{{ ['x', 'y'] | join(', ') }}", "a+bx, y"),
        ("{{ 'x' | center(5) }}|{{ 'a\nb' | indent(2) }}", "  x  |a\n  b"),
    ],
)
def test_what_people_write_works_as_ever(text: str, result: str) -> None:
    assert Template(text).render(CONTEXT) == result


def test_a_null_in_a_loop_is_an_error_still() -> None:
    with pytest.raises(CouldNotEvaluate, match="null"):
        Template("{% for x in nothing %}{% endfor %}").render({"nothing": None})
