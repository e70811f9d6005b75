"""Events that the daemon raises about itself, so that a rule can tell somebody."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from engine.clock import to_iso
from engine.deciding.planning import identifier
from engine.model import Event

SOURCE = "rulewave"
DEAD_LETTER = "rulewave.dead_letter"
COULD_NOT_EVALUATE = "rulewave.could_not_evaluate"
RULE_BROKEN = "rulewave.rule_broken"
ON_HOLD = "rulewave.on_hold"
STARTED = "rulewave.started"

EVENTS: Mapping[str, str] = {
    DEAD_LETTER: "a run became a dead letter",
    COULD_NOT_EVALUATE: "a rule could not be evaluated for an event",
    RULE_BROKEN: "a rule, or a whole rules file, has an error; what was in force before stays",
    ON_HOLD: "the follow-ups of a rule were put on hold, because it is gone or switched off",
    STARTED: "the daemon has started",
}
"""Event type → when it is raised."""


def own_event(type: str, data: Mapping[str, Any], *, once: object, now: int) -> tuple[Event, bytes]:
    """The event, and the digest under which it is stored.

    `once` says what it is about: the same thing is raised once, whoever raises it again.
    """
    event = Event(
        id=identifier("ev", SOURCE, type, once),
        seq=0, source=SOURCE, type=type, subject=None, raised=now, stored=now,
        body={"scope": SOURCE, "event": type, "timestamp": to_iso(now), "data": dict(data)},
    )  # fmt: skip
    return event, hashlib.sha256(f"{type}\0{once}".encode()).digest()
