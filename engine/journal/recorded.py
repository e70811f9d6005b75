"""Journal operations that look back on what came, and on who said something to it."""

from __future__ import annotations

import json
from typing import Any

from engine.journal.operations import Op, ask, ask_one


def types() -> Op[list[str]]:
    """Every event type that is kept, in order of name: one step in an index for each."""
    found: list[str] = []
    while True:
        row = yield from ask_one("next_type", after=found[-1] if found else "")
        if row is None or row["type"] is None:
            return found
        found.append(row["type"])


def newest_bodies(type: str, most: int) -> Op[list[dict[str, Any]]]:
    """The bodies of the newest events of a type."""
    rows = yield from ask("newest_of_type", type=type, most=most)
    return [json.loads(row["body"]) for row in rows]


def first_stored() -> Op[int | None]:
    """When the oldest event that is kept was stored."""
    row = yield from ask_one("first_stored")
    return row["stored"] if row else None


def last_run(rule: str) -> Op[int | None]:
    """When a rule last made a run."""
    row = yield from ask_one("last_run_of_rule", rule=rule)
    return row["created"] if row else None


def first_version(rule: str) -> Op[int | None]:
    """When the oldest version of a rule that is kept came into force."""
    row = yield from ask_one("first_version_of_rule", rule=rule)
    return row["stored"] if row else None
