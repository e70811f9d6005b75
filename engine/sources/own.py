"""The events that Rulewave raises itself: their names, when they are raised, what they carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.sources.body import Malformed

SOURCE = "rulewave"
EMITTED = "emit"
"""The source of events that rules raise: none of them is a state of its subject."""
OWN = "rulewave."
"""How their names begin; no panel sends such a name."""
CLOCK_EVENT = "rulewave.clock"
"""The tick of a clock rule: it concerns that rule alone."""

DEAD_LETTER = "rulewave.dead_letter"
COULD_NOT_EVALUATE = "rulewave.could_not_evaluate"
RULE_BROKEN = "rulewave.rule_broken"
ON_HOLD = "rulewave.on_hold"
STARTED = "rulewave.started"


@dataclass(frozen=True, slots=True)
class Carried:
    """One field of `data`: never null, so that a text may hold it; an empty text where unknown."""

    meaning: str
    kind: Literal["text", "number", "boolean", "list"] = "text"


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """When an event is raised, and what is in its `data`."""

    when: str
    fields: Mapping[str, Carried]


EVENTS: Mapping[str, OwnEvent] = {
    DEAD_LETTER: OwnEvent(
        "a run became a dead letter",
        {
            "rule": Carried("its rule"),
            "run": Carried("its id, for `rulewave dead show`"),
            "step": Carried("the step that failed: its `id`, or its place, as `do.0`"),
            "action": Carried("the action of that step"),
            "target": Carried("the connection or host it went to"),
            "key": Carried("the subject key, as the user's name"),
            "reason": Carried("one word, as `error.reason`"),
            "message": Carried("what happened, in one line"),
            "tries": Carried("how often the step was tried", "number"),
            "event": Carried("the type of the event that it was about"),
            "event_id": Carried("the id of that event, for `rulewave explain`"),
        },
    ),
    COULD_NOT_EVALUATE: OwnEvent(
        "a rule could not be evaluated for an event; at most once an hour for each rule",
        {
            "rule": Carried("the rule"),
            "event": Carried("the type of the event"),
            "event_id": Carried("its id, for `rulewave explain`"),
            "key": Carried("the subject key"),
            "why": Carried("what went wrong, in one line"),
        },
    ),
    RULE_BROKEN: OwnEvent(
        "a rule, or a whole rules file, has an error: once for each mistake",
        {
            "rule": Carried("the rule; empty where it is a whole file"),
            "kept": Carried("whether what was good before stays in force", "boolean"),
            "message": Carried("the first mistake, and how many more there are"),
            "problems": Carried("the first five, as `rulewave check` tells them", "list"),
        },
    ),
    ON_HOLD: OwnEvent(
        "the follow-ups of a rule were put on hold, because it is gone or switched off",
        {
            "rule": Carried("the rule"),
            "count": Carried("how many of its follow-ups are on hold", "number"),
            "reason": Carried("`rule_gone`, `rule_off` or `rule_shadow`"),
        },
    ),
    STARTED: OwnEvent(
        "the daemon has started and decides",
        {
            "version": Carried("the version of Rulewave"),
            "rules": Carried("how many rules are in force", "number"),
            "broken": Carried("how many rules have mistakes", "number"),
            "backlog": Carried("how many events wait to be decided", "number"),
        },
    ),
}
"""Event type → what there is to know about it."""


def chain_of(source: str, body: Mapping[str, Any]) -> tuple[str, ...]:
    """How an event came to be that a rule raised: `rule: event` by `rule: event`, oldest first.

    Whatever a panel says of itself is no such chain.
    """
    meta = body.get("meta")
    chain = meta.get("chain") if source in {SOURCE, EMITTED} and isinstance(meta, dict) else None
    return tuple(map(str, chain)) if isinstance(chain, list) else ()


def refuse_own(body: Mapping[str, Any]) -> None:
    """Raise Malformed where a delivery passes for an event of the daemon's own."""
    if str(body.get("event")).startswith(OWN):
        message = f"events whose names begin with {OWN} are raised by Rulewave alone"
        raise Malformed("own_event", message)
