"""What would come of a match: the steps in words, the follow-ups with their due times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from engine.action import Registry
from engine.clock import to_iso
from engine.deciding.context import Context, rule_context
from engine.deciding.matching import Outcome
from engine.deciding.planning import plan, plan_followup
from engine.deciding.rulebook import walk
from engine.errors import ActionFailed, CouldNotEvaluate
from engine.model import Event, Run
from engine.rules.model import ActionStep, AfterStep, CancelOn, Rule, Step
from engine.rules.parameters import NoRecipient
from engine.sources.redaction import mask_private

Shown = dict[str, Any]


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
    """

    actions: Registry
    private: tuple[str, ...]
    made: Mapping[str, Run]

    def of(self, outcome: Outcome, event: Event, base: Context) -> Shown:
        """The run that a match makes or made."""
        rule = outcome.rule
        context = rule_context(base, rule, outcome.key)
        run = plan(rule, event, context, outcome.key).run
        return {
            **self._run(run),
            "steps": self._steps(rule, rule.do, run, context, event.stored),
            "note": "" if rule.do else "its steps can't be read any more",
        }

    def _run(self, run: Run) -> Shown:
        made = self.made.get(run.id)
        return {"run": run.id if made else None, "state": made.state.value if made else None}

    def _steps(
        self, rule: Rule, steps: Sequence[Step], run: Run, context: Context, reached: int
    ) -> list[Shown]:
        return [
            self._followup(rule, step, run, context, reached)
            if isinstance(step, AfterStep)
            else self._action(rule, step, context)
            for step in steps
        ]

    def _action(self, rule: Rule, step: ActionStep, context: Context) -> Shown:
        judged = step.when.judge(context) if step.when else None
        does, error = self._described(rule, step, context)
        return {
            "step": step.path,
            "action": step.action,
            "target": step.target,
            "does": does,
            "error": error,
            "when": str(step.when) if step.when else None,
            "verdict": judged.verdict.value if judged else None,
        }

    def _described(
        self, rule: Rule, step: ActionStep, context: Context
    ) -> tuple[str | None, str | None]:
        # Masked before: an action shortens what it tells, and half a link would pass a mask.
        masked = mask_private(context, self.private)
        try:
            params = step.template.render(masked, _NoSecrets())
            return self.actions[step.action].describe(params), None
        except NoRecipient as nobody:
            return None, f"it would be passed over: {nobody}"
        except ActionFailed as failed:
            if _has_results_before(rule, step):
                return None, f"it can't be told before the steps above have run: {failed.message}"
            return None, f"as things stand it would be a dead letter: {failed.message}"

    def _followup(
        self, rule: Rule, step: AfterStep, run: Run, context: Context, reached: int
    ) -> Shown:
        shown: Shown = {
            "step": step.path,
            "cancel_on": [_cancel(one) for one in step.cancel_on],
            "when": str(step.when) if step.when else None,
        }
        try:
            child = plan_followup(run, rule.per, step, context, reached=reached).run
        except CouldNotEvaluate as error:
            unmade = {"run": None, "state": None, "due": None}
            return {**shown, **unmade, "error": str(error), "steps": []}
        due = self.made[child.id].due if child.id in self.made else child.due
        later = {**context, "now": to_iso(due)}
        below = self._steps(rule, step.do, child, later, due)
        return {**shown, **self._run(child), "due": to_iso(due), "error": None, "steps": below}


def _has_results_before(rule: Rule, step: ActionStep) -> bool:
    """Whether an earlier step may give back what this one needs."""
    above = takewhile(lambda one: one.path != step.path, walk(rule.do))
    return any(isinstance(one, ActionStep) and one.id is not None for one in above)


def _cancel(cancel: CancelOn) -> Shown:
    return {"on": cancel.pattern, "when": str(cancel.when) if cancel.when else None}
