"""Conditions speak JMESPath: each case of the community's compliance suite, through our layer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ruletools import FIXTURES

from engine.errors import CouldNotEvaluate
from engine.model import Verdict
from engine.rules.conditions import Condition
from engine.rules.expressions import Expression, NotJMESPathError

Case = tuple[str, Any, dict[str, Any]]


def _cases() -> list[Case]:
    found = []
    for path in sorted((FIXTURES / "jmespath").glob("*.json")):
        for number, group in enumerate(json.loads(path.read_text(encoding="utf-8"))):
            for at, case in enumerate(group["cases"]):
                found.append((f"{path.stem}-{number}-{at}", group["given"], case))
    return found


CASES = _cases()
SYNTAX = [case for case in CASES if case[2].get("error") == "syntax"]
FAILING = [case for case in CASES if case[2].get("error") not in {None, "syntax"}]
GIVING = [case for case in CASES if "result" in case[2]]
TIMED = [case for case in CASES if "bench" in case[2]]


def _each(cases: list[Case]) -> Any:
    ids = [case[0] for case in cases]
    return pytest.mark.parametrize(("given", "case"), [case[1:] for case in cases], ids=ids)


def test_the_suite_is_there_as_a_whole() -> None:
    assert len(CASES) > 800
    assert len({name.split("-")[0] for name, _, _ in CASES}) == 16
    assert len(SYNTAX) + len(FAILING) + len(GIVING) + len(TIMED) == len(CASES)


@_each(GIVING)
def test_an_expression_gives_what_the_suite_says(given: Any, case: dict[str, Any]) -> None:
    found = Expression(case["expression"]).search(given)
    # In JSON true is not 1, as it is in Python.
    assert json.dumps(found, sort_keys=True) == json.dumps(case["result"], sort_keys=True)


@_each(GIVING)
def test_a_condition_is_true_where_the_result_is_neither_false_nor_empty(
    given: Any, case: dict[str, Any]
) -> None:
    expected = case["result"] not in (None, "", [], {}) and case["result"] is not False
    judged = Condition("text", Expression(case["expression"])).judge(given)
    assert judged.verdict is (Verdict.MATCHED if expected else Verdict.NOT_MATCHED)


@_each(SYNTAX)
def test_what_is_no_jmespath_is_refused_at_load(given: Any, case: dict[str, Any]) -> None:
    del given
    with pytest.raises(NotJMESPathError):
        Expression(case["expression"])


@_each(FAILING)
def test_what_goes_wrong_at_run_time_could_not_be_evaluated(
    given: Any, case: dict[str, Any]
) -> None:
    expression = Expression(case["expression"])
    with pytest.raises(CouldNotEvaluate):
        expression.search(given)
    judged = Condition("text", expression).judge(given)
    assert judged.verdict is Verdict.COULD_NOT_EVALUATE
    assert judged.error


@_each(TIMED)
def test_what_the_suite_only_times_can_be_asked(given: Any, case: dict[str, Any]) -> None:
    Expression(case["expression"]).search(given)
