"""A rule set from a file or a folder: whatever can be used, and every problem with the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from engine.action import Registry
from engine.errors import Problem
from engine.rules import codes
from engine.rules.case_reading import compile_cases
from engine.rules.case_terms import Setting
from engine.rules.cases import Case
from engine.rules.connections import compile_connection
from engine.rules.files import RuleFile, find_files, read_file
from engine.rules.lint import lint_rule
from engine.rules.lint_undoing import lint_undoing
from engine.rules.merging import Merged, merge
from engine.rules.model import ConnectionSpec, Rule, RuleSet
from engine.rules.parameters import Terms
from engine.rules.patterns import matches, unknown_event
from engine.rules.report import Locate, Place, Report
from engine.rules.report import Path as Where
from engine.rules.ruling import Shared, compile_rule, former_ids, id_of
from engine.rules.secrets import Secrets
from engine.rules.tree import emitted, listened_to

_FILE_STOPS = {codes.BAD_VERSION}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of reading the rules.

    `usable` is false where the files as a whole say nothing that can be used; then the rule set
    is empty, and whatever was in force should stay. `broken` are the ids of rules left out,
    `former` those under their `was`; `nameless` tells that there is one whose id can't be read.
    `cases` are the tests that can be run, `of_tests` the problems with the others; `places` finds what is written in a rule, by its id.
    """

    ruleset: RuleSet
    problems: tuple[Problem, ...]
    usable: bool = True
    broken: frozenset[str] = frozenset()
    former: frozenset[str] = frozenset()
    nameless: bool = False
    cases: tuple[Case, ...] = ()
    of_tests: frozenset[Problem] = frozenset()
    places: Mapping[str, Locate] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that are no mere warnings."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def load(path: Path, *, actions: Registry, secrets: Secrets, last: RuleSet | None = None) -> Loaded:
    """Read, check and compile; never raises for what the user wrote.

    `last` is the rule set in force: a broken connection, var or default is taken from there.
    """
    files, problems = _read(path)
    if not files or any(problem.code in _FILE_STOPS for problem in problems) or None in files:
        return Loaded(RuleSet(), tuple(sorted(problems)), usable=False)
    merged = merge([file for file in files if file is not None])
    merged.problems[:0] = problems
    if not merged.usable:
        return Loaded(RuleSet(), tuple(sorted(merged.problems)), usable=False)
    return _compile(merged, actions, secrets, last or RuleSet())


def _read(path: Path) -> tuple[list[RuleFile | None], list[Problem]]:
    paths, problems = find_files(path)
    files: list[RuleFile | None] = []
    for one in paths:
        file, found = read_file(one)
        files.append(file)
        problems += found
    return files, problems


def _compile(merged: Merged, actions: Registry, secrets: Secrets, last: RuleSet) -> Loaded:
    variables = _variables(merged, last)
    timezone = last.timezone if merged.lost("defaults", "timezone") else merged.timezone
    lost = merged.lost("defaults", "keep_fields")
    keep_fields = last.keep_fields if lost else merged.keep_fields
    terms = Terms(secrets, variables, timezone)
    connections, broken_connections = _connections(merged, actions, terms, last)
    shared = Shared(
        actions, secrets, connections, variables, timezone, frozenset(broken_connections)
    )
    sound, broken = _rules(merged, shared)
    rules = [rule for rule, _ in sound]
    cases = _cases(merged, shared)
    names = [id_of(source) for source in broken]
    ruleset = RuleSet(
        rules=tuple(rules),
        connections=connections,
        vars=variables,
        timezone=timezone,
        keep_fields=keep_fields,
        tests=tuple(entry.value for entry in merged.tests),
    )
    problems = {_masked(problem, secrets) for problem in merged.problems}
    return Loaded(
        with_hash(ruleset),
        tuple(sorted(problems)),
        broken=frozenset(name for name in names if name),
        former=frozenset(name for source in broken for name in former_ids(source)),
        nameless=None in names,
        cases=cases,
        of_tests=frozenset(_masked(problem, secrets) for problem in merged.of_tests),
        places={rule.id: report.locate for rule, report in sound},
    )


def _masked(problem: Problem, secrets: Secrets) -> Problem:
    """What a library says about a value may quote it."""
    message, hint = secrets.mask(problem.message), secrets.mask(problem.hint)
    return replace(problem, message=message, hint=hint)


def _variables(merged: Merged, last: RuleSet) -> dict[str, Any]:
    """The vars; a broken one keeps its last value."""
    kept = {name: value for name, value in last.vars.items() if merged.lost("vars", name)}
    read = merged.vars.items()
    return kept | {name: entry.value for name, entry in read if not merged.lost("vars", name)}


def _connections(
    merged: Merged, actions: Registry, terms: Terms, last: RuleSet
) -> tuple[dict[str, ConnectionSpec], set[str]]:
    """The connections, and those that are broken and have no last good one."""
    found = {
        name: spec for name, spec in last.connections.items() if merged.lost("connections", name)
    }
    broken = set()
    for name, entry in merged.connections.items():
        own = Report(entry.report.locate, entry.report.path)
        spec = compile_connection(name, entry.value, actions, terms, own)
        merged.problems += own.problems
        if spec and not own.broken and not merged.lost("connections", name):
            found[name] = spec
        elif name in last.connections:
            found[name] = last.connections[name]
        else:
            broken.add(name)
    return found, broken


def _rules(merged: Merged, shared: Shared) -> tuple[list[tuple[Rule, Report]], list[Any]]:
    """The rules in order, each with its report, and the others as they are written."""
    broken, sound = [], []
    lint = partial(lint_rule, keep_fields=merged.keep_fields)
    for number, entry in enumerate(merged.rules):
        locate = _below(entry.report.locate, entry.report.path)
        rule, problems = compile_rule(entry.value, shared, locate, lint)
        merged.problems += problems
        if rule is None or number in merged.spoilt_rules:
            broken.append(entry.value)
        else:
            sound.append((rule, Report(locate, rule=rule.id, problems=merged.problems)))
    lint_undoing(sound)
    merged.problems = _known_here(merged.problems, [rule for rule, _ in sound])
    return sound, broken


def _cases(merged: Merged, shared: Shared) -> tuple[Case, ...]:
    sources = {name: one.value for one in merged.rules if (name := id_of(one.value)) is not None}
    problems: list[Problem] = []
    cases = compile_cases(
        [
            (entry.value, Report(entry.report.locate, entry.report.path, None, problems))
            for number, entry in enumerate(merged.tests)
            if number not in merged.spoilt_tests
        ],
        Setting(sources, shared),
    )
    merged.wrong_in_tests(problems)
    return cases


def _known_here(problems: list[Problem], rules: list[Rule]) -> list[Problem]:
    """The problems without the doubts about event types that a rule raises itself."""
    raised = emitted(rules)
    if not raised:
        return problems
    listened = {one for rule in rules for one in listened_to(rule)}
    known = [one for one in listened if any(matches(one, name) for name in raised)]
    doubts = {unknown_event(one)[0] for one in known}
    return [one for one in problems if one.code != codes.UNKNOWN_EVENT or one.message not in doubts]


def _below(locate: Locate, path: Where) -> Locate:
    """The places of one rule, whose own paths begin at the rule."""

    def locate_below(inner: Where, key: bool) -> Place:
        return locate((*path, *inner), key)

    return locate_below


def with_hash(ruleset: RuleSet) -> RuleSet:
    """The rule set with the hash of what is written in it."""
    said = [
        [rule.version for rule in ruleset.rules],
        {name: spec.raw for name, spec in ruleset.connections.items()},
        ruleset.vars,
        ruleset.timezone,
        sorted(ruleset.keep_fields),
        ruleset.tests,
    ]
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return replace(ruleset, hash=hashlib.sha256(text.encode()).hexdigest())
