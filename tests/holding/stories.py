"""Stories of one rule: events at their times, what was told when, and what held matches back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from running.bench import START, Bench, open_bench

from engine.clock import to_iso
from engine.rules.durations import parse_duration

TELL = 'do: [{tell: {text: "{{ user.key }}"}}]'


@dataclass
class Story:
    """What came of it.

    `told` holds (when, text); `held` what held back, event by event ("" where nothing did), with
    the end as a span from the start.
    """

    told: list[tuple[str, str]] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    until: list[str | None] = field(default_factory=list)


def rule(text: str, on: str = "user.expired", do: str = TELL) -> str:
    """A rule `r` with these keys."""
    lines = "\n    ".join(text.strip().splitlines())
    return f"\n  - id: r\n    on: {on}\n    {lines}\n    {do}\n"


async def happens(
    folder: Path, rules: str, events: Iterable[Any], end: str = "10d", again: str | None = None
) -> Story:
    """Let events come: spans (of `user.expired`), or (span, type, fields).

    Where `again` is written, the daemon is away from then until the next event.
    """
    story = Story()
    async with open_bench(folder, rules) as bench:
        for one in events:
            span, type, fields = one if isinstance(one, tuple) else (one, "user.expired", {})
            await bench.until(span)
            id = await bench.event(type, **fields)
            await bench.settle()
            await _note(bench, story, id)
        await bench.until(end)
        story.told = bench.timed
    return story


async def _note(bench: Bench, story: Story, id: str) -> None:
    for line in (await bench.record(id))["outcomes"]:
        held = line.get("held") or {}
        story.held.append(held.get("by", ""))
        until = held.get("until")
        story.until.append(None if until is None else f"{(until - START) / 60e6:g}m")


def moment(span: str) -> str:
    """A span from the start as a time."""
    return to_iso(START + parse_duration(span))
