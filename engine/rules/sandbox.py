"""The Jinja environments: sandboxed, where null and what does not exist are errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from typing import Any

from jinja2 import StrictUndefined, Undefined, UndefinedError, nodes, pass_context
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.errors import CouldNotEvaluate
from engine.rules.arguments import check_arguments, check_operands
from engine.rules.expressions import ALL_FUNCTIONS
from engine.rules.filters import FILTERS, default
from engine.rules.functions import Function
from engine.rules.guarding import CHARGED, GIVEN, PACED, SIZED, Guarding
from engine.rules.limits import charge, check_plain, check_time, drawn, paced, sized, weight
from engine.rules.wording import did_you_mean

# Regular expressions that take for ever on some texts.
_LEFT_OUT = frozenset({"urlize"})
_SEPARATORS = (",", ";", "<", ">", '"', "\\")
# Telegram takes any of these after a backslash as itself, wherever it stands.
_MARKDOWN = re.compile(r"[_*\[\]()~`>#+\-=|{}.!\\]")
# These take all items at once, and some make something of each.
_WHOLE = frozenset(
    {"batch", "groupby", "last", "list", "max", "min", "reverse", "slice", "sort", "sum", "unique"}
)
# These give back a part of what they get, and make nothing.
_PARTS = frozenset({"first", "last", "min", "max", "random", "attr", GIVEN})


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


class RuleEnvironment(ImmutableSandboxedEnvironment):
    """Keys win over methods; null and unknown names are errors; sizes are capped."""

    context_class = _Context
    intercepted_binops = frozenset({"*", "**", "%", "+"})

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
        own = {**FILTERS, GIVEN: lambda value: value, PACED: paced, SIZED: sized}
        known = {name: call for name, call in self.filters.items() if name not in _LEFT_OUT}
        self.filters = {name: _guarded(name, call) for name, call in (known | own).items()}
        self.filters |= {"default": _clocked(default), "d": _clocked(default), CHARGED: _charged}
        known_tests: Mapping[str, Any] = self.tests
        self.tests = {name: _clocked(call) for name, call in known_tests.items()} | {
            **{name: _guarded(name, known_tests[name]) for name in ("lower", "upper")},
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
        check_time()
        check_plain(argument)
        if isinstance(obj, Undefined):
            return obj
        value = super().getitem(obj, argument)
        return _null(str(argument)) if value is None else value

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator, refused where the result would be huge."""
        check_operands(operator, left, right)
        return sized(super().call_binop(context, operator, left, right))

    # Named as in the base class: what a template passes by name must not meet them.
    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063
        """A call, likewise: of a macro, a function, or a method of a value."""
        name = getattr(__obj, "__name__", "")
        subject = getattr(getattr(__obj, "__wrapped__", __obj), "__self__", None)
        check_arguments(name, subject, args, kwargs)
        if not isinstance(__obj, Macro):
            for value in (*args, *kwargs.values()):
                check_plain(value)
        if name == "join" and isinstance(subject, str) and args:
            args = (drawn(args[0], len(subject)), *args[1:])
        return sized(super().call(__context, __obj, *args, **kwargs))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = Guarding().visit(super()._parse(source, name, filename))
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
        value = str(value).lower()
    if callable(value) and not isinstance(value, Undefined):
        raise UndefinedError("a function is no value; are its brackets missing?")
    if not isinstance(value, str):
        weight(value)
        value = str(value)
    charge(len(value))
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
        for given in (value, *values[first + 1 :], *options.values()):
            check_plain(given)
        check_arguments(name, value, values[first + 1 :], options)
        if name == "join":
            values = _joinable(values, first, options)
        elif name in _WHOLE and isinstance(value, Iterator):
            values = (*values[:first], drawn(value, 0), *values[first + 1 :])
        made = call(*values, **options)
        return made if name in _PARTS else sized(made)

    return guarded


def _joinable(values: tuple[Any, ...], at: int, options: Mapping[str, Any]) -> tuple[Any, ...]:
    separator = values[at + 1] if len(values) > at + 1 else options.get("d", "")
    return (*values[:at], drawn(values[at], len(str(separator))), *values[at + 1 :])


def _clocked(call: Callable[..., Any]) -> Callable[..., Any]:
    """What gives back no more than it gets, and may be asked for ever."""

    @wraps(call)
    def clocked(*values: Any, **options: Any) -> Any:
        check_time()
        return call(*values, **options)

    return clocked


# With the context, so that it is not worked out once, when the template is compiled.
@pass_context
def _charged(_: Context, size: int) -> str:
    """Fixed text in a loop is printed in each round."""
    charge(size)
    return ""


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
