"""What the made-up events of stories say: the newest panel's, under the names that rules use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from engine.clock import from_iso
from engine.rehearsal.telling import span
from engine.sources import catalogue
from engine.sources.names import RENEWED
from engine.sources.redaction import redact
from engine.sources.samples import NEWEST_PANEL, sample
from engine.sources.views import view

_START = 1_767_600_000_000_000
_USUAL = {"user": "user.modified", "node": "node.modified"}
_MORE = "…"
_TWICE = {"userTraffic", "key"}


def samples() -> str:
    """The user and the node, and what single events say otherwise."""
    tables = "".join(
        f"\n| `{name}` | made up |\n| --- | --- |\n{_rows(name, usual)}"
        for name, usual in _USUAL.items()
    )
    rows = "".join(_differing(name, usual) for name, usual in _USUAL.items())
    return f"{tables}\n| event | says otherwise |\n| --- | --- |\n{rows}"


def _rows(name: str, event: str) -> str:
    return "".join(f"| `{key}` | {value} |\n" for key, value in _said(name, event).items())


def _differing(name: str, usual: str) -> str:
    """A row for each event whose payload differs from the usual one."""
    before = _said(name, usual)
    found = ""
    for event, one in catalogue.events().items():
        if one.scope == name and event != RENEWED and one.is_in(catalogue.version(NEWEST_PANEL)):
            after = _said(name, event)
            changed = {
                key: after.get(key, "null")
                for key in (*before, *(key for key in after if key not in before))
                if after.get(key) != before.get(key)
            }
            said = ", ".join(f"`{key}` {value}" for key, value in changed.items())
            found += f"| `{event}` | {said} |\n" if said else ""
    return found


def _said(name: str, event: str) -> dict[str, str]:
    body = redact(json.loads(sample(event, panel=NEWEST_PANEL, now=_START).body))
    hidden = _TWICE | catalogue.private_names()
    shown = {key: one for key, one in view(body)[name].items() if key not in hidden}
    return {key: _value(one) for key, one in _flat(shown)}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value two levels down with its path; of a list the first one; without what is null."""
    if isinstance(value, Mapping | list) and "." in path:
        yield path, _MORE
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _flat(one, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield from _flat(value[0] if value else None, f"{path}[0]")
    elif value is not None:
        yield path, value


def _value(value: Any) -> str:
    if value == _MORE:
        return _MORE
    moment = from_iso(value) if isinstance(value, str) else None
    if moment is None:
        return f"`{json.dumps(value, ensure_ascii=False)}`"
    if moment == _START:
        return "the start"
    return f"{span(abs(moment - _START))} {'before' if moment < _START else 'after'} the start"
