"""Steps out of plain data: actions with what stands beside them, and follow-ups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from engine.action import Action, Registry
from engine.clock import SECOND
from engine.rules import codes, followups, names, shapes
from engine.rules.compiling import compile_condition
from engine.rules.conditions import Condition
from engine.rules.control import Control
from engine.rules.holding import compile_quiet
from engine.rules.model import (
    ActionStep,
    AfterStep,
    CancelOn,
    ConnectionSpec,
    Retry,
    Step,
    StopStep,
)
from engine.rules.parameters import Terms, compile_parameters
from engine.rules.report import Report
from engine.rules.wording import did_you_mean, shortened, shown

_RETRY_KEYS = ("tries", "backoff", "max", "for")
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
MOST_TRIES = 1000


@dataclass(frozen=True, slots=True)
class StepCompiler:
    """Compiles the steps of one rule; `ids` are the step ids seen so far.

    `cancel_on` is what cancels all runs of the rule, its follow-ups too.
    """

    actions: Registry
    connections: Mapping[str, ConnectionSpec]
    broken_connections: frozenset[str]
    terms: Terms
    cancel_on: tuple[CancelOn, ...] = ()
    ids: set[str] = field(default_factory=set)

    def steps(self, raw: Any, path: str, report: Report) -> tuple[Step, ...]:
        """A list of steps; what is wrong with any is reported."""
        name = path.rpartition(".")[2]
        if isinstance(raw, Mapping):
            raw = [raw]
            report.error(
                codes.WRONG_VALUE, f"{name} is a list of steps", 'put "- " before each step'
            )
        if not isinstance(raw, list) or not raw:
            report.error(codes.WRONG_VALUE, f"{name} is a list of steps, not {shown(raw)}")
            return ()
        found = [self.step(one, f"{path}.{at}", report.at(at)) for at, one in enumerate(raw)]
        for at, step in enumerate(found[:-1]):
            if isinstance(step, StopStep) and step.when is None:
                hint = "give the stop a when, or take out what stands below it"
                message = "nothing below this stop is ever done"
                report.at(at).warn(codes.NEVER_REACHED, message, hint)
        return tuple(step for step in found if step is not None)

    def step(self, raw: Any, path: str, report: Report) -> Step | None:
        """One step."""
        if not isinstance(raw, Mapping):
            hint = "write one like: log: {text: …}"
            report.error(codes.WRONG_VALUE, f"a step is a mapping, not {shown(raw)}", hint)
            return None
        if followups.is_followup(raw):
            return self._followup(raw, path, report)
        if not raw.keys().isdisjoint(names.CONTROL_KEYS):
            return Control(self.terms, self._inside).step(raw, path, report)
        name = self._action_name(raw, report)
        return self._action(self.actions[name], raw, path, report) if name else None

    def _inside(
        self, raw: Any, path: str, report: Report, known: frozenset[str]
    ) -> tuple[Step, ...]:
        """The steps of a control step, which may know more names."""
        return replace(self, terms=replace(self.terms, known=known)).steps(raw, path, report)

    def _action_name(self, raw: Mapping[str, Any], report: Report) -> str | None:
        """The one action that the step names."""
        found = [key for key in raw if key in self.actions]
        for key in raw:
            if key not in self.actions and key not in names.STEP_KEYS:
                self._unknown(key, bool(found), report.at(key))
        for key in found[1:]:
            message = f"a step has one action, and {found[0]} is already there"
            report.at(key).error(codes.WRONG_VALUE, message, "make it a step of its own", key=True)
        if not found and raw.keys() <= names.STEP_KEYS:
            hint = f"there is {', '.join(sorted(self.actions))}"
            report.error(codes.UNKNOWN_ACTION, "the step has no action", hint)
        return found[0] if len(found) == 1 else None

    def _unknown(self, key: str, has_action: bool, report: Report) -> None:
        if followups.check_place(key, report):
            return
        if has_action:
            hint = did_you_mean(key, names.STEP_KEYS | names.FOLLOWUP_KEYS)
            report.error(codes.UNKNOWN_KEY, f'a step has no "{shortened(key)}"', hint, key=True)
        else:
            known = {"after", "await", *names.CONTROL_KEYS}
            hint = did_you_mean(key, self.actions.keys() | known)
            message = f'there is no action "{shortened(key)}"'
            report.error(codes.UNKNOWN_ACTION, message, hint, key=True)

    def _action(
        self, action: Action[Any], raw: Mapping[str, Any], path: str, report: Report
    ) -> ActionStep | None:
        below = report.at(action.name)
        parameters = raw[action.name]
        connection = self._connection(action, parameters, below)
        if connection and isinstance(parameters, Mapping):
            parameters = self._with_connection(action, parameters, connection)
        # A connection that is not there is reported already; its URLs are paths all the same.
        named = parameters.get("connection") if isinstance(parameters, Mapping) else None
        template = compile_parameters(action, parameters, self.terms, below, connection or named)
        self._flaws(action, parameters, connection, below)
        when = self._when(raw, report)
        step_id = self._step_id(raw, report)
        retry = compile_retry(raw.get("retry"), report.at("retry"))
        timeout = self._timeout(raw, report)
        on_error = shapes.choice(raw, "on_error", ("stop", "continue"), report)
        if_unknown = shapes.choice(raw, "if_unknown", ("repeat", "dead"), report)
        if template is None:
            return None
        return ActionStep(
            path=path,
            id=step_id,
            action=action.name,
            template=template,
            when=when,
            retry=retry,
            timeout=timeout,
            stop_on_error=on_error != "continue",
            if_unknown=cast("Literal['repeat', 'dead'] | None", if_unknown),
            connection=connection,
            target=action.target(connection, template.authority),
        )

    def _flaws(
        self, action: Action[Any], parameters: Any, connection: str | None, report: Report
    ) -> None:
        """Report what the action itself finds wrong, or misses on this machine."""
        if hint := action.missing():
            message = f"{action.name} needs a package that is not installed"
            report.error(codes.NOT_INSTALLED, message, hint, key=True)
            return
        spec = self.connections.get(connection) if connection else None
        if isinstance(parameters, Mapping):
            for flaw in action.flaws(parameters, spec.raw if spec else None):
                at = report.at(flaw.key) if flaw.key else report
                at.error(codes.BAD_PARAMETER, flaw.message, flaw.hint, key=not flaw.key)

    def _with_connection(
        self, action: Action[Any], raw: Mapping[str, Any], connection: str
    ) -> Mapping[str, Any]:
        """The only connection of its kind is as good as written, where the action has a word."""
        has_word = "connection" in action.params.model_fields
        return {**raw, "connection": connection} if has_word else raw

    def _connection(self, action: Action[Any], raw: Any, report: Report) -> str | None:
        """The name of the connection that the step uses."""
        fitting = sorted(n for n, spec in self.connections.items() if spec.kind in action.kinds)
        for word in action.connection_words if isinstance(raw, Mapping) and action.kinds else ():
            named = raw.get(word)
            if isinstance(named, str) and (word == "connection" or _NAME.fullmatch(named)):
                return self._named_connection(action, named, fitting, report.at(word))
        if not action.needs_connection:
            return None
        if len(fitting) == 1:
            return fitting[0]
        kinds = " or ".join(sorted(action.kinds))
        if self.broken_connections and not fitting:
            names_of = ", ".join(sorted(self.broken_connections))
            message = f"{action.name} needs a connection, and {names_of} can't be used"
            report.error(codes.NO_CONNECTION, message, "mend the connection first", key=True)
            return None
        if fitting:
            message = f"{action.name} needs to know which connection to use"
            hint = f"write connection: and one of {', '.join(fitting)}"
        else:
            message = f"{action.name} needs a connection of kind {kinds}, and there is none"
            hint = "describe one under connections"
        report.error(codes.NO_CONNECTION, message, hint, key=True)
        return None

    def _named_connection(
        self, action: Action[Any], named: str, fitting: list[str], report: Report
    ) -> str | None:
        if named in fitting:
            return named
        if named in self.connections:
            kind = self.connections[named].kind
            message = f"{action.name} cannot use {named}, which is of kind {kind}"
            hint = f"there is {', '.join(fitting)}" if fitting else ""
        elif named in self.broken_connections:
            message, hint = f"the connection {named} is broken", "mend it first"
        else:
            message = f"there is no connection {shown(named)}"
            hint = did_you_mean(named, fitting) or "describe it under connections"
        report.error(codes.NO_CONNECTION, message, hint)
        return None

    def _step_id(self, raw: Mapping[str, Any], report: Report) -> str | None:
        name = raw.get("id")
        if name is None:
            return None
        at = report.at("id")
        if not isinstance(name, str) or not shapes.WORD.fullmatch(name):
            message = f"{shown(name)} is no id for a step"
            at.error(codes.WRONG_VALUE, message, "letters, digits and _, as in steps.my_id.status")
            return None
        if name in self.ids:
            at.error(codes.TWICE, f'another step of this rule has the id "{name}"')
        self.ids.add(name)
        return name

    def _when(self, raw: Mapping[str, Any], report: Report) -> Condition | None:
        if "when" not in raw:
            return None
        return compile_condition(raw["when"], report.at("when"), self.terms.known)

    def _timeout(self, raw: Mapping[str, Any], report: Report) -> int | None:
        if raw.get("timeout") is None:
            return None
        return shapes.span(raw["timeout"], report.at("timeout"), what="timeout", least=1)

    def _followup(self, raw: Mapping[str, Any], path: str, report: Report) -> AfterStep:
        followups.check_keys(raw, report)
        delay, until, offset = followups.compile_due(raw, self.terms.known, report)
        return AfterStep(
            path=path,
            delay=delay,
            until=until,
            offset=offset,
            cancel_on=followups.compile_watched(raw, "cancel_on", report),
            when=self._when(raw, report),
            do=self._do(raw, path, report),
            awaits=followups.compile_watched(raw, "await", report),
            otherwise=self._otherwise(raw, path, report),
            if_late=followups.compile_if_late(raw, report),
            on_rule_change=followups.compile_rule_change(raw, report),
            quiet=compile_quiet(raw, self.terms.timezone, report),
            of_rule=self.cancel_on,
        )

    def _do(self, raw: Mapping[str, Any], path: str, report: Report) -> tuple[Step, ...]:
        """The steps of a follow-up; of an await, those for the event that it waits for."""
        inside = self
        if "await" in raw:
            known = self.terms.known | names.AWAITED
            inside = replace(self, terms=replace(self.terms, known=known))
        if "do" in raw:
            return inside.steps(raw["do"], f"{path}.do", report.at("do"))
        inner = {key: value for key, value in raw.items() if key not in names.FOLLOWUP_KEYS}
        if not inner and "await" in raw:
            if "else" not in raw:
                hint = "do: what to do when it comes; else: what to do when it does not"
                report.error(codes.MISSING_KEY, 'await needs "do" or "else"', hint)
            return ()
        step = inside.step(inner, f"{path}.do.0", report)
        return (step,) if step else ()

    def _otherwise(self, raw: Mapping[str, Any], path: str, report: Report) -> tuple[Step, ...]:
        if "await" not in raw or "else" not in raw:
            return ()
        return self.steps(raw["else"], f"{path}.else", report.at("else"))


def compile_retry(raw: Any, report: Report) -> Retry:
    """`{tries, backoff, max}` or `{for, backoff, max}`; the default where nothing is written."""
    if raw is None:
        return Retry()
    if not isinstance(raw, Mapping):
        hint = "write one like {tries: 5, backoff: 10s}; {tries: 1} for no second try"
        report.error(codes.WRONG_VALUE, f"retry is a mapping, not {shown(raw)}", hint)
        return Retry()
    names.check_keys(raw, _RETRY_KEYS, report)
    if "tries" in raw and "for" in raw:
        report.at("for").error(codes.WRONG_VALUE, "retry has either tries or for", key=True)
    known = {
        name: shapes.span(raw[key], report.at(key), what=key, least=least)
        for key, name, least in (("backoff", "backoff", 1), ("max", "max", 1), ("for", "span", 1))
        if raw.get(key) is not None
    }
    spans = {name: value for name, value in known.items() if value is not None}
    tries = None if "for" in raw else _tries(raw, report)
    longest = max(spans.get("max", Retry().max), spans.get("backoff", SECOND))
    return Retry(
        tries=tries,
        backoff=spans.get("backoff", Retry().backoff),
        max=longest,
        span=spans.get("span"),
    )


def _tries(raw: Mapping[str, Any], report: Report) -> int | None:
    tries = raw.get("tries", Retry().tries)
    whole = isinstance(tries, int) and not isinstance(tries, bool)
    if whole and 1 <= tries <= MOST_TRIES:
        return int(tries)
    message = f"tries is a number from 1 to {MOST_TRIES}, not {shown(tries)}"
    report.at("tries").error(codes.WRONG_VALUE, message)
    return None
