"""Parameter values as compiled: a tree of literals, texts, secrets and expressions to render."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from engine.errors import CouldNotEvaluate, RulewaveError
from engine.rules.expressions import Expression
from engine.rules.model import SecretSource
from engine.rules.templates import NullFound, Template
from engine.rules.urls import UrlTemplate

_LINE_BREAKS = {"\u2028", "\u2029"}


class NoRecipient(RulewaveError):  # no failure: the step is skipped and recorded
    """The recipient of a step came out empty or null."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What values are rendered with."""

    context: Mapping[str, Any]
    secrets: SecretSource


class Value(Protocol):
    """A part of the parameters, to be rendered before each try."""

    def render(self, scope: Scope) -> Any:
        """The plain value; `CouldNotEvaluate` where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Literal:
    """Taken as it stands."""

    value: Any

    def render(self, scope: Scope) -> Any:
        """The value itself."""
        del scope
        return self.value


@dataclass(frozen=True, slots=True)
class Text:
    """A template. `line` refuses line breaks in the result; `secrets` may be named in it."""

    template: Template
    line: bool
    secrets: bool

    def render(self, scope: Scope) -> str:
        """The text with its values."""
        secret = scope.secrets.get if self.secrets else None
        text = self.template.render(scope.context, secret)
        return checked_line(text) if self.line else text


@dataclass(frozen=True, slots=True)
class Secret:
    """`secret('name')` as a whole value."""

    name: str
    line: bool

    def render(self, scope: Scope) -> str:
        """The secret."""
        text = scope.secrets.get(self.name)
        return checked_line(text) if self.line else text


@dataclass(frozen=True, slots=True)
class Url:
    """A URL; a path where a connection gives the host."""

    template: UrlTemplate
    path: bool
    secrets: bool

    def render(self, scope: Scope) -> str:
        """The URL, leading where it was written to lead."""
        secret = scope.secrets.get if self.secrets else None
        return self.template.render(scope.context, secret, path=self.path)


@dataclass(frozen=True, slots=True)
class Searched:
    """One JMESPath expression: the value keeps its type."""

    expression: Expression

    def render(self, scope: Scope) -> Any:
        """What the expression finds."""
        return self.expression.search(scope.context)


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping of values; keys stand as written."""

    values: Mapping[str, Value]

    def render(self, scope: Scope) -> dict[str, Any]:
        """Each value rendered."""
        return {key: value.render(scope) for key, value in self.values.items()}


@dataclass(frozen=True, slots=True)
class Items:
    """A list of values."""

    values: tuple[Value, ...]

    def render(self, scope: Scope) -> list[Any]:
        """Each value rendered."""
        return [value.render(scope) for value in self.values]


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who a step is for: a null or empty one is left out, and nobody left means no recipient."""

    value: Value

    def render(self, scope: Scope) -> Any:
        """The recipient, or those of a list that are there."""
        if isinstance(self.value, Items):
            given = [_given(value, scope) for value in self.value.values]
            found = [value for value in given if not _is_empty(value)]
        else:
            found = _given(self.value, scope)
        if _is_empty(found):
            raise NoRecipient("the recipient is empty")
        return found


def checked_line(text: str) -> str:
    """The text; `CouldNotEvaluate` where it holds a line break or other control character."""
    for character in text:
        if unicodedata.category(character) == "Cc" or character in _LINE_BREAKS:
            raise CouldNotEvaluate("a line break or control character may not stand here")
    return text


def _given(value: Value, scope: Scope) -> Any:
    try:
        return value.render(scope)
    except NullFound:
        return None


def _is_empty(value: Any) -> bool:
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())
