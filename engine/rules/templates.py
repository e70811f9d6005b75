"""Texts with {{ }}: checked at load, compiled on first use, rendered once and never parsed again."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables

from engine.errors import CouldNotEvaluate, UserError
from engine.rules import codes
from engine.rules.filters import TIMEZONE
from engine.rules.limits import MAX_OUTPUT, check_time, limited
from engine.rules.sandbox import NullError, environment
from engine.rules.wording import did_you_mean, shortened

MAX_SECONDS = 1.0
"""Texts are rendered where events are taken in and decided: nobody waits longer than this."""
_MARKS = ("{{", "{%", "{#")


class NullFound(CouldNotEvaluate):
    """A template met a null where it needed a value."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in a template; `line` counts from 1 inside the text."""

    line: int
    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a template uses, and every mistake that shows without rendering it."""

    names: frozenset[str]
    secrets: tuple[str, ...]
    mistakes: tuple[Mistake, ...]


def is_template(text: str) -> bool:
    """Whether the text is more than itself."""
    return any(mark in text for mark in _MARKS)


class Template:
    """One text with {{ }}. `html` escapes values; `timezone` is what `date` falls back to.

    In an `address` no value can separate one address from another; in `markdown` (Telegram's) none
    can format.
    """

    __slots__ = ("_compiled", "address", "html", "markdown", "text", "timezone")

    def __init__(
        self,
        text: str,
        *,
        html: bool = False,
        address: bool = False,
        markdown: bool = False,
        timezone: str = "UTC",
    ) -> None:
        self.text = text
        self.address = address
        self.html = html
        self.markdown = markdown
        self.timezone = timezone
        self._compiled: JinjaTemplate | None = None

    def render(self, context: Mapping[str, Any], secret: Callable[[str], str] | None = None) -> str:
        """The text with its values; `CouldNotEvaluate` (`NullFound` for a null) says what failed.

        `secret` gives out secrets by name (`UserError` where there is none); without it the
        template has no secrets.
        """
        names: dict[str, Any] = {**context, TIMEZONE: self.timezone}
        if secret is not None:
            names["secret"] = secret
        try:
            return "".join(self._chunks(names))
        except (CouldNotEvaluate, UserError):
            raise
        except NullError as error:
            raise NullFound(self._where(error)) from error
        # A template can raise whatever the values and operators in it raise.
        except Exception as error:
            raise CouldNotEvaluate(self._where(error)) from error

    def _chunks(self, names: Mapping[str, Any]) -> Iterator[str]:
        if self._compiled is None:
            known = environment(self.html, self.address, self.markdown)
            with limited(MAX_SECONDS):
                self._compiled = known.from_string(self.text)
        size = 0
        with limited(MAX_SECONDS):
            for chunk in self._compiled.generate(names):
                size += len(chunk)
                if size > MAX_OUTPUT:
                    raise CouldNotEvaluate("the text became longer than 1 MiB")
                check_time()
                yield str(chunk)

    def _where(self, error: Exception) -> str:
        message = shortened(str(error), 300) or type(error).__name__
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == "<template>"
        ]
        return f"line {lines[-1]}: {message}" if lines and "\n" in self.text else message


def inspect(text: str) -> Inspection:
    """What a template uses and what is wrong in it."""
    known = environment(html=False)
    try:
        tree = parsed(text)
        found = (*_unknown_filters(tree), *_wrong_secrets(tree), *_forbidden(tree))
        names = frozenset() if found else frozenset(find_undeclared_variables(tree))
    except TemplateSyntaxError as error:
        message = f"the template is wrong: {shortened(error.message or '', 200)}"
        return _failed(Mistake(error.lineno, codes.BAD_TEMPLATE, message, _hint(text)))
    except (TemplateError, RecursionError) as error:
        return _failed(Mistake(1, codes.BAD_TEMPLATE, f"the template is wrong: {error}"))
    names -= known.globals.keys() | {"secret"}
    return Inspection(names, tuple(dict.fromkeys(_secrets(tree))), found)


@lru_cache(maxsize=256)
def parsed(text: str) -> nodes.Template:
    """The tree of a template, for reading only; `TemplateError` where it is none."""
    return environment(html=False).parse(text)


def _failed(mistake: Mistake) -> Inspection:
    return Inspection(frozenset(), (), (mistake,))


def _hint(text: str) -> str:
    for opens, closes in (("{{", "}}"), ("{%", "%}"), ("{#", "#}")):
        if text.count(opens) > text.count(closes):
            return f"is there a {closes} missing?"
    return ""


def _unknown_filters(tree: nodes.Template) -> Iterator[Mistake]:
    known = environment(html=False)
    for kind, word, table in (
        (nodes.Filter, "filter", known.filters),
        (nodes.Test, "test", known.tests),
    ):
        for node in tree.find_all(kind):
            if node.name not in table:
                hint = did_you_mean(node.name, table)
                message = f'there is no {word} "{shortened(node.name)}"'
                yield Mistake(node.lineno, codes.BAD_TEMPLATE, message, hint)


def _forbidden(tree: nodes.Template) -> Iterator[Mistake]:
    """Other templates are never loaded: there are none."""
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        message = "a text cannot include or import another one"
        yield Mistake(node.lineno, codes.BAD_TEMPLATE, message)


def _secrets(tree: nodes.Template) -> Iterator[str]:
    for call in tree.find_all(nodes.Call):
        if (name := _secret_name(call)) is not None:
            yield name


def _secret_name(call: nodes.Call) -> str | None:
    """The name in `secret('name')`, where that is what the call is."""
    if not isinstance(call.node, nodes.Name) or call.node.name != "secret" or call.kwargs:
        return None
    match call.args:
        case [nodes.Const(value=str(name))]:
            return name
    return None


def _wrong_secrets(tree: nodes.Template) -> Iterator[Mistake]:
    """`secret` may only be called, with a name written out: data must not choose a secret."""
    fine = {id(call.node) for call in tree.find_all(nodes.Call) if _secret_name(call) is not None}
    for node in tree.find_all(nodes.Name):
        if node.name == "secret" and id(node) not in fine:
            message = "a secret is named by a text that is written out"
            hint = "write {{ secret('name') }}"
            yield Mistake(node.lineno, codes.SECRET_REFUSED, message, hint)
