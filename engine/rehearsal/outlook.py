"""What would come of a match: the steps in words, the follow-ups with their due times."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from engine.action import Registry
from engine.clock import to_iso
from engine.deciding.context import Context, arrival, rule_context
from engine.deciding.holding import Ruling
from engine.deciding.matching import Outcome
from engine.deciding.planning import plan, plan_followup
from engine.errors import ActionFailed, CouldNotEvaluate
from engine.model import Event, Holding, Run, Verdict
from engine.rules.conditions import Condition
from engine.rules.model import (
    ActionStep,
    AfterStep,
    CancelOn,
    ChooseStep,
    ForEachStep,
    Rule,
    Step,
    StopStep,
)
from engine.rules.parameters import NoRecipient
from engine.rules.tree import walk
from engine.rules.wording import shortened
from engine.sources.redaction import mask_private

Shown = dict[str, Any]
_MOST_ITEMS = 5
_ENDS = "ends"
"""Whether a control step ends the run: known while steps are told, and not shown."""
_NOT_YET = "when it is due is known once the event has come"
_UNMADE: Shown = {
    "run": None, "state": None, "due": None, "met": None, "steps": [], "else": [],
}  # fmt: skip


class _NoSecrets:
    """In place of the secrets: whatever is described never holds one."""

    def get(self, name: str) -> str:
        """A word that may stand wherever a secret may."""
        del name
        return "SECRET"


@dataclass(frozen=True, slots=True)
class Outlook:
    """Tells plans.

    Attributes:
        actions: which describe themselves; nothing is done.
        private: the texts to mask.
        made: the runs that the event caused, by id.
        arrived: the events that awaits of these runs were met by, by arrival number.
    """

    actions: Registry
    private: tuple[str, ...]
    made: Mapping[str, Run]
    arrived: Mapping[int, Event] = field(default_factory=dict)

    def of(self, outcome: Outcome, event: Event, base: Context) -> Shown:
        """The run that a match makes or made."""
        rule = outcome.rule
        context = rule_context(base, rule, outcome.key)
        ruling = outcome.ruling or Ruling(Holding(), due=event.stored)
        run = plan(rule, event, context, outcome.key, ruling).run
        return {
            **self._run(run),
            "steps": self._steps(rule, rule.do, run, context, event.stored),
            "note": "" if rule.do else "its steps can't be read any more",
        }

    def _run(self, run: Run) -> Shown:
        made = self.made.get(run.id)
        return {"run": run.id if made else None, "state": made.state.value if made else None}

    def _steps(
        self, rule: Rule, steps: Sequence[Step], run: Run, context: Context, reached: int | None
    ) -> list[Shown]:
        """What steps would do that are reached at a moment: None where an event must come first.

        Those below a `stop` that ends the run are left out.
        """
        found: list[Shown] = []
        for step in steps:
            found.append(self._step(rule, step, run, context, reached))
            if found[-1].pop(_ENDS, False):
                break
        return found

    def _step(
        self, rule: Rule, step: Step, run: Run, context: Context, reached: int | None
    ) -> Shown:
        match step:
            case AfterStep():
                return self._followup(rule, step, run, context, reached)
            case ActionStep():
                return self._action(rule, step, context, told_early=reached is None)
        verdict = _verdict(step.when, context, told_early=reached is None)
        shown: Shown = {
            "step": step.path,
            "control": "",
            "when": str(step.when) if step.when else None,
            "verdict": verdict,
            "error": None,
            "ways": [],
        }
        goes = step.when is None or verdict == Verdict.MATCHED
        match step:
            case ChooseStep():
                chosen = self._choose(rule, step, run, context, reached)
                return {**shown, "control": "choose", **chosen}
            case ForEachStep():
                looped = self._loop(rule, step, run, context, reached)
                return {**shown, "control": "for_each", **looped}
        return {**shown, "control": "stop", **_told(step, context), _ENDS: goes}

    def _choose(
        self, rule: Rule, step: ChooseStep, run: Run, context: Context, reached: int | None
    ) -> Shown:
        """The ways, with the steps of the one that is gone, or of all where that can't be told."""
        ways: list[Shown] = []
        taken, ends = False, False
        for branch in step.branches:
            verdict = _verdict(branch.when, context, told_early=reached is None)
            if branch.when is None:
                sure = all(way["verdict"] for way in ways)
                fits = Verdict.NOT_MATCHED if taken else Verdict.MATCHED
                verdict = fits.value if sure else None
            steps: list[Shown] = []
            if not taken and verdict in {None, Verdict.MATCHED}:
                steps = self._steps(rule, branch.do, run, context, reached)
            taken = taken or verdict == Verdict.MATCHED
            ends = ends or (taken and bool(steps) and _has_ended(steps))
            when = str(branch.when) if branch.when else None
            ways.append({"when": when, "verdict": verdict, "item": None, "steps": steps})
        sure = all(way["verdict"] for way in ways)
        return {"ways": ways, _ENDS: ends and sure}

    def _loop(
        self, rule: Rule, step: ForEachStep, run: Run, context: Context, reached: int | None
    ) -> Shown:
        """The steps for each of the first items, as far as the list can be told by now."""
        try:
            found = step.items.search(context)
        except CouldNotEvaluate as error:
            return {"error": f"it can't be told yet: {error}"}
        items = found if isinstance(found, list) else []
        ways = []
        for number, item in enumerate(items[:_MOST_ITEMS]):
            inner = {**context, step.name: item}
            placed = tuple(
                replace(one, path=f"{step.path}[{number}]{one.path[len(step.path) :]}")
                for one in step.do
            )
            steps = self._steps(rule, placed, run, inner, reached)
            shown = shortened(json.dumps(mask_private(item, self.private), default=str))
            ways.append({"when": None, "verdict": None, "item": shown, "steps": steps})
        more = len(items) - len(ways)
        return {"ways": ways, "error": f"and {more} more" if more else None}

    def _action(self, rule: Rule, step: ActionStep, context: Context, *, told_early: bool) -> Shown:
        verdict = _verdict(step.when, context, told_early=told_early)
        does, error = self._described(rule, step, context, told_early=told_early)
        return {
            "step": step.path,
            "action": step.action,
            "target": step.target,
            "does": does,
            "error": error,
            "when": str(step.when) if step.when else None,
            "verdict": verdict,
        }

    def _described(
        self, rule: Rule, step: ActionStep, context: Context, *, told_early: bool
    ) -> tuple[str | None, str | None]:
        # Masked before: an action shortens what it tells, and half a link would pass a mask.
        masked = mask_private(context, self.private)
        try:
            params = step.template.render(masked, _NoSecrets())
            return self.actions[step.action].describe(params), None
        except NoRecipient as nobody:
            return None, f"it would be passed over: {nobody}"
        except ActionFailed as failed:
            if told_early:
                return None, f"it can't be told before the event has come: {failed.message}"
            if _has_results_before(rule, step):
                return None, f"it can't be told before the steps above have run: {failed.message}"
            return None, f"as things stand it would be a dead letter: {failed.message}"

    def _followup(
        self, rule: Rule, step: AfterStep, run: Run, context: Context, reached: int | None
    ) -> Shown:
        shown: Shown = {
            "step": step.path,
            "await": [_wanted(one) for one in step.awaits],
            "cancel_on": [_wanted(one) for one in step.cancel_on],
            "when": str(step.when) if step.when else None,
        }
        try:
            child = plan_followup(run, rule.per, step, context, reached=reached or 0).run
        except CouldNotEvaluate as error:
            return {**shown, **_UNMADE, "error": str(error) if reached is not None else _NOT_YET}
        made = self.made.get(child.id)
        if made is not None:
            due: int | None = made.due
        else:
            due = child.due if reached is not None or step.until else None
        later = {**context, "now": to_iso(due)} if due is not None else context
        return {
            **shown,
            **self._run(child),
            "due": to_iso(due) if due is not None else None,
            "error": _NOT_YET if due is None else None,
            **self._below(rule, step, made or child, later, due),
        }

    def _below(
        self, rule: Rule, step: AfterStep, child: Run, context: Context, due: int | None
    ) -> Shown:
        """The steps of a follow-up; of an await, as far as they can be told before it is met."""
        if not step.awaits:
            steps = self._steps(rule, step.do, child, context, due)
            return {"met": None, "steps": steps, "else": []}
        came = self.arrived.get(child.arrived or 0) if child.met else None
        inside = {**context, **arrival(came, since=child.origin_raised)}
        return {
            "met": came.id if came else None,
            "steps": self._steps(rule, step.do, child, inside, due if came else None),
            "else": self._steps(rule, step.otherwise, child, context, due),
        }


def _verdict(when: Condition | None, context: Context, *, told_early: bool) -> str | None:
    """What a condition says as things stand; None where none is, or results are still to come."""
    if when is None or told_early:
        return None
    results = context.get("steps") or {}
    for expression in when.expressions():
        for path in expression.paths:
            if path[0] == "steps" and (len(path) == 1 or path[1] not in results):
                return None
    return when.judge(context).verdict.value


def _has_ended(steps: Sequence[Shown]) -> bool:
    """Whether the last of them is a stop that ends the run."""
    last = steps[-1]
    ended = last.get("control") == "stop"
    return ended and (last["when"] is None or last["verdict"] == Verdict.MATCHED)


def _told(step: StopStep, context: Context) -> Shown:
    try:
        return {"reason": step.reason.render(context)}
    except CouldNotEvaluate as error:
        return {"reason": None, "error": str(error)}


def _has_results_before(rule: Rule, step: ActionStep) -> bool:
    """Whether an earlier step may give back what this one needs."""
    above = takewhile(lambda one: one.path != step.path, walk(rule.do))
    return any(isinstance(one, ActionStep) and one.id is not None for one in above)


def _wanted(one: CancelOn) -> Shown:
    return {"on": one.pattern, "when": str(one.when) if one.when else None}
