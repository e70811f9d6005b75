"""The names that a rule may use on given event types, with all that any panel version sends there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from engine.sources import catalogue, contract, expiry, own
from engine.sources.catalogue import Version
from engine.sources.contract import ANYTHING, FIRST, FUTURE, NOTHING, Shape, Span, join, together
from engine.sources.names import RENEWED, RENEWING

_TEXT = Shape(frozenset({"text"}))
_TIME = Shape(frozenset({"time"}))
_PERCENT = Shape(frozenset({"number"}), nullable=True)
_TRAFFIC = "userTraffic"
_VIEWS = ("user", "node")
MOVED: Mapping[str, Mapping[str, str]] = {
    "user": {},
    "node": {
        "xrayVersion": "versions.xray",
        "nodeVersion": "versions.node",
        "cpuCount": "system.info.cpus",
        "cpuModel": "system.info.cpuModel",
        "totalRam": "system.info.memoryTotal",
        "activeConfigProfileUuid": "configProfile.activeConfigProfileUuid",
        "activeInbounds": "configProfile.activeInbounds",
    },
}
"""Where the normalised view has what older panels send under these names."""


def known_names() -> tuple[str, ...]:
    """Every event type that a panel of any version sends, and `user.renewed`."""
    return (*(name for name, event in catalogue.events().items() if event.emitted), RENEWED)


def is_only_a_name(event_type: str) -> bool:
    """Whether panels list the event type, and no version sends it."""
    listed = catalogue.events().get(event_type)
    return listed is not None and not listed.emitted


def other_names(event_type: str) -> tuple[str, ...]:
    """The event types that are sent in place of this one, by panels of another version or always."""
    offset = expiry.offset_of(event_type)
    if offset is not None:
        return (expiry.EXPIRATION,)
    if event_type == expiry.EXPIRATION:
        return tuple(name for name in catalogue.events() if expiry.offset_of(name) is not None)
    return RENEWING if event_type == RENEWED else ()


@lru_cache(maxsize=256)
def scopes(event_types: tuple[str, ...]) -> tuple[tuple[str, Span], ...]:
    """The scopes of these event types, each with the versions that send any of them.

    Each of the daemon's own events stands for itself.
    """
    sent = {name for one in event_types for name in (one, *other_names(one))}
    spans: dict[str, list[Span]] = {}
    for name, event in catalogue.events().items():
        if name in sent and event.emitted:
            since = event.since if event.since > _oldest() else FIRST
            spans.setdefault(event.scope, []).append((since, event.removed_in or FUTURE))
    spans |= {name: [(FIRST, FUTURE)] for name in event_types if name in own.EVENTS}
    return tuple(
        (scope, (min(low for low, _ in found), max(high for _, high in found)))
        for scope, found in spans.items()
    )


def _oldest() -> Version:
    """The oldest panel whose payloads the catalogue describes."""
    return next(iter(catalogue.generations("user").values()))


@lru_cache(maxsize=256)
def outlook(scopes: tuple[tuple[str, Span], ...], *, remembers: bool = False) -> Shape:
    """The names for events of these scopes; of none, names about which nothing is known.

    `remembers`: an earlier state is known for certain.
    """
    event = Shape(fields=_event(scopes))
    state = {**event.fields, "data": ANYTHING, "meta": ANYTHING}
    names = {
        **event.fields,
        "previous": Shape(frozenset({"object"}), nullable=not remembers, fields=state),
        "latest": Shape(frozenset({"object"}), fields=state),
        "key": _TEXT,
        "now": _TIME,
        "rule": Shape(fields={"id": _TEXT, "description": _TEXT, "tags": ANYTHING}),
    }
    return Shape(fields=names, open=True)


def arrived(scopes: tuple[tuple[str, Span], ...]) -> dict[str, Shape]:
    """The names that tell of an event of these scopes where a rule waited for it."""
    came = Shape(frozenset({"object"}), fields=_event(scopes))
    return {"arrived": came, "elapsed": Shape(frozenset({"number"}))}


def _event(scopes: tuple[tuple[str, Span], ...]) -> dict[str, Shape]:
    """The names that come out of one event."""
    found = {"event": _TEXT, "timestamp": _TIME, "scope": _TEXT}
    if not scopes:
        return found | dict.fromkeys(("data", "meta", *_VIEWS), ANYTHING)
    found["data"] = together([contract.payload(*scope) for scope in scopes])
    found["meta"] = _meta(scopes)
    for name in _VIEWS:
        found[name] = together([_view_in(name, *scope) for scope in scopes])
    return found


def _meta(scopes: tuple[tuple[str, Span], ...]) -> Shape:
    """Null or not hangs on the event type, which the catalogue says in words only."""
    if "user" not in dict(scopes):
        return NOTHING
    (meta,) = (one for one in catalogue.newest_fields("envelope") if one.name == "meta")
    fields = {one.name: Shape(frozenset({"number"})) for one in meta.fields}
    return Shape(frozenset({"object"}), fields=fields)


def _view_in(name: str, scope: str, span: Span) -> Shape:
    """The normalised view in events of one scope, where they have one."""
    if scope == name:
        return view(name, span)
    held = contract.payload(scope, span).fields.get(name)
    return view(name, span) if held else NOTHING


@lru_cache(maxsize=64)
def view(name: str, span: Span) -> Shape:
    """The `user` or `node` that rules see: every field of the newest panel, null where not sent."""
    sent = contract.payload(name, span)
    newest = contract.payload(name, (catalogue.version(catalogue.NEWEST), FUTURE))
    fields = dict(sent.fields)
    for key, shape in newest.fields.items():
        fields[key] = _always_there(shape, [sent.fields[key]] if key in sent.fields else [], span)
    for old, new in MOVED[name].items():
        group = new.partition(".")[0]
        fields[group] = replace(fields[group], nullable=fields[group].nullable or old in fields)
    fields |= {"key": _TEXT, "usedPercent": _PERCENT}
    if name == "user":
        fields |= _traffic(sent, newest, span)
        fields["uuid"] = _always_there(_TEXT, [sent.fields["uuid"]], span)
    return Shape(frozenset({"object"}), fields=fields)


def _always_there(newest: Shape, sent: list[Shape], span: Span) -> Shape:
    """A field of the newest panel as the view has it: typed as there, null where not sent."""
    spans = join(one for shape in sent for one in shape.spans)
    missing = not contract.covers(spans, [span])
    return replace(
        newest,
        nullable=missing or any(shape.nullable for shape in (newest, *sent)),
        # What the newest panel sends as null may be null anywhere, and no version explains it.
        filled=missing and not newest.nullable,
        spans=spans,
        early=True,
        late=True,
        enum=contract.words([shape.enum for shape in (newest, *sent)]),
    )


def _traffic(sent: Shape, newest: Shape, span: Span) -> dict[str, Shape]:
    """The counters: at the top of older panels, within `userTraffic` of newer ones, and in both places here."""
    group = newest.fields[_TRAFFIC]
    within = sent.fields[_TRAFFIC].fields if _TRAFFIC in sent.fields else {}
    lifted = {}
    for name, shape in group.fields.items():
        places = [fields[name] for fields in (sent.fields, within) if name in fields]
        lifted[name] = _always_there(shape, places, span)
    return {**lifted, _TRAFFIC: replace(group, fields=lifted, early=True, late=True)}
