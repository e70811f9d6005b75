"""Small values out of plain data: texts, lists of them, choices, flags, spans; mistakes reported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from engine.rules import codes
from engine.rules.durations import parse_duration
from engine.rules.patterns import is_known, unknown_event
from engine.rules.report import Report
from engine.rules.wording import did_you_mean, shortened, shown
from engine.sources.own import OWN

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
EVENT_TYPE = re.compile(r"[A-Za-z0-9_*-]+(\.[A-Za-z0-9_*-]+)*", re.ASCII)


def text(raw: Mapping[str, Any], key: str, report: Report) -> str:
    """An optional text; "" where there is none."""
    value = raw.get(key)
    if value is None or isinstance(value, str):
        return value or ""
    report.at(key).error(codes.WRONG_VALUE, f"{key} is a text, not {shown(value)}")
    return ""


def texts(raw: Mapping[str, Any], key: str, report: Report) -> tuple[str, ...]:
    """An optional text or list of texts."""
    value = raw.get(key)
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    for number, item in enumerate(items):
        if not isinstance(item, str) or not item:
            at = report.at(key, number) if isinstance(value, list) else report.at(key)
            at.error(codes.WRONG_VALUE, f"{key} holds texts, not {shown(item)}")
    return tuple(item for item in items if isinstance(item, str) and item)


def choice(raw: Mapping[str, Any], key: str, known: tuple[str, ...], report: Report) -> str | None:
    """An optional word out of a few."""
    value = raw.get(key)
    if value is None or value in known:
        return value
    hint = did_you_mean(str(value), known)
    message = f"{key} is {' or '.join(known)}, not {shown(value)}"
    report.at(key).error(codes.WRONG_VALUE, message, hint if hint.startswith("did") else "")
    return None


def flag(raw: Mapping[str, Any], key: str, report: Report) -> bool:
    """An optional true or false."""
    value = raw.get(key, False)
    if not isinstance(value, bool):
        report.at(key).error(codes.WRONG_VALUE, f"{key} is true or false, not {shown(value)}")
    return value is True


def span(raw: Any, report: Report, *, what: str, least: int | None = 0) -> int | None:
    """A duration in microseconds, not shorter than `least`; None and the reason reported."""
    try:
        found = parse_duration(raw)
    except ValueError as error:
        report.error(codes.BAD_TIME, f"{what}: {error}")
        return None
    if least is not None and found < least:
        report.error(codes.BAD_TIME, f"{what}: {shown(raw)} is too short")
        return None
    return found


def pattern(raw: Any, report: Report) -> str | None:
    """An event type or glob."""
    if isinstance(raw, str) and EVENT_TYPE.fullmatch(raw):
        if not is_known(raw):
            report.warn(codes.UNKNOWN_EVENT, *unknown_event(raw))
        return raw
    message = f"{shown(raw)} is no event type"
    hint = "write one like user.expired, user.* or *"
    report.error(codes.WRONG_VALUE, message, hint)
    return None


def check_own_type(raw: str, report: Report) -> None:
    """Report an event type that is not one's own to raise."""
    hint = "take a name of your own, as vip.noticed"
    if not EVENT_TYPE.fullmatch(raw) or "*" in raw:
        report.error(codes.BAD_PARAMETER, f"{shown(raw)} is no event type", hint)
    elif raw.startswith(OWN):
        message = f"events whose names begin with {OWN} are raised by Rulewave alone"
        report.error(codes.BAD_PARAMETER, message, hint)
    elif is_known(raw):
        message = f"{shown(raw)} is an event of the panel: it would pass for what the panel says"
        report.error(codes.BAD_PARAMETER, message, hint)


def needs(raw: Mapping[str, Any], key: str, what: str, report: Report) -> bool:
    """Whether the key is there; reported where it is not."""
    if raw.get(key) is not None:
        return True
    at = report.at(key) if key in raw else report
    at.error(codes.MISSING_KEY, f'{shortened(what)} needs "{key}"')
    return False
