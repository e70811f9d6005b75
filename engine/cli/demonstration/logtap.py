"""Listens to the daemon's log: keeps what rules wrote, passes warnings on, drops the rest."""

from __future__ import annotations

import io
import json
from typing import TextIO

_WORTH_SHOWING = {"warning", "error", "critical"}


class LogTap(io.StringIO):
    """A stream for `configure_logging` (format json).

    Attributes:
        written: what `log` actions wrote, oldest first.
        ready: the fact `daemon.ready`, which names the addresses; empty until then.
    """

    def __init__(self, beside: TextIO) -> None:
        super().__init__()
        self.written: list[str] = []
        self.ready: dict[str, str] = {}
        self._beside = beside
        self._rest = ""

    def write(self, text: str) -> int:
        """Take a piece of the log."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._take(line)
        return len(text)

    def _take(self, line: str) -> None:
        try:
            fact = json.loads(line)
        except ValueError:
            fact = {"level": "error"}
        if fact.get("event") == "action.log":
            self.written.append(fact["text"])
        elif fact.get("event") == "daemon.ready":
            self.ready = fact
        elif fact.get("level") in _WORTH_SHOWING:
            self._beside.write(f"{line}\n")
