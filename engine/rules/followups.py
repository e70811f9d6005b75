"""What stands beside the steps of a follow-up: when it is due, what it looks out for, how late it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from engine.clock import MINUTE
from engine.rules import codes, names, shapes
from engine.rules.compiling import compile_condition, compile_expression
from engine.rules.expressions import Expression
from engine.rules.model import CancelOn, IfLate
from engine.rules.report import Report
from engine.rules.wording import shown

SKIP = IfLate(MINUTE)
"""`if_late: skip`. A restart of two seconds must not drop anything, so a minute is not late yet."""
CHANGES = ("keep", "rebind", "cancel")

Due = tuple[int | None, Expression | None, int]
"""A delay, or an expression for a time and the offset to it."""


def is_followup(raw: Mapping[str, Any]) -> bool:
    """Whether a step as written is a follow-up."""
    return "after" in raw or "await" in raw


def check_place(key: str, report: Report) -> bool:
    """Report a key of follow-ups that stands beside something else; False where it is none."""
    if key in names.FOLLOWUP_KEYS & names.STEP_KEYS or key in {"after", "await", "do"}:
        return False
    for known, what in ((names.AFTER_KEYS, "after or await"), (names.AWAIT_KEYS, "await")):
        if key in known:
            report.error(codes.UNKNOWN_KEY, f"{key} belongs to an {what} step", key=True)
            return True
    return False


def check_keys(raw: Mapping[str, Any], report: Report) -> None:
    """Report the keys of a follow-up that are not its own, and that do not fit together."""
    if "await" in raw and "after" in raw:
        hint = "put the await into the do of the after"
        message = "a step has either after or await"
        report.at("await").error(codes.WRONG_VALUE, message, hint, key=True)
    misplaced = set() if "await" in raw else names.AWAIT_KEYS - names.AFTER_KEYS
    for key in raw:
        if key in misplaced:
            check_place(key, report.at(key))
    if "do" in raw:
        known = names.AWAIT_KEYS if "await" in raw else names.AFTER_KEYS
        rest = {key: value for key, value in raw.items() if key not in misplaced | {"after"}}
        names.check_keys(rest, known, report)


def compile_due(raw: Mapping[str, Any], known: frozenset[str], report: Report) -> Due:
    """When it is due: what `after` or `within` says."""
    if "await" not in raw:
        return _after(raw["after"], known, report.at("after"))
    if not shapes.needs(raw, "within", "await", report):
        return None, None, 0
    return shapes.span(raw["within"], report.at("within"), what="within", least=1), None, 0


def _after(raw: Any, known: frozenset[str], report: Report) -> Due:
    if not isinstance(raw, Mapping):
        return shapes.span(raw, report, what="after"), None, 0
    names.check_keys(raw, ("until", "offset"), report)
    if not shapes.needs(raw, "until", "after", report):
        return None, None, 0
    until = compile_expression(raw["until"], report.at("until"), known)
    offset = 0
    if raw.get("offset") is not None:
        found = shapes.span(raw["offset"], report.at("offset"), what="offset", least=None)
        offset = found or 0
    return None, until, offset


def compile_watched(raw: Mapping[str, Any], key: str, report: Report) -> tuple[CancelOn, ...]:
    """Event types, `{on, when}`, or a list mixing both; one entry for each pattern."""
    value, at = raw.get(key), report.at(key)
    if key == "await" and key in raw and value in (None, []):
        at.error(codes.MISSING_KEY, "await needs an event type", "as in await: user.renewed")
    if value is None:
        return ()
    if not isinstance(value, list):
        return _watched(value, key, at)
    return tuple(one for n, item in enumerate(value) for one in _watched(item, key, at.at(n)))


def _watched(raw: Any, key: str, report: Report) -> tuple[CancelOn, ...]:
    if not isinstance(raw, Mapping):
        found = shapes.pattern(raw, report)
        return (CancelOn(found),) if found else ()
    names.check_keys(raw, ("on", "when"), report)
    if not shapes.needs(raw, "on", key, report):
        return ()
    when = None
    if "when" in raw:
        when = compile_condition(raw["when"], report.at("when"), names.CANCELLING)
    patterns = raw["on"] if isinstance(raw["on"], list) else [raw["on"]]
    checked = [shapes.pattern(one, report.at("on")) for one in patterns]
    return tuple(CancelOn(one, when) for one in checked if one)


def compile_if_late(raw: Mapping[str, Any], report: Report) -> IfLate:
    """`run`, `skip` or `{within: 10m}`."""
    value, at = raw.get("if_late"), report.at("if_late")
    if value is None or value == "run":
        return IfLate()
    if value == "skip":
        return SKIP
    if not isinstance(value, Mapping):
        at.error(codes.WRONG_VALUE, f"if_late is run, skip or {{within: 10m}}, not {shown(value)}")
        return IfLate()
    names.check_keys(value, ("within",), at)
    if not shapes.needs(value, "within", "if_late", at):
        return IfLate()
    return IfLate(shapes.span(value["within"], at.at("within"), what="within"))


def compile_rule_change(
    raw: Mapping[str, Any], report: Report
) -> Literal["keep", "rebind", "cancel"]:
    """What becomes of it when its rule changes."""
    chosen = shapes.choice(raw, "on_rule_change", CHANGES, report) or "keep"
    return cast("Literal['keep', 'rebind', 'cancel']", chosen)
