"""What lies in the queue: steps that are due now, each in the lane of its target."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from engine.journal.operations import Op
from engine.model import DueRun


@dataclass(frozen=True, slots=True)
class Job:
    """One try of one step: the run, where it stands, and the number of tries before this one."""

    run: str
    cursor: int
    attempt: int


Enqueue: TypeAlias = Callable[[Iterable[DueRun]], Op[None]]
"""Queue what is due, inside the transaction of the operation that calls it."""


_URGENT, _BULK = "urgent: ", "bulk: "


def lane_of(target: str, priority: int) -> str:
    """The lane of a target for runs of this priority.

    What is urgent, usual and bulk lies in lanes of its own: were there one, runs that wait in it
    for the target's rate would keep a more urgent one out of sight.
    """
    if priority == 0:
        return target
    return (_URGENT if priority > 0 else _BULK) + target


def is_side_lane(lane: str) -> bool:
    """Whether the lane is for what is urgent or bulk."""
    return lane.startswith((_URGENT, _BULK))


def to_payload(due: DueRun) -> bytes:
    """The bytes that lie in the queue."""
    return json.dumps([due.id, due.cursor, due.attempt]).encode()


def from_payload(payload: bytes | None) -> Job:
    """The job that `to_payload` made."""
    return Job(*json.loads(payload or b"[]"))
