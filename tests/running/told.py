"""What the daemon raised about itself, on a bench."""

from __future__ import annotations

from typing import Any

from running.bench import Bench, undecided

from engine.errors import ActionFailed
from engine.journal import listing
from engine.model import Event

NO = ActionFailed("no", reason="refused")
RULES = """
  - id: r
    on: user.expired
    do: [{id: mail, tell: {text: one}}]
  - id: operator
    on: rulewave.*
    do: [{tell: {text: "{{ event }}: {{ data.rule }}"}}]
"""


async def raised(bench: Bench, type: str | None = None) -> list[Event]:
    """The daemon's own events, oldest first; the count of what waits must fit as well."""
    assert bench.pipeline.backlog == await undecided(bench)
    found = await bench.journal.read(listing.events(listing.Wish(type=type, most=10_000)))
    return [stored.event for stored in found if stored.event.source == "rulewave"][::-1]


async def said(bench: Bench, type: str | None = None) -> list[dict[str, Any]]:
    """What is in them."""
    return [event.body["data"] for event in await raised(bench, type)]


async def die(bench: Bench, script: list[Any] | None = None, **data: Any) -> str:
    """Let a run of `r` die of this script; the id of its event."""
    bench.tell.script = [NO] if script is None else script
    id = await bench.event("user.expired", **data)
    await bench.settle()
    return id
