"""Waits for something to become true, without a fixed pause."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE = 30.0
_LOOK_EVERY = 0.02


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Return as soon as the condition holds; AssertionError naming `what` when time is up."""
    never = threading.Event()
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        never.wait(_LOOK_EVERY)
