"""Rules that wait for an event, and what becomes of their waiting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from running.bench import open_bench

WAITING = """
  - id: r
    on: user.expired
    do:
      - await: user.enabled
        within: 1h
        do: [{tell: {text: "{{ user.key }}: {{ arrived.event }} after {{ elapsed }}"}}]
        else: [{tell: {text: "{{ user.key }}: nobody came"}}]
"""
MET = "anna_k: user.enabled after"
NOT_MET = "anna_k: nobody came"

Happening = tuple[str, str, dict[str, Any]]


def waiting_for(awaited: str, beside: str = "") -> str:
    """The rule, waiting for something else."""
    line = f"await: {awaited}\n        {beside}" if beside else f"await: {awaited}"
    return WAITING.replace("await: user.enabled", line)


async def told_after(
    folder: Path, rules: str, *happenings: Happening, at_once: bool = False
) -> list[str]:
    """What was told in the end, where these events arrived one after the other.

    They are decided one by one, or all in one batch.
    """
    async with open_bench(_made(folder), rules) as bench:
        for type, raised, fields in happenings:
            bench.clock.move(max(0, bench.moment(raised) - bench.clock.now()))
            await bench.event(type, raised=raised, **fields)
            if not at_once:
                await bench.settle()
        await bench.until("3h")
        return bench.texts


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
