"""The tests of a rules file, compiled: what is given, what steps end with, and what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from engine.rules.expressions import Expression
from engine.rules.model import Rule
from engine.rules.report import Place

ENDINGS = ("cancelled", "held", "dead", "expired", "on_hold", "could_not_evaluate")
"""What may become of a rule's matches and runs beside being done: keys of `expect`."""


@dataclass(frozen=True, slots=True)
class Happens:
    """An event that arrives at a moment. With `own` it is one that Rulewave raises itself."""

    at: int
    type: str
    body: bytes
    own: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Restarts:
    """The daemon stops at a moment, and starts again so much later."""

    at: int
    down_for: int


@dataclass(frozen=True, slots=True)
class Reloads:
    """Rules are replaced, added or taken away at a moment, as by a change of the file."""

    at: int
    rules: tuple[Rule, ...]
    remove: frozenset[str]


Given: TypeAlias = Happens | Restarts | Reloads


@dataclass(frozen=True, slots=True)
class Fails:
    """A try that fails, as `ActionFailed` says."""

    message: str
    retry: bool = False
    unknown: bool = False
    reason: str = "failed"
    after: float | None = None


Ends: TypeAlias = Mapping[str, Any] | Fails
"""How a try ends: a result, or a failure."""


@dataclass(frozen=True, slots=True)
class Where:
    """A value about which an expression must be true; `rest` is compared beside it."""

    condition: Expression
    rest: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """As it is written."""
        return f"where {self.condition.text}"


@dataclass(frozen=True, slots=True)
class Acts:
    """An action that is expected; None is whatever. `params` hold texts with `*`, and `Where`s."""

    at: int | None
    rule: str | None
    step: str | None
    action: str | None
    params: Any


@dataclass(frozen=True, slots=True)
class EndsSo:
    """A rule of which something is expected to end so.

    `why` is the reason, `by` what held it back or called it off; both may hold `*`. `times` None is
    any number.
    """

    rule: str
    at: int | None = None
    why: str | None = None
    times: int | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of the rules under test; None is not asked."""

    actions: tuple[Acts, ...] | None
    endings: Mapping[str, tuple[EndsSo, ...]]


@dataclass(frozen=True, slots=True)
class Case:
    """One test. `rules` are those under test (none = all). Moments are µs since 1970.

    `until` None is: as long as something is still to come. `mocks` map the id or the place of a
    step, with `rule/` before it where one rule's is meant, to how its tries end, the last one for
    good.
    """

    name: str
    place: Place
    rules: tuple[str, ...]
    given: tuple[Given, ...]
    start: int
    until: int | None
    mocks: Mapping[str, tuple[Ends, ...]]
    expected: Expected

    @property
    def last(self) -> int:
        """The moment of the last thing that is given or expected."""
        ends = [one.at for some in self.expected.endings.values() for one in some]
        wanted = [*ends, *(one.at for one in self.expected.actions or ())]
        known = [at for at in wanted if at is not None]
        return max([self.start, *known, *(one.at for one in self.given)])

    def is_under_test(self, rule: str) -> bool:
        """Whether the test is about this rule."""
        return not self.rules or rule in self.rules
