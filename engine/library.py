"""The rules at hand: those in force, and every older version that some run began with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.clock import Clock
from engine.deciding.rulebook import Rulebook, walk_all
from engine.journal import rules as kept
from engine.journal import runs
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.rules.expressions import Expression
from engine.rules.model import AfterStep, Per, Rule, RuleSet

CompileRule = Callable[[Any, str], Rule | None]
"""Compiles a rule again from its source and time zone, with the connections in force now."""


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
        await self._journal.write(_keep(self.book.ruleset, self._clock.now()))

    async def version(self, hash: str, book: Rulebook | None = None) -> Rule | None:
        """The rule as it was in that version; None where the journal does not have it."""
        book = book or self.book
        if hash not in book.by_version:
            stored = await self._journal.read(kept.version(hash))
            rule = self._compile(stored["rule"], stored["timezone"]) if stored else None
            if rule is None:
                return None
            book.by_version[hash] = rule
            self._note_kinds(rule)
        return book.by_version[hash]

    async def watch_kinds(self) -> list[tuple[str, Per]]:
        """The pairs of event pattern and `per` that any follow-up waits for."""
        if not self._kinds_loaded:
            for pattern, per in await self._journal.read(runs.watch_kinds()):
                self._kinds.setdefault((pattern, per), _per(per))
            self._kinds_loaded = True
        return [(pattern, per) for (pattern, _), per in self._kinds.items()]

    def _note_kinds(self, *rules: Rule) -> None:
        for rule in rules:
            for step in walk_all(rule):
                if isinstance(step, AfterStep):
                    for cancel in step.cancel_on:
                        self._kinds.setdefault((cancel.pattern, rule.per.text), rule.per)


def _per(text: str) -> Per:
    return Per(text, Expression(text) if text not in {"", "none"} else None)


def _keep(ruleset: RuleSet, now: int) -> Op[None]:
    for rule in ruleset.rules:
        stored = {"rule": rule.source, "timezone": rule.timezone}
        yield from kept.keep_version(rule.version, rule.id, stored, now)
    content = {
        "rules": [rule.version for rule in ruleset.rules],
        "vars": ruleset.vars,
        "timezone": ruleset.timezone,
    }
    yield from kept.keep_ruleset(ruleset.hash, content, now)
