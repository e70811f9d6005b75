"""How the tries of steps end in a test: results, and failures in the words that people use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine.clock import SECOND
from engine.rules import codes, names, shapes
from engine.rules.case_terms import Setting
from engine.rules.cases import Ends, Fails
from engine.rules.report import Report
from engine.rules.wording import did_you_mean, shown

FAIL_KEYS = ("message", "retry", "unknown", "reason", "after")
_STATUS = re.compile(r"(?:http )?([1-5]\d\d)\b.*", re.IGNORECASE | re.ASCII)
_SMTP = re.compile(r"smtp ([45])\d\d\b.*", re.IGNORECASE | re.ASCII)
_EXIT = re.compile(r"exit (?:code )?(\d{1,3})\b.*", re.IGNORECASE | re.ASCII)
_PLACE = re.compile(r"(do|on_failure)(\.\w+(\[\d+\])?)+", re.ASCII)
_AGAIN = {408, 425, 429}
_TEMPFAIL = 75
_THEIR_FAULT = 500


def compile_mocks(
    raw: Mapping[str, Any], setting: Setting, report: Report
) -> dict[str, tuple[Ends, ...]]:
    """Step → how its tries end, one after the other; the last one is for good."""
    at = report.at("mock")
    mocks = {} if raw.get("mock") is None else raw["mock"]
    if not isinstance(mocks, Mapping):
        at.error(codes.WRONG_VALUE, f"mock maps a step's id to its result, not {shown(mocks)}")
        return {}
    found = {}
    for name, value in mocks.items():
        here = at.at(name)
        _check_step(str(name), setting, here)
        items = value if isinstance(value, list) else [value]
        if not items:
            here.error(
                codes.WRONG_VALUE, "a list of tries has at least one", "{} is an empty result"
            )
        ends = [
            _ends(one, here.at(number) if isinstance(value, list) else here)
            for number, one in enumerate(items)
        ]
        found[str(name)] = tuple(one for one in ends if one is not None)
    return found


def failure(text: str) -> Fails:
    """A failure as people call it: `HTTP 503`, `SMTP 451`, `exit code 75` or `timeout`."""
    if status := _STATUS.fullmatch(text):
        number = int(status[1])
        retry = number in _AGAIN or number >= _THEIR_FAULT
        return Fails(text, retry=retry, reason="http_status")
    if smtp := _SMTP.fullmatch(text):
        return Fails(text, retry=smtp[1] == "4", reason="refused")
    if code := _EXIT.fullmatch(text):
        return Fails(text, retry=int(code[1]) == _TEMPFAIL, reason="exit_code")
    if re.fullmatch(r"time[ -]?d? ?-?out.*", text, re.IGNORECASE):
        return Fails(text, retry=True, unknown=True, reason="timeout")
    if re.match(r"(no )?connection|connection refused|unreachable", text, re.IGNORECASE):
        return Fails(text, retry=True, reason="connection")
    return Fails(text)


def _ends(raw: Any, report: Report) -> Ends | None:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        hint = "a result as {status: 200, json: {…}}, a failure as {fail: HTTP 503}"
        report.error(codes.WRONG_VALUE, f"{shown(raw)} is no result of a step", hint)
        return None
    if "fail" not in raw:
        return dict(raw)
    names.check_keys(raw, ("fail",), report)
    return _fails(raw["fail"], report.at("fail"))


def _fails(raw: Any, report: Report) -> Fails | None:
    if isinstance(raw, str | int) and not isinstance(raw, bool):
        return failure(str(raw))
    if not isinstance(raw, Mapping):
        report.error(codes.WRONG_VALUE, f"fail is a text, as HTTP 503, not {shown(raw)}")
        return None
    names.check_keys(raw, FAIL_KEYS, report)
    said = failure(shapes.text(raw, "message", report) or "it failed")
    after = None
    if raw.get("after") is not None:
        after = shapes.span(raw["after"], report.at("after"), what="after")
    return Fails(
        said.message,
        retry=shapes.flag(raw, "retry", report) if "retry" in raw else said.retry,
        unknown=shapes.flag(raw, "unknown", report) if "unknown" in raw else said.unknown,
        reason=shapes.text(raw, "reason", report) or said.reason,
        after=None if after is None else after / SECOND,
    )


def _check_step(name: str, setting: Setting, report: Report) -> None:
    rule, slash, step = name.rpartition("/")
    if slash and rule not in setting.sources:
        hint = did_you_mean(rule, setting.sources)
        report.error(codes.BAD_TEST, f"there is no rule {shown(rule)}", hint, key=True)
        return
    sources = [setting.sources[rule]] if slash else setting.sources.values()
    known = {id for source in sources for id in _step_ids(source)}
    if step not in known and not _PLACE.fullmatch(step):
        hint = did_you_mean(step, known) or "give the step an id, or name its place, as do.0"
        report.error(codes.BAD_TEST, f"no step has the id {shown(step)}", hint, key=True)


def _step_ids(source: Any) -> Iterable[str]:
    """The ids of all steps of a rule as written."""
    if isinstance(source, Mapping):
        for key in ("do", "on_failure"):
            yield from _ids(source.get(key))


def _ids(value: Any) -> Iterable[str]:
    if isinstance(value, list):
        for one in value:
            yield from _ids(one)
    elif isinstance(value, Mapping):
        if isinstance(value.get("id"), str):
            yield value["id"]
        for one in value.values():
            yield from _ids(one)
