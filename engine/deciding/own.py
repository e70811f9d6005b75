"""Events that the daemon raises about itself, so that a rule can tell somebody."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, TypeAlias

from engine.clock import HOUR, to_iso
from engine.deciding.masking import masked
from engine.deciding.matching import Outcome
from engine.deciding.planning import failed_step, identifier, step_name
from engine.model import Event, Facts, Run
from engine.rules.model import ActionStep, Rule
from engine.sources.own import (
    COULD_NOT_EVALUATE,
    DEAD_LETTER,
    EVENTS,
    ON_HOLD,
    RULE_BROKEN,
    SOURCE,
    STARTED,
)
from engine.sources.redaction import mask_texts, private_values

__all__ = [
    "COULD_NOT_EVALUATE",
    "DEAD_LETTER",
    "EVENTS",
    "ON_HOLD",
    "RULE_BROKEN",
    "SOURCE",
    "STARTED",
    "Own",
    "could_not_evaluate",
    "dead_letter",
    "own_event",
]

Own: TypeAlias = tuple[Event, bytes]
"""An event of the daemon's own, and the digest under which it is stored."""


def own_event(type: str, data: Mapping[str, Any], *, once: object, now: int) -> Own:
    """The event, and the digest under which it is stored.

    `once` says what it is about: the same thing is raised once, whoever raises it again.
    """
    event = Event(
        id=identifier("ev", SOURCE, type, once),
        seq=0, source=SOURCE, type=type, subject=None, raised=now, stored=now,
        body={"scope": SOURCE, "event": type, "timestamp": to_iso(now), "data": dict(data)},
    )  # fmt: skip
    return event, hashlib.sha256(f"{type}\0{once}".encode()).digest()


def dead_letter(dead: Run, rule: Rule | None, facts: Facts | None, now: int) -> Own:
    """That a run became a dead letter: once for each time that it dies."""
    private = private_values(facts.bodies) if facts else ()
    step = failed_step(dead, rule)
    acting = step if isinstance(step, ActionStep) else None
    data = {
        "rule": dead.rule,
        "run": dead.id,
        "step": step_name(step) or dead.path,
        "action": acting.action if acting else "",
        "target": acting.target if acting else "",
        "key": mask_texts(dead.key, private),
        "reason": dead.reason or "",
        "message": mask_texts(dead.message or "", private),
        "tries": dead.attempt - dead.forgiven,
        "event": facts.event.type if facts else "",
        "event_id": dead.origin,
    }
    return own_event(DEAD_LETTER, data, once=f"{dead.id}\0{dead.ended}", now=now)


def could_not_evaluate(outcome: Outcome, facts: Facts, now: int) -> Own:
    """That a rule could not be evaluated: once an hour, for a broken one meets every event."""
    shown = masked(outcome, private_values(facts.bodies))
    data = {
        "rule": outcome.rule.id,
        "event": facts.event.type,
        "event_id": facts.event.id,
        "key": shown.key,
        "why": shown.why,
    }
    once = f"{outcome.rule.version}\0{now // HOUR}"
    return own_event(COULD_NOT_EVALUATE, data, once=once, now=now)
