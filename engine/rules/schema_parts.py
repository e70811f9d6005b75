"""The small shapes of a rules file for editors: durations, conditions, event types and the like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine.rules import durations, holding, ruling, shapes
from engine.rules.patterns import known_events

Schema = dict[str, Any]
TEMPLATE: Schema = {"type": "string", "pattern": r"\{\{|\{%|^\s*secret\("}
"""A text whose value only shows when it is rendered, and so may stand for anything."""

DIGITS: Schema = {"type": "string", "pattern": r"^\d+$"}
"""A number in quotes."""


def whole(pattern: re.Pattern[str]) -> str:
    """The pattern for a whole text, in words that editors know as well."""
    return f"^(?:{pattern.pattern})$"


def ref(name: str) -> Schema:
    """What is defined under this name."""
    return {"$ref": f"#/$defs/{name}"}


def either(*shapes: Schema) -> Schema:
    """Any of them."""
    return {"anyOf": list(shapes)}


def listed(item: Schema) -> Schema:
    """A list with at least one item."""
    return {"type": "array", "items": item, "minItems": 1}


def mapping(fields: Mapping[str, Schema], needs: Iterable[str] = (), **more: Any) -> Schema:
    """A mapping with these keys and no others."""
    found: Schema = {"type": "object", "properties": dict(fields), "additionalProperties": False}
    needed = list(needs)
    return found | ({"required": needed} if needed else {}) | more


def words(*known: str) -> Schema:
    """One of a few words."""
    return {"enum": list(known)}


def number(least: int, most: int) -> Schema:
    """A whole number."""
    return {"type": "integer", "minimum": least, "maximum": most}


def optional(shape: Schema) -> Schema:
    """The same, or no value at all: such a key is as good as none."""
    kind = shape.get("type")
    if isinstance(kind, str) and not shape.keys() & {"enum", "oneOf", "not"}:
        return {**shape, "type": [kind, "null"]}
    if "anyOf" in shape:
        return {**shape, "anyOf": [*shape["anyOf"], NOTHING]}
    return either(shape, NOTHING)


def inline(name: str) -> Schema:
    """The same as `ref`, or no value at all, written out: editors then show the key's own words."""
    return optional(parts()[name])


ANYTHING: Schema = {}
NOTHING: Schema = {"type": "null"}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
TEXTS = either({"type": "string"}, {"type": "array", "items": {"type": "string", "minLength": 1}})


def parts() -> dict[str, Schema]:
    """Each part by its name under `$defs`."""
    known = sorted(known_events())
    word = {"type": "string", "pattern": whole(shapes.WORD)}
    return {
        "duration": _text("A duration, as 90s, 5m, 3d, 1w or 1h30m.", durations.DURATION),
        "rate": _text("How often at most, as 10/s, 20/min, 100/h or 500/d.", durations.RATE),
        "throttle": _text("How often at most, as 1 per 24h.", holding.THROTTLE),
        "between": _text("From when to when, as 23:00-07:00.", holding.BETWEEN),
        "id": _text("Small letters, digits and hyphens.", ruling.ID, maxLength=ruling.LONGEST_ID),
        "word": word,
        # The second half offers the known names; the first takes those of other panels and globs.
        "event": either(
            _text("An event type, or a glob as user.*.", shapes.EVENT_TYPE), ref("event.known")
        ),
        "event.known": {"enum": known},
        "expression": {"type": "string", "minLength": 1, "description": "A JMESPath expression."},
        "condition": _condition(),
        "watched": _watched(),
        "quiet": _quiet(),
        "timezone": {**TEXT, "description": "A time zone.", "examples": ["Europe/Berlin", "UTC"]},
        "cron": {**TEXT, "description": "Five fields of cron.", "examples": ["0 9 * * *"]},
        "if_late": _if_late(),
    }


def _text(description: str, pattern: re.Pattern[str], **more: Any) -> Schema:
    return {"type": "string", "pattern": whole(pattern), "description": description} | more


def _condition() -> Schema:
    many = listed(ref("condition"))
    return {
        "description": "A JMESPath text, a list of which all must hold, or all, any, not.",
        "anyOf": [
            {"type": "string", "minLength": 1},
            many,
            mapping({"all": many}, ["all"]),
            mapping({"any": many}, ["any"]),
            mapping({"not": ref("condition")}, ["not"]),
        ],
    }


def _watched() -> Schema:
    """Event types, `{on, when}`, or a list mixing both."""
    types = either(ref("event"), {"type": "array", "items": ref("event")})
    one = either(ref("event"), mapping({"on": types, "when": ref("condition")}, ["on"]))
    return either(one, {"type": "array", "items": one})


def _quiet() -> Schema:
    day = {"type": "string", "examples": ["mon-fri", "sat, sun"]}
    fields = {
        "between": ref("between"),
        "days": optional(either(day, {"type": "array", "items": day})),
        "timezone": optional({**TEXT, "examples": ["Europe/Berlin"]}),
        "then": optional(words("hold", "drop")),
    }
    return optional(mapping(fields, ["between"]))


def _if_late() -> Schema:
    return either(words("run", "skip"), mapping({"within": ref("duration")}, ["within"]))
