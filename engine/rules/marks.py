"""How the fields of an action's parameters are written: their names, marks and nested models."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

from engine.action import Field, Written

LITERAL = Field(Written.LITERAL)


@dataclass(frozen=True, slots=True)
class Slot:
    """One field as a rule writes it: its mark, and the models that its value may be."""

    mark: Field | None
    models: tuple[type[BaseModel], ...]


@cache
def slots(model: type[BaseModel]) -> Mapping[str, Slot]:
    """The fields of a model by the name that a rule writes (the alias where there is one)."""
    found = {}
    for name, info in model.model_fields.items():
        marks = [mark for mark in info.metadata if isinstance(mark, Field)]
        parts = tuple(_parts(info.annotation))
        marks += [part for part in parts if isinstance(part, Field)]
        models = tuple(
            part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)
        )
        found[info.alias or name] = Slot(marks[0] if marks else None, models)
    return found


def slot_of(models: tuple[type[BaseModel], ...], key: str) -> Slot | None:
    """The field of this name in the first of the models that has it."""
    return next((slots(model)[key] for model in models if key in slots(model)), None)


def models_at(model: type[BaseModel], path: tuple[str | int, ...]) -> tuple[type[BaseModel], ...]:
    """The models that may stand at a path below `model`."""
    models: tuple[type[BaseModel], ...] = (model,)
    for part in path:
        if isinstance(part, str):
            slot = slot_of(models, part)
            models = slot.models if slot else ()
    return models


def _parts(annotation: Any) -> Iterator[Any]:
    """An annotation and everything inside it."""
    if typing.get_origin(annotation) is typing.Annotated:
        yield from annotation.__metadata__
        yield from _parts(annotation.__origin__)
        return
    yield annotation
    for argument in typing.get_args(annotation):
        yield from _parts(argument)
