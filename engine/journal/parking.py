"""Journal operations on runs that wait for a paused target."""

from __future__ import annotations

from engine.journal.operations import Op, ask, ask_one


def pick(lane: str, moment: int) -> Op[str | None]:
    """Let the parked run with the fewest tries be due at a moment; its id."""
    row = yield from ask_one("pick_parked", of=lane, moment=moment)
    return str(row["id"]) if row else None


def release(lane: str, now: int) -> Op[int]:
    """Let all runs that wait for a target be due; how many there were."""
    return len((yield from ask("release_parked", of=lane, now=now)))


def release_all(now: int) -> Op[None]:
    """Let all parked runs be due."""
    yield from ask("release_all_parked", now=now)
