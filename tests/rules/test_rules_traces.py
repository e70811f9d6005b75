"""A trace says what a verdict says, with every branch, and what would first have to change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model import Verdict
from engine.rules.compiling import compile_condition
from engine.rules.conditions import ABSENT, Condition, Judgement
from engine.rules.expressions import Expression
from engine.rules.needs import needed
from engine.rules.operands import operands
from engine.rules.report import Report

CONTEXT: dict[str, Any] = {
    "now": "2026-01-05T09:00:00.000Z",
    "data": {"on": False, "list": []},
    "user": {"status": "ACTIVE", "email": None, "tag": "VIP", "used": 5, "limit": 3, "text": "5"},
}
TEXTS = [
    "user.status == 'ACTIVE'",
    "user.email",
    "data.nothing",
    "data.on",
    "!(user.tag)",
    "user.used > user.limit",
    "user.used < `3`",
    "user.text > `3`",
    "contains(user.email, '@')",
    "user.email && contains(user.email, '@')",
    "contains(user.email, '@') || user.tag",
    "user.tag == 'VIP' && (user.status != 'ACTIVE' || `5` == user.used)",
    "length(data.list) > `0`",
]
LEAVES = st.sampled_from(TEXTS)
CONDITIONS = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        st.lists(below, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(below, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        below.map(lambda part: {"not": part}),
    ),
    max_leaves=8,
)


def condition(raw: Any) -> Condition:
    report = Report()
    found = compile_condition(raw, report)
    assert found is not None, report.problems
    return found


def trace(raw: Any) -> Judgement:
    return condition(raw).trace(CONTEXT)


def everything(traced: Judgement) -> list[Judgement]:
    return [traced, *(found for part in traced.parts for found in everything(part))]


@given(CONDITIONS)
def test_a_trace_has_the_verdict_the_reason_and_the_values_of_the_judgement(raw: Any) -> None:
    judged, traced = condition(raw).judge(CONTEXT), trace(raw)
    assert (traced.verdict, traced.why, traced.seen) == (judged.verdict, judged.why, judged.seen)


@given(CONDITIONS)
def test_what_does_not_match_says_what_would_have_to_change(raw: Any) -> None:
    traced = trace(raw)
    assert bool(needed(traced)) == (traced.verdict is not Verdict.MATCHED)


@given(CONDITIONS)
def test_each_branch_of_a_trace_is_what_that_branch_says_alone(raw: Any) -> None:
    for part in everything(trace(raw)):
        if part.kind == "text":
            alone = condition(part.text).judge(CONTEXT)
            assert (part.verdict, part.value) == (alone.verdict, alone.value)


@pytest.mark.parametrize(
    ("text", "operator", "parts"),
    [
        ("a || b && c", "||", ["a", "b && c"]),
        ("a && b && c", "&&", ["a", "b", "c"]),
        ("(a||b)&&(c||d)", "&&", ["a||b", "c||d"]),
        ("((a || b))", "||", ["a", "b"]),
        ("a || (b || c)", "||", ["a", "b || c"]),
        ("!(a.b)", "!", ["a.b"]),
        ("a == 'x && y'", "==", ["a", "'x && y'"]),
        ("(a == `1`) == `true`", "==", ["a == `1`", "`true`"]),
        ("x(a, '||') && b != \"c || d\"", "&&", ["x(a, '||')", 'b != "c || d"']),
        ("a[?x && y] && b[*].c && {a: b || c}", "&&", ["a[?x && y]", "b[*].c", "{a: b || c}"]),
        ("a <= `3`", "<=", ["a", "`3`"]),
        ("a | b || c", "", []),
        ("a.b", "", []),
        ("sort_by(a, &b)", "", []),
    ],
)
def test_an_expression_is_cut_at_its_outermost_operator(
    text: str, operator: str, parts: list[str]
) -> None:
    found = operands(Expression(text))
    assert (found.operator, [part.text for part in found.parts]) == (operator, parts)


def test_what_is_absent_is_not_what_is_null() -> None:
    traced = trace(["data.nothing == user.email", "user.email == data.nothing"])
    first, second = traced.parts
    assert [side.value for side in first.sides] == [ABSENT, None]
    assert second.read == {"user.email": None, "data.nothing": ABSENT}


def test_a_branch_that_was_not_needed_for_the_verdict_is_in_the_trace() -> None:
    raw = {"any": ["user.tag", "contains(user.email, '@')"]}
    verdicts = [part.verdict for part in trace(raw).parts]
    assert verdicts == [Verdict.MATCHED, Verdict.COULD_NOT_EVALUATE]
    assert len(condition(raw).judge(CONTEXT).parts) == 1


@pytest.mark.parametrize(
    ("raw", "change"),
    [
        ("user.email", "user.email would have to be set (it is null)"),
        ("data.nothing", "data.nothing would have to be set (it is absent)"),
        ("data.on", "data.on would have to be true (it is false)"),
        (
            "user.status == 'EXPIRED'",
            "user.status would have to be 'EXPIRED' (it is 'ACTIVE')",
        ),
        (
            "'EXPIRED' == user.status",
            "user.status would have to be 'EXPIRED' (it is 'ACTIVE')",
        ),
        (
            "user.status != 'ACTIVE'",
            "user.status would have to be other than 'ACTIVE' (it is 'ACTIVE')",
        ),
        ("user.used < `3`", "user.used would have to be less than 3 (it is 5)"),
        ("`8` < user.used", "user.used would have to be more than 8 (it is 5)"),
        (
            "user.limit >= user.used",
            "user.limit would have to be at least user.used (5) (it is 3)",
        ),
        (
            "user.text > `3`",
            "user.text would have to be more than 3 (it is '5'; only numbers can be compared so)",
        ),
        ({"not": "user.tag == 'VIP'"}, "user.tag would have to be other than 'VIP' (it is 'VIP')"),
        ({"not": "user.used > `3`"}, "user.used would have to be at most 3 (it is 5)"),
        ("!(user.tag)", "user.tag would have to be unset (it is 'VIP')"),
        (
            "user.tag && user.email",
            "user.email would have to be set (it is null)",
        ),
        (
            {"any": ["user.email", "data.on"]},
            "user.email would have to be set (it is null), or data.on would have to be true (it is false)",
        ),
        (
            {"not": {"any": ["user.email", "user.tag"]}},
            "user.tag would have to be unset (it is 'VIP')",
        ),
        (
            ["user.tag", "contains(user.tag, 'x')"],
            "contains(user.tag, 'x') would have to hold (it is false; user.tag is 'VIP')",
        ),
        (
            {"not": "contains(user.tag, 'V')"},
            "contains(user.tag, 'V') would have to be false (it is true; user.tag is 'VIP')",
        ),
        ({"all": ["user.tag", "user.status == 'ACTIVE'"]}, ""),
    ],
)
def test_the_first_thing_to_change_is_told_in_plain_words(raw: Any, change: str) -> None:
    assert needed(trace(raw)) == change


def test_of_many_branches_a_few_are_told() -> None:
    told = needed(trace({"any": ["user.email"] * 5}))
    assert told.count("user.email") == 3
    assert told.endswith(", or one of 2 others would have to change")


def test_an_expression_that_failed_says_so() -> None:
    told = needed(trace("contains(user.email, '@')"))
    assert told.startswith("contains(user.email, '@') would have to be something that can be")


def test_a_condition_can_be_written_on_one_line() -> None:
    raw = ["user.tag", {"any": ["user.email", {"not": "data.on"}]}]
    assert str(condition(raw)) == "(user.tag) and ((user.email) or (not (data.on)))"
