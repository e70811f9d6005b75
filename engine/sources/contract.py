"""What may stand where in an event, over all panel versions: the catalogue, generation upon generation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

from engine.sources import catalogue, own
from engine.sources.catalogue import Field, Version

Kind = Literal["text", "time", "digits", "number", "boolean", "object", "list"]
Span = tuple[Version, Version]
"""From this version on, and before that one."""

FIRST: Version = (0, 0, 0)
FUTURE: Version = (1_000_000, 0, 0)

TEXTS: frozenset[Kind] = frozenset({"text", "time", "digits"})
NUMBERS: frozenset[Kind] = frozenset({"number"})
_PLAIN: Mapping[str, Kind] = {
    "string(datetime)": "time",
    "string(integer)": "digits",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "object": "object",
    "array": "list",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What may stand at one place.

    `spans` are the versions that send it; `early` and `late`: whether the oldest and the newest
    of those that send what lies around it do. `filled`: null stands in where it is not sent.
    `enum` are the only words that a text may be; empty where any may.
    `open` may hold more than is known; no `kinds` means anything; `absent` means that nothing
    ever stands there.
    """

    kinds: frozenset[Kind] = frozenset()
    nullable: bool = False
    spans: tuple[Span, ...] = ()
    early: bool = True
    late: bool = True
    filled: bool = False
    fields: Mapping[str, Shape] = field(default_factory=dict)
    item: Shape | None = None
    open: bool = False
    absent: bool = False
    enum: frozenset[str] = frozenset()

    @property
    def everywhere(self) -> bool:
        """Whether every version that sends what lies around it sends this too."""
        return self.early and self.late


ANYTHING = Shape(open=True)
NOTHING = Shape(absent=True, nullable=True)

Piece = tuple[Span, tuple[Field, ...]]
"""The fields that an object has in some versions."""


@cache
def payload(name: str, span: Span) -> Shape:
    """The `data` of a scope, or a `user` or `node`, as the versions in the span send it."""
    if name in own.EVENTS:
        return _own(name)
    return Shape(frozenset({"object"}), spans=(span,), fields=_fields(_pieces(name, span)))


def _own(name: str) -> Shape:
    """The `data` of an event that the daemon raises itself."""
    carried = own.EVENTS[name].fields
    fields = {key: Shape(frozenset({one.kind})) for key, one in carried.items()}
    return Shape(frozenset({"object"}), fields=fields)


def together(shapes: Sequence[Shape]) -> Shape:
    """What stands there for any of several scopes; doubts remain only where all share them."""
    first, *others = shapes
    if not others:
        return first
    return replace(
        first,
        kinds=_kinds(shapes),
        nullable=all(shape.nullable for shape in shapes),
        early=any(shape.early for shape in shapes),
        late=any(shape.late for shape in shapes),
        filled=all(shape.filled for shape in shapes),
        fields=_together_by_name(shapes),
        item=_items(shapes),
        open=any(shape.open for shape in shapes),
        absent=all(shape.absent for shape in shapes),
        enum=words([shape.enum for shape in shapes if not shape.absent]),
    )


def words(known: Sequence[Iterable[str]]) -> frozenset[str]:
    """The words of all of them; none, which means any, where one of them takes any."""
    listed = [frozenset(one) for one in known]
    return frozenset().union(*listed) if all(listed) else frozenset()


def covers(spans: Iterable[Span], whole: Iterable[Span]) -> bool:
    """Whether there is no version in the one that the other lacks."""
    joined = join(spans)
    return all(any(a <= low and high <= b for a, b in joined) for low, high in join(whole))


def join(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same versions, in as few spans as possible, in order."""
    found: list[Span] = []
    for low, high in sorted(spans):
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def spelt(spans: Iterable[Span]) -> str:
    """Versions for people: `before 3.0.0`, `2.3.0 and later`, `1.6.0 to before 2.3.0`."""
    return " and ".join(_spelt(*span) for span in spans)


def _spelt(low: Version, high: Version) -> str:
    if high == FUTURE:
        return f"{catalogue.dotted(low)} and later" if low > FIRST else "of every version"
    before = f"before {catalogue.dotted(high)}"
    return before if low == FIRST else f"{catalogue.dotted(low)} to {before}"


def _pieces(name: str, span: Span) -> list[Piece]:
    """The generations of a payload, each with the part of the span in which it is sent."""
    starts = list(catalogue.generations(name).items())
    starts[0] = (starts[0][0], FIRST)
    ends = [start for _, start in starts[1:]] + [FUTURE]
    found = []
    for (generation, start), end in zip(starts, ends, strict=True):
        part = _overlap((start, end), span)
        if part:
            found.append((part, catalogue.fields(name, generation)))
    return found


def _overlap(one: Span, other: Span) -> Span | None:
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low < high else None


def _fields(pieces: list[Piece]) -> dict[str, Shape]:
    """Each field that any piece has."""
    found: dict[str, list[tuple[Span, Field]]] = {}
    for span, fields in pieces:
        for one in fields:
            part = _overlap(_of_field(one), span)
            if part:
                found.setdefault(one.name, []).append((part, one))
    around = join(span for span, _ in pieces)
    return {name: _shape(parts, around) for name, parts in found.items()}


def _of_field(one: Field) -> Span:
    if one.until is None:
        return one.since or FIRST, FUTURE
    major, minor, patch = one.until
    return one.since or FIRST, (major, minor, patch + 1)


def _shape(parts: list[tuple[Span, Field]], around: tuple[Span, ...]) -> Shape:
    spans = join(span for span, _ in parts)
    below = [piece for span, one in parts for piece in _below(one, span)]
    known = [one for _, one in parts if one.fields or one.ref]
    kinds: frozenset[Kind] = frozenset(_PLAIN.get(one.type, "text") for _, one in parts)
    holds = "object" in kinds
    return Shape(
        kinds=kinds,
        nullable=any(one.nullable or (one.optional and not holds) for _, one in parts),
        spans=spans,
        early=not around or spans[0][0] <= around[0][0],
        late=not around or spans[-1][1] >= around[-1][1],
        fields=_fields(below),
        item=_item(parts),
        open=holds and len(known) < len(parts),
        enum=words([one.enum for _, one in parts]),
    )


def _below(one: Field, span: Span) -> list[Piece]:
    return _pieces(one.ref, span) if one.ref else [(span, one.fields)]


def _item(parts: list[tuple[Span, Field]]) -> Shape | None:
    """What a list holds."""
    lists = [(span, one.items) for span, one in parts if one.type == "array"]
    if not lists:
        return None
    if not all(items for _, items in lists):
        return ANYTHING
    return Shape(frozenset({"object"}), fields=_fields(lists))


def _kinds(shapes: Sequence[Shape]) -> frozenset[Kind]:
    """Empty where any of them may be anything."""
    real = [shape.kinds for shape in shapes if not shape.absent]
    return frozenset().union(*real) if all(real) else frozenset()


def _together_by_name(shapes: Sequence[Shape]) -> dict[str, Shape]:
    names = dict.fromkeys(name for shape in shapes for name in shape.fields)
    return {
        name: together([shape.fields[name] for shape in shapes if name in shape.fields])
        for name in names
    }


def _items(shapes: Sequence[Shape]) -> Shape | None:
    found = [shape.item for shape in shapes if shape.item]
    return together(found) if found else None
