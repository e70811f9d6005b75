"""The rules as compiled: frozen nouns that deciding and running work with. Spans are microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from engine.action import Connection, Params
from engine.clock import HOUR, SECOND
from engine.rules.conditions import Condition
from engine.rules.expressions import Expression


class SecretSource(Protocol):
    """Whoever gives out secrets by name."""

    def get(self, name: str) -> str:
        """The secret's value; `UserError` where there is none."""
        ...


class ParameterTemplate(Protocol):
    """The compiled parameters of one step; `emits` are the event types that it raises."""

    @property
    def emits(self) -> tuple[str, ...]:
        """The event types that the step raises."""
        ...

    def render(self, context: Mapping[str, Any], secrets: SecretSource) -> Params:
        """The parameters for one try.

        Raises `ActionFailed` (template, bad_parameters), or `NoRecipient` where the recipient
        came out empty.
        """
        ...


class TextTemplate(Protocol):
    """A compiled text."""

    def render(self, context: Mapping[str, Any]) -> str:
        """The text with its values; `CouldNotEvaluate` where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class IfLate:
    """What becomes of what was not begun when it was due: it runs, if no more than `within` late.

    `within` None means however late (`run`).
    """

    within: int | None = None

    def allows(self, late: int) -> bool:
        """Whether what is so late (µs) still runs."""
        return self.within is None or late <= self.within


@dataclass(frozen=True, slots=True)
class ClockOn:
    """A clock that raises a rule's own events: a cron line in `timezone`, or a period."""

    cron: str | None
    every: int | None
    timezone: str
    if_late: IfLate = IfLate()


@dataclass(frozen=True, slots=True)
class Per:
    """How a rule finds its subject key.

    `text` is "" for the default (user, else node, else one key), "none" for one key for all,
    else a JMESPath, then compiled in `expression`.
    """

    text: str = ""
    expression: Expression | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failing step is tried: `tries` in all, or for the time of `span`."""

    tries: int | None = 16
    backoff: int = 5 * SECOND
    max: int = HOUR
    span: int | None = None


@dataclass(frozen=True, slots=True)
class CancelOn:
    """An event type (or glob) that cancels a follow-up, or meets its `await`, and on what terms."""

    pattern: str
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """Goes on at the `at_least`-th match `within` a sliding window, then counts anew."""

    at_least: int
    within: int


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most `count` runs in a sliding `window`."""

    count: int
    window: int


@dataclass(frozen=True, slots=True)
class Digest:
    """Gathers matches: sent `wait` after the first, `every` after the last one, or when full.

    With `at`, a cron line in `timezone`, sent when that is due.
    """

    wait: int = 0
    every: int = 0
    max: int = 1000
    at: str | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Quiet:
    """A time in which nothing begins: it is held until the end, or dropped.

    `start` and `end` are minutes of the day in `timezone` (`end` up to 1440; before `start`: over
    midnight); `days` are the week days on which it starts, Monday = 0.
    """

    start: int
    end: int
    days: frozenset[int]
    timezone: str
    hold: bool = True


Concurrency = Literal["parallel", "queue", "restart", "drop"]


@dataclass(frozen=True, slots=True)
class ActionStep:
    """One use of an action. `path` is its place in the rule, as `do.0` or `do.1.do.0`.

    `target` is the lane that it waits in. `timeout` None means the action's own.
    """

    path: str
    id: str | None
    action: str
    template: ParameterTemplate
    when: Condition | None
    retry: Retry
    timeout: int | None
    stop_on_error: bool
    if_unknown: Literal["repeat", "dead"] | None
    connection: str | None
    target: str


@dataclass(frozen=True, slots=True)
class AfterStep:
    """A follow-up: `do` runs `delay` after the run reaches it, or at `until` plus `offset`.

    With `awaits` it waits for an event: `do` runs when one comes within `delay`, `otherwise` when
    none does.
    """

    path: str
    delay: int | None
    until: Expression | None
    offset: int
    cancel_on: tuple[CancelOn, ...]
    when: Condition | None
    do: tuple[Step, ...]
    awaits: tuple[CancelOn, ...] = ()
    otherwise: tuple[Step, ...] = ()
    if_late: IfLate = IfLate()
    on_rule_change: Literal["keep", "rebind", "cancel"] = "keep"
    quiet: Quiet | None = None
    of_rule: tuple[CancelOn, ...] = ()

    @property
    def watched_for(self) -> tuple[CancelOn, ...]:
        """All that it looks out for, its rule's `cancel_on` last; a watch has its position in here."""
        return (*self.cancel_on, *self.awaits, *self.of_rule)

    def meets(self, position: int) -> bool:
        """Whether what stands there is awaited; else it cancels."""
        return 0 <= position - len(self.cancel_on) < len(self.awaits)


@dataclass(frozen=True, slots=True)
class Branch:
    """One way of a `choose`; `when` None is its `else`."""

    when: Condition | None
    do: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ChooseStep:
    """Goes the first way whose condition holds, if there is one."""

    path: str
    when: Condition | None
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class ForEachStep:
    """Does its steps once for each item of a list, which they know by `name`."""

    path: str
    when: Condition | None
    items: Expression
    name: str
    do: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class StopStep:
    """Ends the run; `reason` is a template."""

    path: str
    when: Condition | None
    reason: TextTemplate


ControlStep = ChooseStep | ForEachStep | StopStep
Step = ActionStep | AfterStep | ControlStep


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled. `version` is a hash of `source`, the plain data it was compiled from.

    `on_failure` are the steps that tell of a dead letter of its runs; `was` are ids that it had.
    What holds back is asked in the order threshold, throttle, digest, concurrency, quiet. Of a
    higher `priority` (0 is normal) a run goes before others to a crowded target; one that has not
    begun within `ttl` (µs) expires.
    """

    id: str
    version: str
    source: Mapping[str, Any]
    on: tuple[str, ...]
    clocks: tuple[ClockOn, ...]
    when: Condition | None
    per: Per
    do: tuple[Step, ...]
    mode: Literal["live", "shadow", "off"]
    description: str
    tags: tuple[str, ...]
    empty_ok: bool
    timezone: str
    place: tuple[str, int]
    on_failure: tuple[Step, ...] = ()
    was: tuple[str, ...] = ()
    threshold: Threshold | None = None
    throttle: Throttle | None = None
    digest: Digest | None = None
    concurrency: Concurrency = "parallel"
    quiet: Quiet | None = None
    cancel_on: tuple[CancelOn, ...] = ()
    priority: int = 0
    ttl: int | None = None

    @property
    def watched_for(self) -> tuple[CancelOn, ...]:
        """What cancels its runs; a watch has its position in here."""
        return self.cancel_on

    def meets(self, position: int) -> bool:
        """Never: a rule's own run waits for nothing."""
        del position
        return False

    @property
    def holds_back(self) -> bool:
        """Whether a match needs to know what came before it."""
        counts = self.threshold or self.throttle or self.digest
        return counts is not None or self.concurrency != "parallel"


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """A connection as written, checked but not resolved; `model` is what it resolves to.

    `storable`: no credential is written out in it.
    """

    kind: str
    raw: Mapping[str, Any]
    model: type[Connection]
    storable: bool = True


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules that are in force together. `hash` changes with anything that is written in it.

    `retired` are connections that are no longer written: runs of older versions still use them.
    """

    rules: tuple[Rule, ...] = ()
    connections: Mapping[str, ConnectionSpec] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)
    timezone: str = "UTC"
    keep_fields: frozenset[str] = frozenset()
    tests: tuple[Mapping[str, Any], ...] = ()
    hash: str = ""
    retired: Mapping[str, ConnectionSpec] = field(default_factory=dict)
