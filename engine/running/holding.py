"""Pure: a follow-up whose rule is gone or switched off waits for a person, or for its rule."""

from __future__ import annotations

from dataclasses import replace

from engine.model import Reason, Run, State

WHY = {
    Reason.RULE_GONE: "its rule is gone from the rules",
    Reason.RULE_OFF: "its rule is switched off",
    Reason.RULE_SHADOW: "its rule is in shadow",
}


def held(run: Run, away: Reason) -> Run:
    """The follow-up, on hold."""
    return replace(run, state=State.ON_HOLD, delayed=True, reason=away.value, message=WHY[away])
