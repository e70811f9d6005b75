"""The JMESPath language behaves as the library does: its own compliance suite, through Expression."""

from __future__ import annotations

import json

import pytest
from ruletools import FIXTURES

from engine.errors import CouldNotEvaluate
from engine.rules.expressions import Expression, NotJMESPathError


def _cases() -> list[tuple[str, object, dict[str, object]]]:
    found = []
    for path in sorted((FIXTURES / "jmespath").glob("*.json")):
        for group in json.loads(path.read_text(encoding="utf-8")):
            found += [(path.stem, group["given"], case) for case in group["cases"]]
    return found


CASES = _cases()


def test_the_suite_is_there_as_a_whole() -> None:
    assert len(CASES) > 800
    assert len({stem for stem, _, _ in CASES}) == 16


@pytest.mark.parametrize("stem", sorted({stem for stem, _, _ in CASES}))
def test_every_case_of_the_compliance_suite_holds(stem: str) -> None:
    for _, given, case in (entry for entry in CASES if entry[0] == stem):
        text = str(case["expression"])
        if "error" in case:
            with pytest.raises((NotJMESPathError, CouldNotEvaluate)):
                Expression(text).search(given)  # type: ignore[arg-type]
        elif "result" in case:
            assert Expression(text).search(given) == case["result"], text  # type: ignore[arg-type]
        else:
            Expression(text).search(given)  # type: ignore[arg-type]
