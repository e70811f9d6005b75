"""One rule out of plain data, with all of its problems."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from engine.action import Registry
from engine.errors import Problem
from engine.rules import codes, holding, names, shapes
from engine.rules.clocks import compile_clock
from engine.rules.compiling import compile_condition, compile_expression
from engine.rules.followups import compile_watched
from engine.rules.model import ClockOn, ConnectionSpec, Per, Rule, Step
from engine.rules.parameters import Terms
from engine.rules.report import Locate, Report, nowhere
from engine.rules.secrets import Secrets
from engine.rules.steps import StepCompiler
from engine.rules.wording import shown

ID = re.compile(r"[a-z0-9][a-z0-9-]*", re.ASCII)
LONGEST_ID = 100
MODES = ("live", "shadow", "off")
_OBJECTS = {
    "user": "user.key", "node": "node.key", "data.user": "user.key", "data.node": "node.key",
    "data": "user.key", "latest": "user.key", "previous": "user.key", "meta": "user.key",
}  # fmt: skip
Lint = Callable[[Rule, Report], None]


@dataclass(frozen=True, slots=True)
class Shared:
    """What all rules of a file share."""

    actions: Registry
    secrets: Secrets
    connections: Mapping[str, ConnectionSpec] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)
    timezone: str = "UTC"
    broken_connections: frozenset[str] = frozenset()


def compile_rule(
    source: Any,
    shared: Shared,
    locate: Locate = nowhere,
    lint: Lint | None = None,
    *,
    steps: bool = True,
) -> tuple[Rule | None, tuple[Problem, ...]]:
    """The rule, or None where it has an error; and every problem, warnings included.

    `lint` looks at what could be compiled. It is for rules as written: one that was in force
    before must not be lost to what is doubted since. Without `steps` the rule can be asked what
    it says to an event, though a connection may be gone.
    """
    report = Report(locate, rule=id_of(source))
    if not isinstance(source, Mapping):
        report.error(codes.WRONG_VALUE, f"a rule is a mapping, not {shown(source)}")
        return None, tuple(report.problems)
    names.check_keys(source, names.RULE_KEYS, report)
    rule = _compile(source, shared, report, steps=steps)
    if lint is not None:
        lint(rule, report)
    return None if report.broken else rule, tuple(report.problems)


def id_of(source: Any) -> str | None:
    """The id of a rule as written, where it has one that can be used."""
    found = source.get("id") if isinstance(source, Mapping) else None
    usable = isinstance(found, str) and len(found) <= LONGEST_ID and ID.fullmatch(found)
    return found if usable else None


def former_ids(source: Any) -> tuple[str, ...]:
    """The ids under `was` of a rule as written, those that can be used."""
    written = source.get("was") if isinstance(source, Mapping) else None
    listed = written if isinstance(written, list) else [written]
    return tuple(name for one in listed if (name := id_of({"id": one})) is not None)


def version_of(source: Mapping[str, Any], timezone: str) -> str:
    """A hash that changes with anything that the rule says."""
    said = json.dumps([source, timezone], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


def without_shadow(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """A rule as it is written when it goes live out of `mode: shadow`; others are as they are."""
    if source.get("mode") != "shadow":
        return source
    return {key: value for key, value in source.items() if key != "mode"}


def as_if_live(rule: Rule) -> Rule:
    """The rule as it will be when it goes live out of `mode: shadow`."""
    if rule.mode != "shadow":
        return rule
    source = without_shadow(rule.source)
    return replace(rule, mode="live", source=source, version=version_of(source, rule.timezone))


def _compile(source: Mapping[str, Any], shared: Shared, report: Report, *, steps: bool) -> Rule:
    _check_id(source, report)
    digest = holding.compile_digest(source, shared.timezone, report)
    known = names.CONTEXT | (names.DIGESTING if source.get("digest") is not None else frozenset())
    terms = Terms(shared.secrets, shared.vars, shared.timezone, known=known)
    cancel_on = compile_watched(source, "cancel_on", report)
    compiler = StepCompiler(
        shared.actions, shared.connections, shared.broken_connections, terms, cancel_on
    )
    patterns, clocks = compile_on(source, shared.timezone, report)
    when = compile_condition(source["when"], report.at("when")) if "when" in source else None
    do: tuple[Step, ...] = ()
    if steps and shapes.needs(source, "do", "a rule", report):
        do = compiler.steps(source["do"], "do", report.at("do"))
    on_failure: tuple[Step, ...] = ()
    if steps and "on_failure" in source:
        failing = replace(compiler, terms=replace(terms, known=known | names.FAILING))
        on_failure = failing.steps(source["on_failure"], "on_failure", report.at("on_failure"))
    return Rule(
        id=id_of(source) or "",
        version=version_of(source, shared.timezone),
        source=source,
        on=patterns,
        clocks=clocks,
        when=when,
        per=_per(source, report),
        do=do,
        mode=_mode(source, report),
        description=shapes.text(source, "description", report),
        tags=shapes.texts(source, "tags", report),
        empty_ok=shapes.flag(source, "empty_ok", report),
        timezone=shared.timezone,
        place=report.place()[:2],
        on_failure=on_failure,
        was=_was(source, report),
        threshold=holding.compile_threshold(source, report),
        throttle=holding.compile_throttle(source, report),
        digest=digest,
        concurrency=holding.compile_concurrency(source, report),
        quiet=holding.compile_quiet(source, shared.timezone, report),
        cancel_on=cancel_on,
        priority=holding.compile_priority(source, report),
        ttl=holding.compile_ttl(source, report),
    )


def _check_id(source: Mapping[str, Any], report: Report) -> None:
    if shapes.needs(source, "id", "a rule", report) and id_of(source) is None:
        message = f"{shown(source['id'])} is no id for a rule"
        hint = "small letters, digits and hyphens, as in node-down"
        report.at("id").error(codes.WRONG_VALUE, message, hint)


def _was(source: Mapping[str, Any], report: Report) -> tuple[str, ...]:
    """Ids that the rule had before."""
    usable = former_ids(source)
    for one in shapes.texts(source, "was", report):
        if one not in usable:
            message = f"{shown(one)} is no id that a rule can have had"
            report.at("was").error(codes.WRONG_VALUE, message)
        elif one == id_of(source):
            message = f'the rule\'s id is "{one}" still'
            report.at("was").error(codes.WRONG_VALUE, message, "was names an earlier id")
    return usable


def _mode(source: Mapping[str, Any], report: Report) -> Literal["live", "shadow", "off"]:
    mode = shapes.choice(source, "mode", MODES, report)
    return cast("Literal['live', 'shadow', 'off']", mode or "live")


def _per(source: Mapping[str, Any], report: Report) -> Per:
    raw = source.get("per")
    if raw is None:
        return Per()
    if raw == "none":
        return Per("none")
    expression = compile_expression(raw, report.at("per"))
    better = _OBJECTS.get(expression.text.strip()) if expression else None
    if better is not None:
        message = f"per: {shown(raw)} is a whole object, and no key"
        report.at("per").error(codes.WRONG_VALUE, message, f"write per: {better}")
    return Per(expression.text, expression) if expression else Per()


def compile_on(
    source: Mapping[str, Any], timezone: str, report: Report
) -> tuple[tuple[str, ...], tuple[ClockOn, ...]]:
    """Event types and globs, and the clocks among them."""
    if not shapes.needs(source, "on", "a rule", report):
        return (), ()
    raw = source["on"]
    listed = isinstance(raw, list)
    patterns: list[str] = []
    clocks: list[ClockOn] = []
    for number, one in enumerate(raw if listed else [raw]):
        at = report.at("on", number) if listed else report.at("on")
        if isinstance(one, Mapping):
            clock = compile_clock(one, timezone, at)
            clocks += [clock] if clock else []
        else:
            found = shapes.pattern(one, at)
            patterns += [found] if found else []
    if listed and not raw:
        report.at("on").error(codes.WRONG_VALUE, "on has no event type in it")
    return tuple(dict.fromkeys(patterns)), tuple(dict.fromkeys(clocks))
