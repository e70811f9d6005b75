"""How values and guesses are worded in messages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

SHORT = 80
_MOST_CHOICES = 1000


def shortened(text: str, limit: int = SHORT) -> str:
    """On one line, at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def shown(value: Any) -> str:
    """A value in a message: short, quoted if text, and null instead of None."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return shortened(json.dumps(value, ensure_ascii=False, default=str))
    return shortened(f'"{value}"' if isinstance(value, str) else str(value))


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`did you mean "method"?`, or what there is to choose from, or nothing."""
    if len(word) > SHORT:
        return ""
    known = {choice.lower(): choice for choice in choices}
    if len(known) > _MOST_CHOICES:
        return ""
    close = get_close_matches(word.lower(), sorted(known), n=1)
    if close:
        return f'did you mean "{known[close[0]]}"?'
    few = ", ".join(sorted(known.values()))
    return f"there is {few}" if known and len(few) <= 2 * SHORT else ""
