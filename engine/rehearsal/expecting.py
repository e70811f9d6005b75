"""Pure: what a test expected beside what happened, matched one to one, and what is left over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine.clock import SECOND
from engine.deciding.walking import as_written
from engine.errors import CouldNotEvaluate
from engine.rules.cases import Acts, EndsSo, Where
from engine.rules.expressions import is_true

_JITTER = 1.2


@dataclass(frozen=True, slots=True)
class Done:
    """An action that would have been done.

    `params` are as written: name → value. `waited` is how much of `at` is waiting between tries, which is longer by chance.
    """

    at: int
    rule: str
    step: str
    place: str
    action: str
    params: Mapping[str, Any]
    key: str = ""
    waited: int = 0
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Ended:
    """A match or a run that ended in another way than being done, and why."""

    kind: str
    rule: str
    at: int
    why: str
    words: tuple[str, ...] = ()
    """All by which a test may call the reason: its word, the event that was to blame, …"""


def pair(expected: Sequence[Acts], done: Sequence[Done]) -> list[int | None]:
    """For each action that is expected the number of the one that fits, each used once.

    At one moment the order does not matter. An exact pairing is found where there is one.
    """
    fits = [[n for n, one in enumerate(done) if fits_action(want, one)] for want in expected]
    taken: dict[int, int] = {}

    def find(want: int, seen: set[int]) -> bool:
        for one in fits[want]:
            if one in seen:
                continue
            seen.add(one)
            if one not in taken or find(taken[one], seen):
                taken[one] = want
                return True
        return False

    for want in range(len(expected)):
        find(want, set())
    found = {want: one for one, want in taken.items()}
    return [found.get(want) for want in range(len(expected))]


def misplaced(pairs: Sequence[int | None], done: Sequence[Done]) -> int | None:
    """The number of an expected action that came before one that is listed above it."""
    latest = 0
    for number, one in enumerate(pairs):
        if one is None:
            continue
        if done[one].at < latest:
            return number
        latest = done[one].at
    return None


def fits_action(want: Acts, done: Done) -> bool:
    """Whether what was done is what is expected."""
    if want.rule is not None and want.rule != done.rule:
        return False
    if want.step is not None and want.step not in {done.step, done.place, as_written(done.place)}:
        return False
    if want.action is not None and want.action != done.action:
        return False
    if want.at is not None and not on_time(want.at, done):
        return False
    return want.params is None or fits(want.params, done.params)


def on_time(at: int, done: Done) -> bool:
    """To the second; what was tried again may come later by as much as chance adds to a wait."""
    least = done.at - int(done.waited * (1 - 1 / _JITTER))
    return least - SECOND < at < done.at + SECOND


def fits(want: Any, value: Any) -> bool:
    """Whether a value is as expected: texts by `*`, mappings by the names that are written."""
    if isinstance(want, Where):
        return _holds(want, value) and fits(want.rest, value)
    if isinstance(want, Mapping):
        known = value if isinstance(value, Mapping) else {}
        return all(fits(one, known.get(name)) for name, one in want.items())
    if isinstance(want, list):
        same = isinstance(value, list) and len(want) == len(value)
        return same and all(map(fits, want, value))
    if isinstance(value, list) and len(value) == 1:
        return fits(want, value[0])
    return _is_same(want, value)


def _is_same(want: Any, value: Any) -> bool:
    if isinstance(want, str) and isinstance(value, str | int | float):
        said = str(value).lower() if isinstance(value, bool) else str(value)
        return glob(want).fullmatch(said.rstrip("\n")) is not None
    if isinstance(want, bool) or isinstance(value, bool):
        return want is value
    if isinstance(value, str) and want is not None:  # what is rendered is a text
        return value.strip() == str(want)
    return bool(want == value)


@lru_cache(maxsize=4096)
def glob(text: str) -> re.Pattern[str]:
    """A text in which `*` stands for anything, line breaks included."""
    parts = (re.escape(part) for part in text.rstrip("\n").split("*"))
    return re.compile(".*".join(parts), re.DOTALL)


def _holds(want: Where, value: Any) -> bool:
    try:
        return is_true(want.condition.search(value))
    except CouldNotEvaluate:
        return False


def fits_ending(want: EndsSo, ended: Ended) -> bool:
    """Whether something ended as expected."""
    if want.rule != ended.rule:
        return False
    if want.at is not None and abs(want.at - ended.at) >= SECOND:
        return False
    asked = [one for one in (want.why, want.by) if one is not None]
    said = (ended.why, *ended.words)
    return all(any(glob(one).fullmatch(word) for word in said) for one in asked)


def missing_endings(wanted: Sequence[EndsSo], ended: Sequence[Ended]) -> list[tuple[EndsSo, int]]:
    """What is expected and was not, with how often it was."""
    found = []
    for want in wanted:
        count = sum(fits_ending(want, one) for one in ended)
        if count == 0 or (want.times is not None and count != want.times):
            found.append((want, count))
    return found


def surplus_endings(wanted: Sequence[EndsSo], ended: Sequence[Ended]) -> list[Ended]:
    """What was and is not expected."""
    return [one for one in ended if not any(fits_ending(want, one) for want in wanted)]
