"""What holds a rule's matches back, out of plain data: threshold, throttle, digest, quiet and the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from engine.clock import DAY, MINUTE, SECOND
from engine.rules import codes, names, shapes
from engine.rules.clocks import check_line, check_timezone
from engine.rules.model import Concurrency, Digest, Quiet, Threshold, Throttle
from engine.rules.report import Report
from engine.rules.wording import shown

MOST_GATHERED = 1000
"""A digest is full then, where `max` does not say otherwise: it has to fit into memory."""
MOST_COUNTED = 10_000
MODES = ("parallel", "queue", "restart", "drop")
PRIORITIES = {"high": 10, "normal": 0, "low": -10}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_IN_FULL = frozenset(
    f"{day}day" for day in ("mon", "tues", "wednes", "thurs", "fri", "satur", "sun")
)
_EVERY_DAY = frozenset(range(len(_DAYS)))
THROTTLE = re.compile(r"\s*(\d{1,6})\s+per\s+(\S.*?)\s*", re.ASCII)
BETWEEN = re.compile(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*", re.ASCII)
_WHOLE_DAY = DAY // MINUTE
_HOUR = 60
_WORDS = {"minute": "1m", "hour": "1h", "day": "1d", "week": "1w"}


def compile_threshold(raw: Mapping[str, Any], report: Report) -> Threshold | None:
    """`{at_least: 3, within: 10m}`."""
    value = _mapping(raw, "threshold", ("at_least", "within"), report)
    if value is None:
        return None
    at = report.at("threshold")
    # Both are asked, so that both are reported.
    whole = [shapes.needs(value, key, "threshold", at) for key in ("at_least", "within")]
    if not all(whole):
        return None
    least = _count(value["at_least"], at.at("at_least"), what="at_least")
    within = shapes.span(value["within"], at.at("within"), what="within", least=1)
    return Threshold(least, within) if least and within else None


def compile_throttle(raw: Mapping[str, Any], report: Report) -> Throttle | None:
    """`1 per 24h`."""
    value, at = raw.get("throttle"), report.at("throttle")
    if value is None:
        return None
    found = THROTTLE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        at.error(codes.WRONG_VALUE, f"throttle is a text like 1 per 24h, not {shown(value)}")
        return None
    count = _count(int(found[1]), at, what="throttle")
    window = shapes.span(_WORDS.get(found[2], found[2]), at, what="throttle", least=1)
    return Throttle(count, window) if count and window else None


def compile_digest(raw: Mapping[str, Any], timezone: str, report: Report) -> Digest | None:
    """`{wait: 1m}`, `{every: 15m}`, `{at: "0 9 * * *"}`, each also with `max`."""
    value = _mapping(raw, "digest", ("wait", "every", "max", "at", "timezone"), report)
    if value is None:
        return None
    at = report.at("digest")
    zone = shapes.text(value, "timezone", at) or timezone
    check_timezone(zone, at.at("timezone"))
    most = MOST_GATHERED
    if value.get("max") is not None:
        most = _count(value["max"], at.at("max"), what="max", most=MOST_GATHERED) or most
    spans = {key: value[key] for key in ("wait", "every") if value.get(key) is not None}
    if value.get("at") is not None:
        if spans:
            message = "a digest has either at, or wait and every"
            at.at("at").error(codes.WRONG_VALUE, message)
        line = check_line(value["at"], at.at("at"))
        return Digest(max=most, at=line, timezone=zone) if line else None
    if not spans:
        hint = 'as in wait: 1m, every: 1h or at: "0 9 * * *"'
        at.error(codes.MISSING_KEY, "a digest needs wait, every or at", hint)
        return None
    found = {key: shapes.span(one, at.at(key), what=key) or 0 for key, one in spans.items()}
    return Digest(wait=found.get("wait", 0), every=found.get("every", 0), max=most)


def compile_quiet(raw: Mapping[str, Any], timezone: str, report: Report) -> Quiet | None:
    """`{between: "23:00-07:00", days: mon-fri, timezone: …, then: hold}`."""
    value = _mapping(raw, "quiet", ("between", "days", "timezone", "then"), report)
    if value is None:
        return None
    at = report.at("quiet")
    zone = shapes.text(value, "timezone", at) or timezone
    zone_known = check_timezone(zone, at.at("timezone"))
    then = shapes.choice(value, "then", ("hold", "drop"), at)
    days = _days(value.get("days"), at.at("days"))
    if not shapes.needs(value, "between", "quiet", at):
        return None
    between = _between(value["between"], at.at("between"))
    if between is None or days is None or not zone_known:
        return None
    if between == (0, _WHOLE_DAY) and days == _EVERY_DAY:
        message = "it would be quiet always"
        at.error(codes.WRONG_VALUE, message, "mode: off switches a rule off")
        return None
    return Quiet(*between, days, zone, hold=then != "drop")


def compile_concurrency(raw: Mapping[str, Any], report: Report) -> Concurrency:
    """One of four words."""
    chosen = shapes.choice(raw, "concurrency", MODES, report) or "parallel"
    return cast("Concurrency", chosen)


def compile_priority(raw: Mapping[str, Any], report: Report) -> int:
    """`high`, `normal` or `low`, as a number."""
    return PRIORITIES[shapes.choice(raw, "priority", tuple(PRIORITIES), report) or "normal"]


def compile_ttl(raw: Mapping[str, Any], report: Report) -> int | None:
    """How long a run may take to begin."""
    if raw.get("ttl") is None:
        return None
    return shapes.span(raw["ttl"], report.at("ttl"), what="ttl", least=SECOND)


def _mapping(
    raw: Mapping[str, Any], key: str, known: tuple[str, ...], report: Report
) -> Mapping[str, Any] | None:
    """What stands under a key, where it is a mapping; else that is reported."""
    value = raw.get(key)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        message = f"{key} is a mapping of {', '.join(known)}; not {shown(value)}"
        report.at(key).error(codes.WRONG_VALUE, message)
        return None
    names.check_keys(value, known, report.at(key))
    return value


def _count(raw: Any, report: Report, *, what: str, most: int = MOST_COUNTED) -> int | None:
    if isinstance(raw, int) and not isinstance(raw, bool) and 1 <= raw <= most:
        return raw
    report.error(codes.WRONG_VALUE, f"{what} counts from 1 to {most:,}; not {shown(raw)}")
    return None


def _between(raw: Any, report: Report) -> tuple[int, int] | None:
    """Start and end in minutes of the day."""
    found = BETWEEN.fullmatch(raw) if isinstance(raw, str) else None
    if found is None:
        message = f'between is a text like "23:00-07:00", not {shown(raw)}'
        report.error(codes.BAD_TIME, message)
        return None
    hours, minutes = (int(found[1]), int(found[3])), (int(found[2]), int(found[4]))
    start, end = (_HOUR * hour + minute for hour, minute in zip(hours, minutes, strict=True))
    if max(minutes) >= _HOUR or start >= _WHOLE_DAY or end > _WHOLE_DAY:
        report.error(codes.BAD_TIME, f"between: {shown(raw)} has a time that no clock shows")
        return None
    if start == end:
        hint = "for whole days write 00:00-24:00"
        report.error(codes.BAD_TIME, f"between: {shown(raw)} begins when it ends", hint)
        return None
    return start, end


def _day(word: str) -> str:
    """The three letters of a week day, written in full or not; what it is none stays as it is."""
    small = word.strip().lower()
    return small[:3] if small in _IN_FULL else small


def _days(raw: Any, report: Report) -> frozenset[int] | None:
    """`mon-fri`, `sat, sun`, or a list of such."""
    if raw is None:
        return _EVERY_DAY
    parts = raw if isinstance(raw, list) else str(raw).split(",")
    found: set[int] = set()
    for part in parts:
        first, _, last = (_day(word) for word in str(part).partition("-"))
        last = last or first
        if first not in _DAYS or last not in _DAYS:
            message = f"{shown(part)} is no week day"
            report.error(codes.BAD_TIME, message, "write mon-fri, or sat, sun")
            return None
        start, length = _DAYS.index(first), (_DAYS.index(last) - _DAYS.index(first)) % len(_DAYS)
        found |= {(start + step) % len(_DAYS) for step in range(length + 1)}
    return frozenset(found)
