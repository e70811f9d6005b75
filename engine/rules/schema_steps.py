"""The steps of a rule for editors: actions, follow-ups, choose, for_each and stop."""

from __future__ import annotations

from collections.abc import Iterable

from engine.action import Registry
from engine.rules import followups, names, schema_words, steps
from engine.rules.schema_parts import (
    TEXT,
    Schema,
    either,
    inline,
    listed,
    mapping,
    number,
    optional,
    ref,
    words,
)


def step_parts(actions: Registry) -> dict[str, Schema]:
    """A step, a list of steps, and what stands within."""
    return {
        "step": _step(sorted(actions), actions),
        "steps": listed(ref("step")),
        "retry": optional(_retry()),
        "way": either(
            mapping({"when": ref("condition"), "do": ref("steps")}, ["when", "do"]),
            mapping({"else": ref("steps")}, ["else"]),
        ),
    }


def _step(found: list[str], actions: Registry) -> Schema:
    """All keys in one place, for completion; which of them go together is said below."""
    fields = schema_words.described(_fields(), schema_words.STEP)
    for name in found:
        text = (actions[name].__doc__ or "").partition("\n")[0]
        fields[name] = {**ref(f"{name}"), "description": text}
    things = [*found, *names.CONTROL_KEYS]
    later = either({"required": ["after"]}, {"required": ["await"]})
    return mapping(
        fields,
        allOf=[
            {"if": later, "then": _followup(things), "else": _now(found, things)},
            *[_alone(key) for key in names.CONTROL_KEYS],
        ],
    )


def _fields() -> dict[str, Schema]:
    until = mapping({"until": ref("expression"), "offset": inline("duration")}, ["until"])
    loop = {"in": ref("expression"), "as": ref("word"), "do": ref("steps")}
    return {
        "id": inline("word"),
        "when": ref("condition"),
        "retry": ref("retry"),
        "timeout": inline("duration"),
        "on_error": optional(words("stop", "continue")),
        "if_unknown": optional(words("repeat", "dead")),
        "after": either(ref("duration"), until),
        "await": ref("watched"),
        "within": ref("duration"),
        "do": ref("steps"),
        "else": ref("steps"),
        "cancel_on": inline("watched"),
        "if_late": inline("if_late"),
        "on_rule_change": optional(words(*followups.CHANGES)),
        "quiet": ref("quiet"),
        "choose": listed(ref("way")),
        "for_each": mapping(loop, ["in", "do"]),
        "stop": {**TEXT, "minLength": 1},
    }


def _needs(keys: Iterable[str]) -> list[Schema]:
    return [{"required": [key]} for key in keys]


def _now(actions: list[str], things: list[str]) -> Schema:
    """A step that is no follow-up: one thing to do."""
    known = sorted({*actions, *names.CONTROL_KEYS, *names.STEP_KEYS})
    return {"propertyNames": {"enum": known}, "oneOf": _needs(things)}


def _followup(things: list[str]) -> Schema:
    """`after` or `await`, with `do` or one thing to do directly."""
    doing = ["do", *things]
    only_else = {"required": ["await", "else"], "not": {"anyOf": _needs(doing)}}
    apart = {"propertyNames": {"enum": sorted(names.FOLLOWUP_KEYS)}}
    return {
        "oneOf": [*_needs(doing), only_else],
        "not": {"required": ["after", "await"]},
        "allOf": [
            {"if": {"required": ["do"]}, "then": apart},
            {
                "if": {"required": ["await"]},
                "then": {"required": ["within"]},
                "else": {"properties": {"within": False, "else": False}},
            },
        ],
    }


def _alone(key: str) -> Schema:
    """Beside a control step stands nothing but its condition, and when it is due."""
    known = sorted({key, "when", *names.FOLLOWUP_KEYS})
    return {"if": {"required": [key]}, "then": {"propertyNames": {"enum": known}}}


def _retry() -> Schema:
    fields = {
        "tries": number(1, steps.MOST_TRIES),
        "backoff": inline("duration"),
        "max": inline("duration"),
        "for": inline("duration"),
    }
    return mapping(fields, **{"not": {"required": ["tries", "for"]}})
