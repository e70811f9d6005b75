"""What pydantic finds wrong in written values, told in our words and at the right place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from engine.action import Params
from engine.rules import codes
from engine.rules.marks import models_at, slots
from engine.rules.names import STEP_KEYS
from engine.rules.report import Path, Report
from engine.rules.wording import did_you_mean, shortened, shown
from engine.sources.redaction import sounds_secret


def report_mistakes(
    model: type[BaseModel], name: str, raw: Mapping[str, Any], dynamic: set[Path], report: Report
) -> None:
    """Report what `model` does not accept; what stands at a `dynamic` path shows only later."""
    try:
        model.model_validate(raw)
    except ValidationError as error:
        gathered: dict[Path, list[str]] = {}
        for one in error.errors(include_url=False):
            path = _path(one["loc"], raw)
            if one["type"] == "extra_forbidden":
                _unknown(model, name, path, report)
            elif one["type"] == "missing":
                _missing(name, path, str(one["loc"][-1]), report)
            elif path not in dynamic and not _judged_too_early(one, path, dynamic):
                gathered.setdefault(path, []).append(_message(one))
        for path, messages in gathered.items():
            _bad(name, path, messages, raw, report)


def _judged_too_early(one: Mapping[str, Any], path: Path, dynamic: set[Path]) -> bool:
    """Whether a check of the content of a list or mapping saw a stand-in for a template."""
    if one["type"] != "value_error" or not path:
        return False
    return any(len(leaf) > len(path) and leaf[: len(path)] == path for leaf in dynamic)


def messages_of(error: ValidationError) -> str:
    """All mistakes on one line, without the values, which may hold secrets."""
    return "; ".join(
        ".".join(str(part) for part in one["loc"]) + ": " + _message(one)
        if one["loc"]
        else _message(one)
        for one in error.errors(include_url=False, include_input=False)
    )


def _unknown(model: type[BaseModel], name: str, path: Path, report: Report) -> None:
    known = {field for below in models_at(model, path[:-1]) for field in slots(below)}
    message = f'{name} has no parameter "{shortened(str(path[-1]))}"'
    hint = did_you_mean(str(path[-1]), known - {"kind"})
    if issubclass(model, Params) and len(path) == 1 and path[0] in STEP_KEYS:
        hint = f"it belongs to the step: write it beside {name}, not below"
    report.at(*path).error(codes.UNKNOWN_PARAMETER, message, hint, key=True)


def _missing(name: str, path: Path, field: str, report: Report) -> None:
    inside = f' in "{path[-1]}"' if path else ""
    message = f'{name} needs the parameter "{field}"{inside}'
    report.at(*path).error(codes.MISSING_PARAMETER, message, key=True)


def _bad(
    name: str, path: Path, messages: Iterable[str], raw: Mapping[str, Any], report: Report
) -> None:
    value = _value(raw, path)
    said = " or ".join(dict.fromkeys(messages))
    where = f"{name}: " + (".".join(map(str, path)) + ": " if path else "")
    number = isinstance(value, int | float)
    hint = "put it in quotes" if number and "text" in said else ""
    said = said.replace(" or should be ", " or ")
    told = path and value not in ([], {}) and not any(sounds_secret(str(key)) for key in path)
    given = f", not {shown(value)}" if told and said.startswith("should be") else ""
    report.at(*path).error(codes.BAD_PARAMETER, f"{where}{said}{given}", hint)


def _message(one: Mapping[str, Any]) -> str:
    text = str(one["msg"]).removeprefix("Value error, ").replace("Input should be", "should be")
    for theirs, ours in (
        ("a valid string", "a text"),
        ("a valid integer", "a whole number"),
        ("a valid boolean", "true or false"),
        ("a valid dictionary", "a mapping"),
        ("a valid list", "a list"),
        ("a valid tuple", "a list"),
        (" or instance of Auth", ", as {bearer: …}"),
        (" or instance of StdinText", ", as {text: …}"),
        ("List should have at least 1 item after validation, not 0", "should not be empty"),
    ):
        text = text.replace(theirs, ours)
    return shortened(text, 300)


def _path(location: tuple[str | int, ...], raw: Any) -> Path:
    """The part of a location that exists in what was written (pydantic mixes in type names)."""
    path: Path = ()
    for part in location:
        in_mapping = isinstance(raw, Mapping) and part in raw
        in_list = isinstance(raw, list) and isinstance(part, int) and part < len(raw)
        if in_mapping or in_list:
            raw = _value(raw, (part,))
            path = (*path, part)
    return path


def _value(raw: Any, path: Path) -> Any:
    for part in path:
        raw = raw[part]
    return raw
