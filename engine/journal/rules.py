"""Journal operations on rules: the versions that runs began with, rule sets, clocks' last ticks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class InForce:
    """The rule set in force since `stored`; `broken` tells what was wrong with what was read last.

    It maps a rule's id ("" = a file as a whole) to `{"text": …, "since": moment}`.
    """

    ruleset: str
    stored: int
    broken: Mapping[str, Mapping[str, Any]]


def in_force() -> Op[InForce | None]:
    """What was in force last; None in a fresh journal."""
    row = yield from ask_one("in_force")
    return InForce(row["ruleset"], row["stored"], json.loads(row["broken"])) if row else None


def set_in_force(now_in_force: InForce) -> Op[None]:
    """Note what is in force."""
    yield from ask(
        "set_in_force",
        ruleset=now_in_force.ruleset,
        stored=now_in_force.stored,
        broken=to_json(now_in_force.broken),
    )


def drop_clock(rule: str) -> Op[None]:
    """Forget a clock: should its rule come back, it begins anew."""
    yield from ask("drop_clock", of=rule)


def rename_clock(old: str, new: str) -> Op[None]:
    """Let a clock go on under its rule's new id, unless that has one."""
    yield from ask("rename_clock", of=old, heir=new)
    yield from ask("drop_clock", of=old)


def rename(old: str, new: str, most: int) -> Op[int]:
    """Give runs of a rule its new id, at most so many; how many there were."""
    return len((yield from ask("rename_runs", of=old, heir=new, most=most)))
