"""Which patterns an event type fits: exact names by look-up, globs whose * crosses dots."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Generic, TypeVar

from engine.sources import catalogue
from engine.sources.expiry import offset_of
from engine.sources.names import RENEWED

OWN = "rulewave."
# Any number of hours is a name as well; one of each is enough to try globs on.
_NOTICES = ("user.expires_in_24_hours", "user.expired_24_hours_ago")
T = TypeVar("T")


def known_events() -> frozenset[str]:
    """The event types that some version of the panel sends, and the name of renewals."""
    return frozenset((*catalogue.events(), RENEWED, *_NOTICES))


def is_known(pattern: str) -> bool:
    """Whether anything that is known could fit; the daemon's own events are not judged."""
    if pattern.startswith(OWN) or offset_of(pattern) is not None:
        return True
    return any(matches(pattern, name) for name in known_events())


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
