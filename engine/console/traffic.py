"""What recorded traffic says to rules as they are written: what came, what it held, who was silent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.clock import Clock, to_iso
from engine.errors import UserError
from engine.journal import recorded
from engine.journal.sqlite import SqliteJournal
from engine.sources.views import view

MOST = 200
"""So many events of a type are looked at, the newest ones."""
_WHOLE = {"user", "node"}


async def answer_traffic(
    journal: SqliteJournal, clock: Clock, params: Mapping[str, str]
) -> dict[str, Any]:
    """What there is of the event types, paths and rules of a question.

    `of` is JSON: `{"paths": {type: [[part, …], …]}, "rules": [id, …]}`. The answer has the moment
    now and that of the first event kept, each type that came, for each type asked how many events
    were looked at and the paths that none of them had, and for each rule when it last made a run
    and when its first version came.
    """
    try:
        asked = json.loads(params["of"])
        paths, rules = dict(asked["paths"]), list(asked["rules"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"that is no question about traffic: {error}") from error
    since = await journal.list(recorded.first_stored())
    return {
        "now": to_iso(clock.now()),
        "since": None if since is None else to_iso(since),
        "types": await journal.list(recorded.types()),
        "looked_at": {one: await _absent(journal, one, paths[one]) for one in paths},
        "rules": {one: await _spoke(journal, str(one)) for one in rules},
    }


async def _absent(journal: SqliteJournal, type: str, paths: Iterable[Sequence[str]]) -> Any:
    bodies = await journal.list(recorded.newest_bodies(type, MOST))
    seen = [(body, view(body)) for body in bodies if body]
    missing = [path for path in paths if not any(_has(*one, path) for one in seen)]
    return {"events": len(seen), "absent": missing if seen else []}


async def _spoke(journal: SqliteJournal, rule: str) -> dict[str, str | None]:
    run = await journal.list(recorded.last_run(rule))
    known = await journal.list(recorded.first_version(rule))
    return {
        "run": None if run is None else to_iso(run),
        "known": None if known is None else to_iso(known),
    }


def _has(body: Mapping[str, Any], seen: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether the path leads to something, or to a null that was sent as such.

    The normalised view has every field, so a null there says nothing: the body tells.
    """
    value: Any = seen
    for part in path:
        if isinstance(value, list):
            return True  # what a list holds is another question
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    if value is not None or path[0] not in _WHOLE or len(path) == 1:
        return value is not None or path[0] not in _WHOLE
    return _mentions(body.get("data"), path[-1])


def _mentions(value: Any, key: str) -> bool:
    if isinstance(value, Mapping):
        return key in value or any(_mentions(one, key) for one in value.values())
    return isinstance(value, list) and any(_mentions(one, key) for one in value)
