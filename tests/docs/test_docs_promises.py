"""docs/explanation/promises.md: thirteen promises, each with tests that there are."""

from __future__ import annotations

import re

import pytest
from docs.fenced import ROOT

_PAGE = ROOT / "docs" / "explanation" / "promises.md"
_PROMISES = re.split(r"^## ", _PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]


def test_there_are_thirteen_promises_in_their_order() -> None:
    numbers = [promise.partition(".")[0] for promise in _PROMISES]
    assert numbers == [str(number) for number in range(1, 14)]


@pytest.mark.parametrize("promise", _PROMISES, ids=lambda promise: promise.partition(".")[0])
def test_a_promise_names_the_tests_that_hold_it(promise: str) -> None:
    named = re.findall(r"`(tests/\S+\.py)`", promise.partition("\nTests: ")[2])
    assert named
    for file in named:
        assert (ROOT / file).is_file(), file
