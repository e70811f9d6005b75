"""What Remnawave sends, version by version: its catalogue, read once when first asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from engine.errors import UserError

Version = tuple[int, int, int]

NEWEST = "3.3"
"""The newest panel that the catalogue describes."""

_FILE = Path(__file__).with_name("catalogue.json")
_WRITTEN = re.compile(r"\d{1,4}(\.\d{1,4}){0,2}", re.ASCII)
_MENTIONED = re.compile(r"(?<![\d.])(\d+)\.(\d+)\.(\d+)(?![\d.])", re.ASCII)
_LEADING = re.compile(r"\d+(\.\d+)*", re.ASCII)
# The catalogue says in a remark what holds for a part of a generation only.
_SPAN = re.compile(r"from (\d+\.\d+\.\d+)|(\d+\.\d+\.\d+)-(\d+\.\d+\.\d+) only", re.ASCII)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a payload.

    `since` and `until` are the first and the last version of the generation that have it (None =
    the whole generation). `fields` are those of an object, `items` those of a list's objects;
    `ref` names the payload (`user`, `node`) that stands here.
    """

    name: str
    type: str
    nullable: bool = False
    optional: bool = False
    secret: bool = False
    private: bool = False
    enum: tuple[str, ...] = ()
    since: Version | None = None
    until: Version | None = None
    fields: tuple[Field, ...] = ()
    items: tuple[Field, ...] = ()
    ref: str | None = None

    def is_in(self, version: Version) -> bool:
        """Whether a panel of this version has the field."""
        started = self.since is None or self.since <= version
        return started and (self.until is None or version <= self.until)


@dataclass(frozen=True, slots=True)
class EventType:
    """One event type: which panels know it (`removed_in` no longer does), and whether any sends it."""

    name: str
    scope: str
    since: Version
    removed_in: Version | None
    emitted: bool
    description: str

    def is_in(self, version: Version) -> bool:
        """Whether a panel of this version knows the event type."""
        return self.since <= version and (self.removed_in is None or version < self.removed_in)

    def span(self) -> str:
        """Which versions know it, for people: `1.5.0 to before 2.8.0`, `2.8.0 and later`."""
        since = dotted(self.since)
        removed = self.removed_in
        return f"{since} and later" if removed is None else f"{since} to before {dotted(removed)}"


def dotted(version: Version) -> str:
    """The version as it is written."""
    return ".".join(map(str, version))


def version(text: str) -> Version:
    """The version that a text names; where it leaves out numbers, the newest known that fits.

    Raises UserError where the text is no version.
    """
    if not _WRITTEN.fullmatch(text):
        raise UserError(f'"{text[:40]}" is no panel version; write one like "{NEWEST}" or "1.5.6"')
    start = tuple(map(int, text.split(".")))
    newest = max((v for v in _versions() if v[: len(start)] == start), default=start)
    major, minor, patch = (*newest, 0, 0)[:3]
    return major, minor, patch


@cache
def events() -> Mapping[str, EventType]:
    """All event types by name, in the catalogue's order."""
    return {entry["name"]: _event_type(entry) for entry in _catalogue()["events"]}


@cache
def fields(payload: str, generation: str) -> tuple[Field, ...]:
    """The fields of a payload (`user`, `node`, … `envelope`) in one generation, in order."""
    return _fields(_catalogue()["schemas"][payload][generation])


@cache
def generations(payload: str) -> Mapping[str, Version]:
    """The generations of a payload, oldest first, with the version that each starts at."""
    spans = _catalogue()["about"]["versions"]
    names = _catalogue()["schemas"][payload]
    return {name: _start(spans.get(f"{payload}.{name}", "")) for name in names}


def generation(payload: str, panel: Version) -> str:
    """The generation of a payload that a panel of this version sends."""
    found, *later = generations(payload).items()
    for candidate in later:
        if candidate[1] <= panel:
            found = candidate
    return found[0]


def newest_fields(payload: str) -> tuple[Field, ...]:
    """The fields of a payload's newest generation."""
    *_, last = generations(payload)
    return fields(payload, last)


@cache
def secret_names() -> frozenset[str]:
    """Names of the fields that carry credentials, in any payload of any version."""
    return frozenset(field.name for field in _all_fields() if field.secret)


@cache
def private_names() -> frozenset[str]:
    """Names of the fields that may be used, but are masked wherever they are shown."""
    return frozenset(field.name for field in _all_fields() if field.private)


@cache
def _catalogue() -> Mapping[str, Any]:
    return json.loads(_FILE.read_text("utf-8"))  # type: ignore[no-any-return]  # our own file


@cache
def _versions() -> frozenset[Version]:
    """Every version that the catalogue mentions."""
    found = _MENTIONED.findall(_FILE.read_text("utf-8"))
    return frozenset((int(a), int(b), int(c)) for a, b, c in found)


def _start(span: str) -> Version:
    """The first version of `2.3.0-2.8.1`; of `1.x` too; of nothing, the beginning."""
    leading = _LEADING.match(span)
    numbers = [int(n) for n in leading[0].split(".")] if leading else []
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return major, minor, patch


def _event_type(entry: Mapping[str, Any]) -> EventType:
    return EventType(
        name=entry["name"],
        scope=entry["scope"],
        since=_start(entry["since"]),
        removed_in=_start(entry["removed_in"]) if "removed_in" in entry else None,
        emitted=not entry.get("never_emitted", False),
        description=entry["description"],
    )


def _fields(specs: object) -> tuple[Field, ...]:
    """The fields of an object; none where the catalogue only names the type of a list's items."""
    if not isinstance(specs, dict):
        return ()
    return tuple(_field(name, spec) for name, spec in specs.items())


def _field(name: str, spec: Mapping[str, Any]) -> Field:
    since, until = _span(spec)
    return Field(
        name=name,
        type=spec["type"],
        nullable=spec["nullable"],
        optional=spec.get("optional", False),
        secret=spec.get("secret", False),
        private=spec.get("private", False),
        enum=tuple(spec.get("enum", ())),
        since=since,
        until=until,
        fields=_fields(spec.get("fields")),
        items=_fields(spec.get("items")),
        ref=spec["ref"].partition(".")[0] if "ref" in spec else None,
    )


def _span(spec: Mapping[str, Any]) -> tuple[Version | None, Version | None]:
    if "since" in spec:
        return _start(spec["since"]), None
    remark = _SPAN.match(spec.get("note", ""))
    if remark is None:
        return None, None
    return _start(remark[1] or remark[2]), _start(remark[3]) if remark[3] else None


def _all_fields() -> Iterator[Field]:
    """Every field of every payload and generation, however deep."""
    for payload in _catalogue()["schemas"]:
        for name in generations(payload):
            yield from _flat(fields(payload, name))


def _flat(level: tuple[Field, ...]) -> Iterator[Field]:
    for field in level:
        yield field
        yield from _flat(field.fields)
        yield from _flat(field.items)
