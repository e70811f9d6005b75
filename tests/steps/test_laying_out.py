"""However ways and loops lie in each other: what a run has passed never moves, no two paths are equal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledgers import run
from ruletools import load_text

from engine.deciding.walking import as_written, followup_at, steps_at
from engine.model import Run
from engine.rules.model import AfterStep, ChooseStep, ForEachStep, Rule, Step

Raw = Mapping[str, Any]
RULE: Raw = {"id": "r", "on": "user.*"}
SAY: Raw = {"say": {"text": "x"}}


def _around(below: st.SearchStrategy[Raw]) -> st.SearchStrategy[Raw]:
    steps = st.lists(below, min_size=1, max_size=3)
    ways = st.lists(steps, min_size=1, max_size=2)
    return st.one_of(
        ways.map(lambda dos: {"choose": [{"when": "data.on", "do": do} for do in dos]}),
        steps.map(lambda do: {"for_each": {"in": "data.list", "do": do}}),
        steps.map(lambda do: {"after": "1h", "do": do}),
    )


STEPS = st.lists(st.recursive(st.just(SAY), _around, max_leaves=8), min_size=1, max_size=3)


def _named(raw: Any, depth: int = 0) -> Any:
    """The steps, with a name of its own for the items of each loop in a loop."""
    if isinstance(raw, list):
        return [_named(one, depth) for one in raw]
    if not isinstance(raw, Mapping):
        return raw
    named = {key: _named(value, depth + (key == "for_each")) for key, value in raw.items()}
    return {**named, "as": f"item{depth}"} if "in" in named else named


def _ways(data: st.DataObject, step: ChooseStep | ForEachStep) -> Any:
    if isinstance(step, ForEachStep):
        return data.draw(st.lists(st.integers(0, 9), max_size=3))
    return data.draw(st.none() | st.integers(0, len(step.branches) - 1))


def _walked(rule: Rule, at: Run, data: st.DataObject) -> Iterator[tuple[Run, Step]]:
    """Walks through a run, deciding on the way; gives each step, and the run that begins at it."""
    cursor = 0
    while cursor < len(before := steps_at(rule, at)):
        step, bound = before[cursor].step, before[cursor].bound
        if isinstance(step, ChooseStep | ForEachStep):
            at = replace(at, taken={**at.taken, step.path: _ways(data, step)})
            after = steps_at(rule, at)
            assert after[: cursor + 1] == before[: cursor + 1]
            assert after[len(after) - len(before) + cursor + 1 :] == before[cursor + 1 :]
        cursor += 1
        yield replace(at, path=step.path, taken={}, bound=bound), step


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rules")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=STEPS, data=st.data())
def test_what_a_run_has_passed_never_moves_and_every_followup_is_found(
    folder: Path, raw: list[Raw], data: st.DataObject
) -> None:
    loaded = load_text(folder, json.dumps({"version": 1, "rules": [{**RULE, "do": _named(raw)}]}))
    assert len(loaded.ruleset.rules) == 1, loaded.problems
    (rule,) = loaded.ruleset.rules
    todo, met = [run("x")], set[str]()
    while todo:
        for below, step in _walked(rule, todo.pop(), data):
            assert step.path not in met
            met.add(step.path)
            if isinstance(step, AfterStep):
                found = followup_at(rule, step.path)
                assert found is not None
                assert (found.path, found.do) == (as_written(step.path), step.do)
                todo.append(below)
