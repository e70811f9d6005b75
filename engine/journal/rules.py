"""Journal operations on rules: the versions that runs began with, rule sets, clocks' last ticks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.journal.events import to_json
from engine.journal.operations import Op, ask, ask_one


def keep_version(hash: str, rule: str, source: Mapping[str, Any], now: int) -> Op[None]:
    """Keep a version of a rule: runs finish with the one that they began with."""
    yield from ask("add_version", hash=hash, rule=rule, stored=now, body=to_json(source))


def version(hash: str) -> Op[Any | None]:
    """The source of a rule's version, as `keep_version` was given it."""
    row = yield from ask_one("version", hash=hash)
    return json.loads(row["body"]) if row else None


def keep_ruleset(hash: str, content: Mapping[str, Any], now: int) -> Op[None]:
    """Keep a rule set as a whole: decision records name it by its hash."""
    yield from ask("add_ruleset", hash=hash, stored=now, body=to_json(content))


def ruleset(hash: str) -> Op[Any | None]:
    """A rule set kept earlier."""
    row = yield from ask_one("ruleset", hash=hash)
    return json.loads(row["body"]) if row else None


def clocks() -> Op[dict[str, int]]:
    """Rule id → its clock's last tick (or when the rule was first seen)."""
    rows = yield from ask("clocks")
    return {row["rule"]: row["last"] for row in rows}


def set_clock(rule: str, last: int) -> Op[None]:
    """Note a clock's last tick."""
    yield from ask("set_clock", rule=rule, last=last)
