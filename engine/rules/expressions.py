"""JMESPath, and the only file that knows the library: compile once, search safely, name the paths."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jmespath
from jmespath import exceptions, functions, lexer, visitor

from engine.errors import CouldNotEvaluate, RulewaveError
from engine.rules.functions import FUNCTIONS, Function

ABSENT = "(absent)"
Path = tuple[str | int, ...]
Node = dict[str, Any]
"""A node of a parsed expression: its `type`, its `children`, and what else its type has."""


class NotJMESPathError(RulewaveError):
    """An expression that is not JMESPath; `column` counts from 1 inside the text."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an expression; `start` and `end` are offsets into its text."""

    type: str
    text: str
    start: int
    end: int


class _Functions(functions.Functions):  # type: ignore[misc]  # the library is not typed
    """The library's functions and ours, bound to the context of one search."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._context = context

    def call_function(self, function_name: str, resolved_args: list[Any]) -> Any:
        ours = ALL_FUNCTIONS.get(function_name)
        if ours is None:
            return super().call_function(function_name, resolved_args)
        if len(resolved_args) != ours.arity:
            raise exceptions.ArityError(ours.arity, len(resolved_args), function_name)
        return ours.call(self._context, *resolved_args)


class Expression:
    """One JMESPath expression, compiled once. Equal texts make equal expressions."""

    __slots__ = ("paths", "text", "tree")

    def __init__(self, text: str) -> None:
        """Compile; `NotJMESPathError` where the text is not JMESPath."""
        self.text = text
        self.tree: Node = _parse(text)
        self.paths: tuple[Path, ...] = tuple(dict.fromkeys(_paths(self.tree)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def search(self, context: Mapping[str, Any]) -> Any:
        """The value in this context; `CouldNotEvaluate` on anything that goes wrong."""
        options = visitor.Options(custom_functions=_Functions(context))
        try:
            return visitor.TreeInterpreter(options).visit(self.tree, context)
        except CouldNotEvaluate:
            raise
        # The library raises TypeError, KeyError and more besides its own errors.
        except Exception as error:
            raise CouldNotEvaluate(_reason(error)) from error

    def calls(self) -> Iterator[tuple[str, int, Any]]:
        """Each function called: its name, number of arguments, and last argument if written out."""
        for node in _nodes(self.tree):
            if node["type"] == "function_expression":
                last = node["children"][-1] if node["children"] else {"type": ""}
                constant = last["value"] if last["type"] == "literal" else None
                yield node["value"], len(node["children"]), constant

    @property
    def is_literal(self) -> bool:
        """Whether it is a value written out."""
        return bool(self.tree["type"] == "literal")

    @property
    def is_path(self) -> bool:
        """Whether it is one path and nothing else."""
        return bool(path_of(self.tree))

    def seen(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Each path that the expression reads, with its value or `(absent)`."""
        return {written(path): _look(context, path) for path in self.paths}


def changed(context: Mapping[str, Any], path: Any) -> bool:
    """Whether the path has another value than in `previous`; false where there is no previous."""
    if not isinstance(path, str):
        raise CouldNotEvaluate("changed() needs a path as text, like changed('user.expireAt')")
    previous = context.get("previous")
    if not isinstance(previous, Mapping):
        return False
    try:
        expression = Expression(path)
    except NotJMESPathError as error:
        raise CouldNotEvaluate(f"changed('{path}'): {error.message}") from error
    return bool(expression.search(context) != expression.search(previous))


ALL_FUNCTIONS: Mapping[str, Function] = {**FUNCTIONS, "changed": Function(changed, 1)}


def tokens(text: str) -> list[Token]:
    """The words of an expression, up to where it stops being JMESPath."""
    words: list[tuple[str, int]] = []
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        for word in lexer.Lexer().tokenize(text):
            words.append((word["type"], word["start"]))  # noqa: PERF401  # keeps those before an error
    return [_token(text, *pair) for pair in pairwise([*words, ("eof", len(text))])]


def _token(text: str, word: tuple[str, int], following: tuple[str, int]) -> Token:
    # The library's own `end` is wrong for quoted words.
    kind, start = word
    spelt = text[start : following[1]].rstrip()
    return Token(kind, spelt, start, start + len(spelt))


def is_true(value: Any) -> bool:
    """Truth as JMESPath has it: null, false and whatever is empty are false; 0 is true."""
    if value is None or value is False:
        return False
    return not (isinstance(value, str | list | dict) and not value)


def library_functions() -> frozenset[str]:
    """The names of JMESPath's own functions."""
    return frozenset(functions.Functions.FUNCTION_TABLE)


def written(path: Path) -> str:
    """A path as one writes it: `user.tags[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _parse(text: str) -> Node:
    try:
        # `word` in backticks is deprecated there; traps.py reports it with a better text.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree: Node = jmespath.compile(text).parsed
    except exceptions.EmptyExpressionError:
        raise NotJMESPathError("the expression is empty", 1) from None
    except exceptions.LexerError as error:
        raise NotJMESPathError(_oneline(error.message), error.lexer_position + 1) from error
    except exceptions.ParseError as error:
        raise NotJMESPathError(_stuck(error, text), (error.lex_position or 0) + 1) from error
    except RecursionError as error:
        raise NotJMESPathError("the expression is nested too deeply", 1) from error
    except Exception as error:
        raise NotJMESPathError(_reason(error), 1) from error
    return tree


def _stuck(error: Any, text: str) -> str:
    if (error.lex_position or 0) >= len(text):
        return "the expression stops in the middle"
    return f'"{_oneline(str(error.token_value))}" makes no sense there'


def _reason(error: Exception) -> str:
    return _oneline(str(error)) or type(error).__name__


def _oneline(text: str) -> str:
    return " ".join(text.split())[:300]


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _nodes(child)


# Their first child is read from where we stand; the others from what the first one gave.
_STEPPING = {"subexpression", "index_expression", "projection", "value_projection", "pipe"}


def _paths(node: Node) -> Iterator[Path]:
    """The paths that are read from the root (not those inside projections and filters)."""
    path = path_of(node)
    if path:
        yield path
        return
    kind, children = node["type"], node["children"]
    if kind in _STEPPING or kind in {"filter_projection", "flatten"}:
        children = children[:1]
    elif kind == "function_expression" and node["value"] == "changed" and len(children) == 1:
        yield from _changed_paths(children[0])
    if kind != "expref":
        for child in children:
            yield from _paths(child)


def _changed_paths(argument: Node) -> Iterator[Path]:
    if argument["type"] == "literal" and isinstance(argument["value"], str):
        path = tuple(argument["value"].split("."))
        yield path
        yield ("previous", *path)


def path_of(node: Node) -> Path:
    """The path that a node spells, or () where it does something else."""
    if node["type"] == "field":
        return (node["value"],)
    if node["type"] not in {"subexpression", "index_expression"}:
        return ()
    first, *rest = node["children"]
    path = path_of(first)
    for child in rest:
        step = (child["value"],) if child["type"] == "index" else path_of(child)
        if not path or not step:
            return ()
        path += step
    return path


def _look(context: Any, path: Path) -> Any:
    value = context
    for part in path:
        if isinstance(part, int):
            inside = isinstance(value, list) and -len(value) <= part < len(value)
        else:
            inside = isinstance(value, Mapping) and part in value
        if not inside:
            return ABSENT
        value = value[part]
    return value
