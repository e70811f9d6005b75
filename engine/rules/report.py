"""Gathers every problem on the way down through a document, each with its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from engine.errors import Problem

Path = tuple[str | int, ...]
Place = tuple[str, int, int]
Locate = Callable[[Path, bool], Place]


def nowhere(path: Path, key: bool) -> Place:
    """The place of what does not come from a file, such as a rule kept in the journal."""
    del path, key
    return "(stored)", 0, 0


@dataclass(frozen=True, slots=True)
class Report:
    """Where we are (`path`), whose rule it is, and the one list that all problems go to."""

    locate: Locate = nowhere
    path: Path = ()
    rule: str | None = None
    problems: list[Problem] = field(default_factory=list)

    def at(self, *parts: str | int) -> Report:
        """The same report, further down."""
        return Report(self.locate, (*self.path, *parts), self.rule, self.problems)

    def place(self, *, key: bool = False) -> Place:
        """File, line and column of the value where we are, or of its key."""
        return self.locate(self.path, key)

    def error(self, code: str, message: str, hint: str = "", *, key: bool = False) -> None:
        """Something that keeps the rule from loading."""
        self._add(code, message, hint, key, "error")

    def warn(self, code: str, message: str, hint: str = "", *, key: bool = False) -> None:
        """Something doubtful that does not."""
        self._add(code, message, hint, key, "warning")

    @property
    def broken(self) -> bool:
        """Whether there is any error so far."""
        return any(problem.severity == "error" for problem in self.problems)

    def _add(
        self, code: str, message: str, hint: str, key: bool, severity: Literal["error", "warning"]
    ) -> None:
        file, line, column = self.place(key=key)
        problem = Problem(file, line, column, code, message, hint, severity, self.rule)
        if problem not in self.problems:
            self.problems.append(problem)
