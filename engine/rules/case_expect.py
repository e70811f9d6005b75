"""What a test expects: the actions exactly, and what else became of matches and runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from engine.rules import codes, names, shapes
from engine.rules.case_terms import Setting, Times, check_rule
from engine.rules.cases import Acts, EndsSo, Where
from engine.rules.expressions import Expression, NotJMESPathError
from engine.rules.report import Report
from engine.rules.traps import find_traps, spelling_hint
from engine.rules.wording import did_you_mean, shortened, shown

WHERE = "where"
_ACTION_KEYS = ("at", "rule", "step")
_ENDING_KEYS = ("rule", "at", "why", "by", "times")


def compile_actions(
    expect: Mapping[str, Any], setting: Setting, times: Times, report: Report
) -> tuple[Acts, ...] | None:
    """The actions that are expected; None where that is not asked."""
    raw = expect.get("actions")
    if raw is None:
        return None
    at = report.at("actions")
    if not isinstance(raw, list):
        at.error(codes.WRONG_VALUE, f"actions is a list, not {shown(raw)}", "none is []")
        return None
    found = [_acts(one, setting, times, at.at(number)) for number, one in enumerate(raw)]
    return tuple(one for one in found if one is not None)


def compile_endings(raw: Any, setting: Setting, times: Times, report: Report) -> tuple[EndsSo, ...]:
    """Rules, as ids or as `{rule, at, by, why, times}`."""
    listed = isinstance(raw, list)
    items = raw if listed else [raw] if raw is not None else []
    found = [
        _ending(one, setting, times, report.at(number) if listed else report)
        for number, one in enumerate(items)
    ]
    return tuple(one for one in found if one is not None)


def _ending(raw: Any, setting: Setting, times: Times, report: Report) -> EndsSo | None:
    if isinstance(raw, str):
        check_rule(raw, setting, report)
        return EndsSo(raw)
    if not isinstance(raw, Mapping):
        message = f"the id of a rule is expected, not {shown(raw)}"
        report.error(codes.WRONG_VALUE, message, "{rule: node-down, why: …} says more")
        return None
    names.check_keys(raw, _ENDING_KEYS, report)
    if not shapes.needs(raw, "rule", "it", report):
        return None
    rule = shapes.text(raw, "rule", report)
    check_rule(rule, setting, report.at("rule"))
    at = times.moment(raw["at"], report.at("at"), what="at") if "at" in raw else None
    count = raw.get("times")
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        report.at("times").error(codes.WRONG_VALUE, f"times is a number, not {shown(count)}")
        count = None
    why, by = (shapes.text(raw, key, report) or None for key in ("why", "by"))
    return EndsSo(rule, at, why, count, by)


def _acts(raw: Any, setting: Setting, times: Times, report: Report) -> Acts | None:
    if not isinstance(raw, Mapping):
        message = f"an action is expected, as {{at: 5m, log: {{text: …}}}}, not {shown(raw)}"
        report.error(codes.WRONG_VALUE, message)
        return None
    actions = setting.shared.actions
    said = [key for key in raw if key not in _ACTION_KEYS]
    for key in said[:]:
        if key not in actions:
            hint = did_you_mean(key, (*actions, *_ACTION_KEYS))
            report.at(key).error(
                codes.UNKNOWN_ACTION, f'there is no action "{shortened(str(key))}"', hint, key=True
            )
            said.remove(key)
    if len(said) > 1:
        report.at(said[1]).error(codes.WRONG_VALUE, "one entry is one action", key=True)
    rule = shapes.text(raw, "rule", report) or None
    if rule is not None:
        check_rule(rule, setting, report.at("rule"))
    action = said[0] if said else None
    params = raw[action] if action else None
    if action and params is not None:
        params = _params(action, params, setting, report.at(action))
    at = times.moment(raw["at"], report.at("at"), what="at") if "at" in raw else None
    return Acts(at, rule, shapes.text(raw, "step", report) or None, action, params)


def _params(action: str, raw: Any, setting: Setting, report: Report) -> Any:
    if not isinstance(raw, Mapping):
        message = f"{action} takes its parameters, as {{text: …}}, not {shown(raw)}"
        report.error(codes.WRONG_VALUE, message)
        return None
    known = fields_of(setting.shared.actions[action].params)
    for key in raw:
        if key not in known and key != WHERE:
            message = f'{action} has no parameter "{shortened(str(key))}"'
            hint = did_you_mean(str(key), known)
            report.at(key).error(codes.UNKNOWN_PARAMETER, message, hint, key=True)
    return _value(raw, report)


def fields_of(model: type[BaseModel]) -> set[str]:
    """The names of parameters as they are written."""
    return {field.alias or name for name, field in model.model_fields.items()}


def _value(raw: Any, report: Report) -> Any:
    """What is expected of a value, with its assertions compiled."""
    if isinstance(raw, list):
        return [_value(one, report.at(number)) for number, one in enumerate(raw)]
    if not isinstance(raw, Mapping):
        return raw
    rest = {key: _value(one, report.at(key)) for key, one in raw.items() if key != WHERE}
    if WHERE not in raw:
        return rest
    condition = _condition(raw[WHERE], report.at(WHERE))
    return rest if condition is None else Where(condition, rest)


def _condition(raw: Any, report: Report) -> Expression | None:
    if not isinstance(raw, str):
        report.error(codes.WRONG_VALUE, f"where is a JMESPath text, not {shown(raw)}")
        return None
    for trap in find_traps(raw, frozenset()):
        if trap.code != codes.COMPARES_FIELD:  # any field may stand there: it is no rule
            report.error(trap.code, f"{trap.message} (in {shortened(raw)})", trap.hint)
    try:
        return Expression(raw)
    except NotJMESPathError as error:
        message = f"{shortened(raw)} is no JMESPath: {error.message} (column {error.column})"
        report.error(codes.BAD_EXPRESSION, message, spelling_hint(raw, error.column))
        return None
