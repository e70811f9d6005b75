"""The ways in which a value can turn up in a text, and texts in which none of them is left."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus

MASK = "•••"
"""What stands where a value was."""
CUT = "…"
"""What stands where a text was cut: only the beginning of a value may be left before it."""

SHORTEST = 4
"""A value or a part of one that is shorter would mask innocent words."""
_SHORTEST_LINE = 8
_MOST_CUTS = 20
_PERCENT = re.compile(r"%[0-9A-F]{2}")
# Some writers of JSON escape more than JSON asks for.
_CAREFUL_JSON = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&'+"})


@lru_cache(maxsize=1024)
def forms(value: str) -> frozenset[str]:
    """A value as it stands, stripped, line by line, and encoded in all usual ways."""
    if len(value) < SHORTEST:
        return frozenset({value})
    lines = [line.strip() for line in value.splitlines()]
    pieces = {value, value.strip(), " ".join(value.split())}
    pieces |= {line for line in lines if len(line) >= _SHORTEST_LINE}
    found = {form for piece in pieces for form in (piece, *_encoded(piece)) if form}
    return frozenset(form for form in found if len(form) >= SHORTEST)


def forms_of(values: Iterable[str]) -> frozenset[str]:
    """All forms of several values."""
    return frozenset().union(*map(forms, values))


@lru_cache(maxsize=256)
def pattern(hidden: frozenset[str]) -> re.Pattern[str]:
    """Finds any of these texts, the longest first."""
    return re.compile("|".join(map(re.escape, sorted(hidden, key=len, reverse=True))))


def mask(text: str, hidden: frozenset[str]) -> str:
    """The text with each of these replaced, also where it was cut in the middle of one."""
    if not hidden:
        return text
    masked = pattern(hidden).sub(MASK, text)
    if CUT not in masked:
        return masked
    *before, rest = masked.rsplit(CUT, _MOST_CUTS)
    return CUT.join([*(_without_beginning(piece, hidden) for piece in before), rest])


def _without_beginning(text: str, hidden: Iterable[str]) -> str:
    """The text without the beginning of a hidden one at its end."""
    longest = max(_overlap(text, one) for one in hidden)
    return text[:-longest] + MASK if longest else text


def _overlap(text: str, one: str) -> int:
    most = min(len(one) - 1, len(text))
    return next((n for n in range(most, SHORTEST - 1, -1) if text.endswith(one[:n])), 0)


def _encoded(text: str) -> Iterator[str]:
    raw = text.encode("utf-8", "replace")
    for escaped in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield escaped
        yield _PERCENT.sub(lambda found: found[0].lower(), escaped)
    for plain in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        careful = plain.translate(_CAREFUL_JSON)
        yield from (
            plain,
            plain.replace("/", "\\/"),
            careful,
            careful.replace("\\u002b", "\\u002B"),
        )
        yield json.dumps(plain)[1:-1]
    yield from (html.escape(text), html.escape(text).replace("&#x27;", "&#39;"))
    yield from (repr(text)[1:-1], repr(raw)[2:-1], shlex.quote(text).strip("'"))
    yield from (raw.hex(), raw.hex().upper())
    yield from _base64(raw)


def _base64(raw: bytes) -> Iterator[str]:
    # Base64 of a text that begins with other characters ("user:password") shifts by one or two.
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + raw).decode()
        begin, end = (0, 2, 3)[shift], len(whole) - (0, 3, 2)[(shift + len(raw)) % 3]
        yield whole[begin:end]
        yield whole[begin:end].replace("+", "-").replace("/", "_")
