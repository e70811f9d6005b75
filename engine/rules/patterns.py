"""Which patterns an event type fits: exact names by look-up, globs whose * crosses dots."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Generic, TypeVar

from engine.rules.wording import did_you_mean, shortened
from engine.sources import outlook, own
from engine.sources.expiry import offset_of
from engine.sources.own import CLOCK_EVENT, OWN

# Any number of hours is a name as well; one of each is enough to try globs on.
_NOTICES = ("user.expires_in_24_hours", "user.expired_24_hours_ago")
T = TypeVar("T")


@cache
def known_events() -> frozenset[str]:
    """The event types that some version of the panel sends, those of renewals, and our own."""
    return frozenset((*outlook.known_names(), *_NOTICES, *own.EVENTS))


def is_known(pattern: str) -> bool:
    """Whether anything that is known could fit."""
    if offset_of(pattern) is not None:
        return True
    return any(matches(pattern, name) for name in known_events())


def unknown_event(pattern: str) -> tuple[str, str]:
    """What to say of an event type that nothing known fits: a message and a hint."""
    if pattern.startswith(OWN):
        message = f'Rulewave itself raises no "{shortened(pattern)}"'
        return message, did_you_mean(pattern, own.EVENTS)
    if outlook.is_only_a_name(pattern):
        return f'no panel sends "{pattern}"', "panels know the name, and never send such an event"
    return f'no panel sends "{shortened(pattern)}"', did_you_mean(pattern, known_events())


def matches(pattern: str, name: str) -> bool:
    """Whether the event type fits; the daemon's own events only fit patterns that say so."""
    if "*" not in pattern:
        return pattern == name
    if name.startswith(OWN) and (name == CLOCK_EVENT or not pattern.startswith(OWN)):
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
