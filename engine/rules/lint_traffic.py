"""Rules held against recorded traffic: what to ask of it, and what is doubtful about the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from engine.clock import DAY, from_iso
from engine.errors import Problem
from engine.rules import codes
from engine.rules.expressions import Path, written
from engine.rules.lint import lint_rule
from engine.rules.model import Rule, RuleSet
from engine.rules.patterns import is_known, matches
from engine.rules.report import Locate, Report
from engine.rules.tree import emitted
from engine.sources import outlook
from engine.sources.own import OWN

SILENT = 30 * DAY
"""A rule that has said nothing for so long is doubtful."""
# Retention takes what is older than a month: what is kept of a busy panel is never quite as old.
_OLD_ENOUGH = SILENT - DAY
_BODIES = {"data", "user", "node", "meta"}


@dataclass(frozen=True, slots=True)
class Read:
    """A path that a rule reads, and the report of the place where it does."""

    path: tuple[str, ...]
    report: Report


def reads(rule: Rule, report: Report) -> list[Read]:
    """Every path into the event's body that the rule's conditions and texts read, each once."""
    found: dict[tuple[Path, Path], Report] = {}

    def note(path: Path, at: Report) -> None:
        found.setdefault((path, at.path), at)

    lint_rule(rule, Report(report.locate), note=note)
    whole = {(_named(path), place): at for (path, place), at in found.items()}
    return [
        Read(path, Report(at.locate, at.path, rule.id, report.problems))
        for (path, place), at in whole.items()
        if len(path) > 1 and path[0] in _BODIES and not _goes_on(path, place, whole)
    ]


def _named(path: Path) -> tuple[str, ...]:
    """The path up to where it goes into a list."""
    parts: list[str] = []
    for part in path:
        if not isinstance(part, str) or part == "[]":
            break
        parts.append(part)
    return tuple(parts)


def _goes_on(path: Path, place: Path, found: Iterable[tuple[Path, Path]]) -> bool:
    return any(
        where == place and len(other) > len(path) and other[: len(path)] == path
        for other, where in found
    )


def question(
    ruleset: RuleSet, places: Mapping[str, Locate], types: Sequence[str]
) -> dict[str, Any]:
    """What to ask, where these event types are on record."""
    paths: dict[str, list[tuple[str, ...]]] = {}
    for rule in _live(ruleset):
        read = [one.path for one in reads(rule, Report(places[rule.id]))]
        for type in _heard(rule, types):
            paths.setdefault(type, []).extend(read)
    unique = {type: list(dict.fromkeys(asked)) for type, asked in paths.items()}
    return {"paths": unique, "rules": [rule.id for rule in _live(ruleset)]}


def doubts(
    ruleset: RuleSet, places: Mapping[str, Locate], answer: Mapping[str, Any]
) -> list[Problem]:
    """What the answer makes doubtful, each at its place."""
    types = list(answer["types"])
    found: list[Problem] = []
    raised = emitted(ruleset.rules)
    for rule in _live(ruleset):
        report = Report(places[rule.id], rule=rule.id, problems=found)
        if any(not one.startswith(OWN) for one in types):
            _never_came(rule, types, raised, report)
        _absent(rule, types, answer["looked_at"], report)
        _silent(rule, answer, report)
    return found


def _live(ruleset: RuleSet) -> list[Rule]:
    return [rule for rule in ruleset.rules if rule.mode == "live"]


def _sends(pattern: str, type: str) -> bool:
    """Whether an event that was sent as `type` can fit the pattern."""
    return matches(pattern, type) or type in outlook.other_names(pattern)


def _heard(rule: Rule, types: Iterable[str]) -> list[str]:
    return [type for type in types if any(_sends(pattern, type) for pattern in rule.on)]


def _never_came(rule: Rule, types: Sequence[str], raised: set[str], report: Report) -> None:
    written_on = rule.source["on"]
    for pattern in rule.on:
        ours = pattern.startswith(OWN) or any(matches(pattern, one) for one in raised)
        if ours or not is_known(pattern) or any(_sends(pattern, type) for type in types):
            continue
        listed = isinstance(written_on, list)
        at = report.at("on", written_on.index(pattern)) if listed else report.at("on")
        hint = "does the panel send it? a setting may switch it on, or a newer version have it"
        at.warn(codes.NOT_SEEN, f"no {pattern} is on record, though other events are", hint)


def _absent(rule: Rule, types: Sequence[str], looked_at: Mapping[str, Any], report: Report) -> None:
    heard = [type for type in _heard(rule, types) if looked_at.get(type, {}).get("events")]
    if not heard:
        return
    missing = [{tuple(path) for path in looked_at[type]["absent"]} for type in heard]
    # A path that one of the event types has is for that one.
    nowhere = missing[0].intersection(*missing[1:])
    count = sum(looked_at[type]["events"] for type in heard)
    for one in reads(rule, report):
        if one.path in nowhere:
            among = f"the last {count} events that the rule waits for" if count > 1 else "the event"
            message = f"{written(one.path)} was in none of {among}"
            one.report.warn(codes.NOT_SEEN, message, "rulewave events show ID tells what they hold")


def _silent(rule: Rule, answer: Mapping[str, Any], report: Report) -> None:
    spoke = answer["rules"].get(rule.id)
    if spoke is None or rule.empty_ok or rule.clocks:
        return
    now = _moment(answer["now"])
    starts = [_moment(one) for one in (spoke["known"], answer["since"])]
    if any(now - (one or now) < _OLD_ENOUGH for one in starts):
        return
    if now - _moment(spoke["run"]) >= SILENT:
        days = timedelta(microseconds=SILENT).days
        message = f"the rule has done nothing for {days} days"
        hint = "rulewave explain EVENT tells why; empty_ok: true says that this is well"
        report.at("id").warn(codes.NOT_SEEN, message, hint)


def _moment(text: str | None) -> int:
    """The moment that the answer tells; 0, which is long ago, where it tells none."""
    return (from_iso(text) if text else None) or 0
