"""An explanation as plain data, private values masked: what `explain --json` prints."""

from __future__ import annotations

import json
from typing import Any

from engine.action import Registry
from engine.clock import to_iso
from engine.deciding.explaining import context_of, outcomes
from engine.deciding.holding import Held
from engine.deciding.masking import masked
from engine.deciding.matching import Outcome
from engine.deciding.rulebook import Rulebook
from engine.model import Verdict
from engine.rehearsal.outlook import Outlook
from engine.rehearsal.recalling import Recalled
from engine.rules.conditions import ABSENT, Judgement, Side
from engine.sources.redaction import private_values

Shown = dict[str, Any]


def explanation(recalled: Recalled, in_force: Rulebook, actions: Registry) -> Shown:
    """What each rule says to an event and why, and what comes of it."""
    event, facts = recalled.facts.event, recalled.facts
    return {
        "event": event.id or None,
        "type": event.type,
        "aliases": [name for name in recalled.names if name != event.type],
        "subject": event.subject,
        "raised": to_iso(event.raised),
        "decided": recalled.decided,
        "now": to_iso(recalled.now),
        "previous": facts.previous.id if facts.previous else None,
        "latest": (facts.latest.id or None) if facts.latest else None,
        "rules_changed": recalled.book.ruleset.hash != in_force.ruleset.hash,
        "error": recalled.error or None,
        "notes": list(recalled.notes),
        "rules": [] if recalled.error else _rules(recalled, in_force, actions),
    }


def _rules(recalled: Recalled, in_force: Rulebook, actions: Registry) -> list[Shown]:
    facts = recalled.facts
    private = private_values([*facts.bodies, *(one.body for one in recalled.arrived.values())])
    made = {run.id: run for run in recalled.runs}
    outlook = Outlook(actions, private, made, recalled.arrived)
    base = context_of(recalled.book, facts, recalled.now)
    shown = []
    judged = outcomes(recalled.book, facts, recalled.names, recalled.now, recalled.holding)
    for outcome in judged:
        plan = outlook.of(outcome, facts.event, base) if _acts(outcome) else None
        shown.append({**_rule(masked(outcome, private), in_force), "plan": plan})
    return shown


def _rule(outcome: Outcome, in_force: Rulebook) -> Shown:
    current = in_force.current(outcome.rule.id)
    same = current is not None and current.version == outcome.rule.version
    return {
        "rule": outcome.rule.id,
        "version": outcome.rule.version,
        "since": "same" if same else "changed" if current else "gone",
        "listens": outcome.listens,
        "key": outcome.key,
        "verdict": outcome.verdict.value,
        "why": outcome.why,
        "needed": outcome.needed or None,
        "held": _held(outcome.held) if outcome.held else None,
        "condition": _tree(outcome.judgement) if outcome.judgement else None,
    }


def _acts(outcome: Outcome) -> bool:
    """Whether there is a run of its own, or would be, were the rule not in shadow."""
    if outcome.held is None or outcome.held.by == "shadow":
        return outcome.verdict in {Verdict.MATCHED, Verdict.HELD_BACK}
    return outcome.ruling is not None and outcome.ruling.makes


def _held(held: Held) -> Shown:
    until = to_iso(held.until) if held.until is not None else None
    return {"by": held.by, "until": until, "run": held.run}


def _tree(judgement: Judgement) -> Shown:
    shown: Shown = {
        "kind": judgement.kind,
        "verdict": judgement.verdict.value,
        "parts": [_tree(part) for part in judgement.parts],
    }
    if judgement.kind == "text":
        shown |= {
            "text": judgement.text,
            "value": _plain(judgement.value),
            "error": judgement.error or None,
            "operator": judgement.operator or None,
            "sides": [_side(side) for side in judgement.sides],
            "seen": [_seen(path, value) for path, value in judgement.read.items()],
        }
    return shown


def _side(side: Side) -> Shown:
    told = _seen(side.text, side.value)
    return {**told, "literal": side.is_literal, "error": side.error or None}


def _seen(text: str, value: Any) -> Shown:
    absent = value is ABSENT
    return {"text": text, "value": None if absent else _plain(value), "absent": absent}


def _plain(value: Any) -> Any:
    """JSON has it; what JMESPath alone knows (`&name`) becomes text."""
    return json.loads(json.dumps(value, default=str))
