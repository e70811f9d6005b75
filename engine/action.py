"""The contract of an action: one file, one honest try, and it says whether to try again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict


class Written(StrEnum):
    """How a text parameter is written in a rule, and so how it is rendered before each try."""

    TEXT = "text"  # a template; any text
    HTML = "html"  # a template that escapes values for HTML
    LINE = "line"  # a template whose result may hold no line break or other control character
    URL = "url"  # a LINE whose scheme, host and port are fixed at load
    EXPRESSION = "expression"  # a text is one JMESPath expression; mappings and lists hold TEXTs
    LITERAL = "literal"  # taken as it stands; no template


@dataclass(frozen=True, slots=True)
class Field:
    """Mark on a parameter's type: `Annotated[str, Field(Written.LINE, secrets=True)]`.

    The mark covers every text inside the value (list items, mapping values; never mapping keys).
    `secrets` says whether `secret('name')` may be used there; `recipient` that the step is
    skipped ("no recipient") when the value comes out empty.
    """

    written: Written
    secrets: bool = False
    recipient: bool = False


Text = Annotated[str, Field(Written.TEXT)]
Html = Annotated[str, Field(Written.HTML)]
Line = Annotated[str, Field(Written.LINE)]


class Params(BaseModel):
    """Base of an action's parameters: values after rendering. Unknown names are refused.

    A field without a mark is LITERAL. Schema, defaults and the docs table come from this class,
    so each field carries `pydantic.Field(description=…)`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Connection(BaseModel):
    """Base of a named target. Its texts may hold `secret('name')` and `vars`, resolved before use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    rate: str | None = None


async def _nothing() -> None:
    """Nothing to record: a repeat is harmless."""


@dataclass(frozen=True, slots=True)
class Call:
    """What one try may know beside its parameters.

    Attributes:
        key: idempotency key, constant over all tries of the step.
        event: the event's body as stored (credentials removed).
        connection: the resolved connection that the step uses, or None.
        attempt: which try this is, from 1.
        timeout: seconds that the runner gives this try before it cancels it.
        irrevocable: await this right before the first byte that cannot be taken back; from then
            on a crash or a time-out means "outcome unknown".
        allow_private: whether private addresses may be called.
        environment: what a child process may inherit.
    """

    key: str
    event: Mapping[str, Any] = field(default_factory=dict)
    connection: Connection | None = None
    attempt: int = 1
    timeout: float = 30.0
    irrevocable: Callable[[], Awaitable[None]] = _nothing
    allow_private: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)


P = TypeVar("P", bound=Params)


class Action(ABC, Generic[P]):
    """A kind of thing to do. The runner owns time limits, retries, rates, recording, dead letters."""

    name: ClassVar[str]
    """The key in a rule's step."""
    params: type[P]
    """The parameters; schema, defaults, docs table and editor schema come from it."""
    kinds: ClassVar[Mapping[str, type[Connection]]] = {}
    """Connection kinds that this action brings: name → model."""
    needs_connection: ClassVar[bool] = False
    timeout: ClassVar[timedelta] = timedelta(seconds=30)

    def safe_to_repeat(self, params: P) -> bool:
        """Whether to repeat a try whose outcome is unknown: the default of `if_unknown`."""
        del params
        return True

    def target(self, connection: str | None, origin: str | None) -> str:
        """Which lane and rate a step belongs to: its connection, else its host, else the action."""
        return connection or origin or self.name

    async def start(self, stack: AsyncExitStack) -> None:
        """Open clients that all runs share; close them by `stack`."""
        del stack

    @abstractmethod
    def describe(self, params: P) -> str:
        """One line for dry run, console and log: no I/O, no secrets."""

    @abstractmethod
    async def run(self, params: P, call: Call) -> dict[str, Any]:
        """One try: a JSON result, or `ActionFailed`."""


Registry = Mapping[str, Action[Any]]
