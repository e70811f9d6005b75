"""Which of many a person means: those named by their ids, or all that a wish fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.errors import UserError


def chosen(params: Mapping[str, str], filters: Sequence[str]) -> list[str]:
    """The ids; [] where filters say which. One of the two has to."""
    ids = params.get("ids", "").split()
    if bool(ids) == any(params.get(name) for name in filters):
        options = ", ".join(f"--{name}" for name in filters)
        raise UserError(f"say which: either ids, or {options}")
    return ids
