"""What the engine is supplied with for its rules: reading, old versions, connections, rates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from engine.action import Connection, Registry
from engine.errors import UserError
from engine.library import CompileRule, Library, Stored, spec_of
from engine.reloading.rehearsed import rehearse
from engine.reloading.reloader import Reading
from engine.reloading.watching import stamp
from engine.rules.connections import compile_connection, resolve
from engine.rules.loading import Loaded, load
from engine.rules.model import ConnectionSpec, Rule, RuleSet
from engine.rules.parameters import Terms
from engine.rules.report import Report
from engine.rules.ruling import Shared, compile_rule
from engine.rules.secrets import Secrets


def reading_of(rules: Path, actions: Registry, secrets: Secrets) -> Reading:
    """How the rules at that path are read."""

    def connections(raw: Mapping[str, Any]) -> dict[str, ConnectionSpec]:
        found = {
            name: compile_connection(name, one, actions, Terms(secrets, {}, "UTC"), Report())
            for name, one in raw.items()
        }
        return {name: spec for name, spec in found.items() if spec is not None}

    def read(last: RuleSet | None, path: Path | None) -> Loaded:
        loaded = load(path or rules, actions=actions, secrets=secrets, last=last)
        return rehearse(loaded, last, actions)

    return Reading(read, connections, partial(stamp, rules))


class Connections:
    """Resolves the connections of the rules in force, each on its first use.

    A missing secret is looked for again each time; a reload makes all of them be resolved anew.
    """

    def __init__(self, library: Library, secrets: Secrets) -> None:
        self._library = library
        self._secrets = secrets
        self._known: dict[str, tuple[ConnectionSpec, Connection]] = {}

    def connect(self, name: str) -> Connection:
        """The connection of that name; UserError where it can't be resolved."""
        ruleset = self._library.book.ruleset
        spec = spec_of(ruleset, name)
        if spec is None:
            raise UserError(f'there is no connection "{name}" any more')
        known = self._known.get(name)
        if known is None or known[0] is not spec:
            known = self._known[name] = (spec, resolve(spec, self._secrets, ruleset.vars))
        return known[1]


def recompiler(actions: Registry, secrets: Secrets) -> CompileRule:
    """Compiles a version that lies in the journal, with the connections in force now."""

    def compile_again(stored: Stored, ruleset: RuleSet, *, steps: bool = True) -> Rule | None:
        known = {**ruleset.retired, **ruleset.connections}
        # Others that came since could make it unclear which one a step means.
        uses = stored.get("uses", known)
        connections = {name: spec for name, spec in known.items() if name in uses}
        shared = Shared(actions, secrets, connections, ruleset.vars, stored["timezone"])
        return compile_rule(stored["rule"], shared, steps=steps)[0]

    return compile_again
