"""Where a run stands: its list of steps, with the ways taken and the loops laid out one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import CouldNotEvaluate
from engine.model import Run, Verdict
from engine.rules.conditions import Condition
from engine.rules.model import (
    ActionStep,
    AfterStep,
    ChooseStep,
    ControlStep,
    ForEachStep,
    Rule,
    Step,
    StopStep,
)
from engine.rules.tree import walk_all

CONTROL_LANE = "control"
ON_FAILURE = "on_failure"
"""The path of a run that tells of a dead letter; of a follow-up's, with `:` and its path."""
MOST_ITEMS = 1000
"""So many items a run goes through, in all of its loops."""
_KINDS = {
    str: "a text",
    dict: "an object",
    bool: "true or false",
    int: "a number",
    float: "a number",
}
_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Placed:
    """A step where a run meets it. Its path has the number of each loop's item: `do.1[2].do.0`.

    `bound` are the names that loops give to their items.
    """

    step: Step
    bound: Mapping[str, Any]


def steps_at(rule: Rule, run: Run) -> tuple[Placed, ...]:
    """The list of steps that a run walks through.

    What it has decided on the way (`Run.taken`) is laid out in place: behind a choose the steps of
    its way, behind a loop its steps once for each item. So an index never means another step.
    """
    steps, written, placed = _list_of(rule, run)
    return tuple(_laid_out(steps, run.taken, (written, placed), run.bound))


def _list_of(rule: Rule, run: Run) -> tuple[tuple[Step, ...], str, str]:
    """The steps as written; the beginning of their paths, and what stands in its place."""
    place = run.path.partition(":")[0]
    if place == ON_FAILURE:
        return rule.on_failure, "", ""
    followup = followup_at(rule, run.path)
    if followup is None:
        return rule.do, "", ""
    steps = followup.otherwise if followup.awaits and not run.met else followup.do
    return steps, as_written(place), place


def _laid_out(
    steps: Iterable[Step],
    taken: Mapping[str, Any],
    prefix: tuple[str, str],
    bound: Mapping[str, Any],
) -> Iterator[Placed]:
    written, placed = prefix
    for step in steps:
        path = placed + step.path[len(written) :]
        yield Placed(replace(step, path=path), bound)
        if path not in taken:
            continue
        if isinstance(step, ChooseStep):
            way = taken[path]
            if way is not None:
                yield from _laid_out(step.branches[way].do, taken, (step.path, path), bound)
        elif isinstance(step, ForEachStep):
            for number, item in enumerate(taken[path]):
                inner = (step.path, f"{path}[{number}]")
                yield from _laid_out(step.do, taken, inner, {**bound, step.name: item})


def decided(step: ControlStep, run: Run, context: Mapping[str, Any]) -> Run:
    """The run with what a choose or a loop comes to; `CouldNotEvaluate` where that can't be told."""
    if isinstance(step, StopStep):
        return run
    way: Any = None
    if not is_wanted(step.when, context):
        way = [] if isinstance(step, ForEachStep) else None
    elif isinstance(step, ChooseStep):
        way = _way(step, context)
    else:
        way = _items(step, run, context)
    return replace(run, taken={**run.taken, step.path: way})


def is_wanted(when: Condition | None, context: Mapping[str, Any]) -> bool:
    """Whether a condition holds; `CouldNotEvaluate` where that can't be told."""
    if when is None:
        return True
    judgement = when.judge(context)
    if judgement.verdict is Verdict.COULD_NOT_EVALUATE:
        raise CouldNotEvaluate(judgement.why)
    return judgement.verdict is Verdict.MATCHED


def _way(step: ChooseStep, context: Mapping[str, Any]) -> int | None:
    """The number of the first way that fits."""
    fitting = (n for n, branch in enumerate(step.branches) if is_wanted(branch.when, context))
    return next(fitting, None)


def _items(step: ForEachStep, run: Run, context: Mapping[str, Any]) -> list[Any]:
    found = step.items.search(context)
    if found is None:
        return []
    if not isinstance(found, list):
        kind = _KINDS.get(type(found), "something else")
        raise CouldNotEvaluate(f"{step.items.text} is no list, but {kind}")
    before = sum(len(items) for items in run.taken.values() if isinstance(items, list))
    if before + len(found) > MOST_ITEMS:
        raise CouldNotEvaluate(
            f"{step.items.text} has {len(found)} items; a run goes through {MOST_ITEMS}"
        )
    return found


def as_written(path: str) -> str:
    """The path of a step as the rule has it: without the numbers of items."""
    return _INDEX.sub("", path)


def followup_at(rule: Rule, path: str) -> AfterStep | None:
    """The follow-up at a path; None for the rule itself, LookupError where there is none."""
    place = path.partition(":")[0]
    if place in {"", ON_FAILURE}:
        return None
    written = as_written(place)
    for step in walk_all(rule):
        if step.path == written and isinstance(step, AfterStep):
            return step
    raise LookupError(f"rule {rule.id} has no follow-up at {path}")


def part_at(rule: Rule, path: str) -> AfterStep | Rule | None:
    """The follow-up at a path, or the rule itself; None for what tells of failures."""
    return followup_at(rule, path) or (rule if path == "" else None)


def lane_of(steps: Sequence[Step], cursor: int) -> str:
    """The lane in which a run waits whose next step is at `cursor`."""
    step = steps[cursor] if cursor < len(steps) else None
    return step.target if isinstance(step, ActionStep) else CONTROL_LANE
