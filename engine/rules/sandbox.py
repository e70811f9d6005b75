"""The Jinja environments: sandboxed, where null and what does not exist are errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any

from jinja2 import StrictUndefined, Undefined, UndefinedError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from engine.errors import CouldNotEvaluate
from engine.rules.expressions import ALL_FUNCTIONS
from engine.rules.filters import FILTERS, default
from engine.rules.functions import Function
from engine.rules.wording import did_you_mean

MAX_OUTPUT = 1024 * 1024
_MAX_POWER = 64
_SEPARATORS = (",", ";", "<", ">", '"', "\\")
_GIVEN = "~"
# Telegram takes any of these after a backslash as itself, wherever it stands.
_MARKDOWN = re.compile(r"[_*\[\]()~`>#+\-=|{}.!\\]")


class NullError(UndefinedError):
    """A null was used where a value is needed."""


class _Missing(StrictUndefined):
    """What does not exist: any use of it is an error that guesses what was meant."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if isinstance(self._undefined_obj, Mapping):
            near = did_you_mean(str(self._undefined_name), map(str, self._undefined_obj))
            return f'there is no "{self._undefined_name}"' + (f"; {near}" if near else "")
        return f'there is no "{self._undefined_name}"'


class _Null(_Missing):
    """A null: false in a condition, equal to none, an error anywhere else."""

    __slots__ = ()

    # The base class declares that each of these always raises.
    def __bool__(self) -> bool:  # type: ignore[override]
        return False

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return _is_null(other)

    def __ne__(self, other: object) -> bool:  # type: ignore[override]
        return not _is_null(other)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(None)


def _null(name: str) -> _Null:
    return _Null(f"{name} is null; give it a value with default", exc=NullError)


class _Context(Context):
    def resolve_or_missing(self, key: str) -> Any:
        value = super().resolve_or_missing(key)
        return _null(key) if value is None else value


class _GuardConcat(NodeTransformer):
    """`a ~ b` would turn a null into the text None; each side passes a filter that refuses it."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  # the library's naming
        self.generic_visit(node)
        sides = [nodes.Filter(side, _GIVEN, [], [], None, None) for side in node.nodes]
        return nodes.Concat(sides).set_lineno(node.lineno)


class RuleEnvironment(ImmutableSandboxedEnvironment):
    """Keys win over methods; null and unknown names are errors; sizes are capped."""

    context_class = _Context
    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, html: bool, address: bool, markdown: bool) -> None:
        super().__init__(
            autoescape=html,
            undefined=_Missing,
            finalize=_finalize_markdown
            if markdown
            else _finalize_address
            if address
            else _finalize,
            keep_trailing_newline=True,
        )
        own = {**FILTERS, _GIVEN: lambda value: value}
        self.filters = {name: _guarded(name, call) for name, call in (self.filters | own).items()}
        self.filters |= {"default": default, "d": default}
        self.tests |= {
            "none": _is_null,
            "defined": lambda value: not isinstance(value, Undefined) or _is_null(value),
            "undefined": lambda value: isinstance(value, Undefined) and not _is_null(value),
        }
        del self.globals["lipsum"]
        self.globals |= {name: _global(name, ours) for name, ours in ALL_FUNCTIONS.items()}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.b`: the key `b` if there is one; what is null or missing stays so further down."""
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, Mapping) and attribute in obj:
            value = obj[attribute]
        else:
            value = super().getattr(obj, attribute)
        return _null(attribute) if value is None else value

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`a[b]`, likewise."""
        if isinstance(obj, Undefined):
            return obj
        value = super().getitem(obj, argument)
        return _null(str(argument)) if value is None else value

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`*` and `**`, refused where the result would be huge."""
        sized = [side for side in (left, right) if isinstance(side, str | list | tuple)]
        counts = [side for side in (left, right) if isinstance(side, int)]
        if operator == "*" and sized and counts and len(sized[0]) * counts[0] > MAX_OUTPUT:
            raise SecurityError("the result would be longer than 1 MiB")
        if operator == "**" and isinstance(right, int | float) and right > _MAX_POWER:
            raise SecurityError(f"powers above {_MAX_POWER} are refused")
        return super().call_binop(context, operator, left, right)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _GuardConcat().visit(super()._parse(source, name, filename))
        return tree


@cache
def environment(html: bool, address: bool = False, markdown: bool = False) -> RuleEnvironment:
    """The environment for plain texts, for HTML or MarkdownV2 (values escaped), or for addresses."""
    return RuleEnvironment(html, address, markdown)


def _is_null(value: Any) -> bool:
    return value is None or isinstance(value, _Null)


def _finalize(value: Any) -> Any:
    """What `{{ }}` prints: no null, no method, and true and false as in JSON."""
    if value is None:
        raise NullError("the value is null; give it a value with default")
    if isinstance(value, bool):
        return str(value).lower()
    if callable(value) and not isinstance(value, Undefined):
        raise UndefinedError("a function is no value; are its brackets missing?")
    return value


def _finalize_address(value: Any) -> Any:
    """Strangers write some of the values: one must not bring in another recipient."""
    printed = _finalize(value)
    if any(mark in str(printed) for mark in _SEPARATORS):
        raise UndefinedError('a value put into an address may hold none of , ; < > " and \\')
    return printed


def _finalize_markdown(value: Any) -> Any:
    """What a value holds is shown as it is: no character of it formats anything.

    Whatever a filter marks as safe is safe for HTML, and no exception here.
    """
    return _MARKDOWN.sub(r"\\\g<0>", str(_finalize(value)))


def _guarded(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, refusing null."""
    first = 1 if hasattr(call, "jinja_pass_arg") else 0

    @wraps(call)
    def guarded(*values: Any, **options: Any) -> Any:
        value = values[first]
        if value is None:
            raise NullError(f"{name}: the value is null; give it a value with default")
        if isinstance(value, Undefined):
            str(value)  # raises, and says which name is missing or null
        if name == "join" and isinstance(value, list) and None in value:
            raise NullError("join: a value in the list is null")
        return call(*values, **options)

    return guarded


def _global(name: str, ours: Function) -> Callable[..., Any]:
    """A function of the rule language, as templates call it."""

    @pass_context
    def call(context: Context, *values: Any) -> Any:
        if len(values) != ours.arity:
            raise CouldNotEvaluate(f"{name}() takes {ours.arity} value(s), not {len(values)}")
        plain = [_plain(value, forgiving=name == "default") for value in values]
        return ours.call(context.get_all(), *plain)

    return call


def _plain(value: Any, *, forgiving: bool) -> Any:
    if isinstance(value, Undefined):
        if not (forgiving or _is_null(value)):
            str(value)  # raises
        return None
    return value
