"""An event's names for rules: `scope`, `meta`, `user`, `node` alike, whatever the panel's version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from engine.sources import catalogue, expiry
from engine.sources.identifiers import is_identifier
from engine.sources.numbers import number, ratio, size

_NANO = 1_000_000_000
_TRAFFIC = "userTraffic"
_PROFILE = ("activeConfigProfileUuid", "activeInbounds")


def view(body: Mapping[str, Any]) -> dict[str, Any]:
    """The names that conditions and templates see of one event; never raises on a JSON object."""
    return {
        "event": body.get("event"),
        "timestamp": body.get("timestamp"),
        "data": body.get("data"),
        "scope": scope(body),
        "meta": meta(body),
        "user": _user(payload(body, "user")),
        "node": _node(payload(body, "node")),
    }


def scope(body: Mapping[str, Any]) -> str | None:
    """The scope as sent, else what stands before the first dot of the event type."""
    sent, event = body.get("scope"), body.get("event")
    if isinstance(sent, str):
        return sent
    return event.partition(".")[0] if isinstance(event, str) else None


def meta(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """`meta` as sent; for an older expiry notice with the offset that its name tells."""
    sent, event = body.get("meta"), body.get("event")
    known = dict(sent) if isinstance(sent, Mapping) else None
    offset = expiry.offset_of(event) if isinstance(event, str) else None
    return known if offset is None else {"expiration": offset} | (known or {})


def payload(body: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The `user` or `node` of an event as sent; None where it has none."""
    data = body.get("data")
    if not isinstance(data, Mapping):
        return None
    found = data if scope(body) == name else data.get(name)
    return found if isinstance(found, Mapping) and found else None


def _user(sent: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if sent is None:
        return None
    user = {**_blank("user"), **sent}
    inner = sent.get(_TRAFFIC)
    traffic = {
        name: (inner if isinstance(inner, Mapping) and name in inner else sent).get(name)
        for name in _inner_names("user", _TRAFFIC)
    }
    _mend_numbers("user", user)
    _mend_numbers(_TRAFFIC, traffic)
    user |= traffic
    user[_TRAFFIC] = traffic
    user["telegramId"] = user["telegramId"] or None  # newer panels turn 0 into null themselves
    user["key"] = _key(sent.get("username"))
    user["usedPercent"] = ratio(traffic["usedTrafficBytes"], user["trafficLimitBytes"], 100)
    return {"uuid": None} | user


def _node(sent: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if sent is None:
        return None
    node = {**_blank("node"), **sent}
    if isinstance(sent.get("consumptionMultiplier"), str):  # older panels count in billionths
        node["consumptionMultiplier"] = ratio(sent["consumptionMultiplier"], _NANO, 1)
    _mend_numbers("node", node)
    node["versions"] = _moved(sent, "versions", _versions)
    node["system"] = _moved(sent, "system", _system)
    node["configProfile"] = _moved(sent, "configProfile", _config_profile)
    node["key"] = _key(sent.get("uuid"))
    node["usedPercent"] = ratio(node["trafficUsedBytes"], node["trafficLimitBytes"], 100)
    return node


def _key(identity: object) -> str | None:
    return identity if is_identifier(identity) else None


def _moved(
    sent: Mapping[str, Any], name: str, older: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Any:
    """A group of the newest generation, made from single fields where the panel is older."""
    return sent[name] if name in sent else _unless_empty(older(sent))


def _versions(sent: Mapping[str, Any]) -> dict[str, Any]:
    return {"xray": sent.get("xrayVersion"), "node": sent.get("nodeVersion")}


def _system(sent: Mapping[str, Any]) -> dict[str, Any]:
    known = {
        "cpus": number(sent.get("cpuCount")),
        "cpuModel": sent.get("cpuModel"),
        "memoryTotal": size(sent.get("totalRam")),
    }
    info = dict.fromkeys(_inner_names("node", "system", "info")) | known
    return {"info": _unless_empty(info), "stats": None}


def _config_profile(sent: Mapping[str, Any]) -> dict[str, Any]:
    return {name: sent.get(name) for name in _PROFILE}


def _unless_empty(group: dict[str, Any]) -> dict[str, Any] | None:
    return None if all(value is None for value in group.values()) else group


def _mend_numbers(group: str, values: dict[str, Any]) -> None:
    for name in _number_names(group):
        values[name] = number(values[name])


@cache
def _blank(payload_name: str) -> dict[str, Any]:
    """Every field of the newest generation, unknown; to be merged, never changed."""
    return dict.fromkeys(field.name for field in catalogue.newest_fields(payload_name))


@cache
def _inner(payload_name: str, *groups: str) -> tuple[catalogue.Field, ...]:
    level = catalogue.newest_fields(payload_name)
    for group in groups:
        (level,) = (field.fields for field in level if field.name == group)
    return level


def _inner_names(payload_name: str, *groups: str) -> tuple[str, ...]:
    return tuple(field.name for field in _inner(payload_name, *groups))


@cache
def _number_names(group: str) -> tuple[str, ...]:
    """The fields of a group that hold a number in the newest generation."""
    fields = _inner("user", _TRAFFIC) if group == _TRAFFIC else catalogue.newest_fields(group)
    return tuple(field.name for field in fields if field.type in {"number", "integer"})
