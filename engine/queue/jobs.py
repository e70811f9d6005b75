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


def to_payload(due: DueRun) -> bytes:
    """The bytes that lie in the queue."""
    return json.dumps([due.id, due.cursor, due.attempt]).encode()


def from_payload(payload: bytes | None) -> Job:
    """The job that `to_payload` made."""
    return Job(*json.loads(payload or b"[]"))
