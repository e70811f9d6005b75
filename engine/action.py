"""The contract of an action: one file, one honest try, and it says whether to try again."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Written(StrEnum):
    """How a text parameter is written in a rule, and so how it is rendered before each try."""

    TEXT = "text"  # a template; any text
    HTML = "html"  # a template that escapes values for HTML
    MARKDOWN = "markdown"  # a template that escapes values for Telegram's MarkdownV2
    LINE = "line"  # a template whose result may hold no line break or other control character
    ADDRESS = "address"  # a LINE in which a value can be no more than one part of one address
    ARGV = "argv"  # a list of TEXTs whose first, the program, is fixed at load
    URL = "url"  # a LINE whose scheme, host and port are fixed at load
    EXPRESSION = "expression"  # a text is one JMESPath expression; mappings and lists hold TEXTs
    EVENT = "event"  # taken as it stands: the type of an event of one's own
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


_SECRET = re.compile(r"\s*secret\(")


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong that no look at a single value shows; `key` is where ("" = the whole)."""

    message: str
    hint: str = ""
    key: str = ""


def is_written_out(value: Any) -> bool:
    """Whether a setting is a text that says itself what it is: no template, no secret."""
    if not isinstance(value, str):
        return False
    return not any(mark in value for mark in ("{{", "{%", "{#")) and not _SECRET.match(value)


def _kinds(annotation: Any) -> frozenset[Any]:
    """The plain types that an annotation allows: those of `int | str | None` are three."""
    inner = get_args(annotation) if get_origin(annotation) is not Literal else ()
    return frozenset().union(*map(_kinds, inner)) if inner else frozenset({annotation})


class _Strict(BaseModel):
    """Where a number is wanted, true is a mistake and no 1; and 0 is no false."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_mixture(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, int):
            kinds = _kinds(cls.model_fields[info.field_name or ""].annotation)
            if isinstance(value, bool):
                wrong, wanted = not kinds & {bool, Any} and bool(kinds & {int, float}), "a number"
            else:
                wrong, wanted = bool in kinds and not kinds & {int, float, Any}, "true or false"
            if wrong:
                raise ValueError(f"{wanted} is expected, not {json.dumps(value)}")
        return value


class Params(_Strict):
    """Base of an action's parameters: values after rendering. Unknown names are refused.

    A field without a mark is LITERAL. Schema, defaults and the docs table come from this class,
    so each field carries `pydantic.Field(description=…)`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @classmethod
    def marks(cls, written: Mapping[str, Any]) -> Mapping[str, Field]:
        """The marks of fields for which it hangs on what else is written."""
        del written
        return {}


class Connection(_Strict):
    """Base of a named target. Its texts may hold `secret('name')` and `vars`, resolved before use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    rate: str | None = None
    usual_rate: ClassVar[str | None] = None
    """The rate where none is written."""

    @classmethod
    def flaws(cls, written: Mapping[str, Any]) -> Iterator[Flaw]:
        """What can't work, as far as it shows in the settings as they are written."""
        del written
        yield from ()


async def _nothing() -> None:
    """Nothing to record: a repeat is harmless."""


async def _no_rate() -> None:
    """Nothing to wait for: the target has no rate."""


async def _nowhere(type: str, data: Mapping[str, Any]) -> str:
    """There is nobody to raise an event to."""
    del type, data
    return ""


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
        slot: await this before every further request to the target: the first one has its place in
            the target's rate, and each more needs one of its own.
        allow_private: whether private addresses may be called.
        environment: what a child process may inherit.
        mask: makes a text fit for a log: secrets and private fields of the event masked.
        raise_event: raises an event of one's own, by its type and data, once for all tries; its
            id. `ActionFailed` where that would go too deep.
    """

    key: str
    event: Mapping[str, Any] = field(default_factory=dict)
    connection: Connection | None = None
    attempt: int = 1
    timeout: float = 30.0
    irrevocable: Callable[[], Awaitable[None]] = _nothing
    slot: Callable[[], Awaitable[None]] = _no_rate
    allow_private: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    mask: Callable[[str], str] = str
    raise_event: Callable[[str, Mapping[str, Any]], Awaitable[str]] = _nowhere


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
    connection_words: ClassVar[tuple[str, ...]] = ("connection",)
    """The parameters that may name the connection; in all but `connection` a word that begins with
    a letter does."""
    timeout: ClassVar[timedelta] = timedelta(seconds=30)
    pausable: ClassVar[bool] = True
    """Whether what fails for one step of a target tells that it will fail for the next one too."""
    internal: ClassVar[bool] = False
    """Whether all that it does stays inside of Rulewave: then a rehearsal does it as well."""

    def safe_to_repeat(self, params: P) -> bool:
        """Whether to repeat a try whose outcome is unknown: the default of `if_unknown`."""
        del params
        return True

    def missing(self) -> str:
        """How to install what the action needs and is not there; "" where it is."""
        return ""

    def flaws(
        self, written: Mapping[str, Any], connection: Mapping[str, Any] | None
    ) -> Iterator[Flaw]:
        """What can't work, as far as it shows in the parameters and the connection as written."""
        del written, connection
        yield from ()

    def target(self, connection: str | None, origin: str | None) -> str:
        """Which lane and rate a step belongs to: its connection, else its host, else the action.

        `origin` is the host of its URL, or of a program its beginning that no value can change.
        """
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


OUTPUT_LIMIT = 128 * 1024
"""Bytes that are kept of what the other side sends back (an answer's body, a program's output)."""


def json_or_none(text: str) -> Any:
    """The JSON value that the text is, or None where it is none that could be stored."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        # A lone surrogate passes the parser, and fails whoever stores or sends it later.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value


def _refuse_constant(name: str) -> None:
    """`NaN` and `Infinity` are not JSON."""
    raise ValueError(name)


def printable(text: str, limit: int = 300) -> str:
    """One line for people: control and formatting characters escaped, cut to `limit` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in cut
    )


_NAT64 = ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ip_network("2000::/3")
# Relays, documentation, and a cloud's metadata service, which `is_global` takes for public.
_NOT_PUBLIC = tuple(
    ip_network(text) for text in ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "3fff::/20")
)


def is_public(address: str) -> bool:
    """Whether an IP address lies in the public internet.

    Judged is where it leads: private, loopback, link-local (metadata), CGNAT, multicast and
    reserved ones are not public, nor is an IPv6 address that stands for such an IPv4 address.
    """
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip not in _GLOBAL_UNICAST:
            return False
    if ip.is_multicast or any(ip in network for network in _NOT_PUBLIC):
        return False
    return ip.is_global
