"""A rule whose follow-up an event calls off, and how a follow-up ended."""

from __future__ import annotations

from running.bench import Bench, ended

from engine.model import State

BACK = """
  - id: r
    on: user.expired
    do: [{after: 1h, cancel_on: user.enabled, tell: {text: "{{ user.key }}"}}]
"""
CANCELLED = (State.CANCELLED, "cancelled_by_event")


async def followup(bench: Bench, path: str = "do.0") -> tuple[State, str | None]:
    """How the follow-up ended."""
    return ended(await bench.run("r", path))
