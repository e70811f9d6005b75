"""Events that the daemon raises about itself, so that a rule can tell somebody."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from engine.clock import HOUR, to_iso
from engine.deciding.masking import masked
from engine.deciding.matching import Outcome
from engine.deciding.planning import failed_step, identifier, step_name
from engine.errors import ActionFailed
from engine.model import Event, Facts, Reason, Run
from engine.rules.model import ActionStep, Rule
from engine.sources.own import (
    COULD_NOT_EVALUATE,
    DEAD_LETTER,
    EMITTED,
    EVENTS,
    ON_HOLD,
    RULE_BROKEN,
    SOURCE,
    STARTED,
    chain_of,
)
from engine.sources.redaction import mask_texts, private_values
from engine.sources.subject import subject
from engine.sources.views import payload

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
    "emitted",
    "own_event",
]

MOST_DEEP = 8
"""So often may one event lead to another by rules that raise events."""
MOST_BYTES = 1024 * 1024
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


def emitted(
    origin: Event, run: Run, type: str, data: Mapping[str, Any], *, once: str, now: int
) -> Own:
    """An event that a rule raises; `once` is the idempotency key of its step.

    It is about the same user and node, unless its data says otherwise.
    `ActionFailed` where rules that answer to one another have come too deep, or it is too big.
    """
    chain = [*chain_of(origin.source, origin.body), f"{run.rule}: {type}"]
    if len(chain) > MOST_DEEP:
        way = ", then ".join(chain)
        message = f"rules raise events for one another more than {MOST_DEEP} deep: {way}"
        raise ActionFailed(message, reason=Reason.TOO_DEEP)
    meta = {
        "depth": len(chain),
        "rule": run.rule,
        "run": run.id,
        "origin": run.origin,
        "chain": chain,
    }
    whole = {**_subjects(origin), **data}
    body = {
        "scope": EMITTED, "event": type, "timestamp": to_iso(now), "data": whole, "meta": meta,
    }  # fmt: skip
    size = len(json.dumps(body, ensure_ascii=False).encode())
    if size > MOST_BYTES:
        raise ActionFailed(f"its data is too big: {size} bytes", reason=Reason.BAD_PARAMETERS)
    event = Event(
        id=identifier("ev", EMITTED, once), seq=0, source=EMITTED, type=type,
        subject=subject(body), raised=now, stored=now, body=body,
    )  # fmt: skip
    return event, hashlib.sha256(f"{EMITTED}\0{once}".encode()).digest()


def _subjects(origin: Event) -> dict[str, Any]:
    found = {kind: payload(origin.body, kind) for kind in ("user", "node")}
    return {kind: dict(sent) for kind, sent in found.items() if sent}


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
    event, digest = own_event(DEAD_LETTER, data, once=f"{dead.id}\0{dead.ended}", now=now)
    chain = chain_of(facts.event.source, facts.event.body) if facts else ()
    if chain:  # so that a rule which answers to it goes on counting
        meta = {"depth": len(chain), "chain": list(chain)}
        event = replace(event, body={**event.body, "meta": meta})
    return event, digest


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
