"""Sample events: the delivery that a panel of a given version would send."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.clock import to_iso
from engine.errors import UserError
from engine.sources import catalogue, expiry, sample_data
from engine.sources.catalogue import EventType, Field, Version
from engine.sources.javascript import stringify
from engine.sources.names import RENEWED, RENEWING
from engine.sources.overrides import merge

NEWEST_PANEL = "3.3"
_DEFAULT_OFFSET = -24
_SCOPE_SINCE = (2, 5, 0)
_META_SINCE = (2, 2, 0)
_RAW_HWID_USER_UNTIL = (2, 4, 0)
_LAST_RAW_USER = (2, 2, 6)
_NOT_IN_SAMPLE = frozenset({"X-Remnawave-Signature", "Host"})


@dataclass(frozen=True, slots=True)
class Sample:
    """A delivery that is not signed yet.

    `event_type` is the one really sent, and `note` tells where that is another than was asked
    for. `headers` lack the signature and the host.
    """

    event_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What to send: the event type, the offset of an expiry notice, and whether it is an alias."""

    event: EventType
    offset: int = _DEFAULT_OFFSET
    note: str | None = None


def sample(
    event_type: str, *, panel: str, now: int, overrides: Mapping[str, Any] | None = None
) -> Sample:
    """What a panel of this version ("1.5.6", "2.2", "3.3" = newest patch) would send.

    `overrides` are dotted paths into the body; without `data.`, `meta.` … in front they are taken
    as `data.*`. An event type that this version only knows by another name is sent by that.
    Raises UserError for an event type that nobody knows or that this version does not send.
    """
    version = catalogue.version(panel)
    wanted = _flat(overrides or {})
    asked = _asked(event_type, version, panel, wanted)
    if expiry.offset_of(event_type) or expiry.offset_of(asked.event.name):
        wanted.pop("meta.expiration", None)  # the name says it already
    body = merge(_body(asked, version, now), wanted)
    raw = stringify(body).encode("utf-8")
    headers = request_headers(raw, "", str(body["timestamp"]), "")
    kept = tuple(header for header in headers if header[0] not in _NOT_IN_SAMPLE)
    return Sample(asked.event.name, raw, kept, asked.note)


def request_headers(
    body: bytes, signature: str, timestamp: str, host: str
) -> list[tuple[str, str]]:
    """The headers of a delivery, as a panel sends them and in its order."""
    return [
        ("Accept", "application/json, text/plain, */*"),
        ("Content-Type", "application/json"),
        ("X-Remnawave-Signature", signature),
        ("X-Remnawave-Timestamp", timestamp),
        ("User-Agent", "Remnawave"),
        ("Content-Length", str(len(body))),
        ("Accept-Encoding", "gzip, compress, deflate, br"),
        ("Host", host),
        ("Connection", "keep-alive"),
    ]


def _flat(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides, with those of `meta` by path: an expiry notice depends on its offset."""
    flat = dict(overrides)
    if isinstance(flat.get("meta"), Mapping):
        flat |= {f"meta.{name}": value for name, value in flat.pop("meta").items()}
    return flat


def _asked(name: str, version: Version, panel: str, overrides: Mapping[str, Any]) -> _Asked:
    """The event type that this version sends for the name."""
    known = catalogue.events()
    offset = _offset(name, overrides)
    if name in known and known[name].is_in(version):
        return _Asked(known[name], offset)
    for alias in _aliases(name, offset):
        if alias in known and known[alias].is_in(version):
            note = f"panel {panel} does not send {name}; sent as {_described(alias, offset)}"
            return _Asked(known[alias], offset, note)
    raise UserError(_refusal(name, panel, _aliases(name, offset)))


def _offset(name: str, overrides: Mapping[str, Any]) -> int:
    """Signed hours of an expiry notice: in its name, asked for, or a day before."""
    hours = expiry.offset_of(name) or expiry.whole_hours(overrides.get("meta.expiration"))
    return hours or _DEFAULT_OFFSET


def _aliases(name: str, offset: int) -> tuple[str, ...]:
    """Other names by which some version may send what is asked for."""
    if name == RENEWED:
        return RENEWING
    if name == expiry.EXPIRATION:
        return (expiry.name_of(offset),)
    return (expiry.EXPIRATION,) if expiry.offset_of(name) else ()


def _described(alias: str, offset: int) -> str:
    return f"{alias} with meta.expiration {offset}" if alias == expiry.EXPIRATION else alias


def _refusal(name: str, panel: str, aliases: tuple[str, ...]) -> str:
    """Which versions do send it, or what was meant."""
    known = catalogue.events()
    spans = [
        known[each].span() + ("" if each == name else f" (as {each})")
        for each in (name, *aliases)
        if each in known
    ]
    if spans:
        return f"panel {panel} does not send {name}; versions that do: {', '.join(spans)}"
    close = difflib.get_close_matches(name, [*known, RENEWED], n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return f'no panel sends "{name}"{hint}'


def _body(asked: _Asked, version: Version, now: int) -> dict[str, Any]:
    """The envelope and the data, keys in the order of the schema."""
    event = asked.event
    facts = sample_data.facts(event, version, now, asked.offset)
    data = _shaped(_payload(event.scope, version), facts, version)
    body: dict[str, Any] = {"event": event.name, "timestamp": to_iso(now), "data": data}
    if version >= _SCOPE_SINCE:
        body = {"scope": event.scope, **body}
    if event.scope == "user" and version >= _META_SINCE:
        body["meta"] = sample_data.meta(event, asked.offset)
    return body


def _payload(name: str, version: Version) -> tuple[Field, ...]:
    return catalogue.fields(name, catalogue.generation(name, version))


def _shaped(
    fields: tuple[Field, ...], facts: Mapping[str, Any], version: Version
) -> dict[str, Any]:
    """The facts that this version has, in its order and its types."""
    return {
        field.name: _value(field, facts.get(field.name), version)
        for field in fields
        if field.is_in(version) and (field.name in facts or not field.optional)
    }


def _value(field: Field, fact: Any, version: Version) -> Any:
    if field.ref and isinstance(fact, Mapping):
        return _shaped(_payload(field.ref, _version_of_ref(field, version)), fact, version)
    if field.fields and isinstance(fact, Mapping):
        return _shaped(field.fields, fact, version)
    if field.items and isinstance(fact, list):
        return [_shaped(field.items, each, version) for each in fact]
    if field.type.startswith("string") and isinstance(fact, int):
        return str(fact)
    return fact


def _version_of_ref(field: Field, version: Version) -> Version:
    """Up to 2.3 a device's event kept the raw form of its user."""
    raw = field.ref == "user" and version < _RAW_HWID_USER_UNTIL
    return min(version, _LAST_RAW_USER) if raw else version
