"""The generated part of docs/reference/events.md: what panels send, and what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from engine.clock import DAY
from engine.sources import catalogue, contract, outlook, samples, views
from engine.sources.catalogue import EventType
from engine.sources.contract import Shape, Span
from engine.sources.names import RENEWED, RENEWING

_NOW = 20_000 * DAY
_SETTINGS = {
    one["name"]: one["needs_panel_setting"].split()[0]
    for one in json.loads(catalogue._FILE.read_text("utf-8"))["events"]
    if "needs_panel_setting" in one
}
_SCOPES = {
    "user": "Users",
    "user_hwid_devices": "Devices of users",
    "node": "Nodes",
    "service": "The panel itself",
    "crm": "Hosting bills",
    "torrent_blocker": "Torrents",
}
_RENEWED = (
    "The end of a subscription was moved to a later date. No panel sends this name: Rulewave gives "
    "it to what moves the date, where it knows the date from before."
)
_DEPTH = 3
# Below its top, a view is described as the newest panel sends it; nothing is known of others.
_NEWEST = ((catalogue.version(catalogue.NEWEST), contract.FUTURE),)


def events() -> str:
    """Each event type by scope; then what stands in `user`, `node` and `data`."""
    sent = [one for one in catalogue.events().values() if one.emitted]
    assert {one.scope for one in sent} == set(_SCOPES), "a scope has no heading"
    tables = (_scope(scope, [one for one in sent if one.scope == scope]) for scope in _SCOPES)
    return "".join(tables) + _views()


def _scope(scope: str, sent: list[EventType]) -> str:
    rows = "".join(map(_row, sent))
    if scope == "user":
        names = ", ".join(f"`{name}`" for name in RENEWING)
        rows += f"| `{RENEWED}` | all | {names} | `user` | {_RENEWED} |\n"
    head = "| event type | panels | other names | it has | meaning |\n| --- | --- | --- | --- | --- |\n"
    listening = f"Scope `{scope}`; `on: {scope}.*` takes all of them."
    return f"\n## {_SCOPES[scope]}\n\n{listening}\n\n{head}{rows}{_data(scope, sent)}"


def _row(one: EventType) -> str:
    names = ", ".join(f"`{name}`" for name in outlook.other_names(one.name))
    return f"| `{one.name}` | {one.span()} | {names} | {_has(one)} | {_meaning(one)} |\n"


def _meaning(one: EventType) -> str:
    text = one.description.replace("... due", "A hosting bill for a node is due")
    text = text.replace("... overdue", "A hosting bill for a node is overdue")
    needed = _SETTINGS.get(one.name)
    return text + (f" Only sent with `{needed}=true` in the panel's `.env`." if needed else "")


def _has(one: EventType) -> str:
    """The names that its newest form fills, seen in a sample of it."""
    panel = catalogue.NEWEST
    if one.removed_in:
        major, minor, _ = one.removed_in
        panel = f"{major}.{minor - 1}"
    body = json.loads(samples.sample(one.name, panel=panel, now=_NOW).body)
    found = [name for name in ("user", "node") if views.payload(body, name) is not None]
    own = (key for key in body["data"] if one.scope not in found and key not in found)
    meta = body.get("meta") or {}
    return ", ".join(
        f"`{name}`"
        for name in (*found, *(f"data.{key}" for key in own), *(f"meta.{k}" for k in meta))
    )


def _data(scope: str, sent: list[EventType]) -> str:
    """The fields of `data` where it is not itself the user or the node."""
    if scope in ("user", "node"):
        return ""
    ((_, span),) = outlook.scopes(tuple(one.name for one in sent))
    fields = contract.payload(scope, span).fields
    own = {name: shape for name, shape in fields.items() if name not in ("user", "node")}
    return _fields("data", own, span)


def _views() -> str:
    """All that `user` and `node` hold, whatever version sent them."""
    found = ""
    for name in ("user", "node"):
        whole: Span = (contract.FIRST, contract.FUTURE)
        seen = outlook.view(name, whole).fields
        fields = {key: shape for key, shape in seen.items() if key in _names(name)}
        found += f"\n## What is in `{name}`\n{_fields(name, fields, whole)}"
    return found


def _names(view: str) -> set[str]:
    """What stands in a view whatever the panel; names of old panels alone are left out."""
    newest = catalogue.newest_fields(view)
    lifted = [inner for one in newest if one.name == "userTraffic" for inner in one.fields]
    old = {"uuid"} if view == "user" else set()
    return {one.name for one in (*newest, *lifted)} | {"key", "usedPercent"} | old


def _fields(start: str, fields: Mapping[str, Shape], span: Span) -> str:
    rows = "".join(
        f"| `{path}` | {_kind(path, shape)} | {'yes' if shape.nullable else ''} | {_panels(shape, span)} |\n"
        for path, shape in _paths(start, fields, 1)
    )
    head = "| field | is | may be null | panels |\n| --- | --- | --- | --- |\n"
    return f"\n{head}{rows}"


def _paths(start: str, fields: Mapping[str, Shape], depth: int) -> Iterator[tuple[str, Shape]]:
    for name, shape in fields.items():
        if name in catalogue.secret_names():
            continue
        yield f"{start}.{name}", shape
        inner = shape.item.fields if shape.item else shape.fields
        if depth < _DEPTH:
            yield from _paths(f"{start}.{name}" + ("[]" if shape.item else ""), inner, depth + 1)


def _kind(path: str, shape: Shape) -> str:
    kinds = sorted({"text" if one == "digits" else one for one in shape.kinds})
    words = ", ".join(f"`{word}`" for word in sorted(shape.enum))
    private = path.rpartition(".")[2] in catalogue.private_names()
    masked = "; masked where it is shown" if private else ""
    return (" or ".join(kinds) or "anything") + (f": {words}" if words else "") + masked


def _panels(shape: Shape, span: Span) -> str:
    """Which versions send it, where not all do."""
    if contract.covers(shape.spans, [span]) or shape.spans in ((), _NEWEST):
        return ""
    return contract.spelt(shape.spans)
