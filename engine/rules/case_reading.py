"""The tests of rules out of plain data, with every mistake in them reported at its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.rules import codes, names, shapes
from engine.rules.case_expect import compile_actions, compile_endings
from engine.rules.case_given import compile_given, panel_of
from engine.rules.case_mocks import compile_mocks
from engine.rules.case_terms import Setting, Times, check_rule, read_date
from engine.rules.cases import ENDINGS, Case, Expected
from engine.rules.report import Report
from engine.rules.wording import shown

DEFAULT_START = "2026-01-05 09:00"
_KEYS = frozenset({"name", "rule", "given", "until", "start", "panel", "mock", "expect"})


def compile_cases(entries: Sequence[tuple[Any, Report]], setting: Setting) -> tuple[Case, ...]:
    """The tests without a mistake."""
    cases: list[Case] = []
    first: dict[str, str] = {}
    for raw, report in entries:
        own = Report(report.locate, report.path)
        case = _compile(raw, setting, own)
        if case is not None:
            place = ":".join(map(str, case.place))
            if case.name in first:
                message = f"another test is called {shown(case.name)} already"
                hint = f"it is at {first[case.name]}"
                own.at("name").error(codes.TWICE, message, hint)
            first.setdefault(case.name, place)
        report.problems.extend(own.problems)
        cases += [case] if case and not own.broken else []
    return tuple(cases)


def _compile(raw: Any, setting: Setting, report: Report) -> Case | None:
    if not isinstance(raw, Mapping):
        report.error(codes.WRONG_VALUE, f"a test is a mapping, not {shown(raw)}")
        return None
    names.check_keys(raw, _KEYS, report)
    rules = _rules(raw, setting, report)
    times = Times(_start(raw, setting, report), setting.shared.timezone)
    panel = panel_of(raw, report)
    given = compile_given(raw, setting, times, panel, report)
    until = None
    if raw.get("until") is not None:
        until = times.moment(raw["until"], report.at("until"), what="until")
    name = raw.get("name")
    if shapes.needs(raw, "name", "a test", report) and not (isinstance(name, str) and name.strip()):
        report.at("name").error(codes.WRONG_VALUE, f"name is a text, not {shown(name)}")
    case = Case(
        name=" ".join(str(name).split()),
        place=report.at("name").place(),
        rules=rules,
        given=tuple(sorted(given, key=lambda one: one.at)),
        start=times.start,
        until=until,
        mocks=compile_mocks(raw, setting, report),
        expected=_expected(raw, setting, times, report),
    )
    _check_under_test(case, report)
    if until is not None and until < case.last:
        message = "the test ends before the last thing that is given or expected"
        report.at("until").error(codes.BAD_TEST, message)
    return case


def _check_under_test(case: Case, report: Report) -> None:
    """Report what is expected of rules that the test does not ask about: it would never fit."""
    acts = [("actions", one.rule) for one in case.expected.actions or ()]
    ends = [(key, one.rule) for key, some in case.expected.endings.items() for one in some]
    for key, rule in (*acts, *ends):
        if rule is not None and not case.is_under_test(rule):
            message = f"{shown(rule)} is expected, but is not under test"
            report.at("expect", key).error(codes.BAD_TEST, message, "add it to rule")


def _rules(raw: Mapping[str, Any], setting: Setting, report: Report) -> tuple[str, ...]:
    found = shapes.texts(raw, "rule", report)
    for one in found:
        check_rule(one, setting, report.at("rule"))
    return found


def _start(raw: Mapping[str, Any], setting: Setting, report: Report) -> int:
    zone = setting.shared.timezone
    written = raw.get("start")
    if written is not None:
        found = read_date(written, zone) if isinstance(written, str) else None
        if found is not None:
            return found
        message = f"start is a date with a time of day, not {shown(written)}"
        report.at("start").error(codes.BAD_TIME, message, f'write "{DEFAULT_START}"')
    default = read_date(DEFAULT_START, zone)
    return 0 if default is None else default


def _expected(raw: Mapping[str, Any], setting: Setting, times: Times, report: Report) -> Expected:
    nothing = Expected(None, {})
    if not shapes.needs(raw, "expect", "a test", report):
        return nothing
    expect, at = raw["expect"], report.at("expect")
    if not isinstance(expect, Mapping) or not expect:
        message = f"expect is a mapping with actions, cancelled, …; not {shown(expect)}"
        at.error(codes.WRONG_VALUE, message, "where nothing is to be done: {actions: []}")
        return nothing
    names.check_keys(expect, ("actions", *ENDINGS), at)
    actions = compile_actions(expect, setting, times, at)
    endings = {
        key: compile_endings(expect[key], setting, times, at.at(key))
        for key in ENDINGS
        if key in expect
    }
    return Expected(actions, endings)
