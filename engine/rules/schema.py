"""The rules file as JSON Schema, for editors: out of the same lists and models that check it."""

from __future__ import annotations

from typing import Any

from engine.action import Registry
from engine.rules import holding, ruling, schema_words, shapes
from engine.rules.cases import ENDINGS
from engine.rules.connections import kinds_of
from engine.rules.schema_parameters import schema_of
from engine.rules.schema_parts import (
    FLAG,
    TEXT,
    TEXTS,
    Schema,
    either,
    listed,
    mapping,
    number,
    parts,
    ref,
    whole,
    words,
)
from engine.rules.schema_steps import step_parts

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_OR_EMPTY = ["object", "null"]
"""A section of which every line was taken out is as good as none."""


def rules_schema(actions: Registry) -> Schema:
    """JSON Schema (draft 2020-12) of one rules file, with the actions that there are."""
    fields = schema_words.described(_file(), schema_words.FILE)
    found = mapping(fields, ["version"])
    defs = parts() | step_parts(actions) | _rule_parts()
    for name, action in actions.items():
        defs |= schema_of(name, action.params, open_everywhere=False)
    for kind, model in kinds_of(actions).items():
        defs |= schema_of(f"connection.{kind}", model, open_everywhere=True)
    defs["connection"] = _connection(sorted(kinds_of(actions)))
    head = {"$schema": DRAFT, "title": "Rules of Rulewave"}
    return head | found | {"$defs": dict(sorted(defs.items()))}


def _file() -> dict[str, Schema]:
    named = {"pattern": whole(shapes.WORD)}
    zones = {"timezone": ref("timezone"), "keep_fields": TEXTS}
    defaults = mapping(schema_words.described(zones, schema_words.DEFAULTS))
    return {
        "version": {"const": 1},
        "connections": {"type": _OR_EMPTY, "additionalProperties": ref("connection")},
        "vars": {"type": _OR_EMPTY, "propertyNames": named},
        "defaults": defaults | {"type": _OR_EMPTY},
        "rules": {"type": "array", "items": ref("rule")},
        "tests": {"type": ["array", "null"], "items": ref("test")},
    }


def _connection(kinds: list[str]) -> Schema:
    """Each kind by itself, so that a mistake is told in its own words."""
    return {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": words(*kinds)},
        "allOf": [
            {
                "if": {"required": ["kind"], "properties": {"kind": {"const": kind}}},
                "then": ref(f"connection.{kind}"),
            }
            for kind in kinds
        ],
    }


def _rule_parts() -> dict[str, Schema]:
    rule = mapping(schema_words.described(_rule(), schema_words.RULE), ["id", "on", "do"])
    return {"rule": rule, "clock": _clock(), "digest": _digest(), "test": _test()}


def _rule() -> dict[str, Schema]:
    source = either(ref("event"), ref("clock"))
    counted = {"at_least": number(1, holding.MOST_COUNTED), "within": ref("duration")}
    return {
        "id": ref("id"),
        "on": either(source, listed(source)),
        "when": ref("condition"),
        "per": ref("expression"),
        "do": ref("steps"),
        "mode": words(*ruling.MODES),
        "description": TEXT,
        "tags": TEXTS,
        "empty_ok": FLAG,
        "on_failure": ref("steps"),
        "was": either(ref("id"), {"type": "array", "items": ref("id")}),
        "threshold": mapping(counted, counted),
        "throttle": ref("throttle"),
        "digest": ref("digest"),
        "concurrency": words(*holding.MODES),
        "quiet": ref("quiet"),
        "cancel_on": ref("watched"),
        "priority": words(*holding.PRIORITIES),
        "ttl": ref("duration"),
    }


def _clock() -> Schema:
    fields = {
        "cron": ref("cron"),
        "every": ref("duration"),
        "timezone": ref("timezone"),
        "if_late": ref("if_late"),
    }
    return mapping(fields, oneOf=[{"required": ["cron"]}, {"required": ["every"]}])


def _digest() -> Schema:
    fields = {
        "wait": ref("duration"),
        "every": ref("duration"),
        "max": number(1, holding.MOST_GATHERED),
        "at": ref("cron"),
        "timezone": ref("timezone"),
    }
    spans: list[Any] = [{"required": ["wait"]}, {"required": ["every"]}]
    return mapping(fields, oneOf=[{"required": ["at"]}, {"anyOf": spans}])


def _given() -> Schema:
    fields: dict[str, Schema] = {
        "at": TEXT,
        "event": TEXT,
        "data": {"type": "object"},
        "meta": {"type": "object"},
        "raised": TEXT,
        "panel": either(TEXT, {"type": "number"}),
        "restart": {},
        "reload": {"type": "object"},
    }
    return mapping(fields, oneOf=[{"required": [one]} for one in ("event", "restart", "reload")])


def _test() -> Schema:
    """A story: its own reader says what is wrong inside it."""
    fields: dict[str, Schema] = {
        "name": TEXT,
        "rule": TEXTS,
        "given": {"type": "array", "items": _given()},
        "until": TEXT,
        "expect": mapping({"actions": {"type": "array"}, **{key: {} for key in ENDINGS}}),
        "mock": {"type": "object"},
        "start": {},
        "panel": either(TEXT, {"type": "number"}),
    }
    return mapping(schema_words.described(fields, schema_words.TEST))
