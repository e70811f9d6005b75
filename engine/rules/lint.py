"""A rule held against what the panels send: what it asks for and never gets, and what it mistakes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.rules.conditions import Condition
from engine.rules.expressions import Expression, Path
from engine.rules.lint_expressions import lint_condition, lint_expression
from engine.rules.lint_facts import facts_of
from engine.rules.lint_never import lasting, lint_never, ways_of
from engine.rules.lint_scope import NOTHING_KNOWN, Facts, How, Scope
from engine.rules.lint_several import TOLD, kinds_of, tells_apart
from engine.rules.lint_templates import lint_template, paths_in
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
from engine.rules.parameters import CompiledParameters
from engine.rules.patterns import is_known, matches
from engine.rules.report import Report
from engine.rules.templates import Template
from engine.rules.tree import walk
from engine.rules.values import Entries, Items, Recipient, Searched, Text, Url, Value
from engine.sources import catalogue, outlook, own
from engine.sources.contract import ANYTHING, Shape
from engine.sources.names import RENEWED


def lint_rule(
    rule: Rule,
    report: Report,
    keep_fields: frozenset[str] = frozenset(),
    note: Callable[[Path, Report], None] | None = None,
) -> None:
    """Report all that the contract of the event types makes wrong or doubtful in a rule.

    `note` is told each path that the rule reads, and where.
    """
    hidden = catalogue.secret_names() - keep_fields
    names, known = _event_types(rule.on)
    if rule.clocks or not known:
        names = ()
    scope = _scope(names, report, hidden, exact=known and not _has_glob(rule.on))
    lint = _RuleLint(rule, _with_steps(replace(scope, note=note), ()), hidden)
    lint.rule()


@dataclass(slots=True)
class _RuleLint:
    """Goes through one rule; `ids` are the step ids met so far.

    `sure`: every condition could be compiled, so that it is known what they ask for.
    """

    of: Rule
    scope: Scope
    hidden: frozenset[str]
    sure: bool = True
    ids: tuple[str, ...] = ()

    def rule(self) -> None:
        """Everything that the rule reads."""
        report, source = self.scope.report, self.of.source
        if self.of.when is not None:
            at = self.scope.at(report.at("when"))
            lint_condition(self.of.when, source["when"], at, How())
            lint_never(self.of.when, at)
        if self.of.per.expression is not None:
            lint_per(self.of.per.expression, self.scope.at(report.at("per")))
        self._note(self.of.when, source)
        facts = self._asked(self.of.when)
        self.steps(self.of.do, source.get("do"), report.at("do"), facts)

    def steps(self, steps: Sequence[Step], raw: Any, report: Report, facts: Facts) -> None:
        """A list of steps as compiled, at the places where they are written."""
        for step in steps:
            number = int(step.path.rpartition(".")[2])
            if isinstance(raw, list):
                self.step(step, raw[number], report.at(number), facts)
            if any(isinstance(one, StopStep) for one in walk([step])):
                facts |= TOLD  # it may have been for the events that lack something

    def step(self, step: Step, raw: Mapping[str, Any], report: Report, facts: Facts) -> None:
        """One step, with what is known where it runs."""
        self._note(step.when, raw)
        inner = facts | self._asked(step.when)
        if step.when is not None:
            at = self.scope.at(report.at("when"))
            lint_condition(step.when, raw["when"], at, How(facts))
            lint_never(step.when, at, lasting(ways_of(self.of.when, at)))
        if isinstance(step, ActionStep):
            self._action(step, report.at(step.action), inner)
        elif isinstance(step, AfterStep):
            self._after(step, raw, report, inner)
        elif isinstance(step, ChooseStep):
            self._choose(step, raw["choose"], report.at("choose"), inner)
        elif isinstance(step, ForEachStep):
            self._for_each(step, raw["for_each"], report.at("for_each"), inner)
        else:
            text = step.reason
            if isinstance(text, Template):
                at = self.scope.at(report.at("stop"))
                lint_template(text.text, at, inner, needed=self.sure)

    def _choose(self, step: ChooseStep, raw: Sequence[Any], report: Report, facts: Facts) -> None:
        """Each way by itself; what one gives back may be there for the steps below, or not."""
        whole = [
            (report.at(number), way)
            for number, way in enumerate(raw)
            if isinstance(way, Mapping) and ("else" in way or way.get("do") is not None)
        ]
        for branch, (at, way) in zip(step.branches, whole, strict=True):
            self._note(branch.when, way)
            inner = facts | self._asked(branch.when)
            if branch.when is not None:
                asked = self.scope.at(at.at("when"))
                lint_condition(branch.when, way["when"], asked, How(facts))
                lint_never(branch.when, asked, lasting(ways_of(self.of.when, asked)))
            key = "do" if "do" in way else "else"
            self.steps(branch.do, way.get(key), at.at(key), inner)
            facts |= TOLD  # the other ways are for what this one is not for

    def _for_each(
        self, step: ForEachStep, raw: Mapping[str, Any], report: Report, facts: Facts
    ) -> None:
        """The steps of a loop, which know what an item is; those below it do not."""
        lint_expression(step.items, self.scope.at(report.at("in")), How(facts))
        before = self.scope
        fields = {**before.names.fields, step.name: ANYTHING}
        self.scope = replace(before, names=replace(before.names, fields=fields))
        inner = facts | self.scope.given(step.items.paths[:1] if step.items.is_path else ())
        self.steps(step.do, raw["do"], report.at("do"), inner)
        self.scope = _with_steps(before, self.ids)

    def _asked(self, when: Condition | None) -> Facts:
        """What is known where a condition holds."""
        return self.scope.given(facts_of(when)) | tells_apart(when)

    def _note(self, when: Condition | None, raw: Mapping[str, Any]) -> None:
        """Of a condition with an error nobody knows what it asks for."""
        self.sure = self.sure and (when is not None or "when" not in raw)

    def _action(self, step: ActionStep, report: Report, facts: Facts) -> None:
        template = step.template
        if isinstance(template, CompiledParameters):
            for value in template.values.values():
                if isinstance(value, Recipient):
                    facts |= _recipients(value, self.scope)
            for key, value in template.values.items():
                _lint_value(value, self.scope.at(report.at(key)), facts, needed=self.sure)
        if step.id is not None:
            self.ids += (step.id,)
            self.scope = _with_steps(self.scope, self.ids)

    def _after(self, step: AfterStep, raw: Mapping[str, Any], report: Report, facts: Facts) -> None:
        if step.until is not None:
            at = self.scope.at(report.at("after", "until"))
            lint_expression(step.until, at, How(facts))
        self._watched(step.cancel_on, raw.get("cancel_on"), report.at("cancel_on"), facts)
        self._watched(step.awaits, raw.get("await"), report.at("await"), facts)
        before = self.scope, self.ids
        if step.awaits:
            self.scope, met = self._awaiting(step.awaits)
            self._do(step, raw, report, facts | met)
            self.scope, self.ids = before
            self.steps(step.otherwise, raw.get("else"), report.at("else"), facts)
        else:
            self._do(step, raw, report, facts)
        # No other step ever sees what those in it give back.
        self.scope, self.ids = before

    def _do(self, step: AfterStep, raw: Mapping[str, Any], report: Report, facts: Facts) -> None:
        if "do" in raw:
            self.steps(step.do, raw["do"], report.at("do"), facts)
            return
        bare = {key: value for key, value in raw.items() if key != "when"}
        for one in step.do:
            self.step(one, bare, report, facts)

    def _awaiting(self, awaits: Sequence[CancelOn]) -> tuple[Scope, Facts]:
        """The names where an awaited event has come, and what is then known to be there."""
        names, known = _event_types(one.pattern for one in awaits)
        fields = outlook.arrived(outlook.scopes(names if known else ()))
        mine = self.scope.names
        scope = replace(self.scope, names=replace(mine, fields={**mine.fields, **fields}))
        asked = [facts_of(one.when) for one in awaits]
        of_it = asked[0].intersection(*asked[1:])
        return scope, scope.given(("arrived", *path) for path in of_it if path[0] != "origin")

    def _watched(
        self, compiled: Sequence[CancelOn], raw: Any, report: Report, facts: Facts
    ) -> None:
        conditions = {one.pattern: one.when for one in compiled}
        for number, one in enumerate(raw if isinstance(raw, list) else [raw]):
            if not isinstance(one, Mapping) or "when" not in one:
                continue
            written = one.get("on")
            listed = written if isinstance(written, list) else [written]
            fitting = [name for name in listed if isinstance(name, str) and name in conditions]
            when = conditions[fitting[0]] if fitting else None
            if when is not None:
                at = report.at(number) if isinstance(raw, list) else report
                names, known = _event_types(fitting)
                scope = self._cancelling(names if known else (), at.at("when"))
                first = frozenset(("origin", *path) for path in facts)
                lint_condition(when, one["when"], scope, How(first))
                lint_never(when, scope)

    def _cancelling(self, names: Iterable[str], report: Report) -> Scope:
        """The names of the cancelling event, and `origin` with those of the first one."""
        scope = _scope(names, report, self.hidden, exact=False)
        fields = {**scope.names.fields, "origin": replace(self.scope.names, open=False)}
        fields["steps"] = self.scope.names.fields["steps"]
        return replace(scope, names=replace(scope.names, fields=fields))


def lint_per(per: Expression, scope: Scope) -> None:
    """Report what is doubtful in `per`, which is asked before `when` and of every event."""
    lint_expression(per, scope, How())
    if per.is_path:
        found = scope.follow(per.paths[0], How(lenient=True))
        scope.not_on_all(found, NOTHING_KNOWN, "per", "leave per out: it is the user or the node")


def _recipients(value: Recipient, scope: Scope) -> Facts:
    """Where one comes out null, the step is skipped."""
    if isinstance(value.value, Text):
        return paths_in(value.value.template.text, scope)
    return NOTHING_KNOWN


def _lint_value(value: Value, scope: Scope, facts: Facts, *, needed: bool) -> None:
    """The texts and expressions in the value of a parameter."""
    match value:
        case Recipient():
            _lint_value(value.value, scope, facts, needed=False)
        case Text() | Url():
            lint_template(value.template.text, scope, facts, needed=needed)
        case Searched():
            lint_expression(value.expression, scope, How(facts))
        case Entries():
            for key, one in value.values.items():
                _lint_value(one, scope.at(scope.report.at(key)), facts, needed=needed)
        case Items():
            for number, one in enumerate(value.values):
                _lint_value(one, scope.at(scope.report.at(number)), facts, needed=needed)


def _scope(names: Iterable[str], report: Report, hidden: frozenset[str], *, exact: bool) -> Scope:
    chosen = tuple(names)
    scopes = outlook.scopes(chosen)
    remembers = bool(chosen) and set(chosen) == {RENEWED}
    return Scope(
        names=outlook.outlook(scopes, remembers=remembers),
        report=report,
        subjects=frozenset(scope for scope, _ in scopes) & {"user", "node"},
        hidden=hidden,
        exact=exact,
        heard=tuple(one for name in chosen for one in (name, *outlook.other_names(name))),
        kinds=kinds_of(chosen),
        own=bool(chosen) and own.EVENTS.keys() >= set(chosen),
    )


def _with_steps(scope: Scope, ids: tuple[str, ...]) -> Scope:
    steps = Shape(fields=dict.fromkeys(ids, ANYTHING))
    return replace(scope, names=replace(scope.names, fields={**scope.names.fields, "steps": steps}))


def _event_types(patterns: Iterable[str]) -> tuple[tuple[str, ...], bool]:
    """The known event types that fit, and whether nothing unknown may come besides."""
    fitting = [_fitting(pattern) for pattern in patterns]
    return tuple(dict.fromkeys(name for found in fitting for name in found)), all(fitting)


def _fitting(pattern: str) -> tuple[str, ...]:
    if "*" not in pattern:
        return (pattern,) if is_known(pattern) else ()
    names = (*outlook.known_names(), *own.EVENTS)
    return tuple(name for name in names if matches(pattern, name))


def _has_glob(patterns: Iterable[str]) -> bool:
    return any("*" in pattern for pattern in patterns)
