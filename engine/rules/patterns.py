"""Which patterns an event type fits: exact names by look-up, globs whose * crosses dots."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Generic, TypeVar

OWN = "rulewave."
T = TypeVar("T")


def matches(pattern: str, name: str) -> bool:
    """Whether the event type fits; the daemon's own events only fit patterns that say so."""
    if "*" not in pattern:
        return pattern == name
    if name.startswith(OWN) and not pattern.startswith(OWN):
        return False
    return _compiled(pattern).fullmatch(name) is not None


class Patterns(Generic[T]):
    """An index from patterns to values: what an event costs does not grow with exact names."""

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        self._exact: dict[str, list[tuple[int, T]]] = {}
        self._globs: dict[str, list[tuple[int, T]]] = {}
        for order, (pattern, value) in enumerate(entries):
            table = self._globs if "*" in pattern else self._exact
            table.setdefault(pattern, []).append((order, value))

    def find(self, names: Iterable[str]) -> tuple[T, ...]:
        """The values whose pattern fits any of the names, each entry once, in order of entry."""
        found: dict[int, T] = {}
        for name in names:
            found.update(self._exact.get(name, ()))
            for pattern, entries in self._globs.items():
                if matches(pattern, name):
                    found.update(entries)
        return tuple(found[order] for order in sorted(found))


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Runs of stars would make the search quadratic.
    parts = re.sub(r"\*+", "*", pattern).split("*")
    return re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
