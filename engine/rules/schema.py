"""The rules file as JSON Schema, for editors: out of the same lists and models that check it."""

from __future__ import annotations

from typing import Any

from engine.action import Registry
from engine.rules import holding, ruling, schema_words, shapes
from engine.rules.connections import kinds_of
from engine.rules.schema_parameters import schema_of
from engine.rules.schema_parts import (
    FLAG,
    TEXT,
    TEXTS,
    Schema,
    either,
    inline,
    listed,
    mapping,
    number,
    optional,
    parts,
    ref,
    whole,
    words,
)
from engine.rules.schema_steps import step_parts
from engine.rules.schema_tests import test_parts

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_OR_EMPTY = ["object", "null"]
"""A section of which every line was taken out is as good as none."""


def rules_schema(actions: Registry) -> Schema:
    """JSON Schema (draft 2020-12) of one rules file, with the actions that there are."""
    fields = schema_words.described(_file(), schema_words.FILE)
    found = mapping(fields, ["version"])
    defs = parts() | step_parts(actions) | _rule_parts() | test_parts(actions)
    for name, action in actions.items():
        defs |= schema_of(name, action.params, open_everywhere=False)
    for kind, model in kinds_of(actions).items():
        defs |= schema_of(f"connection.{kind}", model, open_everywhere=True)
    defs["connection"] = _connection(sorted(kinds_of(actions)))
    head = {"$schema": DRAFT, "title": "Rules of Rulewave"}
    return head | found | {"$defs": dict(sorted(defs.items()))}


def _file() -> dict[str, Schema]:
    named = {"pattern": whole(shapes.WORD)}
    zones = {"timezone": inline("timezone"), "keep_fields": optional(TEXTS)}
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
    return {"rule": rule, "clock": _clock(), "digest": _digest()}


def _rule() -> dict[str, Schema]:
    source = either(ref("event"), ref("clock"))
    counted = {"at_least": number(1, holding.MOST_COUNTED), "within": ref("duration")}
    return {
        "id": ref("id"),
        "on": either(source, listed(source)),
        "when": ref("condition"),
        "per": inline("expression"),
        "do": ref("steps"),
        "mode": optional(words(*ruling.MODES)),
        "description": optional(TEXT),
        "tags": optional(TEXTS),
        "empty_ok": FLAG,
        "on_failure": ref("steps"),
        "was": optional(either(ref("id"), {"type": "array", "items": ref("id")})),
        "threshold": optional(mapping(counted, counted)),
        "throttle": inline("throttle"),
        "digest": optional(ref("digest")),
        "concurrency": optional(words(*holding.MODES)),
        "quiet": ref("quiet"),
        "cancel_on": inline("watched"),
        "priority": optional(words(*holding.PRIORITIES)),
        "ttl": inline("duration"),
    }


def _clock() -> Schema:
    fields = {
        "cron": ref("cron"),
        "every": ref("duration"),
        "timezone": inline("timezone"),
        "if_late": inline("if_late"),
    }
    return mapping(fields, oneOf=[{"required": ["cron"]}, {"required": ["every"]}])


def _digest() -> Schema:
    fields = {
        "wait": inline("duration"),
        "every": inline("duration"),
        "max": optional(number(1, holding.MOST_GATHERED)),
        "at": ref("cron"),
        "timezone": inline("timezone"),
    }
    spans: list[Any] = [{"required": ["wait"]}, {"required": ["every"]}]
    return mapping(fields, oneOf=[{"required": ["at"]}, {"anyOf": spans}])
