"""The closed lists of the rule language: names, keys, and what comes in a later version."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from engine.rules import codes
from engine.rules.report import Report
from engine.rules.wording import did_you_mean, shortened

CONTEXT = frozenset({
    "event", "timestamp", "data", "scope", "meta", "user", "node", "previous", "latest",
    "key", "now", "vars", "steps", "rule",
})  # fmt: skip
CANCELLING = CONTEXT | {"origin"}
FAILING = CONTEXT | {"error"}
AWAITED = frozenset({"arrived", "elapsed"})
DIGESTING = frozenset({"events", "digest"})

# What other programs call it: keys that no look at the spelling would find.
OTHER_WORDS = {
    "if": "when", "condition": "when", "conditions": "when", "event": "on",
    "events": "on", "trigger": "on", "name": "id", "then": "do", "steps": "do", "actions": "do",
    "action": "do", "enabled": "mode", "disabled": "mode", "wait": "after", "delay": "after", "sleep": "after",
}  # fmt: skip
FILE_KEYS = frozenset({"version", "connections", "vars", "defaults", "rules", "tests"})
DEFAULTS_KEYS = frozenset({"timezone", "keep_fields"})
RULE_KEYS = frozenset({
    "id", "on", "when", "per", "do", "mode", "description", "tags", "empty_ok", "on_failure",
    "was", "threshold", "throttle", "digest", "concurrency", "quiet", "cancel_on", "priority", "ttl",
})  # fmt: skip
STEP_KEYS = frozenset({"id", "when", "retry", "timeout", "on_error", "if_unknown"})
_BESIDE = frozenset({"cancel_on", "when", "do", "if_late", "on_rule_change", "quiet"})
AFTER_KEYS = _BESIDE | {"after"}
AWAIT_KEYS = _BESIDE | {"await", "within", "else"}
FOLLOWUP_KEYS = AFTER_KEYS | AWAIT_KEYS
CONTROL_KEYS = ("choose", "for_each", "stop")


def check_keys(raw: Mapping[str, Any], known: Collection[str], report: Report) -> None:
    """Report every key that is unknown here."""
    for key in raw:
        if key not in known:
            meant = OTHER_WORDS.get(key.lower(), "")
            hint = f'did you mean "{meant}"?' if meant in known else did_you_mean(key, known)
            if key.lower() == "unless" and "when" in known:
                hint = "write when: {not: …}"
            message = f'there is no key "{shortened(key)}" here'
            report.at(key).error(codes.UNKNOWN_KEY, message, hint, key=True)
