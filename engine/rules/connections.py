"""Named targets: checked at load, resolved with their secrets before use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from engine.action import Connection, Field, Registry, Written
from engine.errors import CouldNotEvaluate, UserError
from engine.rules import codes
from engine.rules.durations import parse_rate
from engine.rules.mistakes import messages_of, report_mistakes
from engine.rules.model import ConnectionSpec
from engine.rules.parameters import Terms, ValueCompiler
from engine.rules.report import Report, nowhere
from engine.rules.secrets import Secrets
from engine.rules.values import Scope
from engine.rules.wording import did_you_mean, shown

_MARK = Field(Written.TEXT, secrets=True)
_KNOWN = frozenset({"vars"})


def kinds_of(actions: Registry) -> dict[str, type[Connection]]:
    """Every kind of connection that the actions bring."""
    return {kind: model for action in actions.values() for kind, model in action.kinds.items()}


def compile_connection(
    name: str, raw: Any, actions: Registry, terms: Terms, report: Report
) -> ConnectionSpec | None:
    """One connection, or None and the reasons reported."""
    if not isinstance(raw, Mapping):
        message = f'the connection "{name}" is a mapping, not {shown(raw)}'
        report.error(codes.BAD_CONNECTION, message)
        return None
    model = _model(raw, actions, report)
    if model is None:
        return None
    compiler = ValueCompiler(Terms(terms.secrets, terms.vars, terms.timezone, _KNOWN))
    compiler.fields(raw, (), _MARK, report)
    report_mistakes(
        model, f'the connection "{name}"', compiler.sample(raw), compiler.dynamic, report
    )
    _check_rate(raw, report)
    for flaw in model.flaws(raw):
        at = report.at(flaw.key) if flaw.key else report
        at.error(codes.BAD_CONNECTION, flaw.message, flaw.hint)
    storable = all(problem.code != codes.WRITTEN_SECRET for problem in report.problems)
    return ConnectionSpec(str(raw["kind"]), raw, model, storable)


def resolve(spec: ConnectionSpec, secrets: Secrets, vars: Mapping[str, Any]) -> Connection:
    """The connection with its secrets and vars filled in; `UserError` where that fails."""
    compiler = ValueCompiler(Terms(secrets, vars, known=_KNOWN))
    values = compiler.fields(spec.raw, (), _MARK, Report(nowhere))
    scope = Scope({"vars": vars}, secrets)
    try:
        rendered = {key: value.render(scope) for key, value in values.items()}
        return spec.model.model_validate(rendered)
    except CouldNotEvaluate as error:
        raise UserError(f"a connection of kind {spec.kind} cannot be used: {error}") from error
    except ValidationError as error:
        message = f"a connection of kind {spec.kind} cannot be used: {messages_of(error)}"
        raise UserError(message) from None


def _model(raw: Mapping[str, Any], actions: Registry, report: Report) -> type[Connection] | None:
    kinds = kinds_of(actions)
    kind = raw.get("kind")
    if kind is None:
        hint = f"one of {', '.join(sorted(kinds))}"
        report.error(codes.BAD_CONNECTION, "a connection needs a kind", hint, key=True)
    elif isinstance(kind, str) and kind in kinds:
        return kinds[kind]
    else:
        message = f"there is no kind of connection {shown(kind)}"
        report.at("kind").error(codes.BAD_CONNECTION, message, did_you_mean(str(kind), kinds))
    return None


def _check_rate(raw: Mapping[str, Any], report: Report) -> None:
    if raw.get("rate") is not None:
        try:
            parse_rate(raw["rate"])
        except ValueError as error:
            report.at("rate").error(codes.BAD_TIME, str(error))
