"""Clocks and time zones out of plain data, with what is wrong about them reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.clock import SECOND
from engine.rules import codes, names, shapes
from engine.rules.followups import compile_if_late
from engine.rules.model import ClockOn
from engine.rules.report import Report
from engine.rules.wording import did_you_mean, shown


def compile_clock(raw: Mapping[str, Any], timezone: str, report: Report) -> ClockOn | None:
    """`{cron: "0 9 * * *"}` or `{every: 15m}`."""
    names.check_keys(raw, ("cron", "every", "timezone", "if_late"), report)
    zone = shapes.text(raw, "timezone", report) or timezone
    check_timezone(zone, report.at("timezone"))
    if_late = compile_if_late(raw, report)
    if ("cron" in raw) == ("every" in raw):
        report.error(codes.WRONG_VALUE, "a clock has either cron or every")
        return None
    if "every" in raw:
        every = shapes.span(raw["every"], report.at("every"), what="every", least=SECOND)
        return ClockOn(None, every, zone, if_late) if every else None
    line = check_line(raw["cron"], report.at("cron"))
    return ClockOn(line, None, zone, if_late) if line else None


def check_line(line: Any, report: Report) -> str | None:
    """A cron line with single spaces; reported where it is none."""
    # APScheduler is slow to import, and most files have no cron line.
    from engine.calendar import check_cron

    wrong = check_cron(line) if isinstance(line, str) else "it is no text"
    if wrong:
        message = f"{shown(line)} is no cron line: {wrong}"
        hint = 'five fields, as in "0 9 * * *" for nine every morning'
        report.error(codes.BAD_TIME, message, hint)
        return None
    return " ".join(line.split())


def check_timezone(name: str, report: Report) -> bool:
    """Whether there is such a time zone; reported where there is not."""
    # Reading all names costs time, and only a wrong one needs them.
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        hint = did_you_mean(name, available_timezones())
        hint = hint if hint.startswith("did") else "write one like Europe/Berlin"
        report.error(codes.BAD_TIME, f"there is no time zone {shown(name)}", hint)
        return False
    return True
