"""What came of tests in words: one side beside the other, and as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.action import printable
from engine.clock import to_iso
from engine.rehearsal.expecting import Ended, fits
from engine.rehearsal.testing import Line, Result
from engine.rules.cases import Acts, EndsSo, Where
from engine.rules.wording import shown

NOTHING = "nothing"
_LONGEST = 400
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def summary(result: Result) -> str:
    """The first thing that is wrong, in one line."""
    if result.errors:
        return result.errors[0]
    line = next(line for line in result.lines if not line.well)
    start = result.case.start
    note = f" ({line.note})" if line.note not in {"", "differs"} else ""
    return f"expected {wanted(line, start)}; happened: {happened(line, start)}{note}"


def wanted(line: Line, start: int) -> str:
    """The expected side of a line."""
    one = line.expected
    if one is None:
        return NOTHING
    if isinstance(one, EndsSo):
        times = f" {one.times} times" if one.times else ""
        by = f" by {one.by}" if one.by else ""
        why = f" ({one.why})" if one.why else ""
        return f"{_at(one.at, start)}{one.rule} {_kind(line)}{by}{times}{why}"
    said = f"{one.action} " if one.action else "an action "
    of = f"of {one.rule} " if one.rule else ""
    return f"{_at(one.at, start)}{said}{of}{_params(one.params)}".rstrip()


def happened(line: Line, start: int) -> str:
    """The side of what happened: of an action, the parameters that were asked for."""
    one = line.happened
    if one is None:
        return NOTHING
    if isinstance(one, Ended):
        return f"{_at(one.at, start)}{one.rule} {one.kind.replace('_', ' ')}: {one.why}"
    asked = line.expected.params if isinstance(line.expected, Acts) else None
    params = _seen(asked, one.params) if asked else one.params
    return f"{_at(one.at, start)}{one.action} of {one.rule} {_params(params)}".rstrip()


def _kind(line: Line) -> str:
    return line.kind.replace("_", " ")


def _seen(asked: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Of what was done, what the test asks for; all of it where an assertion looks at it."""
    if isinstance(asked, Where) or not isinstance(asked, Mapping):
        return dict(params)
    differing = {name for name, one in asked.items() if not fits(one, params.get(name))}
    names = differing or set(asked)
    return {name: params.get(name) for name in asked if name in names}


def _params(params: Any) -> str:
    if params is None:
        return ""
    if isinstance(params, Where):
        rest = _params(params.rest) if params.rest else ""
        return f"{params} {rest}".rstrip()
    if not isinstance(params, Mapping):
        return _value(params)
    return "{" + ", ".join(f"{name}: {_value(one)}" for name, one in params.items()) + "}"


def _value(value: Any) -> str:
    if isinstance(value, Mapping | Where):
        return _params(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return f'"{printable(value, _LONGEST)}"' if isinstance(value, str) else shown(value)


def _at(at: int | None, start: int) -> str:
    return "" if at is None else f"{span(at - start)} "


def span(micros: int) -> str:
    """`1d2h`, `22m`, `5.3s`: a span as tests write it."""
    seconds, rest = divmod(abs(micros), 1_000_000)
    found = ""
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if unit == "s" and rest:
            found += f"{count + rest / 1e6:.3g}s"
        elif count:
            found += f"{count}{unit}"
    return ("-" if micros < 0 else "") + (found or "0s")


def as_json(result: Result) -> dict[str, Any]:
    """For `rulewave test --json`."""
    case, start = result.case, result.case.start
    file, number, _ = case.place
    return {
        "name": case.name,
        "file": file,
        "line": number,
        "rules": list(case.rules),
        "ok": result.well,
        "skipped": result.excused or None,
        "seconds": round(result.seconds, 4),
        "start": to_iso(start),
        "errors": list(result.errors),
        "lines": [
            {
                "ok": line.well,
                "expected": wanted(line, start) if line.expected else None,
                "happened": happened(line, start) if line.happened else None,
                "note": line.note or None,
            }
            for line in result.lines
        ],
        "failed_tries": [
            {"at": span(one.at - start), "rule": one.rule, "step": one.step, "message": one.message}
            for one in result.tries
        ],
        "why_not": [
            {"rule": rule or None, "about": about or None, "why": why}
            for rule, about, why in result.whynots
        ],
        "holds_back": list(result.blamed),
    }
