"""Finds every fact that the code logs: its name, level and fields, as they stand in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from docs.fenced import ROOT

LEVELS = {"debug", "info", "warning", "error", "critical"}
_LEVEL_OF = {name: name for name in LEVELS} | {"exception": "error"}
ANY = "any"
"""The level where somebody else chooses it."""


@dataclass(frozen=True)
class Fact:
    """One call. `open`: it hands on fields that are not written there."""

    name: str
    levels: frozenset[str]
    fields: frozenset[str]
    open: bool
    place: str


@dataclass
class _Module:
    """What the names of one module stand for."""

    loggers: set[str] = field(default_factory=set)
    methods: dict[str, frozenset[str]] = field(default_factory=dict)

    def learn(self, assignment: ast.Assign) -> None:
        names = [target.id for target in assignment.targets if isinstance(target, ast.Name)]
        if _makes_logger(assignment.value):
            self.loggers |= {*names}
            return
        found = frozenset(
            _LEVEL_OF[one.attr]
            for one in ast.walk(assignment.value)
            if isinstance(one, ast.Attribute) and one.attr in _LEVEL_OF and self.logs(one.value)
        )
        if found and not isinstance(assignment.value, ast.Call):
            self.methods |= dict.fromkeys(names, found)

    def logs(self, value: ast.expr) -> bool:
        return _makes_logger(value) or (isinstance(value, ast.Name) and value.id in self.loggers)

    def levels(self, call: ast.Call) -> frozenset[str]:
        """The levels at which a call logs; none where it is another call."""
        match call.func:
            case ast.Name(id=name):
                return self.methods.get(name, frozenset())
            case ast.Attribute(value=value, attr=method) if self.logs(value):
                return frozenset({_LEVEL_OF[method]} if method in _LEVEL_OF else {ANY})
        return frozenset()


def facts() -> list[Fact]:
    """All that is logged in engine/ and actions/."""
    files = sorted(file for part in ("engine", "actions") for file in (ROOT / part).rglob("*.py"))
    return [fact for file in files for fact in _of(file)]


def _of(file: Path) -> Iterator[Fact]:
    tree, module = ast.parse(file.read_text("utf-8")), _Module()
    nodes = [*ast.walk(tree)]
    for _ in range(2):  # a method's name may stand before its logger's
        for node in nodes:
            if isinstance(node, ast.Assign):
                module.learn(node)
    for node in nodes:
        if isinstance(node, ast.Call) and (levels := module.levels(node)):
            yield from _facts(node, levels, f"{file.relative_to(ROOT)}:{node.lineno}")


def _facts(call: ast.Call, levels: frozenset[str], place: str) -> Iterator[Fact]:
    words = {word.arg for word in call.keywords}
    shown = {_field(word) for word in words if word is not None}
    if isinstance(call.func, ast.Attribute) and call.func.attr == "exception":
        shown.add("exception")
    given = call.args[1:] if ANY in levels else call.args
    for name in ast.walk(given[0]):
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield Fact(name.value, levels, frozenset(shown), None in words, place)


def _field(word: str) -> str:
    return "exception" if word == "exc_info" else word


def _makes_logger(value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "get_logger"
    )
