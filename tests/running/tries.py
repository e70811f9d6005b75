"""Rules with one step or two, and an action that is busy."""

from __future__ import annotations

from typing import Any

from engine.errors import ActionFailed

RETRIED = """
  - id: r
    on: user.expired
    do: [{tell: {text: one}, retry: {tries: 3, backoff: 1m, max: 10m}}, {tell: {text: two}}]
"""
PLAIN = "  - {id: r, on: user.expired, do: [{tell: {text: one}}]}"
BUSY = "busy"


def busy(**more: Any) -> ActionFailed:
    """A failure that another try may mend."""
    return ActionFailed(BUSY, retry=True, reason="connection", **more)
