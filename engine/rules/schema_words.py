"""What editors say of each key of a rules file, with an example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Words = Mapping[str, tuple[str, Any]]
"""Key → what it means, and an example of its value."""

FILE: Words = {
    "version": ("The version of the rule language.", 1),
    "connections": (
        "Named targets that all rules share.",
        {"mail": {"kind": "smtp", "host": "smtp.example.org"}},
    ),
    "vars": ("Your own words, for use as vars.name.", {"brand": "Example VPN"}),
    "defaults": ("What holds where a rule says nothing else.", {"timezone": "Europe/Berlin"}),
    "rules": ("What shall happen when something happened.", []),
    "tests": ("Stories that the rules must tell right, for `rulewave test`.", []),
}
DEFAULTS: Words = {
    "timezone": ("For dates in texts, quiet times and clocks.", "Europe/Berlin"),
    "keep_fields": ("Fields with credentials that are stored all the same.", ["vlessUuid"]),
}
RULE: Words = {
    "id": ("The rule's name; its history and follow-ups hang on it.", "node-down"),
    "on": ("Event types, globs or clocks that the rule waits for.", "user.expired"),
    "when": ("What must hold as well; without it, always.", "user.email"),
    "per": ("JMESPath to what belongs together; none for one key.", "data.loginAttempt.ip"),
    "do": ("What is done, from top to bottom.", [{"log": {"text": "{{ user.username }}"}}]),
    "mode": ("live; shadow records only what it would do; off.", "shadow"),
    "description": ("For people.", "Tells the user a day ahead"),
    "tags": ("For people.", ["mail"]),
    "empty_ok": ("The rule may stay silent for long.", True),
    "on_failure": ("Steps for when a step is given up; they see error.", []),
    "was": ("Ids that the rule had before; it takes over their history.", ["old-id"]),
    "threshold": (
        "Goes on at the n-th match within a span only.",
        {"at_least": 3, "within": "10m"},
    ),
    "throttle": ("How often at most, per key.", "1 per 24h"),
    "digest": ("Gathers matches and runs once for all of them.", {"wait": "1m"}),
    "concurrency": ("What a new match does while an older run is under way.", "restart"),
    "quiet": ("When nothing may be done.", {"between": "23:00-07:00", "then": "hold"}),
    "cancel_on": ("Events that cancel runs that have to wait.", "user.renewed"),
    "priority": ("Which run goes first to a crowded target.", "high"),
    "ttl": ("A run that has not begun by then expires.", "1h"),
}
STEP: Words = {
    "id": ("The step's name, for steps.name.", "ask"),
    "when": ("The step is passed over unless this holds.", "user.email"),
    "retry": ("How often it is tried, and how long.", {"tries": 16, "backoff": "5s", "max": "1h"}),
    "timeout": ("How long one try may take.", "30s"),
    "on_error": ("Whether the run goes on when the step is given up.", "continue"),
    "if_unknown": ("What a try with an unknown outcome makes.", "repeat"),
    "after": ("When the follow-up is due.", "3d"),
    "await": ("Events that do waits for.", "node.connection_restored"),
    "within": ("How long it waits for them.", "1d"),
    "do": ("The steps of the follow-up.", []),
    "else": ("The steps for when none of them comes.", []),
    "cancel_on": ("Events that call the follow-up off.", ["user.renewed", "user.deleted"]),
    "if_late": ("What becomes of it when the daemon was down at the time.", {"within": "10m"}),
    "on_rule_change": ("What becomes of it when its rule changes.", "rebind"),
    "quiet": ("When nothing may be done.", {"between": "22:00-09:00"}),
    "choose": (
        "The first way whose condition holds is gone.",
        [{"when": "user.email", "do": []}, {"else": []}],
    ),
    "for_each": ("Steps for each item of a list.", {"in": "user.tags", "as": "tag", "do": []}),
    "stop": ("Ends the run for this reason.", "nothing to do"),
}
TEST: Words = {
    "name": ("What the story tells.", "stays down, told once"),
    "rule": ("Whose actions are listed; all rules without it.", "node-down"),
    "given": ("What happens, in order.", [{"at": "0s", "event": "user.expired"}]),
    "until": ("When the story ends.", "10m"),
    "expect": ("What must have come of it.", {"actions": []}),
    "mock": ("What a step gives back, by its id.", {"ask": {"status": 200}}),
    "start": ("The moment at which the story begins.", "2026-01-05 09:00"),
    "panel": ("Which panel version sends the events.", "3.3"),
}

GIVEN: Words = {
    "at": ("When it happens; 0s without it.", "5m"),
    "event": ("The type of the event that arrives.", "user.expired"),
    "data": ("Merged over a body made up for that panel.", {"username": "anna_k"}),
    "meta": ("Merged over the meta made up for that panel.", {"expiration": -24}),
    "raised": ("The event's own timestamp, where that is not when it arrives.", "0s"),
    "panel": ("Which panel version sends this one.", "3.3"),
    "restart": ("The daemon stops, and starts so much later.", {"down_for": "20m"}),
    "reload": ("The rules are changed.", {"change": {"node-down": {"mode": "off"}}}),
}
EXPECT: Words = {
    "actions": ("What is done, exactly.", [{"at": "5m", "log": {"text": "*fra-1*"}}]),
    "cancelled": ("Rules of which a run or follow-up was called off.", ["node-down"]),
    "held": ("Rules of which a match was held back.", ["node-down"]),
    "dead": ("Rules with a dead letter.", ["node-down"]),
    "expired": ("Rules of which a run came too late.", ["node-down"]),
    "on_hold": ("Rules of which follow-ups are on hold.", ["node-down"]),
    "could_not_evaluate": ("Rules that could not be evaluated.", ["node-down"]),
}
ACT: Words = {
    "at": ("When it is done.", "5m"),
    "rule": ("The rule that does it.", "node-down"),
    "step": ("The step that does it, by its id or place.", "do.0"),
}


def described(schemas: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Each key's schema with what is said of it."""
    found = {}
    for key, schema in schemas.items():
        meaning, example = words[key]
        found[key] = {**schema, "description": meaning, "examples": [example]}
    return found
