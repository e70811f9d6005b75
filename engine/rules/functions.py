"""The functions that conditions and templates share, each called with the context it stands in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine.clock import DAY, HOUR, SECOND, from_iso
from engine.errors import CouldNotEvaluate
from engine.rules.durations import parse_bytes, parse_duration
from engine.rules.wording import shown

Context = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the rule language: `call(context, *arguments)`, and how many arguments."""

    call: Callable[..., Any]
    arity: int


def moment(value: Any, of: str) -> int:
    """Microseconds of an ISO time; `CouldNotEvaluate` naming the function `of` otherwise."""
    found = from_iso(value)
    if found is None:
        raise CouldNotEvaluate(f"{of} needs a time like 2026-01-05T09:00:00Z, not {shown(value)}")
    return found


def _time(_: Context, value: Any) -> float | int:
    found = moment(value, "time()")
    return found // SECOND if found % SECOND == 0 else found / SECOND


def _hours_until(context: Context, value: Any) -> float:
    return (moment(value, "hours_until()") - _now(context)) / HOUR


def _days_since(context: Context, value: Any) -> float:
    return (_now(context) - moment(value, "days_since()")) / DAY


def _now(context: Context) -> int:
    return moment(context.get("now"), "now")


def _duration(_: Context, value: Any) -> float | int:
    span = _parsed(parse_duration, value, "duration()")
    return span // SECOND if span % SECOND == 0 else span / SECOND


def _bytes(_: Context, value: Any) -> int:
    return _parsed(parse_bytes, value, "bytes()")


def _parsed(parse: Callable[[object], int], value: Any, of: str) -> int:
    try:
        return parse(value)
    except ValueError as error:
        raise CouldNotEvaluate(f"{of}: {error}") from error


def _text(value: Any, of: str) -> str:
    if not isinstance(value, str):
        raise CouldNotEvaluate(f"{of} needs a text, not {shown(value)}")
    return value


def _lower(_: Context, value: Any) -> str:
    return _text(value, "lower()").lower()


def _upper(_: Context, value: Any) -> str:
    return _text(value, "upper()").upper()


def _trim(_: Context, value: Any) -> str:
    return _text(value, "trim()").strip()


def _split(_: Context, value: Any, separator: Any) -> list[str]:
    mark = _text(separator, "split()")
    if not mark:
        raise CouldNotEvaluate("split() needs a text to split at, not an empty one")
    return _text(value, "split()").split(mark)


def _default(_: Context, value: Any, instead: Any) -> Any:
    return instead if value is None else value


def _matches(_: Context, value: Any, pattern: Any) -> bool:
    found = compiled_pattern(_text(pattern, "matches()"))
    return found.search(_text(value, "matches()")) is not None


@lru_cache(maxsize=1000)
def compiled_pattern(pattern: str) -> Any:
    """A regular expression of the linear-time engine; `CouldNotEvaluate` where it is none."""
    # Loaded on first use: most rule files have no regular expression.
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise CouldNotEvaluate(f"{shown(pattern)} is no regular expression: {text}") from error


# `changed` takes a JMESPath, which this file does not know: expressions.py adds it.
FUNCTIONS: Mapping[str, Function] = {
    "time": Function(_time, 1),
    "hours_until": Function(_hours_until, 1),
    "days_since": Function(_days_since, 1),
    "duration": Function(_duration, 1),
    "bytes": Function(_bytes, 1),
    "lower": Function(_lower, 1),
    "upper": Function(_upper, 1),
    "trim": Function(_trim, 1),
    "matches": Function(_matches, 2),
    "split": Function(_split, 2),
    "default": Function(_default, 2),
}
