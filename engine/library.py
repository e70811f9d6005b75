"""The rules at hand: those in force, and every older version that some run began with."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from engine.clock import Clock
from engine.deciding.rulebook import Rulebook
from engine.journal import rules as kept
from engine.journal import runs
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.rules.durations import parse_rate
from engine.rules.expressions import Expression
from engine.rules.model import ActionStep, AfterStep, ConnectionSpec, Per, Rule, RuleSet
from engine.rules.tree import walk_all

Stored = Mapping[str, Any]
_MOST_OLDER = 1000
"""Older versions that are kept compiled; others are compiled once more when a run needs them."""


class CompileRule(Protocol):
    """Compiles a rule again from what the journal has of it, with the connections of a rule set."""

    def __call__(self, stored: Stored, ruleset: RuleSet, *, steps: bool = True) -> Rule | None:
        """The rule; None where it has an error. Without `steps` it can only be asked."""
        ...


class Library:
    """What the engine asks for rules.

    Args:
        ruleset: the rules in force.
        compile_rule: for versions that lie in the journal.
    """

    def __init__(
        self, journal: SqliteJournal, ruleset: RuleSet, compile_rule: CompileRule, clock: Clock
    ) -> None:
        self.book = Rulebook(ruleset)
        self._journal = journal
        self._compile = compile_rule
        self._clock = clock
        self._kinds: dict[tuple[str, str], Per] = {}
        self._kinds_loaded = False
        self._note_kinds(*ruleset.rules)

    async def start(self) -> None:
        """Keep the rules in force in the journal, before any run begins with them."""
        await self._journal.write(keep(self.book.ruleset, self._clock.now()))

    def swap(self, ruleset: RuleSet) -> None:
        """From now on these are in force; the journal has them already. Cannot fail."""
        book = Rulebook(ruleset)
        # Runs go on with the versions that they began with.
        older = list(self.book.by_version.items())[-_MOST_OLDER:]
        book.by_version = {**dict(older), **book.by_version}
        self._note_kinds(*ruleset.rules)
        self.book = book

    async def version(self, hash: str, book: Rulebook | None = None) -> Rule | None:
        """The rule as it was in that version; None where the journal does not have it."""
        book = book or self.book
        if hash not in book.by_version:
            stored = await self._journal.read(kept.version(hash))
            rule = self._compile(stored, book.ruleset) if stored else None
            if rule is None:
                return None
            book.by_version[hash] = rule
            self._note_kinds(rule)
        return book.by_version[hash]

    async def past(self, hash: str) -> tuple[Rulebook, int] | None:
        """The rule set of that hash, to ask what it says, and how many rules can't be asked.

        None where the journal does not have it. A rule whose steps can't be compiled any more
        has none.
        """
        if hash == self.book.ruleset.hash:
            return self.book, 0
        stored = await self._journal.list(kept.ruleset(hash))
        if stored is None:
            return None
        found = [await self._past_rule(version) for version in stored["rules"]]
        rules = tuple(rule for rule in found if rule is not None)
        past = replace(
            self.book.ruleset, rules=rules, vars=stored["vars"], timezone=stored["timezone"],
            hash=hash,
        )  # fmt: skip
        return Rulebook(past), len(found) - len(rules)

    async def _past_rule(self, hash: str) -> Rule | None:
        if hash in self.book.by_version:
            return self.book.by_version[hash]
        stored = await self._journal.list(kept.version(hash))
        if stored is None:
            return None
        ruleset = self.book.ruleset
        rule = self._compile(stored, ruleset) or self._compile(stored, ruleset, steps=False)
        return replace(rule, version=hash) if rule else None

    async def watch_kinds(self) -> list[tuple[str, Per]]:
        """The pairs of event pattern and `per` that any follow-up waits for."""
        if not self._kinds_loaded:
            for pattern, per in await self._journal.read(runs.watch_kinds()):
                self._kinds.setdefault((pattern, per), _per(per))
            self._kinds_loaded = True
        return [(pattern, per) for (pattern, _), per in self._kinds.items()]

    def _note_kinds(self, *rules: Rule) -> None:
        for rule in rules:
            followups = (step for step in walk_all(rule) if isinstance(step, AfterStep))
            parts: tuple[Rule | AfterStep, ...] = (rule, *followups)
            for part in parts:
                for wanted in part.watched_for:
                    self._kinds.setdefault((wanted.pattern, rule.per.text), rule.per)


def _per(text: str) -> Per:
    return Per(text, Expression(text) if text not in {"", "none"} else None)


def keep(
    ruleset: RuleSet, now: int, known: Container[str] = (), unsettled: Iterable[str] = ()
) -> Op[None]:
    """Keep a rule set and its rules: runs and decision records name them by their hashes.

    Args:
        known: versions that the journal has already: a reload writes what is new.
        unsettled: ids of rules that came, went or changed, and whose follow-ups are still to be
            settled.
    """
    for rule in ruleset.rules:
        if rule.version in known:
            continue
        stored = {"rule": rule.source, "timezone": rule.timezone, "uses": connections_of(rule)}
        yield from kept.keep_version(rule.version, rule.id, stored, now)
    yield from kept.keep_ruleset(ruleset.hash, _content(ruleset, unsettled), now)


def note_settled(ruleset: RuleSet, now: int) -> Op[None]:
    """Note that nothing of a rule set is still to be settled."""
    yield from kept.keep_ruleset(ruleset.hash, _content(ruleset, ()), now)


def _content(ruleset: RuleSet, unsettled: Iterable[str]) -> dict[str, Any]:
    return {
        "rules": [rule.version for rule in ruleset.rules],
        "vars": ruleset.vars,
        "timezone": ruleset.timezone,
        "keep_fields": sorted(ruleset.keep_fields),
        "connections": _storable(ruleset, retired=False),
        "retired": _storable(ruleset, retired=True),
        "unsettled": sorted(unsettled),
    }


def connections_of(rule: Rule) -> list[str]:
    """The names of the connections that the rule's steps use."""
    steps = [step for step in walk_all(rule) if isinstance(step, ActionStep)]
    return sorted({step.connection for step in steps if step.connection})


def _storable(ruleset: RuleSet, *, retired: bool) -> dict[str, Any]:
    """The connections as written; one with a password written out in it is never stored."""
    specs = ruleset.retired if retired else ruleset.connections
    return {name: spec.raw for name, spec in specs.items() if spec.storable}


def spec_of(ruleset: RuleSet, name: str) -> ConnectionSpec | None:
    """The connection as written, or as it was when it was written last."""
    return ruleset.connections.get(name) or ruleset.retired.get(name)


def rate_of(library: Library, target: str) -> int | None:
    """The least time between two calls of a target (µs); None where it has no rate."""
    spec = spec_of(library.book.ruleset, target)
    if spec is None:
        return None
    rate = spec.raw.get("rate", spec.model.usual_rate)
    return None if rate is None else parse_rate(rate)
