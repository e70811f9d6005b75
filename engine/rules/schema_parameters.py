"""The parameters of actions and connections for editors, out of the models that check them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from engine.rules.marks import LITERAL, slots
from engine.rules.schema_parts import DIGITS, TEMPLATE, Schema, either, optional, ref

_TAKEN_AS_IT_STANDS = {"literal", "event"}


def schema_of(name: str, model: type[BaseModel], *, open_everywhere: bool) -> dict[str, Schema]:
    """The model under its name, and those within it.

    `open_everywhere`: a template may stand in every field, as in connections; else in those only
    whose mark says so.
    """
    found = model.model_json_schema(
        by_alias=True, ref_template=f"#/$defs/{name}.{{model}}", mode="validation"
    )
    inner = found.pop("$defs", {})
    fixed = () if open_everywhere else _fixed(model)
    fields = found.get("properties", {})
    found["properties"] = {
        key: _plain(one) if key in fixed else _loosened(one) for key, one in fields.items()
    }
    if "rate" in fields and open_everywhere:
        found["properties"]["rate"] = optional(ref("rate"))
    if open_everywhere:
        found["required"] = sorted({"kind", *found.get("required", ())})
    nested = {f"{name}.{key}": _loosened_object(one) for key, one in inner.items()}
    return {name: _plain(found), **nested}


def _fixed(model: type[BaseModel]) -> set[str]:
    """The fields that take no template."""
    marks = {key: slot.mark or LITERAL for key, slot in slots(model).items()}
    nested = {key for key, slot in slots(model).items() if slot.models}
    return {
        key for key, mark in marks.items() if mark.written.value in _TAKEN_AS_IT_STANDS
    } - nested


def _loosened_object(schema: Schema) -> Schema:
    fields = {key: _loosened(one) for key, one in schema.get("properties", {}).items()}
    found: Schema = _plain(schema | ({"properties": fields} if fields else {}))
    return found


def _loosened(schema: Schema) -> Schema:
    """The same where a text may also be a template, whose value shows later."""
    if "anyOf" in schema:
        rest = {key: one for key, one in schema.items() if key != "anyOf"}
        return {**rest, "anyOf": [_loosened(one) for one in schema["anyOf"]]}
    inner: dict[str, Any] = {
        key: _loosened(one)
        for key, one in schema.items()
        if key in {"items", "additionalProperties"} and isinstance(one, dict)
    }
    if "prefixItems" in schema:
        inner["prefixItems"] = [_loosened(one) for one in schema["prefixItems"]]
    said: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    changed = {key: one for key, one in (schema | inner).items() if key not in said}
    if not changed.keys() - {"title"} or changed.get("type") == "null":
        return schema
    if changed.keys() <= {"type", "title"} and changed.get("type") == "string":
        return schema
    more = [DIGITS] if changed.get("type") == "integer" else []
    return {**said, **either(_plain(changed), TEMPLATE, *more)}


def _plain(schema: Any) -> Any:
    """Without the titles that pydantic makes up, and with numbers in quotes for numbers."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: (
            {name: _plain(one) for name, one in value.items()}
            if key == "properties"
            else value
            if key == "default"
            else _plain(value)
        )
        for key, value in schema.items()
        # An editor would write a default of null out.
        if (key, value) != ("default", None) and (key != "title" or not isinstance(value, str))
    }
