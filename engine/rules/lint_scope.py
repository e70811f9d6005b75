"""What a condition or a text of a rule may read: each path looked up in what the panels send."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from engine.rules import codes
from engine.rules.expressions import Path, written
from engine.rules.lint_several import Kind, lacking
from engine.rules.report import Report
from engine.rules.wording import did_you_mean
from engine.sources import contract
from engine.sources.contract import ANYTHING, Shape
from engine.sources.outlook import MOVED

Facts = frozenset[Path]
"""The paths that are known to be neither null nor absent."""

ITEM = "[]"
NOTHING_KNOWN: Facts = frozenset()
_STATES = ("previous", "latest", "origin", "arrived")
_TRAFFIC = "userTraffic"
_SUBJECTS = ("user", "node")
_BODIES = frozenset({"data", "user", "node", "meta"})


@dataclass(frozen=True, slots=True)
class How:
    """How a value is used: what is known there, under a `not`, with another to fall back on, as text."""

    facts: Facts = NOTHING_KNOWN
    negated: bool = False
    lenient: bool = False
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found: its shape, its path if it has one, whether it may be null; a literal's value."""

    shape: Shape
    path: Path = ()
    nulls: bool = False
    value: Any = None

    @property
    def text(self) -> str:
        """The path as one writes it."""
        return written(self.path).replace(f".{ITEM}", ITEM)


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that a text may use, and what is doubtful about them, told to `report`.

    `subjects` are the scopes whose `data` is itself the user or node; `hidden` are the fields
    that are never stored; `exact`: the rule listens to no other event types than known ones;
    `heard` are those event types, `kinds` the same by what they carry, where that differs; `note`
    is told each path that is read, and where; `own`: it listens to the daemon's own events alone.
    """

    names: Shape
    report: Report = field(default_factory=Report)
    subjects: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    exact: bool = False
    own: bool = False
    heard: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    note: Callable[[Path, Report], None] | None = None

    def at(self, report: Report) -> Scope:
        """The same names, for a text at another place."""
        return replace(self, report=report)

    @property
    def root(self) -> Reading:
        """Where every path begins."""
        return Reading(self.names)

    def given(self, paths: Iterable[Path]) -> Facts:
        """The facts that follow where these paths are there: so is all on the way to them."""
        same = [self.same(path) for path in paths]
        return frozenset(path[:end] for path in same for end in range(1, len(path) + 1))

    def same(self, path: Path) -> Path:
        """One path for what has several: `data.email` of a user is `user.email`."""
        if path[0] in _STATES:
            return (path[0], *self.same(path[1:])) if len(path) > 1 else path
        if path[0] == "data" and len(path) > 1:
            if path[1] in _SUBJECTS:
                path = path[1:]
            elif len(self.subjects) == 1:
                path = (*self.subjects, *path[1:])
        if path[:2] == ("user", _TRAFFIC):
            return ("user", *path[2:])
        return path

    def follow(self, path: Path, how: How) -> Reading:
        """What stands at a path from the root."""
        found = self.root
        for part in path:
            found = self.step(found, part, how)
        return found

    def step(self, base: Reading, part: str | int, how: How) -> Reading:
        """What stands below `base`."""
        path = (*base.path, part)
        if self.note is not None:
            self.note(path, self.report)
        if base.shape is ANYTHING:
            return Reading(ANYTHING, path)
        if isinstance(part, int):
            return Reading(base.shape.item or ANYTHING, path)
        if self._is_hidden(path):
            self._never_stored(path)
            return Reading(ANYTHING, path)
        shape = base.shape.fields.get(part)
        if shape is None:
            if not (base.shape.open or (base.shape.absent and not base.path)):
                self._missing(base, path)
            return Reading(ANYTHING, path)
        if shape.absent:
            return Reading(shape, path)
        known = self.same(path) in how.facts
        found = Reading(shape, path, (base.nulls or shape.nullable) and not known)
        if not known:
            self._doubt(found, how)
        return found

    def item(self, base: Reading) -> Reading:
        """What a list holds."""
        return Reading(base.shape.item or ANYTHING, (*base.path, ITEM))

    def better(self, path: Path) -> str:
        """The path in the normalised view of what stands in `data`, where there is one."""
        states, rest = (path[:1], path[1:]) if path[0] in _STATES else ((), path)
        if len(rest) > 1 and rest[1] in _SUBJECTS:
            rest = rest[1:]
        subject = str(rest[0]) if rest[0] in _SUBJECTS else "".join(self.subjects)
        lifted = rest[1:2] == (_TRAFFIC,) and len(rest) > 2  # noqa: PLR2004  # a counter within
        tail = rest[2:] if lifted else rest[1:]
        moved = MOVED.get(subject, {}).get(str(tail[0])) if len(tail) == 1 else None
        tail = tuple(moved.split(".")) if moved else tail
        view = self.names.fields.get(subject) if tail else None
        for part in tail:
            view = view.fields.get(str(part)) if view else None
        found = (*states, subject, *tail)
        fits = view is not None and view.everywhere and not view.filled and found != path
        return written(found) if fits else ""

    def null_in_text(self, found: Reading) -> None:
        """A text needs a value that may be null."""
        self.report.warn(
            codes.NULL_IN_TEXT,
            f"{found.text} {_when_null(found.shape)}, which a text cannot hold",
            f"write {{{{ {found.text} | default('…') }}}}, or ask for it with when: {found.text}",
        )

    def not_on_all(self, found: Reading, facts: Facts, what: str, way_out: str) -> None:
        """Report a path that only some of the rule's events have; `what` cannot do without it."""
        if found.shape is ANYTHING:
            return
        path, types = lacking(found.path, facts, self.kinds)
        if types:
            message = f"there is no {written(path)} on {types}, and {what} cannot do without it"
            hint = f"{way_out.format(written(path))}, or make two rules of it"
            self.report.warn(codes.NULL_IN_TEXT, message, hint)

    def null_in_call(self, found: Reading, function: str) -> None:
        """A function refuses the null that a value may be: then nothing is decided."""
        self.report.warn(
            codes.NULL_IN_TEXT,
            f"{found.text} {_when_null(found.shape)}, and {function}() cannot be asked of a null",
            f"ask for it as well: {found.text} && …",
        )

    def _is_hidden(self, path: Path) -> bool:
        return path[-1] in self.hidden and not _BODIES.isdisjoint(path[:2])

    def _never_stored(self, path: Path) -> None:
        message = f"{written(path)} carries a credential and is never stored"
        hint = f"defaults: {{keep_fields: [{path[-1]}]}} stores it all the same"
        self.report.warn(codes.NEVER_STORED, message, hint)

    def _missing(self, base: Reading, path: Path) -> None:
        wrong = Reading(ANYTHING, path).text
        if base.path == ("steps",):
            close = did_you_mean(str(path[-1]), base.shape.fields)
            message = f'no earlier step of this rule has the id "{path[-1]}"'
            self.report.warn(codes.UNKNOWN_STEP, message, close)
            return
        if base.shape.absent:
            message = f"{wrong} is never there: these events have no {base.text}"
            self.report.warn(codes.UNKNOWN_PATH, message, self._elsewhere(path))
            return
        close = did_you_mean(str(path[-1]), base.shape.fields)
        if close.startswith("did"):
            right = close.removeprefix('did you mean "').removesuffix('"?')
            close = f'did you mean "{Reading(ANYTHING, (*base.path, right)).text}"?'
        else:
            close = self._elsewhere(path) or close
        message = f"Rulewave sends no {wrong}" if self.own else f"no panel version sends {wrong}"
        self.report.warn(codes.UNKNOWN_PATH, message, close)

    def _elsewhere(self, path: Path) -> str:
        """Where else a field of this name stands."""
        for holder in ("user", "node", "meta", "data"):
            shape = self.names.fields.get(holder)
            if shape and path[-1] in shape.fields and holder not in path:
                return f'did you mean "{holder}.{path[-1]}"?'
        return ""

    def _doubt(self, found: Reading, how: How) -> None:
        """Report what only some versions send."""
        shape = found.shape
        if shape.everywhere or how.lenient:
            return
        better = self.better(found.path)
        if shape.late and not (how.needed or better):
            return
        message = f"only panels {contract.spelt(shape.spans)} send {found.text}"
        hint = f"{better} is the same on every panel" if better else _guard(found, how)
        self.report.warn(codes.SOME_VERSIONS, message, hint)


def _when_null(shape: Shape) -> str:
    if shape.filled:
        return f"may be null (only panels {contract.spelt(shape.spans)} send it)"
    return "may be null"


def _guard(found: Reading, how: How) -> str:
    if how.needed:
        return f"write {{{{ {found.text} | default('…') }}}}, or ask for it with when: {found.text}"
    return f"default({found.text}, …) covers the others"
