"""Keeps what happens at a rehearsal out of the log: none of it has happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

_rehearsing: ContextVar[bool] = ContextVar("rehearsing", default=False)


@contextmanager
def silent() -> Iterator[None]:
    """Nothing is logged inside of it, where `drop_rehearsed` is among the processors."""
    token = _rehearsing.set(True)
    try:
        yield
    finally:
        _rehearsing.reset(token)


def drop_rehearsed(
    _logger: object, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Drop what is logged at a rehearsal."""
    if _rehearsing.get():
        raise structlog.DropEvent
    return event


def install() -> None:
    """For commands, which set up no log of their own."""
    known = structlog.get_config()["processors"]
    if drop_rehearsed not in known:
        structlog.configure(processors=[drop_rehearsed, *known])
