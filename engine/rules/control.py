"""Control steps out of plain data: choose, for_each and stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.rules import codes, names, shapes
from engine.rules.compiling import compile_condition, compile_expression
from engine.rules.expressions import ALL_FUNCTIONS, Expression
from engine.rules.model import Branch, ChooseStep, ControlStep, ForEachStep, Step, StopStep
from engine.rules.parameters import Terms, compile_text
from engine.rules.report import Report
from engine.rules.wording import shown

Steps = Callable[[Any, str, Report, frozenset[str]], tuple[Step, ...]]
"""Compiles a list of steps at a path, which know these names."""
_TAKEN = names.CONTEXT | names.CANCELLING | names.FAILING | names.AWAITED | names.DIGESTING
_ITEM = "item"


@dataclass(frozen=True, slots=True)
class Control:
    """Compiles control steps under the terms of the list that they stand in."""

    terms: Terms
    steps: Steps

    def step(self, raw: Mapping[str, Any], path: str, report: Report) -> ControlStep | None:
        """The step, where it is one without a mistake that leaves nothing of it."""
        (kind, *others) = [key for key in raw if key in names.CONTROL_KEYS]
        for key in others:
            message = f"a step is one thing, and {kind} is already there"
            report.at(key).error(codes.WRONG_VALUE, message, "make it a step of its own", key=True)
        rest = {key: value for key, value in raw.items() if key not in others}
        names.check_keys(rest, (kind, "when"), report)
        if kind == "choose":
            return self._choose(raw, path, report)
        return (
            self._for_each(raw, path, report)
            if kind == "for_each"
            else self._stop(raw, path, report)
        )

    def _when(self, raw: Mapping[str, Any], report: Report) -> Any:
        if "when" not in raw:
            return None
        return compile_condition(raw["when"], report.at("when"), self.terms.known)

    def _choose(self, raw: Mapping[str, Any], path: str, report: Report) -> ChooseStep | None:
        ways, at = raw["choose"], report.at("choose")
        if not isinstance(ways, list) or not ways:
            hint = "as in choose: [{when: …, do: […]}, {else: […]}]"
            at.error(codes.WRONG_VALUE, f"choose is a list of ways, not {shown(ways)}", hint)
            return None
        found = [
            self._branch(way, f"{path}.choose.{number}", at.at(number), number == len(ways) - 1)
            for number, way in enumerate(ways)
        ]
        return ChooseStep(path, self._when(raw, report), tuple(one for one in found if one))

    def _branch(self, raw: Any, path: str, report: Report, last: bool) -> Branch | None:
        if not isinstance(raw, Mapping):
            message = f"a way of choose is a mapping, not {shown(raw)}"
            report.error(codes.WRONG_VALUE, message, "write {when: …, do: […]}, or {else: […]}")
            return None
        if "else" in raw:
            names.check_keys(raw, ("else",), report)
            if not last:
                message = "else is the last way, for those below it are never asked"
                report.at("else").error(codes.WRONG_VALUE, message, "move it down", key=True)
            return Branch(None, self._list(raw["else"], f"{path}.do", report.at("else")))
        names.check_keys(raw, ("when", "do"), report)
        when = self._when(raw, report) if shapes.needs(raw, "when", "a way", report) else None
        if not shapes.needs(raw, "do", "a way", report):
            return None
        return Branch(when, self._list(raw["do"], f"{path}.do", report.at("do")))

    def _list(self, raw: Any, path: str, report: Report) -> tuple[Step, ...]:
        return self.steps(raw, path, report, self.terms.known)

    def _for_each(self, raw: Mapping[str, Any], path: str, report: Report) -> ForEachStep | None:
        value, at = raw["for_each"], report.at("for_each")
        if not isinstance(value, Mapping):
            hint = "as in for_each: {in: user.tags, as: tag, do: […]}"
            at.error(codes.WRONG_VALUE, f"for_each is a mapping, not {shown(value)}", hint)
            return None
        names.check_keys(value, ("in", "as", "do"), at)
        items: Expression | None = None
        if shapes.needs(value, "in", "for_each", at):
            items = compile_expression(value["in"], at.at("in"), self.terms.known)
        name = self._name(value, at)
        if not shapes.needs(value, "do", "for_each", at):
            return None
        do = self.steps(value["do"], f"{path}.do", at.at("do"), self.terms.known | {name})
        when = self._when(raw, report)
        return ForEachStep(path, when, items, name, do) if items else None

    def _name(self, raw: Mapping[str, Any], report: Report) -> str:
        """The name for an item, which stands for nothing else there."""
        name = raw.get("as", _ITEM)
        at = report.at("as") if "as" in raw else report
        if not isinstance(name, str) or not shapes.WORD.fullmatch(name):
            at.error(codes.WRONG_VALUE, f"{shown(name)} is no name for an item", "as in as: tag")
            return _ITEM
        if name in _TAKEN | ALL_FUNCTIONS.keys() | self.terms.known:
            message = f'"{name}" stands for something else here'
            at.error(codes.WRONG_VALUE, message, "give the item another name: as: …")
        return name

    def _stop(self, raw: Mapping[str, Any], path: str, report: Report) -> StopStep | None:
        value = raw["stop"]
        if not isinstance(value, str) or not value:
            message = f"stop has a reason, a text; not {shown(value)}"
            report.at("stop").error(codes.WRONG_VALUE, message, 'as in stop: "nothing to do"')
            return None
        reason = compile_text(value, self.terms, report.at("stop"))
        return StopStep(path, self._when(raw, report), reason)
