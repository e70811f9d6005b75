"""What all tests of a file have in common: the rules as written, and how moments are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine.clock import from_datetime, from_iso
from engine.rules import codes, shapes
from engine.rules.report import Report
from engine.rules.ruling import Shared
from engine.rules.wording import did_you_mean, shown

_LOCAL = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Setting:
    """What the tests of a file share: its rules as written, by id, and what they are made of."""

    sources: Mapping[str, Any]
    shared: Shared


@dataclass(frozen=True, slots=True)
class Times:
    """Reads moments: a span from the start, or a date with a time of day."""

    start: int
    timezone: str

    def moment(self, raw: Any, report: Report, *, what: str) -> int | None:
        """A moment that is not before the start; None and the reason reported."""
        if isinstance(raw, str) and (found := read_date(raw, self.timezone)) is not None:
            if found >= self.start:
                return found
            report.error(codes.BAD_TIME, f"{what}: {shown(raw)} is before the start")
            return None
        span = shapes.span(raw, report, what=what)
        return None if span is None else self.start + span


def read_date(text: str, timezone: str) -> int | None:
    """The moment of `2026-01-05 09:00` in a time zone, or of an ISO time with a zone."""
    if not _LOCAL.fullmatch(text):
        return from_iso(text)
    try:
        return from_datetime(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone)))
    except (ValueError, OverflowError):
        return None


def check_rule(name: str, setting: Setting, report: Report) -> None:
    """Report a rule that is not in the files."""
    if name not in setting.sources:
        hint = did_you_mean(name, setting.sources)
        report.error(codes.BAD_TEST, f"there is no rule {shown(name)}", hint)
