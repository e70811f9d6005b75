"""Several files as one: connections, vars, defaults, rules and tests, each name once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import Problem
from engine.rules import codes, names, shapes
from engine.rules.clocks import check_timezone
from engine.rules.files import RuleFile
from engine.rules.parameters import SECRET
from engine.rules.report import Report
from engine.rules.ruling import former_ids, id_of
from engine.rules.wording import shortened, shown


@dataclass(frozen=True, slots=True)
class Entry:
    """One named thing, and the report that knows where it stands."""

    value: Any
    report: Report


ALL = "*"
"""In place of a name: a section that says nothing that could be used."""


@dataclass(slots=True)
class Merged:
    """All files together.

    `spoilt` are connections, vars and defaults (section, name) that cannot be used (`ALL` for the
    whole section), `spoilt_rules` and `spoilt_tests` the positions of such rules and tests; `usable` says
    whether anything can. `of_tests` are those of the problems that are about a test.
    """

    problems: list[Problem] = field(default_factory=list)
    usable: bool = True
    connections: dict[str, Entry] = field(default_factory=dict)
    vars: dict[str, Entry] = field(default_factory=dict)
    timezone: str = "UTC"
    keep_fields: frozenset[str] = frozenset()
    rules: list[Entry] = field(default_factory=list)
    tests: list[Entry] = field(default_factory=list)
    spoilt: set[tuple[str, str]] = field(default_factory=set)
    spoilt_rules: set[int] = field(default_factory=set)
    spoilt_tests: set[int] = field(default_factory=set)
    of_tests: list[Problem] = field(default_factory=list)

    def wrong_in_tests(self, problems: Iterable[Problem]) -> None:
        """Take over what is wrong with tests."""
        found = [*problems]
        self.of_tests += found
        self.problems += found

    def lost(self, section: str, name: str) -> bool:
        """Whether what the files say of it cannot be used."""
        return not self.spoilt.isdisjoint({(section, name), (section, ALL)})


def merge(files: Sequence[RuleFile]) -> Merged:
    """Everything that the files say, with every clash between them reported."""
    merged = Merged()
    zones: dict[str, Report] = {}
    some_rules = False
    for file in files:
        report = Report(file.locate, problems=merged.problems)
        some_rules |= "rules" in file.data
        _named("connections", file.data, merged.connections, merged, report)
        _named("vars", file.data, merged.vars, merged, report)
        _defaults(file.data, merged, zones, report)
        first = len(merged.rules), len(merged.tests)
        _rules(file.data, merged, report)
        _tests(file.data, merged, report)
        _faults(file, first, merged)
    if not some_rules:
        message = "there are no rules here"
        problem = Problem(files[0].name, 0, 0, codes.NO_RULES, message, "add rules:")
        merged.problems.append(problem)
        merged.usable = False
    _twice(merged)
    return merged


def _named(
    section: str, data: Mapping[str, Any], into: dict[str, Entry], merged: Merged, report: Report
) -> None:
    """The entries of a section; a name that another file already has is reported with both places."""
    raw = data.get(section)
    if raw is None:
        return
    at = report.at(section)
    if not isinstance(raw, Mapping):
        at.error(codes.WRONG_VALUE, f"{section} is a mapping, not {shown(raw)}")
        merged.spoilt.add((section, ALL))
        return
    for name, value in raw.items():
        here = at.at(name)
        if section == "vars" and not shapes.WORD.fullmatch(name):
            message = f'"{shortened(name)}" cannot be the name of a variable'
            here.error(codes.WRONG_VALUE, message, "letters, digits and _", key=True)
            merged.spoilt.add((section, name))
        if name in into:
            place = _spelt(into[name].report)
            message = f'"{shortened(name)}" stands twice in {section}'
            here.error(codes.TWICE, message, f"it is already at {place}", key=True)
            merged.spoilt.add((section, name))
            continue
        if section == "vars" and isinstance(value, str) and SECRET.fullmatch(value):
            hint = "name the secret where it is used"
            here.error(codes.SECRET_REFUSED, "a variable holds no secret", hint)
            merged.spoilt.add((section, name))
        into[name] = Entry(value, here)


def _defaults(
    data: Mapping[str, Any], merged: Merged, zones: dict[str, Report], report: Report
) -> None:
    raw = data.get("defaults")
    if raw is None:
        return
    at = report.at("defaults")
    if not isinstance(raw, Mapping):
        at.error(codes.WRONG_VALUE, f"defaults is a mapping, not {shown(raw)}")
        merged.spoilt.add(("defaults", ALL))
        return
    names.check_keys(raw, names.DEFAULTS_KEYS, at)
    known = len(merged.problems)
    merged.keep_fields |= frozenset(shapes.texts(raw, "keep_fields", at))
    if len(merged.problems) > known:
        merged.spoilt.add(("defaults", "keep_fields"))
    zone = shapes.text(raw, "timezone", at)
    if not zone:
        return
    here = at.at("timezone")
    if zones and zone not in zones:
        place = _spelt(next(iter(zones.values())))
        here.error(codes.TWICE, "another file says another timezone", f"it is at {place}")
        return
    if check_timezone(zone, here):
        merged.timezone = zone
        zones[zone] = here
    else:
        merged.spoilt.add(("defaults", "timezone"))


def _rules(data: Mapping[str, Any], merged: Merged, report: Report) -> None:
    raw = data.get("rules", [])
    if not isinstance(raw, list):
        hint = 'each rule begins with "- id:"'
        report.at("rules").error(codes.NO_RULES, f"rules is a list, not {shown(raw)}", hint)
        merged.usable = False
        return
    merged.rules += [Entry(one, report.at("rules", at)) for at, one in enumerate(raw)]


def _tests(data: Mapping[str, Any], merged: Merged, report: Report) -> None:
    raw = data.get("tests")
    if raw is None:
        return
    if not isinstance(raw, list):
        message = f"tests is a list, not {shown(raw)}"
        own = Report(report.locate)
        own.at("tests").error(codes.WRONG_VALUE, message, 'each test begins with "- name:"')
        merged.wrong_in_tests(own.problems)
        return
    merged.tests += [Entry(one, report.at("tests", at)) for at, one in enumerate(raw)]


def _faults(file: RuleFile, first: tuple[int, int], merged: Merged) -> None:
    """A doubled key, or another fault of the YAML, spoils what it lies in and no more."""
    for fault in file.document.faults:
        rule = None
        if fault.path[:1] == ("tests",):
            merged.of_tests.append(fault.problem)
        match fault.path:
            case ("rules", int(number), *_):
                merged.spoilt_rules.add(first[0] + number)
                rule = id_of(merged.rules[first[0] + number].value)
            case ("connections" | "vars" as section, str(name), *_):
                merged.spoilt.add((section, name))
            case ("tests", int(number), *_):
                merged.spoilt_tests.add(first[1] + number)
            case ("tests", *_):
                pass
            case _:
                merged.usable = False
        merged.problems.append(replace(fault.problem, rule=rule))


def _twice(merged: Merged) -> None:
    """Two rules with one id: nobody knows which is meant, so neither loads."""
    first: dict[str, int] = {}
    for number, entry in enumerate(merged.rules):
        name = id_of(entry.value)
        if name is None:
            continue
        if name not in first:
            first[name] = number
            continue
        place = _spelt(merged.rules[first[name]].report.at("id"))
        message = f'another rule has the id "{name}" already'
        _rule_report(entry, name).at("id").error(codes.TWICE, message, f"it is at {place}")
        merged.spoilt_rules |= {first[name], number}
    _former(merged, first)


def _former(merged: Merged, first: Mapping[str, int]) -> None:
    """An earlier id has one heir, and is no rule's id any more."""
    heirs: dict[str, int] = {}
    for number, entry in enumerate(merged.rules):
        for name in former_ids(entry.value):
            other = heirs.setdefault(name, number) if name not in first else first[name]
            if other == number:
                continue
            place = _spelt(merged.rules[other].report)
            message = f'"{name}" cannot be what this rule was: another rule says so, or is it'
            report = _rule_report(entry, id_of(entry.value) or "")
            report.at("was").error(codes.TWICE, message, f"that one is at {place}")
            merged.spoilt_rules.add(number)


def _rule_report(entry: Entry, name: str) -> Report:
    return Report(entry.report.locate, entry.report.path, name, entry.report.problems)


def _spelt(report: Report) -> str:
    file, line, column = report.place()
    return f"{file}:{line}:{column}"
