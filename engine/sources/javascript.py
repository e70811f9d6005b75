"""JSON the way a panel writes it: compact, non-ASCII raw, numbers as JavaScript prints them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from engine.errors import UserError

_LONE = re.compile(r"[\ud800-\udfff]")
_SMALLEST_PLAIN, _LARGEST_PLAIN = -6, 20  # powers of ten that JavaScript prints without exponent
_WORDS = {None: "null", True: "true", False: "false"}


def stringify(value: Any) -> str:
    """The text of a JSON value; raises UserError for what JSON cannot hold."""
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_text(str(k))}:{stringify(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(stringify, value)) + "]"
    raise UserError(f"a {type(value).__name__} cannot be sent as JSON; write it as a text")


def _text(value: str) -> str:
    return _LONE.sub(lambda half: f"\\u{ord(half[0]):04x}", encode_basestring(value))


def _number(value: float) -> str:
    if not math.isfinite(value):
        # The panel's serialiser turns these into texts.
        return '"NaN"' if math.isnan(value) else f'"{"-" if value < 0 else ""}Infinity"'
    if value == 0:
        return "0"
    shortest = Decimal(repr(value)).normalize()
    plain = _SMALLEST_PLAIN <= shortest.adjusted() <= _LARGEST_PLAIN
    return format(shortest, "f" if plain else "e")
