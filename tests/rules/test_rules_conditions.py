"""Conditions give one of three verdicts, say why, and show the values that decided."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from engine.errors import CouldNotEvaluate
from engine.model import Verdict
from engine.rules import codes
from engine.rules.compiling import compile_condition, compile_expression
from engine.rules.conditions import ABSENT, Condition
from engine.rules.expressions import Expression, is_true, library_functions
from engine.rules.names import CANCELLING
from engine.rules.report import Report

CONTEXT: dict[str, Any] = {
    "now": "2026-01-05T09:00:00.000Z",
    "user": {
        "status": "ACTIVE",
        "email": None,
        "tags": ["vip", "old"],
        "usedTrafficBytes": 5,
        "expireAt": "2026-01-05T12:00:00Z",
        "createdAt": "2026-01-03T09:00:00Z",
        "name": " Anna ",
    },
    "previous": {"user": {"status": "EXPIRED", "expireAt": "2026-01-05T12:00:00Z"}},
}
YES, NO = Verdict.MATCHED, Verdict.NOT_MATCHED
ERROR = Verdict.COULD_NOT_EVALUATE
GOOD, BAD, BROKEN = "user.status == 'ACTIVE'", "user.email", "contains(user.email, '@')"


def condition(raw: Any) -> Condition:
    report = Report()
    found = compile_condition(raw, report)
    assert found is not None, report.problems
    assert not report.problems
    return found


def problems(text: Any, known: frozenset[str] = CANCELLING) -> list[tuple[str, str]]:
    report = Report()
    compile_condition(text, report, known)
    return [(problem.code, problem.hint) for problem in report.problems]


@pytest.mark.parametrize(
    ("raw", "verdict"),
    [
        (GOOD, YES),
        (BAD, NO),
        (BROKEN, ERROR),
        ([GOOD, GOOD], YES),
        ([GOOD, BAD], NO),
        ([BROKEN, BAD], NO),
        ([GOOD, BROKEN], ERROR),
        ({"all": [BROKEN, {"not": GOOD}]}, NO),
        ({"any": [BROKEN, GOOD]}, YES),
        ({"any": [BAD, BROKEN]}, ERROR),
        ({"any": [BAD, BAD]}, NO),
        ({"not": BAD}, YES),
        ({"not": BROKEN}, ERROR),
        ({"not": {"any": [BAD, {"all": [GOOD, GOOD]}]}}, NO),
        ([GOOD], YES),
    ],
)
def test_any_needs_one_branch_and_all_needs_each_and_errors_come_third(
    raw: Any, verdict: Verdict
) -> None:
    assert condition(raw).judge(CONTEXT).verdict is verdict


def test_why_names_the_expression_that_decided_and_the_values_seen() -> None:
    judgement = condition([GOOD, "user.gone == 'x'"]).judge(CONTEXT)
    assert judgement.why == "user.gone == 'x' is false (user.gone: absent)"
    assert judgement.seen == {"user.gone": ABSENT}


def test_a_null_is_told_from_what_is_absent() -> None:
    assert condition("user.email").judge(CONTEXT).seen == {"user.email": None}
    assert condition("user.email").judge(CONTEXT).why == "user.email is null"
    assert condition("user.tags[7].x").judge(CONTEXT).seen == {"user.tags[7].x": ABSENT}


def test_why_of_a_match_shows_all_that_had_to_hold() -> None:
    judgement = condition([GOOD, {"not": BAD}]).judge(CONTEXT)
    assert "user.status == 'ACTIVE' is true" in judgement.why
    assert "not (user.email is null)" in judgement.why
    assert judgement.seen == {"user.status": "ACTIVE", "user.email": None}


def test_why_of_an_error_says_what_could_not_be_done_on_one_line() -> None:
    judgement = condition("contains(\n user.email, '@')").judge(CONTEXT)
    assert "\n" not in judgement.why
    assert "could not be evaluated" in judgement.why
    assert judgement.seen == {"user.email": None}


def test_a_condition_lists_its_expressions() -> None:
    found = condition({"any": [GOOD, {"not": BAD}]}).expressions()
    assert [expression.text for expression in found] == [GOOD, BAD]


@pytest.mark.parametrize("value", [None, False, "", [], {}])
def test_what_is_empty_is_false(value: Any) -> None:
    assert not is_true(value)


@pytest.mark.parametrize("value", [0, 0.0, True, "x", [0], {"a": None}])
def test_zero_and_whatever_is_there_is_true(value: Any) -> None:
    assert is_true(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("time(user.expireAt) > time(now)", True),
        ("time('2026-01-05T09:00:00.500Z')", 1767603600.5),
        ("hours_until(user.expireAt)", 3.0),
        ("days_since(user.createdAt)", 2.0),
        ("duration('1h30m')", 5400),
        ("duration('1.5s')", 1.5),
        ("bytes('1 KiB')", 1024),
        ("lower(user.status)", "active"),
        ("upper('ä')", "Ä"),
        ("trim(user.name)", "Anna"),
        ("matches(user.status, '^ACT')", True),
        ("matches(user.status, '^act')", False),
        ("split('a,b', ',')", ["a", "b"]),
        ("default(user.email, 'none')", "none"),
        ("default(user.status, 'none')", "ACTIVE"),
        ("changed('user.status')", True),
        ("changed('user.expireAt')", False),
        ("user.tags[?changed('user.status')]", ["vip", "old"]),
        ("length(user.tags)", 2),
    ],
)
def test_the_functions_of_the_rule_language(text: str, value: Any) -> None:
    assert Expression(text).search(CONTEXT) == value


def test_nothing_has_changed_where_there_is_no_previous() -> None:
    assert Expression("changed('user.status')").search(CONTEXT | {"previous": None}) is False


@pytest.mark.parametrize(
    "text",
    [
        "time(user.email)",
        "time('2026-01-05')",
        "hours_until(user.nope)",
        "lower(user.email)",
        "lower('a', 'b')",
        "split('a', '')",
        "matches(user.status, user.brackets)",
        "matches(user.status, '(')",
        "duration('5')",
        "bytes(user.tags)",
        "changed(user.email)",
        "changed('user.')",
        "nope(user)",
        "contains(user.usedTrafficBytes, 'a')",
    ],
)
def test_a_function_on_the_wrong_value_could_not_be_evaluated(text: str) -> None:
    with pytest.raises(CouldNotEvaluate):
        Expression(text).search(CONTEXT)


def test_an_error_of_the_library_that_is_no_jmespath_error_is_caught_too() -> None:
    with pytest.raises(CouldNotEvaluate):
        Expression("max_by(user.tags, &@.x)").search({"user": {"tags": [{}]}, "now": None})


def test_now_belongs_to_the_search_also_with_many_threads() -> None:
    expression = Expression("hours_until('2026-01-05T12:00:00Z')")
    contexts = [{"now": f"2026-01-05T{hour:02}:00:00Z"} for hour in range(12)] * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(expression.search, contexts))
    assert found == [float(12 - hour) for hour in range(12)] * 20


def test_equal_texts_make_equal_expressions() -> None:
    assert Expression("user.a") == Expression("user.a")
    assert len({Expression("user.a"), Expression("user.a"), Expression("user.b")}) == 2
    assert repr(Expression("a")) == "Expression('a')"
    assert Expression("a") != "a"


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("user.status == ACTIVE", codes.COMPARES_FIELD, "write 'ACTIVE'"),
        ('user.status == "ACTIVE"', codes.COMPARES_FIELD, "write 'ACTIVE'"),
        ('"ACTIVE" == user.status', codes.COMPARES_FIELD, "write 'ACTIVE'"),
        ("user.ok == true", codes.COMPARES_FIELD, "write `true`"),
        ("user.email != null", codes.COMPARES_FIELD, "write `null`"),
        ("user.status == `ACTIVE`", codes.COMPARES_FIELD, "write 'ACTIVE'"),
        ("user.squads[?name == FOO]", codes.COMPARES_FIELD, "write 'FOO'"),
        ('user.squads[?name == "foo"]', codes.COMPARES_FIELD, "write 'foo'"),
        ("user.n > 3", codes.BARE_NUMBER, "`3`"),
        ("3 < user.n", codes.BARE_NUMBER, "`3`"),
        ("meta.expiration == -24", codes.BARE_NUMBER, "`-24`"),
        ("!data.email", codes.NOT_OF_PATH, "!(data.email)"),
        ("user.a && !data.b.c[0].d == 'x'", codes.NOT_OF_PATH, "!(data.b.c[0].d)"),
        ("!data[?a[0]].b", codes.NOT_OF_PATH, "!(data[?a[0]].b)"),
        ("!data[].b", codes.NOT_OF_PATH, "!(data[].b)"),
        ("user.expireAt < '2026-01-01'", codes.ORDERS_TEXT, "time("),
        ("'2026' >= user.expireAt", codes.ORDERS_TEXT, "time("),
        ("user.a = 'x'", codes.BAD_EXPRESSION, "=="),
        ("user.a and user.b", codes.BAD_EXPRESSION, "&&"),
        ("user.a OR user.b", codes.BAD_EXPRESSION, "||"),
        ("not user.email", codes.BAD_EXPRESSION, "!(…)"),
        ("user.a in ['x']", codes.BAD_EXPRESSION, "contains("),
        ("user.a is null", codes.BAD_EXPRESSION, "== `null`"),
        ("user.a == \u2019x\u2019", codes.BAD_EXPRESSION, "straight ones"),
        ("user.n > `80%`", codes.COMPARES_FIELD, "'80%'"),
        ("{{ user.email }}", codes.BAD_EXPRESSION, "without {{ }}"),
        ("user.a ==", codes.BAD_EXPRESSION, ""),
        ("!", codes.BAD_EXPRESSION, ""),
        ("", codes.BAD_EXPRESSION, ""),
        ("user.a == 'x", codes.BAD_EXPRESSION, ""),
        ("usr.email", codes.UNKNOWN_NAME, '"user"'),
        ("status == 'ACTIVE'", codes.UNKNOWN_NAME, "user.status"),
        ("x", codes.UNKNOWN_NAME, "user.x"),
        ("digest.count > `3`", codes.UNKNOWN_NAME, "it is known in the do of a rule with digest"),
        ("lowr(user.a)", codes.BAD_FUNCTION, '"lower"'),
        ("lower(user.a, user.b)", codes.BAD_FUNCTION, ""),
        ("secret('x')", codes.SECRET_REFUSED, "connections"),
        ("matches(user.a, '(')", codes.BAD_FUNCTION, ""),
        ("user.a > duration('5')", codes.BAD_FUNCTION, ""),
        (5, codes.WRONG_VALUE, ""),
        (None, codes.WRONG_VALUE, ""),
        ([], codes.WRONG_VALUE, ""),
        ({"any": "user.a"}, codes.WRONG_VALUE, ""),
        ({"all": ["user.a"], "any": ["user.b"]}, codes.WRONG_VALUE, "list"),
        ({"none": ["user.a"]}, codes.WRONG_VALUE, "list"),
        ({"not": 5}, codes.WRONG_VALUE, ""),
        ("(" * 3000 + "a" + ")" * 3000, codes.BAD_EXPRESSION, ""),
    ],
)
def test_a_trap_is_an_error_with_the_right_spelling(text: Any, code: str, hint: str) -> None:
    found = problems(text)
    assert [one for one, _ in found] == [code]
    assert hint in found[0][1]


@pytest.mark.parametrize(
    "text",
    [
        "user.a == user.b",
        "user.a == key",
        "user.squads[?name == alias]",
        "user.squads[?name == 'x'].name | [0]",
        "user.{a: status, b: email}.a == 'x'",
        "[user.a, user.b]",
        "{a: user.a}",
        "!contains(user.a, '@')",
        "!user",
        "!(user.email)",
        "!user && user.email",
        "user.tags[0] == `1`",
        "user.tags[0:3]",
        "user.a | @ == 'x'",
        "sort_by(user.a, &name)[0].name == 'x'",
        "user.*.name",
        "user.list[*].x",
        "user.list[].x",
        "time(user.expireAt) < time(now)",
        "origin.user.email == user.email",
        "contains(['A', 'B'], user.status)",
        "`true` && user.a",
    ],
)
def test_good_expressions_are_left_alone(text: str) -> None:
    assert problems(text) == []


def test_origin_is_only_known_where_an_event_may_cancel() -> None:
    report = Report()
    assert compile_expression("origin.user", report) is not None
    assert report.broken


def test_our_functions_hide_none_of_the_librarys() -> None:
    assert "sort_by" in library_functions()
    assert "lower" not in library_functions()


def test_every_problem_of_a_condition_is_told_at_once() -> None:
    found = problems({"any": ["user.n > 3", {"not": ["!data.x", "user.ok == true"]}]})
    assert {code for code, _ in found} == {
        codes.BARE_NUMBER,
        codes.NOT_OF_PATH,
        codes.COMPARES_FIELD,
    }
