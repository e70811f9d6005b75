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
    "b": "b" * 1_000_000,
}
_DOUBLED = (
    "{% set ns = namespace(a=[1], b=[1]) %}"
    "{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}"
)
_SPACES = (
    "{% set n = namespace(x=0) %}{% for i in range(60) %}{% set m = namespace() %}"
    "{% set m.l = n.x %}{% set m.r = n.x %}{% set n.x = m %}{% endfor %}"
)
_MANY = "([none] * 99999) | map('default', b)"
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
    "{{ '%(a)-1000000000d' % {'a': 1} }}",
    "{{ '%.1000000000f' % 1.5 }}",
    "{{ '{a:>1000000000}'.format(a=1) }}",
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
    *(_DOUBLED + end for end in ("{{ ns.a }}", "{{ ns.a | tojson }}", "{{ ns.a == ns.b }}")),
    *(_SPACES + end for end in ("{{ n }}", "{{ n | upper }}", "{{ n ~ '' }}", "{{ lower(n) }}")),
    *(_SPACES + end for end in ("{{ n is upper }}", "{{ {}[n] }}")),
    _DOUBLED.replace("[ns.a, ns.a]", "[{1: ns.a}.values(), {1: ns.a}.values()]") + "{{ ns.a }}",
    _DOUBLED.replace("[ns.a, ns.a]", "cycler(ns.a, ns.a).items") + "{{ ns.a }}",
    _DOUBLED.replace("[ns.a, ns.a]", "dict(x=ns.a, y=ns.a)") + "{{ ns.a }}",
    "{{ [[1] * 1000] * 1000000 }}",
    "{{ ([[1] * 1000] * 100000) | sum(start=[]) | length }}",
    "{{ ([[1]] * 1000) | sum('0', []) | length }}",
    "{% set x %}{% for i in range(1000) %}{{ b }}{% endfor %}{% endset %}{{ x | length }}",
    "{% set x %}{% for i in range(99999) %}" + "fixed " * 100 + "{% endfor %}{% endset %}",
    "{% macro m() %}{% for i in range(1000) %}{{ b }}{% endfor %}{% endmacro %}{% set x = m() %}",
    "{% filter upper %}{% for i in range(1000) %}{{ b }}{% endfor %}{% endfilter %}",
    "{{ ('{0}' * 1000).format(b) }}",
    "{{ ('{0:999}' * 10000).format(1) }}",
    "{{ ('%(a)s' * 1000) | format(a=b) }}",
    "{{ ('%(a)s' * 1000) % {'a': b} }}",
    "{{ ('a' * 1000).translate({97: b}) }}",
    "{{ ('\t' * 1000).expandtabs(1000000) }}",
    "{{ ('a' * 1000) | wordwrap(1, true, 'b' * 1000000) }}",
    "{{ ('a' * 1000000) | wordwrap(1) }}",
    "{{ ('<!---->' * 100000) | striptags }}",
    "{{ ('x ' * 500000) | pprint }}",
    "{{ ([b] * 1000) | map('upper') | join }}",
    *(
        "{{ " + _MANY + end + " }}"
        for end in ("|map('upper')|join", "|sort", "|list", "|unique|list")
    ),
    "{{ ','.join(" + _MANY + ") }}",
    "{{ " + _MANY + "|batch(9999)|map('sort')|list }}",
    "{{ ([[1] * 100] * 100) | tojson(indent=100000) }}",
    "{{ [9 ** 1200] * 100000 }}",
    "{{ b.encode('utf-32') }}",
    "{{ (1).to_bytes(1000000000, 'big') }}",
    "{{ 5 | round(-1000000000) }}",
    "{{ 5.5 | round(1000000000, 'ceil') }}",
    "{{ s | replace(new=b, old='') }}",
    "{{ 0 | date(format='%999999999Y') }}",
    *(
        "{% for i in range(99999) %}{% set x = namespace(v=" + made + ") %}{% endfor %}"
        for made in ("b[1:]", "b ~ i", "b.upper()", "b | upper")
    ),
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
        ("{{ 'Since 2024: %s' | format('x') }} {{ 'in 2025 %s' % n }}", "Since 2024: x in 2025 7"),
        ("{{ 'of 2026: {} {:.2f}'.format(n, 1.5) }}", "of 2026: 7 1.50"),
        ("{{ '%05.1f' % 3.14159 }} {{ '{:>8}'.format('x') }}", "003.1        x"),
        ("{{ 'a' ~ n ~ 'b' }}{{ 2 ** 20 }}{{ 'ab' * 3 }}{{ [1] + [2] }}", "a7b1048576ababab[1, 2]"),
        ("{{ 'a-b' | replace('-', '+') }}{{ ['x', 'y'] | join(', ') }}", "a+bx, y"),
        (
            "{{ items[:3] }}{{ ['a', n] }}{{ (1, 2) }}{{ {'a': [n]} }}",
            "[0, 1, 2]['a', 7](1, 2){'a': [7]}",
        ),
        ("{{ [1, 2] | sum }}{{ [{'p': 1.5}] | sum('p') }}{{ [1] | sum(start=2) }}", "31.53"),
        ("{{ ['b', 'A'] | map('upper') | sort | join('+') }}{{ '-'.join('ab') }}", "A+Ba-b"),
        (
            "{% set ns = namespace(t=0) %}{% for i in [1, 2] %}{% set ns.t = ns.t + i %}{% endfor %}{{ ns.t }}",
            "3",
        ),
        ("{% macro m(ns) %}{{ ns.a }}{% endmacro %}{{ m(namespace(a=1)) }}", "1"),
        (
            "{% for row in range(6) | batch(3) %}{% for x in row %}{{ x }}{% endfor %};{% endfor %}",
            "012;345;",
        ),
        ("{{ {'a': [1, {'b': 2}]} | tojson(indent=1) | length }}{{ 'x' in ['x', 'y'] }}", "37true"),
        ("{% for i in range(3) %}fixed {% if i %}b{% endif %}{% endfor %}", "fixed fixed bfixed b"),
        ("{{ 'x' | center(5) }}|{{ 'a\nb' | indent(2) }}", "  x  |a\n  b"),
    ],
)
def test_what_people_write_works_as_ever(text: str, result: str) -> None:
    assert Template(text).render(CONTEXT) == result


def test_a_null_in_a_loop_is_an_error_still() -> None:
    with pytest.raises(CouldNotEvaluate, match="null"):
        Template("{% for x in nothing %}{% endfor %}").render({"nothing": None})
