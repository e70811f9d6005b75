"""Values merged into a sample body by dotted paths, placed and typed as its panel version does."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from engine.errors import UserError

_ENVELOPE = frozenset({"scope", "event", "timestamp", "data", "meta"})
_TRAFFIC = "userTraffic"


def merge(body: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A new body with the values at their paths; `email` is short for `data.email`.

    A mapping is merged with what is there. Raises UserError for a path into a list that has no
    such item.
    """
    merged = copy.deepcopy(dict(body))
    for path, value in overrides.items():
        steps = path.split(".")
        _put(merged, steps if steps[0] in _ENVELOPE else ["data", *steps], value)
    return merged


def _put(holder: dict[str, Any] | list[Any], steps: list[str], value: Any) -> None:
    if isinstance(holder, dict):
        steps = _placed(holder, steps)
    first, *rest = steps
    place: Any = first if isinstance(holder, dict) else _index(holder, first)
    old = holder.get(place) if isinstance(holder, dict) else holder[place]
    if rest:
        holder[place] = inner = old if isinstance(old, dict | list) else {}
        _put(inner, rest, value)
    elif isinstance(value, Mapping) and isinstance(old, dict):
        for name, each in value.items():
            _put(old, [str(name)], each)
    else:
        holder[place] = _typed(old, value)


def _placed(holder: Mapping[str, Any], steps: list[str]) -> list[str]:
    """Traffic counters lie under `userTraffic` on newer panels and at the top on older ones."""
    traffic = holder.get(_TRAFFIC)
    if isinstance(traffic, dict) and steps[0] not in holder and steps[0] in traffic:
        return [_TRAFFIC, *steps]
    older = steps[0] == _TRAFFIC and traffic is None and "usedTrafficBytes" in holder
    return steps[1:] or steps if older else steps


def _index(holder: list[Any], step: str) -> int:
    if step.isdecimal() and int(step) < len(holder):
        return int(step)
    raise UserError(f'the sample has no item "{step}" there: its list holds {len(holder)}')


def _typed(old: object, new: object) -> object:
    """Older panels write numbers as text."""
    counts = isinstance(new, int) and not isinstance(new, bool)
    return str(new) if counts and isinstance(old, str) and old.isdecimal() else new
