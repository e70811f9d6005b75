"""Whose mistake it is: the user's (exit 1), the world's (retried), or ours (exit 3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


class RulewaveError(Exception):
    """Anything that Rulewave itself raises."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in what the user wrote, with its place and a way out.

    `line` and `column` count from 1; 0 means the whole file.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"
    rule: str | None = None

    def __str__(self) -> str:
        """`file:line:column: CODE message; hint`."""
        place = f"{self.file}:{self.line}:{self.column}"
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}: {self.code} {self.message}{hint}"


class UserError(RulewaveError):
    """Something that the user can fix: one clear message, no traceback, exit 1."""


class ProblemsFound(UserError):
    """All problems of a file, a folder or the settings, reported at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class CouldNotEvaluate(RulewaveError):
    """A condition, an expression or a template failed on the values that it met."""


class JournalUnavailable(RulewaveError):
    """The journal could not store: disk full, file locked, database away. Nothing was kept."""


class ActionFailed(RulewaveError):
    """One try of an action failed; says what happened and whether to try again.

    Args:
        message: for people; secrets in it are masked by the runner.
        retry: whether another try may help.
        unknown: whether the effect may have happened all the same.
        reason: one word of the closed list in `engine.model.Reason`.
        after: seconds that the other side asked us to wait (`Retry-After`).
    """

    def __init__(
        self,
        message: str,
        *,
        retry: bool = False,
        unknown: bool = False,
        reason: str = "failed",
        after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry = retry
        self.unknown = unknown
        self.reason = reason
        self.after = after
