"""The tests of a rules file for editors: what is given, how steps end, and what is expected."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from engine.action import Registry
from engine.rules import case_expect, case_given, case_mocks, names, schema_words
from engine.rules.cases import ENDINGS, HELD_BY
from engine.rules.schema_parts import (
    ANYTHING,
    FLAG,
    NOTHING,
    TEXT,
    TEXTS,
    Schema,
    either,
    listed,
    mapping,
    optional,
    ref,
    words,
)

_PANEL: Schema = either(TEXT, {"type": "number"})
_MOMENT: Schema = {**TEXT, "examples": ["0s", "90m", "3d", "2026-01-05 09:00"]}


def test_parts(actions: Registry) -> dict[str, Schema]:
    """A test, and what stands within."""
    return {
        "test": _test(),
        "test.given": _given(),
        "test.reload": _reload(),
        "test.end": _end(),
        "test.act": _act(actions),
        "test.ending": _ending(TEXT),
        "test.held": _ending(either(words(*HELD_BY), {**TEXT, "pattern": r"\*"})),
    }


def _test() -> Schema:
    expected: dict[str, Schema] = {
        "actions": optional({"type": "array", "items": ref("test.act")}),
        **dict.fromkeys(ENDINGS, _some(ref("test.ending"))),
        "held": _some(ref("test.held")),
    }
    fields: dict[str, Schema] = {
        "name": {**TEXT, "pattern": r"\S"},
        "rule": optional(TEXTS),
        "given": optional({"type": "array", "items": ref("test.given")}),
        "until": optional(_MOMENT),
        "expect": mapping(schema_words.described(expected, schema_words.EXPECT), minProperties=1),
        "mock": {
            "type": ["object", "null"],
            "additionalProperties": either(ref("test.end"), listed(ref("test.end"))),
        },
        "start": optional(TEXT),
        "panel": either(_PANEL, NOTHING),
    }
    return mapping(schema_words.described(fields, schema_words.TEST), ["name", "expect"])


def _some(one: Schema) -> Schema:
    return either(one, {"type": "array", "items": one}, NOTHING)


def _given() -> Schema:
    """One of three kinds of things that happen, each with keys of its own."""
    down = mapping({"down_for": ref("duration")})
    body: Schema = {"type": ["object", "null"]}
    fields: dict[str, Schema] = {
        "at": _MOMENT,
        "event": either({**TEXT, "pattern": r"^[^*]*$"}, ref("event.known")),
        "data": body,
        "meta": body,
        "raised": _MOMENT,
        "panel": either(_PANEL, NOTHING),
        "restart": either(down, ref("duration"), {"const": True}, NOTHING),
        "reload": ref("test.reload"),
    }
    keys = {
        "event": case_given.EVENT_KEYS,
        "restart": {"at", "restart"},
        "reload": {"at", "reload"},
    }
    return mapping(
        schema_words.described(fields, schema_words.GIVEN),
        oneOf=[{"required": [kind]} for kind in keys],
        allOf=[_only(kind, known) for kind, known in keys.items()],
    )


def _only(key: str, known: AbstractSet[str]) -> Schema:
    """Where this key is, no others than the known ones."""
    return {"if": {"required": [key]}, "then": {"propertyNames": {"enum": sorted(known)}}}


def _reload() -> Schema:
    keys: Schema = {"type": "object", "propertyNames": {"enum": sorted(names.RULE_KEYS)}}
    return mapping(
        {
            "add": _some(ref("rule")),
            "change": {"type": ["object", "null"], "additionalProperties": keys},
            "remove": optional(TEXTS),
        }
    )


def _end() -> Schema:
    """A result as it stands, or a failure."""
    words = {
        "message": optional(TEXT),
        "retry": FLAG,
        "unknown": FLAG,
        "reason": optional(TEXT),
        "after": optional(ref("duration")),
    }
    fail = mapping({key: words[key] for key in case_mocks.FAIL_KEYS})
    return {
        "type": ["object", "null"],
        "properties": {"fail": either(TEXT, {"type": "integer"}, fail)},
        **_only("fail", {"fail"}),
    }


def _act(actions: Registry) -> Schema:
    fields = {"at": _MOMENT, "rule": optional(TEXT), "step": optional(TEXT)}
    found = schema_words.described(fields, schema_words.ACT)
    for name, action in actions.items():
        known = [*sorted(case_expect.fields_of(action.params)), case_expect.WHERE]
        values: dict[str, Schema] = dict.fromkeys(known, ANYTHING)
        found[name] = mapping(values) | {"type": ["object", "null"]}
    return mapping(found, allOf=[_only(name, {name, *fields}) for name in sorted(actions)])


def _ending(by: Schema) -> Schema:
    """The id of a rule, or that with what is asked of its end."""
    more: dict[str, Schema] = {
        "rule": TEXT,
        "at": _MOMENT,
        "why": optional(TEXT),
        "by": optional(by),
        "times": either({"type": "integer", "minimum": 1}, NOTHING),
    }
    return either(TEXT, mapping(more, ["rule"]))
