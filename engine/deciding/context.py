"""The names that conditions and templates see, built from an event and what is known around it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.clock import SECOND, to_iso
from engine.errors import CouldNotEvaluate
from engine.model import Event, Facts
from engine.rules.model import Per, Rule
from engine.sources.views import view

Context = Mapping[str, Any]


def base_context(
    event: Event,
    previous: Event | None,
    latest: Event | None,
    *,
    now: int,
    vars: Mapping[str, Any],
    arrived: Event | None = None,
) -> dict[str, Any]:
    """The names that all rules share for one event; `arrived` is what an await was met by."""
    seen = view(event.body)
    newest = seen if latest is None or latest.seq == event.seq else view(latest.body)
    return {
        **seen,
        "previous": view(previous.body) if previous else None,
        "latest": newest,
        "now": to_iso(now),
        "vars": vars,
        "key": None,
        "steps": {},
        "rule": None,
        "error": None,
        "events": None,
        "digest": None,
        **arrival(arrived, since=event.raised),
    }


def digest_context(facts: Facts, *, now: int, vars: Mapping[str, Any]) -> dict[str, Any]:
    """The names of a digest: `events`, the contexts of what it gathered, oldest first."""
    contexts = [
        base_context(one.event, one.previous, one.latest, now=now, vars=vars)
        for one in facts.gathered or (facts,)
    ]
    return {"events": contexts, "digest": {"count": len(contexts)}}


def rule_context(
    base: Context,
    rule: Rule,
    key: str,
    steps: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The names as one rule sees them; `steps` are the results so far, `error` what failed."""
    about = {"id": rule.id, "description": rule.description, "tags": list(rule.tags)}
    return {**base, "key": key, "rule": about, "steps": steps or {}, "error": error}


def key_of(per: Per, context: Context) -> str:
    """The subject key: raises CouldNotEvaluate where a written `per` comes out null."""
    if per.expression is None:
        return "" if per.text == "none" else _default_key(context)
    value = per.expression.search(context)
    if value is None:
        raise CouldNotEvaluate(f"per: {per.text} is null for this event")
    if _holds_mapping(value):
        raise CouldNotEvaluate(f"per: {per.text} is no text or number, but holds whole objects")
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except TypeError as error:  # an expression may come out as another expression (`&name`)
        raise CouldNotEvaluate(f"per: {per.text} is nothing that could be a key") from error


def arrival(arrived: Event | None, *, since: int) -> dict[str, Any]:
    """The names that tell of the event that an await was met by, and how long it took to come."""
    if arrived is None:
        return {"arrived": None, "elapsed": None}
    return {"arrived": view(arrived.body), "elapsed": _seconds(arrived.raised - since)}


def _seconds(span: int) -> int | float:
    """Whole where it is, so that a text does not say 300.0."""
    whole, rest = divmod(span, SECOND)
    return span / SECOND if rest else whole


def _holds_mapping(value: object) -> bool:
    """An object is no key: it has what changes from event to event, and what nobody is to see."""
    if isinstance(value, list):
        return any(map(_holds_mapping, value))
    return isinstance(value, Mapping)


def _default_key(context: Context) -> str:
    for name in ("user", "node"):
        subject = context.get(name)
        if subject and isinstance(subject.get("key"), str):
            return str(subject["key"])
    return ""
