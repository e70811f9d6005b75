"""The body of a genuine delivery as a JSON object that nothing later can stumble over."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from engine.errors import RulewaveError
from engine.sources.identifiers import is_identifier

MAX_DEPTH = 100
"""Levels of objects and lists within each other; the body itself is the first."""

_MAX_DIGITS = 308  # so that every number fits a float, and arithmetic in rules cannot overflow
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


class Malformed(RulewaveError):
    """A genuine body that is no event. Its message never quotes the body: that may hold secrets."""

    status = 400

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object; raises Malformed, and nothing else, whatever the bytes."""
    value = _decoded(_text(body))
    if not isinstance(value, dict):
        raise Malformed("not_an_object", "the body is not a JSON object")
    # Cheap first look: as many levels need as many opening brackets.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _refuse_deep(value)
    _refuse_nameless(value.get("event"))
    return value


def _text(body: bytes) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("not_utf8", "the body is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise Malformed("byte_order_mark", "the body begins with a byte order mark")
    if "\\ud" in text or "\\uD" in text:
        return _ESCAPE.sub(_without_lone_surrogate, text)
    return text


def _without_lone_surrogate(escape: re.Match[str]) -> str:
    r"""Half a character cannot be stored: `\ud83d` alone becomes U+FFFD."""
    return "\\ufffd" if escape["lone"] else escape[0]


def _decoded(text: str) -> object:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        problem = Malformed("not_json", f"the body is not JSON: {error.msg}, {place}")
    except RecursionError:
        problem = _too_deep()
    # Raised here, not above: the decoder's error carries the whole body along.
    raise problem


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise Malformed("number_too_large", "the body holds a number beyond all bounds")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in {float("inf"), float("-inf")}:
        raise Malformed("number_too_large", "the body holds a number beyond all bounds")
    return number


def _no_constant(name: str) -> NoReturn:
    raise Malformed("not_json", f"the body is not JSON: it holds {name}")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_finite, parse_constant=_no_constant)


def _refuse_deep(value: object) -> None:
    """Level by level, not by recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise _too_deep()


def _children(parent: object) -> list[object]:
    """The objects and lists right within an object or a list."""
    values = parent.values() if isinstance(parent, dict) else parent
    return [value for value in values if isinstance(value, dict | list)]  # type: ignore[attr-defined]


def _too_deep() -> Malformed:
    return Malformed("too_deep", f"the body is nested deeper than {MAX_DEPTH} levels")


def _refuse_nameless(event: object) -> None:
    if not isinstance(event, str) or not event:
        raise Malformed("no_event", "the body names no event")
    if not is_identifier(event):
        raise Malformed("bad_event", "the event's name is too long or holds control characters")
