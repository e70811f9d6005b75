"""Cuts a reload off in its middle: the journal goes away after so many writes."""

from __future__ import annotations

from typing import Any

import pytest
from running.bench import Bench

from engine.errors import JournalUnavailable


def cut_off(bench: Bench, patch: pytest.MonkeyPatch, writes: int) -> None:
    """The journal takes so many writes more."""
    write, left = bench.journal.write, writes

    async def cut(op: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            op.close()
            raise JournalUnavailable("gone")
        return await write(op)

    patch.setattr(bench.journal, "write", cut)
