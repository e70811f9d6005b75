"""The steps of a test: what each would have done, and how its tries end by the test's mocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.action import Params
from engine.deciding.walking import as_written
from engine.errors import ActionFailed
from engine.rehearsal.acting import Try
from engine.rehearsal.expecting import Done
from engine.rules.cases import Case, Ends, Fails
from engine.rules.model import ActionStep, Rule


@dataclass(frozen=True, slots=True)
class Failed:
    """A try that failed, as the test wished."""

    at: int
    rule: str
    step: str
    message: str


@dataclass(slots=True)
class Cast:
    """Plays the steps of one test, and takes note.

    Attributes:
        done: the tries that went well.
        failed: those that did not.
        unmocked: steps whose result is used, and which the test gives none.
        acted: the rules of which any step was tried.
        rules: those in force, by their ids.
    """

    case: Case
    done: list[Done] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    unmocked: dict[str, str] = field(default_factory=dict)
    acted: set[str] = field(default_factory=set)
    rules: dict[str, Rule] = field(default_factory=dict)
    _tries: dict[str, int] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)
    _waited: dict[str, int] = field(default_factory=dict)

    def play(self, one: Try) -> dict[str, Any]:
        """One try; raises `ActionFailed` where the test says so."""
        run, step = one.run, one.step
        self.acted.add(run.rule)
        number = self._tries[one.key] = self._tries.get(one.key, 0) + 1
        waited = self._wait(one)
        ends = self._ends(run.rule, step)
        end = ends[min(number, len(ends)) - 1] if ends else None
        if isinstance(end, Fails):
            self.failed.append(Failed(one.at, run.rule, step.id or step.path, end.message))
            raise ActionFailed(
                end.message, retry=end.retry, unknown=end.unknown, reason=end.reason,
                after=end.after,
            )  # fmt: skip
        given = end is not None or one.internal
        if step.id is not None and not given and self._is_used(run.rule, step):
            self.unmocked.setdefault(step.id, run.rule)
        params = params_of(one.params)
        done = Done(
            one.at, run.rule, step.id or "", step.path, step.action, params, run.key,
            waited=waited, tries=number,
        )  # fmt: skip
        self.done.append(done)
        return dict(end or {})

    def _wait(self, one: Try) -> int:
        """How long the run has waited between tries by now, and those before that it came from."""
        run = one.run
        waited = self._waited.setdefault(run.id, self._waited.get(run.parent or "", 0))
        waited += one.at - self._last.get(one.key, one.at)
        self._last[one.key] = one.at
        self._waited[run.id] = waited
        return waited

    def _ends(self, rule: str, step: ActionStep) -> tuple[Ends, ...]:
        """What the test says about a step: of this rule, else of whatever rule."""
        names = [name for name in (step.path, as_written(step.path), step.id) if name]
        for name in (*(f"{rule}/{name}" for name in names), *names):
            if name in self.case.mocks:
                return self.case.mocks[name]
        return ()

    def _is_used(self, rule: str, step: ActionStep) -> bool:
        known = self.rules.get(rule)
        return known is not None and step.id in used_results(known.source)


def used_results(source: Mapping[str, Any]) -> frozenset[str]:
    """The ids of steps whose results any text of a rule reads."""
    return frozenset(name for text in _texts(source) for name in _STEPS.findall(text))


_STEPS = re.compile(r"\bsteps\.([A-Za-z_][A-Za-z0-9_]*)")


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def params_of(params: Params) -> dict[str, Any]:
    """The parameters as they are written in a rule: those that were given, rendered."""
    return params.model_dump(mode="json", by_alias=True, exclude_unset=True)
